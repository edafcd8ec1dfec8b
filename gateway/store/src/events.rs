//! What happened on the gateway, and until when; in `core.db`.
//!
//! What a code means is the caller's affair. An event is known by its code, its subject and its
//! beginning: told again it changes its end and nothing else, so that telling it twice is harmless.

use rusqlite::{Row, params};

use crate::core_db::{Core, MOST_SMALL, bounded};
use crate::error::{Doing, StoreError};
use crate::readers::Readers;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it began, in milliseconds since 1970.
    pub from_ms: i64,
    /// When it ended; `None` while it goes on.
    pub until_ms: Option<i64>,
    /// What it is.
    pub code: String,
    /// What it is about; empty for the gateway itself.
    pub subject: String,
    /// What its sentence needs, in the caller's own form.
    pub params: String,
}

impl Core {
    /// Writes an event down, or the end of one that is known.
    pub async fn put_event(&self, event: Event) -> Result<(), StoreError> {
        bounded("an event", event.params.len(), MOST_SMALL)?;
        self.change("write an event down", move |db, _| {
            let Event { from_ms, until_ms, code, subject, params } = event;
            db.execute(
                "INSERT INTO event (from_ms, until_ms, code, subject, params) \
                 VALUES (?1, ?2, ?3, ?4, ?5) \
                 ON CONFLICT (code, subject, from_ms) DO UPDATE SET until_ms = excluded.until_ms",
                params![from_ms, until_ms, code, subject, params],
            )?;
            // The oldest go when there are too many: ten years of a building that is never well.
            db.execute(
                "DELETE FROM event WHERE number <= (SELECT MAX(number) FROM event) - ?1",
                [MOST_EVENTS],
            )
            .map(|_| Ok(()))
        })
        .await
    }

    /// Those that go on, in the order in which they were written down.
    pub async fn open_events(&self) -> Result<Vec<Event>, StoreError> {
        self.readers
            .ask(move |snapshot| {
                let db = snapshot.desk.core()?;
                let rows = || -> rusqlite::Result<_> {
                    db.prepare_cached("SELECT * FROM event WHERE until_ms IS NULL ORDER BY number")?
                        .query_map([], read)?
                        .collect()
                };
                rows().doing("read the events")
            })
            .await
    }
}

impl Readers {
    /// Those that were written down before the one with the number `before`, the latest first, each
    /// with its number; at most `limit`.
    pub async fn events(&self, before: u64, limit: u32) -> Result<Vec<(u64, Event)>, StoreError> {
        // SQLite's numbers end there.
        let before = before.min(i64::MAX.cast_unsigned());
        self.ask(move |snapshot| {
            let db = snapshot.desk.core()?;
            let rows = || -> rusqlite::Result<_> {
                db.prepare_cached(
                    "SELECT * FROM event WHERE number < ?1 ORDER BY number DESC LIMIT ?2",
                )?
                .query_map(params![before, limit], |row| Ok((row.get("number")?, read(row)?)))?
                .collect()
            };
            rows().doing("read the events")
        })
        .await
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        from_ms: row.get("from_ms")?,
        until_ms: row.get("until_ms")?,
        code: row.get("code")?,
        subject: row.get("subject")?,
        params: row.get("params")?,
    })
}

const MOST_EVENTS: u32 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn an_event_that_is_told_again_gets_its_end() {
        let empty = testing::empty().unwrap();
        let (core, readers) = (empty.store.core(), empty.store.readers());
        let event = |from_ms, until_ms| Event {
            from_ms,
            until_ms,
            code: "bus_down".into(),
            subject: "riser-a".into(),
            params: "{}".into(),
        };
        core.put_event(event(1_000, None)).await.unwrap();
        core.put_event(event(9_000, None)).await.unwrap();
        core.put_event(event(1_000, Some(5_000))).await.unwrap();
        assert_eq!(core.open_events().await.unwrap(), [event(9_000, None)]);
        let all = readers.events(u64::MAX, 10).await.unwrap();
        let times: Vec<_> = all.iter().map(|(_, it)| (it.from_ms, it.until_ms)).collect();
        assert_eq!(times, [(9_000, None), (1_000, Some(5_000))]);
        let (latest, _) = all[0].clone();
        assert_eq!(readers.events(latest, 10).await.unwrap().len(), 1);
    }
}
