//! The ledger's entries, and the probe attempts that go into them, in the order in which they came.

use rusqlite::params;

use crate::core_db::{AttemptRow, Core, bounded};
use crate::error::{Doing, StoreError};
use crate::proofs::MOST_PROOF;
use crate::readers::Readers;

impl Core {
    /// The attempts that were kept after the one with the number `after`, in the order in which
    /// they were kept, each with its number; at most `limit`.
    pub async fn attempts_after(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, AttemptRow)>, StoreError> {
        self.readers
            .ask(move |snapshot| {
                let db = snapshot.desk.core()?;
                let rows = || -> rusqlite::Result<_> {
                    db.prepare_cached(
                        "SELECT * FROM attempt WHERE number > ?1 ORDER BY number LIMIT ?2",
                    )?
                    .query_map(params![after, limit], |row| {
                        let attempt =
                            AttemptRow { at_ms: row.get("at_ms")?, body: row.get("body")? };
                        Ok((row.get("number")?, attempt))
                    })?
                    .collect()
                };
                rows().doing("read probe attempts")
            })
            .await
    }

    /// Puts entries behind the `from` that are here, which were in this ledger before its disk was put
    /// back to an older state. They have attempts up to the number `through`, of the time up to
    /// `until_ms`: what was tried since gets numbers behind that, so that it goes in too.
    ///
    /// # Errors
    ///
    /// [`StoreError::Outdated`] if there are more entries, or fewer.
    pub async fn put_ledger_back(
        &self,
        from: u64,
        entries: Vec<Vec<u8>>,
        through: u64,
        until_ms: i64,
    ) -> Result<(), StoreError> {
        self.change("put the ledger back", move |db, _| {
            let current: u64 =
                db.query_row("SELECT COALESCE(MAX(position) + 1, 0) FROM chain", [], |row| {
                    row.get(0)
                })?;
            if current != from {
                return Ok(Err(StoreError::Outdated { current }));
            }
            for (place, entry) in (from..).zip(entries) {
                db.execute(
                    "INSERT INTO chain (position, entry) VALUES (?1, ?2)",
                    params![place, entry],
                )?;
            }
            let last: u64 =
                db.query_row("SELECT COALESCE(MAX(number), 0) FROM attempt", [], |it| it.get(0))?;
            db.execute(
                "UPDATE attempt SET number = number + ?1 WHERE at_ms > ?2",
                params![last.max(through), until_ms],
            )?;
            // No attempt is to get a number that the entries have.
            db.execute(
                "INSERT INTO attempt (number, at_ms, body) SELECT ?1, ?2, x''
                  WHERE NOT EXISTS (SELECT 1 FROM attempt WHERE number >= ?1)",
                params![through, until_ms],
            )?;
            Ok(Ok(()))
        })
        .await
    }

    /// Throws away attempts from before `before_ms` that are in the ledger, which has them up to
    /// the number `through`. The last one stays, so that no number is given twice.
    pub async fn forget_attempts(&self, through: u64, before_ms: i64) -> Result<(), StoreError> {
        self.change("throw old probe attempts away", move |db, _| {
            db.execute(
                "DELETE FROM attempt WHERE number <= ?1 AND at_ms < ?2 \
                 AND number < (SELECT MAX(number) FROM attempt)",
                params![through, before_ms],
            )
            .map(|_| Ok(()))
        })
        .await
    }

    /// Entries of the vendor's book from the place `from` on, in their order.
    pub async fn vendors_book(&self, from: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        self.readers.vendors_book(from).await
    }

    /// How many entries of the vendor's book are here.
    pub async fn vendors_book_len(&self) -> Result<u64, StoreError> {
        self.ask("read the vendor's book", vendors_len).await
    }

    /// Appends to the copy of the vendor's book, which has `from` entries.
    ///
    /// # Errors
    ///
    /// [`StoreError::Outdated`] if it has another number.
    pub async fn append_vendors_book(
        &self,
        from: u64,
        entries: Vec<Vec<u8>>,
    ) -> Result<(), StoreError> {
        for entry in &entries {
            bounded("an entry of the vendor's book", entry.len(), MOST_PROOF)?;
        }
        self.change("append to the vendor's book", move |db, _| {
            let current = vendors_len(db)?;
            if current != from {
                return Ok(Err(StoreError::Outdated { current }));
            }
            for (place, entry) in (from..).zip(entries) {
                db.execute(
                    "INSERT INTO vendor_chain (position, entry) VALUES (?1, ?2)",
                    params![place, entry],
                )?;
            }
            Ok(Ok(()))
        })
        .await
    }

