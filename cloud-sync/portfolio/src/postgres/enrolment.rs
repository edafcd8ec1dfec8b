//! One-time codes and the list of certificates.

use metering::{GatewayId, SiteId};
use sync_wire::Refusal;
use uuid::Uuid;

use super::{Trouble, Work};
use crate::columns::{CODE_REMEMBERED_MS, uuid_v7};
use crate::repository::{Listed, NewCertificate, NewCode, SpendCode};

pub(super) async fn add_code(
    db: &mut Work<'_>,
    code: &NewCode,
    now_ms: i64,
) -> Result<SiteId, Trouble> {
    let over = now_ms - CODE_REMEMBERED_MS;
    db.change("DELETE FROM enrol_code WHERE expires_ms < $1", &[&over]).await?;
    // Two receivers do not make one site twice.
    db.change("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", &[&code.site_name]).await?;
    let found = db
        .row(
            "SELECT id FROM site WHERE name = $1 AND released_ms IS NULL ORDER BY id LIMIT 1
                FOR SHARE",
            &[&code.site_name],
        )
        .await?;
    let site: Uuid = match found {
        Some(row) => row.try_get("id")?,
        None => uuid_v7(now_ms),
    };
    db.change(
        "INSERT INTO site (id, name, place, made_ms) VALUES ($1, $2, $3, $4)
             ON CONFLICT (id) DO NOTHING",
        &[&site, &code.site_name, &code.place, &now_ms],
    )
    .await?;
    db.change(
        "INSERT INTO enrol_code (sha256, site, expires_ms) VALUES ($1, $2, $3)",
        &[&code.sha256.as_slice(), &site, &code.expires_ms],
    )
    .await?;
    Ok(SiteId::from_uuid(site))
}

pub(super) async fn spend_code(
    db: &mut Work<'_>,
    spend: &SpendCode,
    now_ms: i64,
) -> Result<Result<Vec<u8>, Refusal>, Trouble> {
    let found = db
        .row(
            "SELECT site, expires_ms, spent_by, spent_key, certificate
           FROM enrol_code
          WHERE sha256 = $1
            FOR UPDATE",
            &[&spend.sha256.as_slice()],
        )
        .await?;
    let Some(row) = found else {
        return Ok(Err(Refusal::CodeWrong));
    };
    let site: Uuid = row.try_get("site")?;
    let expires_ms: i64 = row.try_get("expires_ms")?;
    let spent: (Option<Uuid>, Option<&[u8]>) =
        (row.try_get("spent_by")?, row.try_get("spent_key")?);
    let given: Option<Vec<u8>> = row.try_get("certificate")?;
    let gateway = spend.gateway.uuid();
    match (spent, given) {
        ((None, _), _) if expires_ms <= now_ms => return Ok(Err(Refusal::CodeExpired)),
        ((None, _), _) => {}
        // The same gateway with the same key: it did not hear the first answer.
        ((Some(by), Some(key)), Some(given))
            if by == gateway && key == spend.key_sha256 && expires_ms > now_ms =>
        {
            return Ok(Ok(given));
        }
        _ => return Ok(Err(Refusal::CodeSpent)),
    }

    let elsewhere = db.row(
        "SELECT name FROM gateway JOIN site ON site.id = site WHERE gateway.id = $1 AND site <> $2",
        &[&gateway, &site],
    ).await?;
    if let Some(row) = elsewhere {
        let name: &str = row.try_get("name")?;
        let sentence = format!("it belongs to the site {name}; ask for a code for that site");
        return Ok(Err(Refusal::NotAllowed { sentence }));
    }
    db.change(
        "INSERT INTO gateway (id, site, enrolled_ms) VALUES ($1, $2, $3)
             ON CONFLICT (id) DO UPDATE SET enrolled_ms = excluded.enrolled_ms",
        &[&gateway, &site, &now_ms],
    )
    .await?;
    // Whoever enrols anew has lost the old key, or somebody else has it.
    db.change(
        "UPDATE certificate
            SET revoked_ms = $2
          WHERE gateway = (SELECT gateway FROM gateway WHERE id = $1) AND revoked_ms IS NULL",
        &[&gateway, &now_ms],
    )
    .await?;
    add_certificate(db, spend.gateway, &spend.certificate).await?;
    db.change(
        "UPDATE enrol_code
            SET spent_by = $2, spent_key = $3, certificate = $4
          WHERE sha256 = $1",
        &[&spend.sha256.as_slice(), &gateway, &spend.key_sha256.as_slice(), &spend.certificate.der],
    )
    .await?;
    Ok(Ok(spend.certificate.der.clone()))
}

