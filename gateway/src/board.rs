//! How the parts of the gateway are doing, for the pages: whoever knows writes it down here.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use metering::Trust;
use tokio::sync::watch;
use web_ui::{BusState, BusStatus, Status, StoreStatus};

/// The board. The last value written holds; nobody waits.
#[derive(Clone, Debug)]
pub(crate) struct Board(Arc<watch::Sender<Arc<Status>>>);

impl Board {
    /// An empty one of a daemon that started at `started_at`.
    pub(crate) fn new(started_at: DateTime<Utc>) -> Self {
        let status = Status {
            started_at,
            trust: Trust::Untrusted,
            buses: Vec::new(),
            store: StoreStatus::default(),
            sync: None,
            batteries: BTreeMap::new(),
            asked_by: None,
        };
        Self(Arc::new(watch::Sender::new(Arc::new(status))))
    }

    /// For whoever looks at it.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Status>> {
        self.0.subscribe()
    }

    /// Writes something down.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Status)) {
        self.0.send_modify(|status| change(Arc::make_mut(status)));
    }

    /// Writes down how a bus is doing, if it is one of the configuration in force.
    pub(crate) fn bus(&self, id: &str, change: impl FnOnce(&mut BusStatus)) {
        self.change(|status| {
            if let Some(bus) = status.buses.iter_mut().find(|bus| bus.id == id) {
                change(bus);
            }
        });
    }

    /// Has one place for each of `ids`, in their order. Those that were there keep what is written.
    pub(crate) fn set_buses(&self, ids: impl IntoIterator<Item = String>) {
        self.change(|status| {
            let mut before = std::mem::take(&mut status.buses);
            status.buses = ids
                .into_iter()
                .map(|id| match before.iter().position(|bus| bus.id == id) {
                    Some(at) => before.swap_remove(at),
                    None => BusStatus {
                        id,
                        state: BusState::Starting,
                        last_error: None,
                        answered: 0,
                        failed: 0,
                        median: None,
                        p95: None,
                        round: None,
                        health: None,
                        strangers: None,
                        scan: None,
                    },
                })
                .collect();
        });
    }
}
