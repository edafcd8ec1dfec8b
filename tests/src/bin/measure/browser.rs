//! What whoever looks at the pages waits for, in Chromium, with half a million readings behind a chart.

use std::process::Command;

use anyhow::{Context, bail};
use chrono::DateTime;
use serde::Deserialize;
use site_tests::paths;
use store::testing::years::{END_MS, Years};

use crate::{OWNER, Running, made, row};

/// Of whom one was read every minute of the last year.
const YEAR: Years = Years { meters: 4, days: 366 };

/// The last line of `tests/browser/figures.js`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Figures {
    interactive_ms: f64,
    interactive_worst_ms: f64,
    overview_work_ms: f64,
    readings: u64,
    drawn_ms: f64,
    drawn_worst_ms: f64,
    served_ms: f64,
    still_dropped: u32,
    panned_work_ms: f64,
    panned_frames: u32,
    panned_dropped: u32,
    panned_longest_ms: f64,
}

/// Starts a building with such a meter, and has a browser look at it.
pub(crate) async fn figures() -> anyhow::Result<()> {
    let folder = paths::root().join("tests/browser");
    if !folder.join("node_modules/playwright-core").exists() {
        bail!(
            "no browser to look with: run tests/browser/run.sh once, which fetches what drives it"
        );
    }
    let store = made(YEAR).await?;
    let demo = ["run", "--demo", "--seed", "7"];
    let running = Running::start("the pages", &demo, 40_700, Some((YEAR, &store))).await?;
    let time = |ms: i64| {
        let time = DateTime::from_timestamp_millis(ms).context("a time")?;
        anyhow::Ok(time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
    };
    let [owner, password] = OWNER;
    let looked = Command::new("node")
        .arg("figures.js")
        .current_dir(folder)
        .env("FYRHUS_URL", &running.url)
        .envs([("FYRHUS_USER", owner), ("FYRHUS_PASSWORD", password)])
        .env("FYRHUS_METER", YEAR.of_minutes().to_string())
        .env("FYRHUS_REGISTERS", "power,volume_flow")
        .env("FYRHUS_FROM", time(END_MS - 365 * 86_400_000)?)
        .env("FYRHUS_UNTIL", time(END_MS)?)
        .output()
        .context("node cannot be started")?;
    if !looked.status.success() {
        bail!("figures.js: {}", String::from_utf8_lossy(&looked.stderr));
    }
    let it: Figures = serde_json::from_slice(&looked.stdout)?;
    let ms = |ms: f64| format!("{ms:.0} ms");
    let worst = |limit: &str, worst: f64| format!("{limit}, at worst {worst:.0} ms");
    row(
        "overview interactive, the processor slowed four times",
        ms(it.interactive_ms),
        &worst("at most 1 s", it.interactive_worst_ms),
    );
    // What the thread itself works is the same on a machine that has other things to do.
    row("of that its main thread works, not slowed", ms(it.overview_work_ms), "at most 250 ms");
    row(
        &format!("{} readings asked for and drawn", it.readings),
        ms(it.drawn_ms),
        &worst("at most 150 ms", it.drawn_worst_ms),
    );
    row("of that the gateway's answer", ms(it.served_ms), "");
    row(
        "the main thread works for a picture while they are panned",
        format!("{:.1} ms", it.panned_work_ms),
        "at most 16.7 ms",
    );
    row(
        "pictures not made in time while they are panned",
        format!("{} of {}", it.panned_dropped, it.panned_frames),
        &format!(
            "none; {} while nothing moves, the longest {:.0} ms",
            it.still_dropped, it.panned_longest_ms
        ),
    );
    Ok(())
}
