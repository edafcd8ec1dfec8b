//! What several tests start from.

use std::sync::Arc;

use metering::{Clock, GatewayId};
use tempfile::TempDir;

use crate::repository::{NewCertificate, NewCode, Repository, SpendCode};
use crate::{Sqlite, SystemClock};

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

/// A database that knows one gateway.
pub(crate) async fn enrolled(gateway: GatewayId) -> (TempDir, Sqlite) {
    let dir = tempfile::tempdir().unwrap();
    let repository = Sqlite::open(&dir.path().join("portfolio.db")).unwrap();
    enrol(&repository, gateway, "Bakken").await;
    (dir, repository)
}

/// Lets `gateway` join a site of this name.
pub(crate) async fn enrol<R: Repository>(repository: &R, gateway: GatewayId, site: &str) {
    let site_name = site.to_owned();
    let code = NewCode { sha256: [1; 32], site_name, place: None, expires_ms: 1_000 };
    repository.add_code(code, 0).await.unwrap();
    let certificate =
        NewCertificate { der: vec![1], sha256: [2; 32], ends_ms: i64::MAX, told: [4; 32] };
    let spend = SpendCode { sha256: [1; 32], gateway, key_sha256: [3; 32], certificate };
    repository.spend_code(spend, 1).await.unwrap().unwrap();
}
