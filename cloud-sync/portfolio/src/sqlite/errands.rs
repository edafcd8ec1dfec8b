//! What is asked of gateways, and the bundles that came of it.

use metering::GatewayId;
use rusqlite::{Connection, params};
use sync_wire::{ErrandKind, ErrandState};
use uuid::Uuid;

use super::Sqlite;
use super::rows::{self, Trouble};
use crate::repository::{Bundle, Errand, ErrandMove, ErrandNote, Errands, RepositoryError};

impl Errands for Sqlite {
    async fn add_errand(
        &self,
        gateway: GatewayId,
        errand: Errand,
    ) -> Result<bool, RepositoryError> {
        self.write("ask a gateway", move |db| add(db, gateway, &errand)).await
    }

    async fn errands(&self, gateway: GatewayId) -> Result<Vec<Errand>, RepositoryError> {
        self.read("read errands", move |db| errands(db, gateway)).await
    }

    async fn move_errand(
        &self,
        gateway: GatewayId,
        id: Uuid,
        moved: ErrandMove,
        step: ErrandNote,
    ) -> Result<bool, RepositoryError> {
        self.write("change an errand", move |db| change(db, gateway, id, &moved, &step)).await
    }

    async fn hear_errands(
        &self,
        gateway: GatewayId,
        open: Vec<Uuid>,
    ) -> Result<(), RepositoryError> {
        self.write("hear of errands", move |db| hear(db, gateway, &open)).await
    }

    async fn note_errand(
        &self,
        gateway: GatewayId,
        id: Uuid,
        step: ErrandNote,
    ) -> Result<(), RepositoryError> {
        self.write("note a step", move |db| note(db, gateway, id, &step)).await
    }

    async fn errand_notes(
        &self,
        gateway: GatewayId,
    ) -> Result<Vec<(Uuid, ErrandNote)>, RepositoryError> {
        self.read("read the steps of errands", move |db| notes(db, gateway)).await
    }

    async fn bundle(
        &self,
        gateway: GatewayId,
        id: Uuid,
    ) -> Result<Option<Bundle>, RepositoryError> {
        self.read("read a bundle", move |db| bundle(db, gateway, id)).await
    }

    async fn put_bundle(
        &self,
        gateway: GatewayId,
        id: Uuid,
        from: u64,
        part: Bundle,
    ) -> Result<(), RepositoryError> {
        self.write("keep a bundle", move |db| put_bundle(db, gateway, id, from, &part)).await
    }

    async fn tidy_errands(&self, bundles_ms: i64, all_ms: i64) -> Result<u64, RepositoryError> {
        self.write("tidy errands up", move |db| tidy(db, bundles_ms, all_ms)).await
    }
}

fn add(db: &Connection, gateway: GatewayId, errand: &Errand) -> Result<bool, Trouble> {
    let added = db
        .prepare_cached(
            "INSERT INTO errand
             SELECT gateway, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 1
               FROM gateway
              WHERE id = ?1
                AND NOT EXISTS (SELECT 1 FROM errand
                                 WHERE errand.gateway = gateway.gateway
                                   AND kind = ?3 AND state <= 3)",
        )?
        .execute(params![
            gateway.uuid().as_bytes(),
            errand.id.as_bytes(),
            errand.kind.code(),
            errand.asked_ms,
            errand.who,
            errand.until_ms,
            errand.body,
            errand.state.code(),
            errand.state_ms,
            errand.number.cast_signed(),
            errand.said,
        ])?;
    if added > 0 {
        let step = ErrandNote::asked(errand);
        note(db, gateway, errand.id, &step)?;
    }
    Ok(added > 0)
}

pub(super) fn errands(db: &Connection, gateway: GatewayId) -> Result<Vec<Errand>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT errand.id AS errand, kind, asked_ms, who, until_ms, body, state, state_ms, number, said
           FROM errand JOIN gateway USING (gateway)
          WHERE gateway.id = ?1
          ORDER BY asked_ms DESC, errand.id DESC LIMIT 50",
    )?;
    let mut found = statement.query([gateway.uuid().as_bytes()])?;
    let mut errands = Vec::new();
    while let Some(row) = found.next()? {
        let (kind, state): (u8, u8) = (row.get("kind")?, row.get("state")?);
        errands.push(Errand {
            id: rows::uuid(row, "errand")?,
            kind: ErrandKind::from_code(kind).ok_or_else(|| Trouble::foreign("a kind", kind))?,
            asked_ms: row.get("asked_ms")?,
            who: row.get("who")?,
            until_ms: row.get("until_ms")?,
            body: row.get("body")?,
            state: ErrandState::from_code(state)
                .ok_or_else(|| Trouble::foreign("a state", state))?,
            state_ms: row.get("state_ms")?,
            number: rows::number(row, "number")?,
            said: row.get("said")?,
        });
    }
    Ok(errands)
}

pub(super) fn change(
    db: &Connection,
    gateway: GatewayId,
    id: Uuid,
    moved: &ErrandMove,
    step: &ErrandNote,
) -> Result<bool, Trouble> {
    let changed = db
        .prepare_cached(
            "UPDATE errand
                SET state = ?4, state_ms = ?5, number = ?6, said = ?7, unheard = ?8
              WHERE gateway = (SELECT gateway FROM gateway WHERE id = ?1)
                AND id = ?2 AND state = ?3",
        )?
        .execute(params![
            gateway.uuid().as_bytes(),
            id.as_bytes(),
            moved.from.code(),
            moved.to.code(),
            step.at_ms,
            moved.number.cast_signed(),
            moved.said,
            moved.is_news_there(),
        ])?;
    if changed > 0 {
        note(db, gateway, id, step)?;
    }
    Ok(changed > 0)
}

