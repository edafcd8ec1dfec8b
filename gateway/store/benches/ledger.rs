//! What a day of the promise of uptime costs the flash: each attempt of the probe in its own commit, as
//! it is kept, and each hour an entry and its checkpoint.
//!
//! ```text
//! cargo bench -p store --bench ledger
//! ```

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench says what it found")]

use std::fs;

use store::AttemptRow;
use store::testing::{MIDNIGHT_MS, empty};

/// A wired gateway asks every 20 s, and an attempt that went well has so many bytes.
const EVERY_S: i64 = 20;
const ATTEMPT: usize = 12;

/// Of the entry of an hour that was well, and of a signed checkpoint.
const ENTRY: usize = 60;
const CHECKPOINT: usize = 260;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let day = empty().unwrap();
        let core = day.store.core();
        let before = written();
        let mut place = core.chain_len().await.unwrap();
        for second in (0..86_400).step_by(usize::try_from(EVERY_S).unwrap()) {
            let at_ms = MIDNIGHT_MS + 1_000 * second;
            day.clock.set(at_ms);
            let row = AttemptRow { at_ms, body: vec![7; ATTEMPT] };
            core.append_attempts(vec![row]).await.unwrap();
            if second % 3_600 == 0 {
                core.append_chain(place, vec![9; ENTRY]).await.unwrap();
                core.put_setting("ledger_checkpoint", "x".repeat(CHECKPOINT)).await.unwrap();
                place += 1;
            }
        }
        let attempts = 86_400 / EVERY_S;
        println!("a day of {attempts} attempts and 24 hours of the ledger, each its own commit:");
        println!("  commits                    {:>12}", attempts + 48);
        match written().zip(before).map(|(after, before)| after - before) {
            Some(bytes) => println!("  bytes written to the flash {bytes:>12}"),
            None => println!("  what the system writes is not counted here"),
        }
    });
}

/// What this process made the kernel write to the device; `None` where it does not count.
fn written() -> Option<u64> {
    let io = fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok())
}
