//! Documents that stand behind entries of the two books.

use metering::GatewayId;

use super::RepositoryError;

/// Keeps them, each under the SHA-256 of all of it.
pub trait Proofs {
    /// How long a document behind an entry of a gateway's books is, and its bytes as far as they are
    /// here; `None` if there is nothing of it.
    fn proof(
        &self,
        gateway: GatewayId,
        sha256: [u8; 32],
    ) -> impl Future<Output = Result<Option<(u64, Vec<u8>)>, RepositoryError>> + Send;

    /// Keeps the part of a document of `whole` bytes that begins at `from`.
    fn put_proof(
        &self,
        gateway: GatewayId,
        sha256: [u8; 32],
        whole: u64,
        from: u64,
        part: Vec<u8>,
    ) -> impl Future<Output = Result<(), RepositoryError>> + Send;

    /// How many bytes are here of the documents of a gateway.
    fn proofs_len(
        &self,
        gateway: GatewayId,
    ) -> impl Future<Output = Result<u64, RepositoryError>> + Send;

    /// Throws away what is there of a document: it was not what its name says.
    fn forget_proof(
        &self,
        gateway: GatewayId,
        sha256: [u8; 32],
    ) -> impl Future<Output = Result<(), RepositoryError>> + Send;
}
