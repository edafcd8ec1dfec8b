//! Documents that stand behind entries of the two books.

use metering::GatewayId;

use super::{Access, Postgres, Trouble, Work};
use crate::repository::{Proofs, RepositoryError};

impl Proofs for Postgres {
    async fn proof(
        &self,
        gateway: GatewayId,
        sha256: [u8; 32],
    ) -> Result<Option<(u64, Vec<u8>)>, RepositoryError> {
        let read = Access::Read;
        transaction!(self, read, "read a proof", db, proof(&mut db, gateway, sha256))
    }

    async fn put_proof(
        &self,
        gateway: GatewayId,
        sha256: [u8; 32],
        whole: u64,
        from: u64,
        part: Vec<u8>,
    ) -> Result<(), RepositoryError> {
        transaction!(
            self,
            Access::Write,
            "keep a proof",
            db,
            put_proof(&mut db, gateway, sha256, whole, from, &part)
        )
    }

    async fn proofs_len(&self, gateway: GatewayId) -> Result<u64, RepositoryError> {
        let read = Access::Read;
        transaction!(self, read, "measure the proofs", db, proofs_len(&mut db, gateway))
    }

    async fn forget_proof(
        &self,
        gateway: GatewayId,
        sha256: [u8; 32],
    ) -> Result<(), RepositoryError> {
        let write = Access::Write;
        transaction!(self, write, "forget a proof", db, forget_proof(&mut db, gateway, sha256))
    }
}

async fn proof(
    db: &mut Work<'_>,
    gateway: GatewayId,
    sha256: [u8; 32],
) -> Result<Option<(u64, Vec<u8>)>, Trouble> {
    let parts = db
        .rows(
            "SELECT whole, part
               FROM proof JOIN gateway USING (gateway)
              WHERE gateway.id = $1 AND sha256 = $2
              ORDER BY place",
            &[&gateway.uuid(), &sha256.as_slice()],
        )
        .await?;
    let mut found: Option<(u64, Vec<u8>)> = None;
    for row in parts {
        let (whole, part): (i64, Vec<u8>) = (row.try_get("whole")?, row.try_get("part")?);
        found.get_or_insert((whole.cast_unsigned(), Vec::new())).1.extend(part);
    }
    Ok(found)
}

async fn put_proof(
    db: &mut Work<'_>,
    gateway: GatewayId,
    sha256: [u8; 32],
    whole: u64,
    from: u64,
    part: &[u8],
) -> Result<(), Trouble> {
    db.change(
        "INSERT INTO proof (gateway, sha256, place, whole, part)
         SELECT gateway, $2, $3, $4, $5 FROM gateway WHERE id = $1
             ON CONFLICT (gateway, sha256, place)
             DO UPDATE SET whole = excluded.whole, part = excluded.part",
        &[&gateway.uuid(), &sha256.as_slice(), &from.cast_signed(), &whole.cast_signed(), &part],
    )
    .await?;
    Ok(())
}

async fn proofs_len(db: &mut Work<'_>, gateway: GatewayId) -> Result<u64, Trouble> {
    let rows = db
        .rows(
            "SELECT COALESCE(SUM(LENGTH(part)), 0)::BIGINT AS len
               FROM proof JOIN gateway USING (gateway)
              WHERE gateway.id = $1",
            &[&gateway.uuid()],
        )
        .await?;
    let len: i64 = rows.first().map_or(Ok(0), |row| row.try_get("len"))?;
    Ok(len.unsigned_abs())
}

async fn forget_proof(
    db: &mut Work<'_>,
    gateway: GatewayId,
    sha256: [u8; 32],
) -> Result<(), Trouble> {
    db.change(
        "DELETE FROM proof
          WHERE gateway = (SELECT gateway FROM gateway WHERE id = $1) AND sha256 = $2",
        &[&gateway.uuid(), &sha256.as_slice()],
    )
    .await?;
    Ok(())
}
