//! `POST /v1/recall`: a gateway has again what it lost.
//!
//! Each question unpacks some ten thousand readings. So there are few at once, and of one gateway so many in a
//! minute; readings that come in do not wait for them.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use listener::Peer;
use metering::GatewayId;
use sync_wire::{RecallAsked, Refusal};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Gateways, Sent};
use crate::limits::Windows;
use crate::repository::Repository;

/// Questions that are answered at once, of all gateways.
const AT_ONCE: usize = 4;

/// Of one gateway in a minute. A month of a building, each quarter hour, takes as many as it has meters.
const A_MINUTE: u32 = 240;

/// Who asks how often. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Recalls {
    room: Arc<Semaphore>,
    asked: Arc<Windows<GatewayId>>,
}

impl Recalls {
    pub(super) fn new() -> Self {
        let asked = Arc::new(Windows::of("recalls", A_MINUTE));
        Self { room: Arc::new(Semaphore::new(AT_ONCE)), asked }
    }

    /// A place for a question of `gateway` at `now`, the age of the boot.
    fn admit(&self, gateway: GatewayId, now: Duration) -> Result<SemaphorePermit<'_>, Sent> {
        let counted = self.asked.count(gateway, now);
        if !counted.allowed {
            let retry_after_secs = u32::try_from(counted.reset_secs()).unwrap_or(u32::MAX);
            return Err(Sent::Refusal(Refusal::TooOften { retry_after_secs }));
        }
        self.room.try_acquire().map_err(|_| Sent::busy())
    }
}

pub(super) async fn recall<R: Repository>(
    State(gateways): State<Gateways<R>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Sent, Sent> {
    let (asked, _) = gateways.message(peer, body, RecallAsked::read, |it| it.gateway).await?;
    let _room = gateways.recalls.admit(asked.gateway, gateways.clock.now().boottime)?;
    let gateway = asked.gateway;
    let recalled = gateways.repository.recall(asked).await?;
    tracing::info!(%gateway, readings = recalled.readings.len(), "readings are had again");
    Ok(Sent::Recalled(recalled))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn who_asks_too_often_waits_and_nobody_else() {
        let recalls = Recalls::new();
        let [one, other] = [1, 2].map(|id| GatewayId::from_uuid(Uuid::from_u128(id)));
        for _ in 0..A_MINUTE {
            assert!(recalls.admit(one, Duration::ZERO).is_ok());
        }
        assert!(matches!(
            recalls.admit(one, Duration::from_secs(50)),
            Err(Sent::Refusal(Refusal::TooOften { retry_after_secs: 10 }))
        ));
        assert!(recalls.admit(one, Duration::from_mins(1)).is_ok());
        let held: Vec<_> = (0..AT_ONCE).map(|_| recalls.admit(other, Duration::ZERO)).collect();
        assert!(matches!(
            recalls.admit(other, Duration::ZERO),
            Err(Sent::Refusal(Refusal::Busy { .. }))
        ));
        drop(held);
        assert!(recalls.admit(other, Duration::ZERO).is_ok());
    }
}
