//! A gateway goes from one owner to another.

use metering::{GatewayId, SiteId, UserId};
use uuid::Uuid;

use super::{Access, Postgres, Trouble, Work, errands, people, rows};
use crate::branches::{self, Branch};
use crate::columns::{self, uuid_v7};
use crate::repository::{Handover, Handovers, NotGiven, Owned, RepositoryError};

impl Handovers for Postgres {
    async fn hand_over(
        &self,
        given: Handover,
        now_ms: i64,
    ) -> Result<Result<SiteId, NotGiven>, RepositoryError> {
        let write = Access::Write;
        transaction!(self, write, "hand over a gateway", db, hand_over(&mut db, &given, now_ms))
    }

    async fn add_code_for(
        &self,
        site: SiteId,
        sha256: [u8; 32],
        expires_ms: i64,
    ) -> Result<bool, RepositoryError> {
        let write = Access::Write;
        transaction!(
            self,
            write,
            "keep a one-time code",
            db,
            add_code_for(&mut db, site, &sha256, expires_ms)
        )
    }

    async fn owned(&self, gateway: GatewayId) -> Result<Option<Owned>, RepositoryError> {
        transaction!(self, Access::Read, "find a gateway", db, owned(&mut db, gateway))
    }
}

async fn add_code_for(
    db: &mut Work<'_>,
    site: SiteId,
    sha256: &[u8; 32],
    expires_ms: i64,
) -> Result<bool, Trouble> {
    // Whoever hands the gateway over waits for this, and takes the code away.
    let added = db
        .change(
            "INSERT INTO enrol_code (sha256, site, expires_ms)
             SELECT $2, id, $3 FROM site WHERE id = $1 AND released_ms IS NULL FOR SHARE",
            &[&site.uuid(), &sha256.as_slice(), &expires_ms],
        )
        .await?;
    Ok(added > 0)
}

async fn owned(db: &mut Work<'_>, gateway: GatewayId) -> Result<Option<Owned>, Trouble> {
    let found = db
        .row(
            "SELECT taken_ms, books_from, vendor_from
               FROM gateway
              WHERE id = $1 AND taken_ms IS NOT NULL",
            &[&gateway.uuid()],
        )
        .await?;
    let Some(row) = found else { return Ok(None) };
    Ok(Some(Owned {
        since_ms: row.try_get("taken_ms")?,
        customer_from: rows::number(&row, "books_from")?,
        vendor_from: rows::number(&row, "vendor_from")?,
    }))
}

async fn hand_over(
    db: &mut Work<'_>,
    given: &Handover,
    now_ms: i64,
) -> Result<Result<SiteId, NotGiven>, Trouble> {
    let Handover { site, who, with_readings, tags } = given;
    let from = site.uuid();
    let gateways = held(db, from).await?;
    let found = db.row("SELECT released_ms FROM site WHERE id = $1 FOR UPDATE", &[&from]).await?;
    let Some(row) = found else { return Ok(Err(NotGiven::NoSite)) };
    if row.try_get::<_, Option<i64>>("released_ms")?.is_some() {
        return Ok(Err(NotGiven::Released));
    }
    if gateways.is_empty() {
        return Ok(Err(NotGiven::NoGateway));
    }

    let to = uuid_v7(now_ms);
    let all = i16::from(*with_readings);
    db.change(
        "INSERT INTO site (id, name, place, time_zone, made_ms, area_m2, counted, tags,
                           latitude_udeg, longitude_udeg, taken_ms, taken_all)
         SELECT $2, name, place, time_zone, $3, area_m2, counted, $4, latitude_udeg,
                longitude_udeg, $3, $5
           FROM site WHERE id = $1",
        &[&from, &to, &now_ms, &columns::words_text(tags), &all],
    )
    .await?;
    db.change(
        "UPDATE site SET released_ms = $2, released_by = $3, released_all = $4 WHERE id = $1",
        &[&from, &now_ms, who, &all],
    )
    .await?;
    dwellings_stay(db, from, to).await?;
    shut(db, *site, now_ms).await?;
    for gateway in &gateways {
        go(db, gateway, [from, to], given, now_ms).await?;
    }
    Ok(Ok(SiteId::from_uuid(to)))
}

