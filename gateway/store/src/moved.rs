//! A store that goes on somewhere else: put back from a backup, or on a copied disk.
//!
//! Both have numbers behind their newest that the cloud may know already, with other readings. So each
//! begins a new epoch: under that no number was ever given, and the cloud, which knows readings by meter
//! and time as well, gets what it lacks and doubles nothing.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use crate::core_db::Core;
use crate::engine::set_cursor;
use crate::error::{Doing, StoreError};
use crate::files;
use crate::open::new_epoch;

/// Where a store finds itself when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// Nobody has asked before.
    First,
    /// Where it stood before.
    Still,
    /// In another machine: the disk was moved, or this is a copy of one that goes on elsewhere.
    Elsewhere,
}

/// Says that somebody else may have more of this gateway's ledger than is here: what it was when the
/// backup was made, or another machine goes on with it. Empty or absent if not.
pub const LEDGER_BEHIND: &str = "ledger_behind";

const DOING: &str = "begin a new epoch";
const MACHINE: &str = "machine";

impl Core {
    /// Keeps which machine the store is in, and begins a new epoch when it is another one than before.
    pub async fn stands_in(&self, machine: String) -> Result<Stands, StoreError> {
        self.queue
            .ask(move |engine| {
                let before: Option<String> = engine
                    .core
                    .query_row("SELECT value FROM setting WHERE key = ?1", [MACHINE], |it| {
                        it.get(0)
                    })
                    .optional()
                    .doing(DOING)?;
                if before.as_deref() == Some(&machine) {
                    return Ok(Stands::Still);
                }
                let transaction = engine.core.transaction().doing(DOING)?;
                let begun = match &before {
                    Some(_) => Some(begin(&transaction)?),
                    None => None,
                };
                transaction
                    .execute(
                        "INSERT OR REPLACE INTO setting (key, value) VALUES (?1, ?2)",
                        params![MACHINE, machine],
                    )
                    .doing(DOING)?;
                transaction.commit().doing(DOING)?;
                let Some(epoch) = begun else { return Ok(Stands::First) };
                engine.shared.change(|state| (state.epoch, state.acked) = (epoch, 0));
                Ok(Stands::Elsewhere)
            })
            .await
    }
}

/// Makes a store that was put back from a backup one of its own. To be called once, before it is opened.
///
/// # Errors
///
/// If there is no store in `dir`, or it cannot be written; as [`Store::open`](crate::Store::open).
pub fn restored(dir: &Path) -> Result<(), StoreError> {
    let begun = || {
        let mut core = files::open(&files::core_path(dir), &files::CORE)?;
        let transaction = core.transaction().doing(DOING)?;
        begin(&transaction)?;
        transaction.execute("DELETE FROM setting WHERE key = ?1", [MACHINE]).doing(DOING)?;
        transaction.commit().doing(DOING)
    };
    begun().map_err(|error: StoreError| {
        error.full_if_it_is(dir).barred_if_it_is(dir).away_if_it_is(dir)
    })
}

fn begin(core: &Connection) -> Result<u64, StoreError> {
    let epoch = new_epoch();
    set_cursor(core, "epoch", epoch)?;
    // Of the new one the cloud has nothing yet.
    set_cursor(core, "acked", 0)?;
    core.execute("DELETE FROM acknowledged", []).doing(DOING)?;
    core.execute(
        "INSERT OR REPLACE INTO setting (key, value) VALUES (?1, 'put back')",
        [LEDGER_BEHIND],
    )
    .doing(DOING)?;
    Ok(epoch)
}
