//! One-time codes and the list of certificates.

use metering::{GatewayId, SiteId};
use rusqlite::{Connection, OptionalExtension, named_params};
use sync_wire::Refusal;
use uuid::Uuid;

use super::rows::{self, Trouble};
use crate::columns::{CODE_REMEMBERED_MS, uuid_v7};
use crate::repository::{Listed, NewCertificate, NewCode, SpendCode};

pub(super) fn add_code(db: &Connection, code: &NewCode, now_ms: i64) -> Result<SiteId, Trouble> {
    db.execute("DELETE FROM enrol_code WHERE expires_ms < ?1", [now_ms - CODE_REMEMBERED_MS])?;
    let found: Option<[u8; 16]> = db
        .query_row(
            "SELECT id FROM site WHERE name = ?1 AND released_ms IS NULL ORDER BY id LIMIT 1",
            [&code.site_name],
            |row| row.get(0),
        )
        .optional()?;
    let site = found.map_or_else(|| uuid_v7(now_ms), Uuid::from_bytes);
    db.execute(
        "INSERT INTO site (id, name, place, made_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO NOTHING",
        (site.as_bytes(), &code.site_name, &code.place, now_ms),
    )?;
    db.execute(
        "INSERT INTO enrol_code (sha256, site, expires_ms) VALUES (?1, ?2, ?3)",
        (code.sha256, site.as_bytes(), code.expires_ms),
    )?;
    Ok(SiteId::from_uuid(site))
}

pub(super) fn spend_code(
    db: &Connection,
    spend: &SpendCode,
    now_ms: i64,
) -> Result<Result<Vec<u8>, Refusal>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT site, expires_ms, spent_by, spent_key, certificate
           FROM enrol_code
          WHERE sha256 = ?1",
    )?;
    let mut found = statement.query([spend.sha256])?;
    let Some(row) = found.next()? else {
        return Ok(Err(Refusal::CodeWrong));
    };
    let site = rows::uuid(row, "site")?;
    let expires_ms: i64 = row.get("expires_ms")?;
    let spent: (Option<[u8; 16]>, Option<[u8; 32]>) = (row.get("spent_by")?, row.get("spent_key")?);
    let given: Option<Vec<u8>> = row.get("certificate")?;
    let gateway = spend.gateway.uuid();
    match (spent, given) {
        ((None, _), _) if expires_ms <= now_ms => return Ok(Err(Refusal::CodeExpired)),
        ((None, _), _) => {}
        // The same gateway with the same key: it did not hear the first answer.
        ((Some(by), Some(key)), Some(given))
            if by == *gateway.as_bytes() && key == spend.key_sha256 && expires_ms > now_ms =>
        {
            return Ok(Ok(given));
        }
        _ => return Ok(Err(Refusal::CodeSpent)),
    }

    let elsewhere: Option<String> = db
        .query_row(
            "SELECT name FROM gateway JOIN site ON site.id = site WHERE gateway.id = ?1 AND site <> ?2",
            (gateway.as_bytes(), site.as_bytes()),
            |row| row.get(0),
        )
        .optional()?;
    if let Some(name) = elsewhere {
        let sentence = format!("it belongs to the site {name}; ask for a code for that site");
        return Ok(Err(Refusal::NotAllowed { sentence }));
    }
    db.execute(
        "INSERT INTO gateway (id, site, enrolled_ms) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET enrolled_ms = excluded.enrolled_ms",
        (gateway.as_bytes(), site.as_bytes(), now_ms),
    )?;
    // Whoever enrols anew has lost the old key, or somebody else has it.
    db.execute(
        "UPDATE certificate
            SET revoked_ms = ?2
          WHERE gateway = (SELECT gateway FROM gateway WHERE id = ?1) AND revoked_ms IS NULL",
        (gateway.as_bytes(), now_ms),
    )?;
    add_certificate(db, spend.gateway, &spend.certificate)?;
    db.execute(
        "UPDATE enrol_code
            SET spent_by = :by, spent_key = :key, certificate = :certificate
          WHERE sha256 = :sha256",
        named_params! {
            ":sha256": spend.sha256,
            ":by": gateway.as_bytes(),
            ":key": spend.key_sha256,
            ":certificate": spend.certificate.der,
        },
    )?;
    Ok(Ok(spend.certificate.der.clone()))
}

pub(super) fn certificate(db: &Connection, sha256: &[u8; 32]) -> Result<Option<Listed>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT id, ends_ms, revoked_ms IS NOT NULL AS revoked, told,
                EXISTS (SELECT 1 FROM errand
                         WHERE errand.gateway = gateway.gateway AND unheard = 1) AS unheard
           FROM certificate
           JOIN gateway USING (gateway)
          WHERE sha256 = ?1",
    )?;
    let mut found = statement.query([sha256])?;
    let Some(row) = found.next()? else {
        return Ok(None);
    };
    Ok(Some(Listed {
        gateway: GatewayId::from_uuid(rows::uuid(row, "id")?),
        ends_ms: row.get("ends_ms")?,
        revoked: row.get("revoked")?,
        told: row.get("told")?,
        unheard: row.get("unheard")?,
    }))
}

pub(super) fn renew_certificate(
    db: &Connection,
    shown: &[u8; 32],
    certificate: &NewCertificate,
) -> Result<bool, Trouble> {
    let added = db.execute(
        "INSERT INTO certificate (sha256, gateway, ends_ms, told)
         SELECT ?1, gateway, ?2, ?4 FROM certificate WHERE sha256 = ?3 AND revoked_ms IS NULL",
        (certificate.sha256, certificate.ends_ms, shown, certificate.told),
    )?;
    Ok(added > 0)
}

/// Whether the certificate is this gateway's, and on the list.
pub(super) fn is_good(db: &Connection, shown: &[u8; 32], gateway: i64) -> Result<bool, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT 1 FROM certificate WHERE sha256 = ?1 AND gateway = ?2 AND revoked_ms IS NULL",
    )?;
    Ok(statement.exists((shown, gateway))?)
}

fn add_certificate(
    db: &Connection,
    gateway: GatewayId,
    certificate: &NewCertificate,
) -> Result<(), Trouble> {
    db.execute(
        "INSERT INTO certificate (sha256, gateway, ends_ms, told)
         SELECT ?1, gateway, ?2, ?4 FROM gateway WHERE id = ?3",
        (certificate.sha256, certificate.ends_ms, gateway.uuid().as_bytes(), certificate.told),
    )?;
    Ok(())
}

pub(super) fn unprepared(
    db: &Connection,
    authority: &[u8; 32],
    now_ms: i64,
) -> Result<Vec<String>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT DISTINCT site.name
           FROM gateway
           JOIN site ON site.id = site
          WHERE EXISTS (SELECT 1
                          FROM certificate AS living
                         WHERE living.gateway = gateway.gateway
                           AND revoked_ms IS NULL AND ends_ms > ?2)
            AND NOT EXISTS (SELECT 1
                              FROM certificate AS living
                             WHERE living.gateway = gateway.gateway
                               AND revoked_ms IS NULL AND ends_ms > ?2 AND told = ?1)
          ORDER BY site.name
          LIMIT 100",
    )?;
    let names = statement.query_map((authority, now_ms), |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

pub(super) fn revoke(db: &Connection, site: SiteId, now_ms: i64) -> Result<usize, Trouble> {
    let count = db.execute(
        "UPDATE certificate
            SET revoked_ms = ?2
          WHERE gateway IN (SELECT gateway FROM gateway WHERE site = ?1) AND revoked_ms IS NULL",
        (site.uuid().as_bytes(), now_ms),
    )?;
    Ok(count)
}