/// A gateway of the building.
struct Here {
    /// Our number of it.
    number: i32,
    id: Uuid,
    enrolled_ms: i64,
    version: Option<String>,
}

/// All gateways of the building, the one that was enrolled last at the end: hardware is replaced, and a
/// gateway that was reset has another name. To the end of the transaction none enrols, stores or renews.
///
/// They are locked as others lock them, who would wait for us while we wait for them: whoever enrols has the
/// code before the gateway, whoever stores has the state before the gateway and the building.
async fn held(db: &mut Work<'_>, site: Uuid) -> Result<Vec<Here>, Trouble> {
    let codes = "SELECT sha256 FROM enrol_code WHERE site = $1 ORDER BY sha256 FOR UPDATE";
    db.rows(codes, &[&site]).await?;
    db.rows(
        "SELECT gateway FROM gateway_state
          WHERE gateway IN (SELECT gateway FROM gateway WHERE site = $1)
          ORDER BY gateway
            FOR UPDATE",
        &[&site],
    )
    .await?;
    let found = db
        .rows(
            "SELECT gateway, id, enrolled_ms, version FROM gateway
              WHERE site = $1 ORDER BY enrolled_ms, gateway
                FOR UPDATE",
            &[&site],
        )
        .await?;
    let mut gateways = Vec::new();
    for row in found {
        gateways.push(Here {
            number: row.try_get("gateway")?,
            id: row.try_get("id")?,
            enrolled_ms: row.try_get("enrolled_ms")?,
            version: row.try_get("version")?,
        });
    }
    Ok(gateways)
}

/// One gateway goes from the first building to the second.
async fn go(
    db: &mut Work<'_>,
    gateway: &Here,
    [from, to]: [Uuid; 2],
    given: &Handover,
    now_ms: i64,
) -> Result<(), Trouble> {
    let Handover { who, with_readings, .. } = given;
    let Here { number, id, enrolled_ms, version } = gateway;
    let gateway = *number;
    let named = GatewayId::from_uuid(*id);
    for errand in errands::errands(db, named).await?.iter().filter(|it| it.state.is_open()) {
        let (moved, step) = errand.withdrawn(who, now_ms);
        errands::change(db, named, errand.id, &moved, &step).await?;
    }

    // The one that stays has a name that no gateway has.
    let stays = uuid_v7(now_ms);
    let (has, lacks) = if *with_readings {
        let old = made(
            db,
            "INSERT INTO gateway (id, site, enrolled_ms, version, taken_ms, books_from, vendor_from)
             SELECT $2, $3, $4, $5, taken_ms, books_from, vendor_from FROM gateway WHERE gateway = $1
             RETURNING gateway",
            &[&gateway, &stays, &from, enrolled_ms, version],
        )
        .await?;
        db.change("UPDATE gateway SET site = $2 WHERE gateway = $1", &[&gateway, &to]).await?;
        (gateway, old)
    } else {
        db.change("UPDATE gateway SET id = $2 WHERE gateway = $1", &[&gateway, &stays]).await?;
        let new = made(
            db,
            "INSERT INTO gateway (id, site, enrolled_ms, version, from_ms)
             VALUES ($1, $2, $3, $4, $3)
             RETURNING gateway",
            &[id, &to, &now_ms, version],
        )
        .await?;
        db.change(
            "INSERT INTO epoch (gateway, epoch_no, epoch, since_ms)
             SELECT $2, epoch_no, epoch, since_ms FROM epoch WHERE gateway = $1",
            &[&gateway, &new],
        )
        .await?;
        db.change(
            "INSERT INTO gateway_state (gateway, epoch_no, acked, head, last_from, last_to,
                                        last_sha256, last_contact_ms)
             SELECT $2, epoch_no, acked, head, last_from, last_to, last_sha256, last_contact_ms
               FROM gateway_state WHERE gateway = $1",
            &[&gateway, &new],
        )
        .await?;
        (gateway, new)
    };
    let new = if *with_readings { has } else { lacks };
    books_go_on(db, [has, lacks], new, now_ms).await?;
    if *with_readings {
        for moved in [
            "UPDATE proof SET gateway = $2 WHERE gateway = $1",
            "UPDATE errand SET gateway = $2 WHERE gateway = $1",
            "UPDATE bundle SET gateway = $2 WHERE gateway = $1",
            "UPDATE errand_log SET gateway = $2 WHERE gateway = $1",
        ] {
            db.change(moved, &[&has, &lacks]).await?;
        }
    }
    Ok(())
}