pub(super) async fn certificate(
    db: &mut Work<'_>,
    sha256: &[u8; 32],
) -> Result<Option<Listed>, Trouble> {
    let found = db
        .row(
            "SELECT id, ends_ms, revoked_ms IS NOT NULL AS revoked, told,
                    EXISTS (SELECT 1 FROM errand
                             WHERE errand.gateway = gateway.gateway AND unheard = 1) AS unheard
               FROM certificate
               JOIN gateway USING (gateway)
              WHERE sha256 = $1",
            &[&sha256.as_slice()],
        )
        .await?;
    let Some(row) = found else {
        return Ok(None);
    };
    Ok(Some(Listed {
        gateway: GatewayId::from_uuid(row.try_get("id")?),
        ends_ms: row.try_get("ends_ms")?,
        revoked: row.try_get("revoked")?,
        told: row.try_get::<_, Option<&[u8]>>("told")?.and_then(|told| told.try_into().ok()),
        unheard: row.try_get("unheard")?,
    }))
}

pub(super) async fn renew_certificate(
    db: &mut Work<'_>,
    shown: &[u8; 32],
    certificate: &NewCertificate,
) -> Result<bool, Trouble> {
    // Whoever revokes has done so, or waits for the gateway's row, and then revokes this one, too.
    db.row(
        "SELECT gateway FROM gateway
          WHERE gateway = (SELECT gateway FROM certificate WHERE sha256 = $1)
            FOR SHARE",
        &[&shown.as_slice()],
    )
    .await?;
    let added = db
        .change(
            "INSERT INTO certificate (sha256, gateway, ends_ms, told)
             SELECT $1, gateway, $2, $4 FROM certificate
              WHERE sha256 = $3 AND revoked_ms IS NULL",
            &[
                &certificate.sha256.as_slice(),
                &certificate.ends_ms,
                &shown.as_slice(),
                &certificate.told.as_slice(),
            ],
        )
        .await?;
    Ok(added > 0)
}

/// Whether the certificate is this gateway's, and on the list.
pub(super) async fn is_good(
    db: &mut Work<'_>,
    shown: &[u8; 32],
    gateway: i32,
) -> Result<bool, Trouble> {
    let found = db
        .row(
            "SELECT 1 AS one FROM certificate
              WHERE sha256 = $1 AND gateway = $2 AND revoked_ms IS NULL",
            &[&shown.as_slice(), &gateway],
        )
        .await?;
    Ok(found.is_some())
}

async fn add_certificate(
    db: &mut Work<'_>,
    gateway: GatewayId,
    certificate: &NewCertificate,
) -> Result<(), Trouble> {
    db.change(
        "INSERT INTO certificate (sha256, gateway, ends_ms, told)
         SELECT $1, gateway, $2, $4 FROM gateway WHERE id = $3",
        &[
            &certificate.sha256.as_slice(),
            &certificate.ends_ms,
            &gateway.uuid(),
            &certificate.told.as_slice(),
        ],
    )
    .await?;
    Ok(())
}

pub(super) async fn unprepared(
    db: &mut Work<'_>,
    authority: &[u8; 32],
    now_ms: i64,
) -> Result<Vec<String>, Trouble> {
    let found = db
        .rows(
            "SELECT DISTINCT site.name
           FROM gateway
           JOIN site ON site.id = site
          WHERE EXISTS (SELECT 1
                          FROM certificate AS living
                         WHERE living.gateway = gateway.gateway
                           AND revoked_ms IS NULL AND ends_ms > $2)
            AND NOT EXISTS (SELECT 1
                              FROM certificate AS living
                             WHERE living.gateway = gateway.gateway
                               AND revoked_ms IS NULL AND ends_ms > $2 AND told = $1)
          ORDER BY site.name
          LIMIT 100",
            &[&authority.as_slice(), &now_ms],
        )
        .await?;
    found.iter().map(|row| Ok(row.try_get("name")?)).collect()
}

pub(super) async fn revoke(db: &mut Work<'_>, site: SiteId, now_ms: i64) -> Result<usize, Trouble> {
    // A renewal has been stored, and is seen below, or waits.
    db.rows(
        "SELECT gateway FROM gateway WHERE site = $1 ORDER BY gateway FOR NO KEY UPDATE",
        &[&site.uuid()],
    )
    .await?;
    let count = db
        .change(
            "UPDATE certificate
            SET revoked_ms = $2
          WHERE gateway IN (SELECT gateway FROM gateway WHERE site = $1) AND revoked_ms IS NULL",
            &[&site.uuid(), &now_ms],
        )
        .await?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}
