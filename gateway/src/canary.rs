//! The canary: one counter reading a minute, of the gateway itself, synced like any other.
//!
//! The [probe](crate::probe) reads it back from the portfolio: a value that this gateway knows to
//! be true, so that a login page, an empty list or a cached answer does not pass for a service
//! that works. It counts the minutes since 1970, so every minute has a value of its own.

use std::sync::Arc;
use std::time::Duration;

use metering::{
    Clock, GatewayId, MeterId, Moment, Origin, Quality, Quantity, Reading, Register, Resolution,
    Unit,
};
use store::{Kind, MeterRound, Writer};
use tokio::sync::watch;
use tokio::time::{self, MissedTickBehavior};

use crate::cloud::KnownAs;
use crate::cycle::Cycles;
use crate::restart::Task;

/// Sings once a minute, as long as there is a portfolio that could hear it.
#[derive(Debug)]
pub(crate) struct Canary {
    pub(crate) gateway: GatewayId,
    pub(crate) writer: Writer,
    pub(crate) identity: watch::Receiver<KnownAs>,
    pub(crate) cycles: Arc<Cycles>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Task for Canary {
    fn name(&self) -> String {
        "canary".to_owned()
    }

    async fn live(&mut self) {
        let mut every = time::interval(Duration::from_mins(1));
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.identity.wait_for(Option::is_some).await.is_err() {
                return;
            }
            every.tick().await;
            let (at, cycle) = (self.clock.now(), self.cycles.next());
            let Some(round) = round(self.gateway, at, cycle) else { return };
            if let Err(error) = self.writer.commit(vec![round]).await {
                tracing::error!(error = crate::chain(&error), "the canary is not stored");
            }
        }
    }
}

/// What it sings at `at`.
pub(crate) fn round(gateway: GatewayId, at: Moment, cycle: u64) -> Option<MeterRound> {
    let minutes = at.wall_ms().div_euclid(60_000);
    let reading = Reading {
        register: register()?,
        at,
        value: Ok(Quantity::new(minutes, Resolution::new(0, Unit::Minute)?)),
        quality: Quality::Good,
        origin: Origin::Live,
    };
    Some(MeterRound {
        meter: meter(gateway),
        cycle,
        asked: at,
        identity: None,
        outcome: Ok(vec![(reading, Kind::Counter)]),
        origin: Origin::Live,
        remembered: Vec::new(),
        telegrams: Vec::new(),
    })
}

/// The gateway as a meter of itself.
pub(crate) fn meter(gateway: GatewayId) -> MeterId {
    MeterId::from_uuid(gateway.uuid())
}

/// What it counts.
pub(crate) fn register() -> Option<Register> {
    Some(Register::new("canary".parse().ok()?))
}
