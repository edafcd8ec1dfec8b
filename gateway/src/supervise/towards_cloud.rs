//! The tasks that have to do with the portfolio.

use std::collections::VecDeque;
use std::sync::Arc;

use cloud_sync::Budget;
use store::Store;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use web_ui::Handles;

use super::background;
use crate::board::Board;
use crate::canary::Canary;
use crate::cloud::{Bookkeeping, CloudParts, Upload};
use crate::config::Machine;
use crate::cycle::Cycles;
use crate::errands::{ErrandBoard, ErrandRunner};
use crate::ingest_watch::{IngestWatch, MOST_SENT};
use crate::probe::Probe;
use crate::spending::Spending;

/// Starts what has to do with the portfolio. All of it waits for an enrolment.
pub(super) fn start(
    parts: &CloudParts,
    store: &Store,
    site: watch::Receiver<Arc<web_ui::Site>>,
    board: &Board,
    cycles: &Arc<Cycles>,
    shutdown: &CancellationToken,
) {
    let (status, told) = watch::channel(cloud_sync::SyncStatus::default());
    let has_budget =
        parts.wanted.borrow().as_ref().is_some_and(|cloud| cloud.data_mb_a_month.is_some());
    let budget = watch::Sender::new(has_budget.then_some(Budget::CLOSED));
    let month = watch::Sender::default();
    let (parts, clock) = (parts.clone(), Arc::clone(&parts.clock));
    let (sent, answers) = mpsc::channel(MOST_SENT);
    background(IngestWatch { core: parts.core.clone(), answers }, shutdown);
    background(
        Upload {
            parts: parts.clone(),
            outbox: store.outbox(),
            readers: store.readers(),
            site: site.clone(),
            status,
            budget: budget.subscribe(),
            sent,
            shutdown: shutdown.clone(),
        },
        shutdown,
    );
    let (shown, board) = (month.subscribe(), board.clone());
    background(Bookkeeping { parts: parts.clone(), status: told, month: shown, board }, shutdown);
    background(
        Spending {
            core: parts.core.clone(),
            clock: Arc::clone(&clock),
            counters: parts.counters.clone(),
            site,
            wanted: parts.wanted.subscribe(),
            budget,
            told: month,
        },
        shutdown,
    );
    background(
        Canary {
            gateway: parts.gateway,
            writer: store.writer(),
            identity: parts.identity.subscribe(),
            cycles: Arc::clone(cycles),
            clock: Arc::clone(&clock),
        },
        shutdown,
    );
    background(
        Probe {
            gateway: parts.gateway,
            core: parts.core.clone(),
            outbox: store.outbox(),
            readers: store.readers(),
            identity: parts.identity.subscribe(),
            wanted: parts.wanted.subscribe(),
            traffic: Arc::clone(&parts.counters.probe),
            clock,
            acked: VecDeque::new(),
        },
        shutdown,
    );
}

/// Starts to fetch what the portfolio asks; the board is for the answers of the people here.
pub(super) fn errands(
    parts: &CloudParts,
    machine: &Machine,
    handles: &Handles,
    shown: &Board,
    shutdown: &CancellationToken,
) -> ErrandBoard {
    let board = ErrandBoard::new(parts.core.clone(), Arc::clone(&parts.clock), shown.clone());
    let runner = ErrandRunner::new(board.clone(), machine.clone(), handles.clone(), parts);
    background(runner, shutdown);
    board
}
