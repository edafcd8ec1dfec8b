//! Metering points of dwellings, and who looked at them.

use metering::{MeterId, SiteId, UserId};
use uuid::Uuid;

use super::{Access, Postgres, Trouble, Work};
use crate::repository::{Dwelling, Dwellings, Look, RepositoryError};

impl Dwellings for Postgres {
    async fn dwellings(&self, site: SiteId) -> Result<Vec<Dwelling>, RepositoryError> {
        transaction!(self, Access::Read, "list the dwellings", db, dwellings(&mut db, site))
    }

    async fn put_dwelling(
        &self,
        site: SiteId,
        dwelling: Dwelling,
    ) -> Result<bool, RepositoryError> {
        let write = Access::Write;
        transaction!(self, write, "keep a dwelling", db, put(&mut db, site, &dwelling))
    }

    async fn remove_dwelling(&self, site: SiteId, meter: MeterId) -> Result<bool, RepositoryError> {
        let write = Access::Write;
        transaction!(self, write, "remove a dwelling", db, remove(&mut db, site, meter))
    }

    async fn state_purpose(
        &self,
        site: SiteId,
        look: Look,
        since_ms: i64,
    ) -> Result<(), RepositoryError> {
        let write = Access::Write;
        transaction!(self, write, "keep a purpose", db, state(&mut db, site, &look, since_ms))
    }

    async fn count_look(
        &self,
        site: SiteId,
        meter: MeterId,
        user: UserId,
        since_ms: i64,
        now_ms: i64,
        is_download: bool,
    ) -> Result<bool, RepositoryError> {
        let of = (site, meter, user);
        transaction!(
            self,
            Access::Write,
            "count a look",
            db,
            count(&mut db, of, since_ms, now_ms, is_download)
        )
    }

    async fn looks(
        &self,
        site: SiteId,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Look>, RepositoryError> {
        let read = Access::Read;
        transaction!(self, read, "list who looked", db, looks(&mut db, site, before, limit))
    }

    async fn tidy_looks(&self, before_ms: i64) -> Result<(), RepositoryError> {
        transaction!(self, Access::Write, "tidy who looked", db, tidy(&mut db, before_ms))
    }
}

async fn dwellings(db: &mut Work<'_>, site: SiteId) -> Result<Vec<Dwelling>, Trouble> {
    let found = db
        .rows(
            "SELECT meter, household, fine, marked_ms, marked_by
               FROM dwelling WHERE site = $1 ORDER BY household COLLATE \"C\", meter",
            &[&site.uuid()],
        )
        .await?;
    let dwelling = |row: &tokio_postgres::Row| {
        Ok(Dwelling {
            meter: MeterId::from_uuid(row.try_get("meter")?),
            household: row.try_get("household")?,
            fine: Dwelling::fine_of(row.try_get("fine")?),
            marked_ms: row.try_get("marked_ms")?,
            marked_by: row.try_get("marked_by")?,
        })
    };
    found.iter().map(dwelling).collect()
}

async fn put(db: &mut Work<'_>, site: SiteId, dwelling: &Dwelling) -> Result<bool, Trouble> {
    let kept = db
        .change(
            "INSERT INTO dwelling (site, meter, household, fine, marked_ms, marked_by)
             SELECT id, $2, $3, $4, $5, $6 FROM site WHERE id = $1
                 ON CONFLICT (site, meter)
                 DO UPDATE SET household = excluded.household, fine = excluded.fine,
                               marked_ms = excluded.marked_ms, marked_by = excluded.marked_by",
            &[
                &site.uuid(),
                &dwelling.meter.uuid(),
                &dwelling.household,
                &dwelling.fine_text(),
                &dwelling.marked_ms,
                &dwelling.marked_by,
            ],
        )
        .await?;
    Ok(kept > 0)
}

async fn remove(db: &mut Work<'_>, site: SiteId, meter: MeterId) -> Result<bool, Trouble> {
    let removed = db
        .change(
            "DELETE FROM dwelling WHERE site = $1 AND meter = $2",
            &[&site.uuid(), &meter.uuid()],
        )
        .await?;
    Ok(removed > 0)
}

async fn state(db: &mut Work<'_>, site: SiteId, look: &Look, since_ms: i64) -> Result<(), Trouble> {
    let said_again = db
        .change(
            "UPDATE look SET said_ms = $5
              WHERE id = (SELECT id FROM look
                           WHERE site = $1 AND meter = $2 AND person = $3 AND purpose = $4
                             AND said_ms > $6 AND at_ms > $6
                           ORDER BY at_ms DESC, id DESC LIMIT 1)",
            &[
                &site.uuid(),
                &look.meter.uuid(),
                &look.user.uuid(),
                &look.purpose,
                &look.at_ms,
                &since_ms,
            ],
        )
        .await?;
    if said_again > 0 {
        return Ok(());
    }
    db.change(
        "INSERT INTO look
             (id, site, meter, person, who, purpose, at_ms, said_ms, looks, downloads)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7, 0, 0)",
        &[
            &look.id,
            &site.uuid(),
            &look.meter.uuid(),
            &look.user.uuid(),
            &look.who,
            &look.purpose,
            &look.at_ms,
        ],
    )
    .await?;
    Ok(())
}

async fn count(
    db: &mut Work<'_>,
    (site, meter, user): (SiteId, MeterId, UserId),
    since_ms: i64,
    now_ms: i64,
    is_download: bool,
) -> Result<bool, Trouble> {
    let (looks, downloads) = (i32::from(!is_download), i32::from(is_download));
    let counted = db
        .change(
            "UPDATE look
                SET last_ms = $5, looks = looks + $6, downloads = downloads + $7
              WHERE id = (SELECT id FROM look
                           WHERE site = $1 AND meter = $2 AND person = $3 AND said_ms > $4
                           ORDER BY said_ms DESC, id DESC LIMIT 1)",
            &[&site.uuid(), &meter.uuid(), &user.uuid(), &since_ms, &now_ms, &looks, &downloads],
        )
        .await?;
    Ok(counted > 0)
}

async fn looks(
    db: &mut Work<'_>,
    site: SiteId,
    before: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Look>, Trouble> {
    let found = db
        .rows(
            "SELECT id, meter, person, who, purpose, at_ms, last_ms, looks, downloads
               FROM look
              WHERE site = $1
                AND ($2::uuid IS NULL
                     OR (at_ms, id) < (SELECT at_ms, id FROM look WHERE site = $1 AND id = $2))
              ORDER BY at_ms DESC, id DESC LIMIT $3",
            &[&site.uuid(), &before, &i64::from(limit)],
        )
        .await?;
    let look = |row: &tokio_postgres::Row| {
        Ok(Look {
            id: row.try_get("id")?,
            meter: MeterId::from_uuid(row.try_get("meter")?),
            user: UserId::from_uuid(row.try_get("person")?),
            who: row.try_get("who")?,
            purpose: row.try_get("purpose")?,
            at_ms: row.try_get("at_ms")?,
            last_ms: row.try_get("last_ms")?,
            looks: row.try_get::<_, i32>("looks")?.unsigned_abs(),
            downloads: row.try_get::<_, i32>("downloads")?.unsigned_abs(),
        })
    };
    found.iter().map(look).collect()
}

async fn tidy(db: &mut Work<'_>, before_ms: i64) -> Result<(), Trouble> {
    db.change("DELETE FROM look WHERE at_ms < $1", &[&before_ms]).await?;
    Ok(())
}