fn hear(db: &Connection, gateway: GatewayId, open: &[Uuid]) -> Result<(), Trouble> {
    db.prepare_cached(
        "UPDATE errand SET unheard = (state <= 3)
          WHERE gateway = (SELECT gateway FROM gateway WHERE id = ?1)
            AND (unheard = 1 OR state <= 3)",
    )?
    .execute([gateway.uuid().as_bytes()])?;
    let mut known = db.prepare_cached(
        "UPDATE errand SET unheard = (state > 3)
          WHERE gateway = (SELECT gateway FROM gateway WHERE id = ?1) AND id = ?2",
    )?;
    for id in open {
        known.execute([gateway.uuid().as_bytes(), id.as_bytes()])?;
    }
    Ok(())
}

fn note(db: &Connection, gateway: GatewayId, id: Uuid, step: &ErrandNote) -> Result<(), Trouble> {
    db.prepare_cached(
        "INSERT INTO errand_log (gateway, id, place, at_ms, who, what, detail)
         SELECT gateway, ?2,
                (SELECT coalesce(max(place) + 1, 0) FROM errand_log
                  WHERE errand_log.gateway = gateway.gateway AND errand_log.id = ?2),
                ?3, ?4, ?5, ?6
           FROM gateway WHERE id = ?1",
    )?
    .execute(params![
        gateway.uuid().as_bytes(),
        id.as_bytes(),
        step.at_ms,
        step.who,
        step.what,
        step.detail
    ])?;
    Ok(())
}

fn notes(db: &Connection, gateway: GatewayId) -> Result<Vec<(Uuid, ErrandNote)>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT errand_log.id AS errand, at_ms, who, what, detail
           FROM errand_log JOIN gateway USING (gateway)
          WHERE gateway.id = ?1
          ORDER BY at_ms DESC, errand_log.id DESC, place DESC LIMIT 200",
    )?;
    let mut found = statement.query([gateway.uuid().as_bytes()])?;
    let mut notes = Vec::new();
    while let Some(row) = found.next()? {
        let step = ErrandNote {
            at_ms: row.get("at_ms")?,
            who: row.get("who")?,
            what: row.get("what")?,
            detail: row.get("detail")?,
        };
        notes.push((rows::uuid(row, "errand")?, step));
    }
    Ok(notes)
}

fn bundle(db: &Connection, gateway: GatewayId, id: Uuid) -> Result<Option<Bundle>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT sha256, whole, part
           FROM bundle JOIN gateway USING (gateway)
          WHERE gateway.id = ?1 AND bundle.id = ?2
          ORDER BY place",
    )?;
    let mut parts = statement.query([gateway.uuid().as_bytes(), id.as_bytes()])?;
    let mut found: Option<Bundle> = None;
    while let Some(row) = parts.next()? {
        let part: Vec<u8> = row.get("part")?;
        let (sha256, whole) = (row.get("sha256")?, rows::number(row, "whole")?);
        found.get_or_insert(Bundle { sha256, whole, bytes: Vec::new() }).bytes.extend(part);
    }
    Ok(found)
}

fn put_bundle(
    db: &Connection,
    gateway: GatewayId,
    id: Uuid,
    from: u64,
    part: &Bundle,
) -> Result<(), Trouble> {
    if from == 0 {
        db.prepare_cached(
            "DELETE FROM bundle
              WHERE gateway = (SELECT gateway FROM gateway WHERE id = ?1) AND id = ?2",
        )?
        .execute([gateway.uuid().as_bytes(), id.as_bytes()])?;
    }
    db.prepare_cached(
        "INSERT OR REPLACE INTO bundle (gateway, id, place, sha256, whole, part)
         SELECT gateway, ?2, ?3, ?4, ?5, ?6 FROM gateway WHERE id = ?1",
    )?
    .execute(params![
        gateway.uuid().as_bytes(),
        id.as_bytes(),
        from.cast_signed(),
        part.sha256,
        part.whole.cast_signed(),
        part.bytes
    ])?;
    Ok(())
}

fn tidy(db: &Connection, bundles_ms: i64, all_ms: i64) -> Result<u64, Trouble> {
    let old = "(gateway, id) IN (SELECT gateway, id FROM errand WHERE state > 3 AND state_ms < ?1)";
    let count =
        format!("SELECT count(DISTINCT (gateway || ' ' || hex(id))) FROM bundle WHERE {old}");
    let bundles: i64 = db.query_row(&count, [bundles_ms], |row| row.get(0))?;
    db.execute(&format!("DELETE FROM bundle WHERE {old}"), [bundles_ms])?;
    db.execute(
        "DELETE FROM errand_log
          WHERE (gateway, id) IN (SELECT gateway, id FROM errand WHERE asked_ms < ?1)",
        [all_ms],
    )?;
    db.execute("DELETE FROM errand WHERE asked_ms < ?1", [all_ms])?;
    Ok(bundles.unsigned_abs())
}