/// Who lives there goes on living there; who sees how is for the new owner to say.
async fn dwellings_stay(db: &mut Work<'_>, from: Uuid, to: Uuid) -> Result<(), Trouble> {
    db.change(
        "INSERT INTO dwelling (site, meter, household, fine, marked_ms, marked_by)
         SELECT $2, meter, household, '', marked_ms, marked_by FROM dwelling WHERE site = $1",
        &[&from, &to],
    )
    .await?;
    Ok(())
}

/// A chain goes on where it was: both have it, and the new owner is shown what is written from now on.
async fn books_go_on(
    db: &mut Work<'_>,
    [has, lacks]: [i32; 2],
    new: i32,
    now_ms: i64,
) -> Result<(), Trouble> {
    db.change(
        "INSERT INTO book (gateway, side, place, entry)
         SELECT $2, side, place, entry FROM book WHERE gateway = $1",
        &[&has, &lacks],
    )
    .await?;
    db.change(
        "INSERT INTO book_note (gateway, note) SELECT $2, note FROM book_note WHERE gateway = $1",
        &[&has, &lacks],
    )
    .await?;
    db.change(
        "UPDATE gateway
            SET taken_ms = $2,
                books_from = (SELECT count(*) FROM book
                               WHERE book.gateway = gateway.gateway AND side = 0),
                vendor_from = (SELECT count(*) FROM book
                                WHERE book.gateway = gateway.gateway AND side = 1)
          WHERE gateway = $1",
        &[&new, &now_ms],
    )
    .await?;
    Ok(())
}

/// Our number of a gateway that a statement makes.
async fn made(
    db: &mut Work<'_>,
    sql: &'static str,
    values: super::link::Values<'_>,
) -> Result<i32, Trouble> {
    match db.row(sql, values).await? {
        Some(row) => Ok(row.try_get("gateway")?),
        None => Err(Trouble::foreign("a gateway", "nothing")),
    }
}

/// Nothing that opened a door at this building before opens one now.
async fn shut(db: &mut Work<'_>, site: SiteId, now_ms: i64) -> Result<(), Trouble> {
    db.change(
        "UPDATE certificate SET revoked_ms = $2
          WHERE gateway IN (SELECT gateway FROM gateway WHERE site = $1) AND revoked_ms IS NULL",
        &[&site.uuid(), &now_ms],
    )
    .await?;
    db.change("DELETE FROM enrol_code WHERE site = $1", &[&site.uuid()]).await?;
    let let_in = "SELECT id, grants, link FROM person WHERE grants IS NOT NULL FOR UPDATE";
    for row in db.rows(let_in, &[]).await? {
        let grants = branches::read(row.try_get("grants")?);
        if grants.iter().all(|grant| grant.on != Branch::Site(site)) {
            continue;
        }
        let id: Uuid = row.try_get("id")?;
        if row.try_get::<_, Option<&str>>("link")?.is_some() {
            db.change("DELETE FROM person WHERE id = $1", &[&id]).await?;
        } else {
            people::end_sessions(db, UserId::from_uuid(id), None).await?;
        }
    }
    Ok(())
}
