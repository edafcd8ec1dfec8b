//! A weather service: what `GET …/compact?lat=…&lon=…` of MET Norway answers, for one building.
//!
//! It keeps its terms as strictly as the real one: who does not say who they are, or asks for more
//! than four decimals, is refused (403); who asks for what has not changed hears that (304). The
//! forecast is that of the building's own weather, so it is always right. Faults: `silence` leaves
//! the question open, `refuse` answers 429, `noise` with a login page, `half` breaks off, `slow`
//! waits.

use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, DurationRound as _, SecondsFormat, TimeDelta, Utc};
use metering::Clock;
use serde_json::json;
use tokio::io::{self, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::meter::Meter;
use crate::place::Measure;

/// The service, and the meter whose faults it has.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) meter: Option<Arc<Meter>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: CancellationToken,
}

/// How many hours ahead it tells.
const HOURS: i64 = 60;
/// As of the real one, about.
const HOLDS: TimeDelta = TimeDelta::minutes(31);
/// Nobody has more to say.
const LONGEST_REQUEST: u64 = 16_384;

impl Service {
    /// Serves whoever connects to `listener`, until the service is stopped.
    pub(crate) async fn serve(self, listener: TcpListener, tasks: TaskTracker) {
        let stop = self.stop.clone();
        while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
            let Ok((stream, _)) = accepted else { continue };
            let (service, stop) = (self.clone(), stop.clone());
            tasks.spawn(async move { stop.run_until_cancelled(service.answer(stream)).await });
        }
    }

    async fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        let request = request(&mut stream).await?;
        let Some(meter) = &self.meter else { return Ok(()) };
        meter.handle.asked();
        let faults = meter.faults();
        if faults.silence {
            std::future::pending::<()>().await;
        }
        time::sleep(faults.slow.unwrap_or_default() + faults.late.unwrap_or_default()).await;

        let now = self.clock.now().wall;
        let hour = now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now);
        let (status, body) = if faults.refusal {
            ("429 Too Many Requests", String::new())
        } else if !request.is_allowed() {
            ("403 Forbidden", String::new())
        } else if faults.noise {
            ("200 OK", "<html><title>Guest network: log in</title></html>".to_owned())
        } else if request.if_modified_since.as_ref() == Some(&http_date(hour)) {
            ("304 Not Modified", String::new())
        } else {
            ("200 OK", document(meter, hour))
        };
        let mut answer = format!("HTTP/1.1 {status}\r\n");
        let (date, end, since) = (http_date(now), http_date(now + HOLDS), http_date(hour));
        // A string takes everything.
        let _infallible = write!(
            answer,
            "Date: {date}\r\nExpires: {end}\r\nLast-Modified: {since}\r\nContent-Type: \
             application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let bytes = answer.as_bytes();
        let sent = if faults.half { bytes.len() - body.len() / 2 } else { bytes.len() };
        stream.write_all(bytes.get(..sent).unwrap_or_default()).await?;
        stream.shutdown().await?;
        meter.handle.answered();
        Ok(())
    }
}

/// What is asked.
#[derive(Debug, Default)]
struct Request {
    target: String,
    agent: String,
    if_modified_since: Option<String>,
}

impl Request {
    /// Whether the terms are kept.
    fn is_allowed(&self) -> bool {
        let Some((path, query)) = self.target.split_once('?') else { return false };
        let coordinate = |name: &str| {
            let value = query.split('&').find_map(|it| it.strip_prefix(name)?.strip_prefix('='));
            let decimals = value.map(|it| it.split_once('.').map_or(0, |(_, after)| after.len()));
            decimals.is_some_and(|decimals| decimals <= 4)
        };
        let says_who = self.agent.contains('@') || self.agent.contains("://");
        path.ends_with("/compact") && coordinate("lat") && coordinate("lon") && says_who
    }
}

async fn request(stream: &mut TcpStream) -> io::Result<Request> {
    let mut lines = BufReader::new(stream.take(LONGEST_REQUEST)).lines();
    let first = lines.next_line().await?.unwrap_or_default();
    let mut request = Request::default();
    first.split(' ').nth(1).unwrap_or_default().clone_into(&mut request.target);
    while let Some(line) = lines.next_line().await?.filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once(':') else { continue };
        match name.to_ascii_lowercase().as_str() {
            "user-agent" => value.trim().clone_into(&mut request.agent),
            "if-modified-since" => request.if_modified_since = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    Ok(request)
}

fn document(meter: &Meter, hour: DateTime<Utc>) -> String {
    let entries = (0..HOURS).map(|ahead| {
        let at = hour + TimeDelta::hours(ahead);
        let measured = meter.thousandths(&meter.sight(at), Measure::Temperature).unwrap_or(0);
        let tenths = measured.div_euclid(100);
        let sign = if tenths < 0 { "-" } else { "" };
        let celsius = format!("{sign}{}.{}", tenths.abs() / 10, tenths.abs() % 10);
        let time = at.to_rfc3339_opts(SecondsFormat::Secs, true);
        format!(
            r#"{{"time":"{time}","data":{{"instant":{{"details":{{"air_temperature":{celsius}}}}}}}}}"#
        )
    });
    let entries: Vec<String> = entries.collect();
    let meta = json!({
        "updated_at": hour.to_rfc3339_opts(SecondsFormat::Secs, true),
        "units": { "air_temperature": "celsius" },
    });
    format!(
        r#"{{"type":"Feature","geometry":{{"type":"Point","coordinates":[10.4,63.4,12]}},"properties":{{"meta":{meta},"timeseries":[{}]}}}}"#,
        entries.join(",")
    )
}

fn http_date(at: DateTime<Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
