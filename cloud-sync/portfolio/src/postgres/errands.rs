//! What is asked of gateways, and the bundles that came of it.

use metering::GatewayId;
use sync_wire::{ErrandKind, ErrandState};
use uuid::Uuid;

use super::{Access, Postgres, Trouble, Work, rows};
use crate::repository::{Bundle, Errand, ErrandMove, ErrandNote, Errands, RepositoryError};

impl Errands for Postgres {
    async fn add_errand(
        &self,
        gateway: GatewayId,
        errand: Errand,
    ) -> Result<bool, RepositoryError> {
        let write = Access::Write;
        transaction!(self, write, "ask a gateway", db, add(&mut db, gateway, &errand))
    }

    async fn errands(&self, gateway: GatewayId) -> Result<Vec<Errand>, RepositoryError> {
        transaction!(self, Access::Read, "read errands", db, errands(&mut db, gateway))
    }

    async fn move_errand(
        &self,
        gateway: GatewayId,
        id: Uuid,
        moved: ErrandMove,
        step: ErrandNote,
    ) -> Result<bool, RepositoryError> {
        transaction!(
            self,
            Access::Write,
            "change an errand",
            db,
            change(&mut db, gateway, id, &moved, &step)
        )
    }

    async fn hear_errands(
        &self,
        gateway: GatewayId,
        open: Vec<Uuid>,
    ) -> Result<(), RepositoryError> {
        transaction!(self, Access::Write, "hear of errands", db, hear(&mut db, gateway, &open))
    }

    async fn note_errand(
        &self,
        gateway: GatewayId,
        id: Uuid,
        step: ErrandNote,
    ) -> Result<(), RepositoryError> {
        transaction!(self, Access::Write, "note a step", db, note(&mut db, gateway, id, &step))
    }

    async fn errand_notes(
        &self,
        gateway: GatewayId,
    ) -> Result<Vec<(Uuid, ErrandNote)>, RepositoryError> {
        let read = Access::Read;
        transaction!(self, read, "read the steps of errands", db, notes(&mut db, gateway))
    }

    async fn bundle(
        &self,
        gateway: GatewayId,
        id: Uuid,
    ) -> Result<Option<Bundle>, RepositoryError> {
        transaction!(self, Access::Read, "read a bundle", db, bundle(&mut db, gateway, id))
    }

    async fn put_bundle(
        &self,
        gateway: GatewayId,
        id: Uuid,
        from: u64,
        part: Bundle,
    ) -> Result<(), RepositoryError> {
        transaction!(
            self,
            Access::Write,
            "keep a bundle",
            db,
            put_bundle(&mut db, gateway, id, from, &part)
        )
    }

    async fn tidy_errands(&self, bundles_ms: i64, all_ms: i64) -> Result<u64, RepositoryError> {
        let write = Access::Write;
        transaction!(self, write, "tidy errands up", db, tidy(&mut db, bundles_ms, all_ms))
    }
}

async fn add(db: &mut Work<'_>, gateway: GatewayId, errand: &Errand) -> Result<bool, Trouble> {
    // Two who ask at once take turns.
    db.row("SELECT gateway FROM gateway WHERE id = $1 FOR UPDATE", &[&gateway.uuid()]).await?;
    let added = db
        .change(
            "INSERT INTO errand
             SELECT gateway, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1
               FROM gateway
              WHERE id = $1
                AND NOT EXISTS (SELECT 1 FROM errand
                                 WHERE errand.gateway = gateway.gateway
                                   AND kind = $3 AND state <= 3)",
            &[
                &gateway.uuid(),
                &errand.id,
                &i16::from(errand.kind.code()),
                &errand.asked_ms,
                &errand.who,
                &errand.until_ms,
                &errand.body,
                &i16::from(errand.state.code()),
                &errand.state_ms,
                &errand.number.cast_signed(),
                &errand.said,
            ],
        )
        .await?;
    if added > 0 {
        let step = ErrandNote::asked(errand);
        note(db, gateway, errand.id, &step).await?;
    }
    Ok(added > 0)
}

