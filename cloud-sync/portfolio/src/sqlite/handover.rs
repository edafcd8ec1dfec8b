//! A gateway goes from one owner to another.

use metering::{GatewayId, SiteId, UserId};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::rows::{self, Trouble};
use super::{Sqlite, errands, people};
use crate::branches::{self, Branch};
use crate::columns::{self, uuid_v7};
use crate::repository::{Handover, Handovers, NotGiven, Owned, RepositoryError};

impl Handovers for Sqlite {
    async fn hand_over(
        &self,
        given: Handover,
        now_ms: i64,
    ) -> Result<Result<SiteId, NotGiven>, RepositoryError> {
        self.write("hand over a gateway", move |db| hand_over(db, &given, now_ms)).await
    }

    async fn add_code_for(
        &self,
        site: SiteId,
        sha256: [u8; 32],
        expires_ms: i64,
    ) -> Result<bool, RepositoryError> {
        self.write("keep a one-time code", move |db| {
            let added = db.execute(
                "INSERT INTO enrol_code (sha256, site, expires_ms)
                 SELECT ?2, id, ?3 FROM site WHERE id = ?1 AND released_ms IS NULL",
                params![site.uuid().as_bytes(), sha256, expires_ms],
            )?;
            Ok(added > 0)
        })
        .await
    }

    async fn owned(&self, gateway: GatewayId) -> Result<Option<Owned>, RepositoryError> {
        self.read("find a gateway", move |db| owned(db, gateway)).await
    }
}

fn owned(db: &Connection, gateway: GatewayId) -> Result<Option<Owned>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT taken_ms, books_from, vendor_from
           FROM gateway
          WHERE id = ?1 AND taken_ms IS NOT NULL",
    )?;
    let mut found = statement.query([gateway.uuid().as_bytes()])?;
    let Some(row) = found.next()? else { return Ok(None) };
    Ok(Some(Owned {
        since_ms: row.get("taken_ms")?,
        customer_from: rows::number(row, "books_from")?,
        vendor_from: rows::number(row, "vendor_from")?,
    }))
}

fn hand_over(
    db: &Connection,
    given: &Handover,
    now_ms: i64,
) -> Result<Result<SiteId, NotGiven>, Trouble> {
    let Handover { site, who, with_readings, tags } = given;
    let from = *site.uuid().as_bytes();
    let released: Option<Option<i64>> = db
        .query_row("SELECT released_ms FROM site WHERE id = ?1", [from], |row| row.get(0))
        .optional()?;
    match released {
        None => return Ok(Err(NotGiven::NoSite)),
        Some(Some(_)) => return Ok(Err(NotGiven::Released)),
        Some(None) => {}
    }
    let gateways = gateways(db, &from)?;
    if gateways.is_empty() {
        return Ok(Err(NotGiven::NoGateway));
    }

    let to = uuid_v7(now_ms);
    db.execute(
        "INSERT INTO site (id, name, place, time_zone, made_ms, area_m2, counted, tags,
                           latitude_udeg, longitude_udeg, taken_ms, taken_all)
         SELECT ?2, name, place, time_zone, ?3, area_m2, counted, ?4, latitude_udeg,
                longitude_udeg, ?3, ?5
           FROM site WHERE id = ?1",
        params![from, to.as_bytes(), now_ms, columns::words_text(tags), with_readings],
    )?;
    db.execute(
        "UPDATE site SET released_ms = ?2, released_by = ?3, released_all = ?4 WHERE id = ?1",
        params![from, now_ms, who, with_readings],
    )?;
    // Who lives there goes on living there; who sees how is for the new owner to say.
    db.execute(
        "INSERT INTO dwelling (site, meter, household, fine, marked_ms, marked_by)
         SELECT ?2, meter, household, '', marked_ms, marked_by FROM dwelling WHERE site = ?1",
        params![from, to.as_bytes()],
    )?;
    shut(db, &from, now_ms)?;
    for gateway in &gateways {
        go(db, gateway, [&from, to.as_bytes()], given, now_ms)?;
    }
    Ok(Ok(SiteId::from_uuid(to)))
}

/// A gateway of the building.
struct Here {
    /// Our number of it.
    number: i64,
    id: Uuid,
    enrolled_ms: i64,
    version: Option<String>,
}

/// All gateways of the building, the one that was enrolled last at the end: hardware is replaced, and a
/// gateway that was reset has another name.
fn gateways(db: &Connection, site: &[u8; 16]) -> Result<Vec<Here>, Trouble> {
    let mut statement = db.prepare(
        "SELECT gateway, id, enrolled_ms, version FROM gateway
          WHERE site = ?1 ORDER BY enrolled_ms, gateway",
    )?;
    let mut found = statement.query([site])?;
    let mut gateways = Vec::new();
    while let Some(row) = found.next()? {
        gateways.push(Here {
            number: row.get("gateway")?,
            id: rows::uuid(row, "id")?,
            enrolled_ms: row.get("enrolled_ms")?,
            version: row.get("version")?,
        });
    }
    Ok(gateways)
}

