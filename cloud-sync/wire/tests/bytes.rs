//! What a reading costs on the wire stays what it is.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../benches/building.rs"]
mod building;

use metering::GatewayId;
use sync_wire::{Batch, Envelope};
use uuid::Uuid;

#[track_caller]
fn check(count: usize, late_ms: u64, hundredths_of_a_byte: usize) {
    let gateway = GatewayId::from_uuid(Uuid::from_u128(7));
    let batch =
        Batch::new(gateway, 1, 1, 0, building::readings(count, late_ms), Vec::new()).unwrap();
    let message = batch.write().unwrap();
    assert_eq!(Envelope::read(&message).unwrap().open().unwrap(), batch);
    let found = 100 * message.len() / count;
    assert!(found <= hundredths_of_a_byte, "{found} hundredths of a byte a reading");
}

#[test]
fn a_catch_up_batch() {
    check(10_000, 1, 70);
    check(10_000, 900, 165);
}

#[test]
fn a_quarter_of_an_hour() {
    check(1_140, 900, 250);
}

#[test]
fn a_minute() {
    check(60, 900, 720);
}
