//! Documents that stand behind entries of the two books.

use metering::GatewayId;
use rusqlite::{Connection, params};

use super::Sqlite;
use super::rows::Trouble;
use crate::repository::{Proofs, RepositoryError};

impl Proofs for Sqlite {
    async fn proof(
        &self,
        gateway: GatewayId,
        sha256: [u8; 32],
    ) -> Result<Option<(u64, Vec<u8>)>, RepositoryError> {
        self.read("read a proof", move |db| proof(db, gateway, sha256)).await
    }

    async fn put_proof(
        &self,
        gateway: GatewayId,
        sha256: [u8; 32],
        whole: u64,
        from: u64,
        part: Vec<u8>,
    ) -> Result<(), RepositoryError> {
        self.write("keep a proof", move |db| put_proof(db, gateway, sha256, whole, from, &part))
            .await
    }

    async fn proofs_len(&self, gateway: GatewayId) -> Result<u64, RepositoryError> {
        self.read("measure the proofs", move |db| proofs_len(db, gateway)).await
    }

    async fn forget_proof(
        &self,
        gateway: GatewayId,
        sha256: [u8; 32],
    ) -> Result<(), RepositoryError> {
        self.write("forget a proof", move |db| forget_proof(db, gateway, sha256)).await
    }
}

fn proof(
    db: &Connection,
    gateway: GatewayId,
    sha256: [u8; 32],
) -> Result<Option<(u64, Vec<u8>)>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT whole, part
           FROM proof JOIN gateway USING (gateway)
          WHERE gateway.id = ?1 AND sha256 = ?2
          ORDER BY place",
    )?;
    let mut parts = statement.query(params![gateway.uuid().as_bytes(), sha256])?;
    let mut found: Option<(u64, Vec<u8>)> = None;
    while let Some(row) = parts.next()? {
        let (whole, part): (i64, Vec<u8>) = (row.get("whole")?, row.get("part")?);
        found.get_or_insert((whole.cast_unsigned(), Vec::new())).1.extend(part);
    }
    Ok(found)
}

fn put_proof(
    db: &Connection,
    gateway: GatewayId,
    sha256: [u8; 32],
    whole: u64,
    from: u64,
    part: &[u8],
) -> Result<(), Trouble> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO proof (gateway, sha256, place, whole, part)
         SELECT gateway, ?2, ?3, ?4, ?5 FROM gateway WHERE id = ?1",
    )?
    .execute(params![
        gateway.uuid().as_bytes(),
        sha256,
        from.cast_signed(),
        whole.cast_signed(),
        part
    ])?;
    Ok(())
}

fn proofs_len(db: &Connection, gateway: GatewayId) -> Result<u64, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT COALESCE(SUM(LENGTH(part)), 0)
           FROM proof JOIN gateway USING (gateway)
          WHERE gateway.id = ?1",
    )?;
    let len: i64 = statement.query_row(params![gateway.uuid().as_bytes()], |row| row.get(0))?;
    Ok(len.unsigned_abs())
}

fn forget_proof(db: &Connection, gateway: GatewayId, sha256: [u8; 32]) -> Result<(), Trouble> {
    db.prepare_cached(
        "DELETE FROM proof
          WHERE gateway = (SELECT gateway FROM gateway WHERE id = ?1) AND sha256 = ?2",
    )?
    .execute(params![gateway.uuid().as_bytes(), sha256])?;
    Ok(())
}