/// One gateway goes from the first building to the second.
fn go(
    db: &Connection,
    gateway: &Here,
    [from, to]: [&[u8; 16]; 2],
    given: &Handover,
    now_ms: i64,
) -> Result<(), Trouble> {
    let Handover { who, with_readings, .. } = given;
    let Here { number: gateway, id, enrolled_ms, version } = gateway;
    let named = GatewayId::from_uuid(*id);
    for errand in errands::errands(db, named)?.iter().filter(|it| it.state.is_open()) {
        let (moved, step) = errand.withdrawn(who, now_ms);
        errands::change(db, named, errand.id, &moved, &step)?;
    }

    // The one that stays has a name that no gateway has.
    let stays = uuid_v7(now_ms);
    let (old, new) = if *with_readings {
        db.execute(
            "INSERT INTO gateway (id, site, enrolled_ms, version, taken_ms, books_from, vendor_from)
             SELECT ?2, ?3, ?4, ?5, taken_ms, books_from, vendor_from FROM gateway WHERE gateway = ?1",
            params![gateway, stays.as_bytes(), from, enrolled_ms, version],
        )?;
        let old = db.last_insert_rowid();
        db.execute("UPDATE gateway SET site = ?2 WHERE gateway = ?1", params![gateway, to])?;
        (old, *gateway)
    } else {
        db.execute(
            "UPDATE gateway SET id = ?2 WHERE gateway = ?1",
            params![gateway, stays.as_bytes()],
        )?;
        db.execute(
            "INSERT INTO gateway (id, site, enrolled_ms, version, from_ms)
             VALUES (?1, ?2, ?3, ?4, ?3)",
            params![id.as_bytes(), to, now_ms, version],
        )?;
        let new = db.last_insert_rowid();
        db.execute(
            "INSERT INTO epoch (gateway, epoch_no, epoch, since_ms)
             SELECT ?2, epoch_no, epoch, since_ms FROM epoch WHERE gateway = ?1",
            [*gateway, new],
        )?;
        db.execute(
            "INSERT INTO gateway_state (gateway, epoch_no, acked, head, last_from, last_to,
                                        last_sha256, last_contact_ms)
             SELECT ?2, epoch_no, acked, head, last_from, last_to, last_sha256, last_contact_ms
               FROM gateway_state WHERE gateway = ?1",
            [*gateway, new],
        )?;
        (*gateway, new)
    };
    let [has, lacks] = if *with_readings { [new, old] } else { [old, new] };
    books_go_on(db, [has, lacks], new, now_ms)?;
    if *with_readings {
        for table in ["proof", "errand", "bundle", "errand_log"] {
            db.execute(
                &format!("UPDATE {table} SET gateway = ?2 WHERE gateway = ?1"),
                [*gateway, old],
            )?;
        }
    }
    Ok(())
}

/// A chain goes on where it was: both have it, and the new owner is shown what is written from now on.
fn books_go_on(
    db: &Connection,
    [has, lacks]: [i64; 2],
    new: i64,
    now_ms: i64,
) -> Result<(), Trouble> {
    db.execute(
        "INSERT INTO book (gateway, side, place, entry)
         SELECT ?2, side, place, entry FROM book WHERE gateway = ?1",
        [has, lacks],
    )?;
    db.execute(
        "INSERT INTO book_note (gateway, note) SELECT ?2, note FROM book_note WHERE gateway = ?1",
        [has, lacks],
    )?;
    db.execute(
        "UPDATE gateway
            SET taken_ms = ?2,
                books_from = (SELECT count(*) FROM book
                               WHERE book.gateway = gateway.gateway AND side = 0),
                vendor_from = (SELECT count(*) FROM book
                                WHERE book.gateway = gateway.gateway AND side = 1)
          WHERE gateway = ?1",
        [new, now_ms],
    )?;
    Ok(())
}

/// Nothing that opened a door at this building before opens one now.
fn shut(db: &Connection, site: &[u8; 16], now_ms: i64) -> Result<(), Trouble> {
    db.execute(
        "UPDATE certificate SET revoked_ms = ?2
          WHERE gateway IN (SELECT gateway FROM gateway WHERE site = ?1) AND revoked_ms IS NULL",
        params![site, now_ms],
    )?;
    db.execute("DELETE FROM enrol_code WHERE site = ?1", [site])?;
    let here = Branch::Site(SiteId::from_uuid(Uuid::from_bytes(*site)));
    let mut statement =
        db.prepare("SELECT id, grants, link FROM person WHERE grants IS NOT NULL")?;
    let mut found = statement.query([])?;
    let mut named = Vec::new();
    while let Some(row) = found.next()? {
        let grants = branches::read(&row.get::<_, String>("grants")?);
        if grants.iter().any(|grant| grant.on == here) {
            let is_link = row.get::<_, Option<String>>("link")?.is_some();
            named.push((rows::uuid(row, "id")?, is_link));
        }
    }
    for (id, is_link) in named {
        if is_link {
            db.execute("DELETE FROM person WHERE id = ?1", [id.as_bytes()])?;
        } else {
            people::end_sessions(db, UserId::from_uuid(id), None)?;
        }
    }
    Ok(())
}