pub(super) async fn errands(db: &mut Work<'_>, gateway: GatewayId) -> Result<Vec<Errand>, Trouble> {
    let found = db
        .rows(
            "SELECT errand.id AS errand, kind, asked_ms, who, until_ms, body, state, state_ms, number,
                    said
               FROM errand JOIN gateway USING (gateway)
              WHERE gateway.id = $1
              ORDER BY asked_ms DESC, errand.id DESC LIMIT 50",
            &[&gateway.uuid()],
        )
        .await?;
    let mut errands = Vec::new();
    for row in found {
        let (kind, state): (i16, i16) = (row.try_get("kind")?, row.try_get("state")?);
        let known_kind = u8::try_from(kind).ok().and_then(ErrandKind::from_code);
        let known_state = u8::try_from(state).ok().and_then(ErrandState::from_code);
        errands.push(Errand {
            id: row.try_get("errand")?,
            kind: known_kind.ok_or_else(|| Trouble::foreign("a kind", kind))?,
            asked_ms: row.try_get("asked_ms")?,
            who: row.try_get("who")?,
            until_ms: row.try_get("until_ms")?,
            body: row.try_get("body")?,
            state: known_state.ok_or_else(|| Trouble::foreign("a state", state))?,
            state_ms: row.try_get("state_ms")?,
            number: rows::number(&row, "number")?,
            said: row.try_get("said")?,
        });
    }
    Ok(errands)
}

pub(super) async fn change(
    db: &mut Work<'_>,
    gateway: GatewayId,
    id: Uuid,
    moved: &ErrandMove,
    step: &ErrandNote,
) -> Result<bool, Trouble> {
    let changed = db
        .change(
            "UPDATE errand
                SET state = $4, state_ms = $5, number = $6, said = $7, unheard = $8
              WHERE gateway = (SELECT gateway FROM gateway WHERE id = $1)
                AND id = $2 AND state = $3",
            &[
                &gateway.uuid(),
                &id,
                &i16::from(moved.from.code()),
                &i16::from(moved.to.code()),
                &step.at_ms,
                &moved.number.cast_signed(),
                &moved.said,
                &i16::from(moved.is_news_there()),
            ],
        )
        .await?;
    if changed > 0 {
        note(db, gateway, id, step).await?;
    }
    Ok(changed > 0)
}

async fn hear(db: &mut Work<'_>, gateway: GatewayId, open: &[Uuid]) -> Result<(), Trouble> {
    db.change(
        "UPDATE errand SET unheard = CASE WHEN state <= 3 THEN 1 ELSE 0 END
          WHERE gateway = (SELECT gateway FROM gateway WHERE id = $1)
            AND (unheard = 1 OR state <= 3)",
        &[&gateway.uuid()],
    )
    .await?;
    db.change(
        "UPDATE errand SET unheard = CASE WHEN state <= 3 THEN 0 ELSE 1 END
          WHERE gateway = (SELECT gateway FROM gateway WHERE id = $1) AND id = ANY($2)",
        &[&gateway.uuid(), &open],
    )
    .await?;
    Ok(())
}

async fn note(
    db: &mut Work<'_>,
    gateway: GatewayId,
    id: Uuid,
    step: &ErrandNote,
) -> Result<(), Trouble> {
    // Two steps of one errand take turns, so that each has a place of its own.
    db.row("SELECT gateway FROM gateway WHERE id = $1 FOR UPDATE", &[&gateway.uuid()]).await?;
    db.change(
        "INSERT INTO errand_log (gateway, id, place, at_ms, who, what, detail)
         SELECT gateway, $2,
                (SELECT coalesce(max(place) + 1, 0) FROM errand_log
                  WHERE errand_log.gateway = gateway.gateway AND errand_log.id = $2),
                $3, $4, $5, $6
           FROM gateway WHERE id = $1",
        &[&gateway.uuid(), &id, &step.at_ms, &step.who, &step.what, &step.detail],
    )
    .await?;
    Ok(())
}

