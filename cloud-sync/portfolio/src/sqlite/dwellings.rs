//! Metering points of dwellings, and who looked at them.

use metering::{MeterId, SiteId, UserId};
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::Sqlite;
use super::rows::{self, Trouble};
use crate::repository::{Dwelling, Dwellings, Look, RepositoryError};

impl Dwellings for Sqlite {
    async fn dwellings(&self, site: SiteId) -> Result<Vec<Dwelling>, RepositoryError> {
        self.read("list the dwellings", move |db| dwellings(db, site)).await
    }

    async fn put_dwelling(
        &self,
        site: SiteId,
        dwelling: Dwelling,
    ) -> Result<bool, RepositoryError> {
        self.write("keep a dwelling", move |db| {
            let kept = db.execute(
                "INSERT INTO dwelling (site, meter, household, fine, marked_ms, marked_by)
                 SELECT id, ?2, ?3, ?4, ?5, ?6 FROM site WHERE id = ?1
                     ON CONFLICT (site, meter)
                     DO UPDATE SET household = excluded.household, fine = excluded.fine,
                                   marked_ms = excluded.marked_ms, marked_by = excluded.marked_by",
                params![
                    site.uuid().as_bytes(),
                    dwelling.meter.uuid().as_bytes(),
                    dwelling.household,
                    dwelling.fine_text(),
                    dwelling.marked_ms,
                    dwelling.marked_by
                ],
            )?;
            Ok(kept > 0)
        })
        .await
    }

    async fn remove_dwelling(&self, site: SiteId, meter: MeterId) -> Result<bool, RepositoryError> {
        self.write("remove a dwelling", move |db| {
            let removed = db.execute(
                "DELETE FROM dwelling WHERE site = ?1 AND meter = ?2",
                params![site.uuid().as_bytes(), meter.uuid().as_bytes()],
            )?;
            Ok(removed > 0)
        })
        .await
    }

    async fn state_purpose(
        &self,
        site: SiteId,
        look: Look,
        since_ms: i64,
    ) -> Result<(), RepositoryError> {
        self.write("keep a purpose", move |db| {
            let said_again = db.execute(
                "UPDATE look SET said_ms = ?5
                  WHERE id = (SELECT id FROM look
                               WHERE site = ?1 AND meter = ?2 AND person = ?3 AND purpose = ?4
                                 AND said_ms > ?6 AND at_ms > ?6
                               ORDER BY at_ms DESC, id DESC LIMIT 1)",
                params![
                    site.uuid().as_bytes(),
                    look.meter.uuid().as_bytes(),
                    look.user.uuid().as_bytes(),
                    look.purpose,
                    look.at_ms,
                    since_ms
                ],
            )?;
            if said_again > 0 {
                return Ok(());
            }
            db.execute(
                "INSERT INTO look
                     (id, site, meter, person, who, purpose, at_ms, said_ms, looks, downloads)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, 0, 0)",
                params![
                    look.id.as_bytes(),
                    site.uuid().as_bytes(),
                    look.meter.uuid().as_bytes(),
                    look.user.uuid().as_bytes(),
                    look.who,
                    look.purpose,
                    look.at_ms
                ],
            )?;
            Ok(())
        })
        .await
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
        self.write("count a look", move |db| {
            let counted = db
                .prepare_cached(
                    "UPDATE look
                        SET last_ms = ?5, looks = looks + (NOT ?6), downloads = downloads + ?6
                      WHERE id = (SELECT id FROM look
                                   WHERE site = ?1 AND meter = ?2 AND person = ?3 AND said_ms > ?4
                                   ORDER BY said_ms DESC, id DESC LIMIT 1)",
                )?
                .execute(params![
                    site.uuid().as_bytes(),
                    meter.uuid().as_bytes(),
                    user.uuid().as_bytes(),
                    since_ms,
                    now_ms,
                    is_download
                ])?;
            Ok(counted > 0)
        })
        .await
    }

    async fn looks(
        &self,
        site: SiteId,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Look>, RepositoryError> {
        self.read("list who looked", move |db| looks(db, site, before, limit)).await
    }

    async fn tidy_looks(&self, before_ms: i64) -> Result<(), RepositoryError> {
        self.write("tidy who looked", move |db| {
            db.execute("DELETE FROM look WHERE at_ms < ?1", [before_ms])?;
            Ok(())
        })
        .await
    }
}

fn dwellings(db: &Connection, site: SiteId) -> Result<Vec<Dwelling>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT meter, household, fine, marked_ms, marked_by
           FROM dwelling WHERE site = ?1 ORDER BY household, meter",
    )?;
    let mut found = statement.query([site.uuid().as_bytes()])?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        all.push(Dwelling {
            meter: MeterId::from_uuid(rows::uuid(row, "meter")?),
            household: row.get("household")?,
            fine: Dwelling::fine_of(&row.get::<_, String>("fine")?),
            marked_ms: row.get("marked_ms")?,
            marked_by: row.get("marked_by")?,
        });
    }
    Ok(all)
}

fn looks(
    db: &Connection,
    site: SiteId,
    before: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Look>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT id, meter, person, who, purpose, at_ms, last_ms, looks, downloads
           FROM look
          WHERE site = ?1
            AND (?2 IS NULL
                 OR (at_ms, id) < (SELECT at_ms, id FROM look WHERE site = ?1 AND id = ?2))
          ORDER BY at_ms DESC, id DESC LIMIT ?3",
    )?;
    let before = before.map(Uuid::into_bytes);
    let mut found = statement.query(params![site.uuid().as_bytes(), before, limit])?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        all.push(Look {
            id: rows::uuid(row, "id")?,
            meter: MeterId::from_uuid(rows::uuid(row, "meter")?),
            user: UserId::from_uuid(rows::uuid(row, "person")?),
            who: row.get("who")?,
            purpose: row.get("purpose")?,
            at_ms: row.get("at_ms")?,
            last_ms: row.get("last_ms")?,
            looks: row.get("looks")?,
            downloads: row.get("downloads")?,
        });
    }
    Ok(all)
}