    /// The ledger's entries from the place `from` on, which is 0 for the first, in their order.
    pub async fn ledger(&self, from: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        self.readers.ledger(from).await
    }
}

impl Readers {
    /// The ledger's entries from the place `from` on, also beside another process that has the
    /// store. A year of them has some 9,000.
    pub async fn ledger(&self, from: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        self.ask(move |snapshot| {
            let db = snapshot.desk.core()?;
            let rows = || -> rusqlite::Result<_> {
                db.prepare_cached("SELECT entry FROM chain WHERE position >= ?1 ORDER BY position")?
                    .query_map([from], |row| row.get(0))?
                    .collect()
            };
            rows().doing("read the ledger")
        })
        .await
    }
}

impl Readers {
    /// Entries of the vendor's book from the place `from` on, in their order.
    pub async fn vendors_book(&self, from: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        self.ask(move |snapshot| {
            let db = snapshot.desk.core()?;
            let rows = || -> rusqlite::Result<_> {
                db.prepare_cached(
                    "SELECT entry FROM vendor_chain WHERE position >= ?1 ORDER BY position",
                )?
                .query_map([from], |row| row.get(0))?
                .collect()
            };
            rows().doing("read the vendor's book")
        })
        .await
    }
}

fn vendors_len(db: &rusqlite::Connection) -> rusqlite::Result<u64> {
    db.query_row("SELECT COALESCE(MAX(position) + 1, 0) FROM vendor_chain", [], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn attempts_go_by_the_order_in_which_they_were_kept() {
        let empty = testing::empty().unwrap();
        let core = empty.store.core();
        // The clock was set back after the first two.
        let row = |at_ms| AttemptRow { at_ms, body: vec![1] };
        core.append_attempts(vec![row(5_000), row(6_000), row(1_000), row(2_000)]).await.unwrap();
        let numbers = async |after| -> Vec<(u64, i64)> {
            let found = core.attempts_after(after, 100).await.unwrap();
            found.into_iter().map(|(number, row)| (number, row.at_ms)).collect()
        };
        assert_eq!(numbers(0).await, [(1, 5_000), (2, 6_000), (3, 1_000), (4, 2_000)]);
        assert_eq!(numbers(3).await, [(4, 2_000)]);

        core.forget_attempts(3, 5_500).await.unwrap();
        assert_eq!(numbers(0).await, [(2, 6_000), (4, 2_000)]);
        core.forget_attempts(4, 9_000).await.unwrap();
        assert_eq!(numbers(0).await, [(4, 2_000)], "the last one stays");
    }

    #[tokio::test]
    async fn what_was_tried_since_the_disk_was_put_back_comes_after_what_the_entries_have() {
        let empty = testing::empty().unwrap();
        let core = empty.store.core();
        let row = |at_ms| AttemptRow { at_ms, body: vec![1] };
        core.append_chain(0, vec![7]).await.unwrap();
        core.append_attempts(vec![row(1_000), row(2_000), row(9_000)]).await.unwrap();
        core.put_ledger_back(1, vec![vec![8], vec![9]], 50, 8_000).await.unwrap();
        assert_eq!(core.ledger(0).await.unwrap(), [[7], [8], [9]]);
        let waiting = core.attempts_after(50, 100).await.unwrap();
        assert_eq!(waiting.iter().map(|(_, row)| row.at_ms).collect::<Vec<_>>(), [9_000]);
        core.append_attempts(vec![row(9_500)]).await.unwrap();
        assert_eq!(core.attempts_after(50, 100).await.unwrap().len(), 2);
        let again = core.put_ledger_back(1, vec![vec![8]], 50, 8_000).await;
        assert!(matches!(again, Err(StoreError::Outdated { current: 3 })));

        let none = testing::empty().unwrap();
        let core = none.store.core();
        core.put_ledger_back(0, vec![vec![7]], 50, 8_000).await.unwrap();
        core.append_attempts(vec![row(9_000)]).await.unwrap();
        assert_eq!(core.attempts_after(50, 100).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn the_ledger_is_read_in_its_order() {
        let empty = testing::empty().unwrap();
        let core = empty.store.core();
        for place in 0..3 {
            core.append_chain(place, vec![7, u8::try_from(place).unwrap()]).await.unwrap();
        }
        assert_eq!(core.ledger(1).await.unwrap(), [[7, 1], [7, 2]]);
        assert!(core.append_chain(2, vec![1]).await.is_err());
    }
}