async fn notes(db: &mut Work<'_>, gateway: GatewayId) -> Result<Vec<(Uuid, ErrandNote)>, Trouble> {
    let found = db
        .rows(
            "SELECT errand_log.id AS errand, at_ms, who, what, detail
               FROM errand_log JOIN gateway USING (gateway)
              WHERE gateway.id = $1
              ORDER BY at_ms DESC, errand_log.id DESC, place DESC LIMIT 200",
            &[&gateway.uuid()],
        )
        .await?;
    let mut notes = Vec::new();
    for row in found {
        let step = ErrandNote {
            at_ms: row.try_get("at_ms")?,
            who: row.try_get("who")?,
            what: row.try_get("what")?,
            detail: row.try_get("detail")?,
        };
        notes.push((row.try_get("errand")?, step));
    }
    Ok(notes)
}

async fn bundle(
    db: &mut Work<'_>,
    gateway: GatewayId,
    id: Uuid,
) -> Result<Option<Bundle>, Trouble> {
    let parts = db
        .rows(
            "SELECT sha256, whole, part
               FROM bundle JOIN gateway USING (gateway)
              WHERE gateway.id = $1 AND bundle.id = $2
              ORDER BY place",
            &[&gateway.uuid(), &id],
        )
        .await?;
    let mut found: Option<Bundle> = None;
    for row in parts {
        let sha256: Vec<u8> = row.try_get("sha256")?;
        let foreign = || Trouble::foreign("a hash", sha256.len());
        let hash: [u8; 32] = sha256.as_slice().try_into().map_err(|_| foreign())?;
        let part: Vec<u8> = row.try_get("part")?;
        let whole = rows::number(&row, "whole")?;
        let bytes = Vec::new();
        found.get_or_insert(Bundle { sha256: hash, whole, bytes }).bytes.extend(part);
    }
    Ok(found)
}

async fn put_bundle(
    db: &mut Work<'_>,
    gateway: GatewayId,
    id: Uuid,
    from: u64,
    part: &Bundle,
) -> Result<(), Trouble> {
    if from == 0 {
        db.change(
            "DELETE FROM bundle
              WHERE gateway = (SELECT gateway FROM gateway WHERE id = $1) AND id = $2",
            &[&gateway.uuid(), &id],
        )
        .await?;
    }
    db.change(
        "INSERT INTO bundle (gateway, id, place, sha256, whole, part)
         SELECT gateway, $2, $3, $4, $5, $6 FROM gateway WHERE id = $1
             ON CONFLICT (gateway, id, place)
             DO UPDATE SET sha256 = excluded.sha256, whole = excluded.whole, part = excluded.part",
        &[
            &gateway.uuid(),
            &id,
            &from.cast_signed(),
            &part.sha256.as_slice(),
            &part.whole.cast_signed(),
            &part.bytes,
        ],
    )
    .await?;
    Ok(())
}

async fn tidy(db: &mut Work<'_>, bundles_ms: i64, all_ms: i64) -> Result<u64, Trouble> {
    let gone = db
        .rows(
            "WITH gone AS (DELETE FROM bundle USING errand
                            WHERE errand.gateway = bundle.gateway AND errand.id = bundle.id
                              AND state > 3 AND state_ms < $1
                        RETURNING bundle.gateway, bundle.id)
             SELECT count(DISTINCT (gateway, id)) AS bundles FROM gone",
            &[&bundles_ms],
        )
        .await?;
    let bundles: i64 = gone.first().map_or(Ok(0), |row| row.try_get("bundles"))?;
    db.change(
        "DELETE FROM errand_log USING errand
          WHERE errand.gateway = errand_log.gateway AND errand.id = errand_log.id
            AND asked_ms < $1",
        &[&all_ms],
    )
    .await?;
    db.change("DELETE FROM errand WHERE asked_ms < $1", &[&all_ms]).await?;
    Ok(bundles.unsigned_abs())
}
