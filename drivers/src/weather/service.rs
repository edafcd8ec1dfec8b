//! One request to the service, by its rules.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use reqwest::header::{
    DATE, EXPIRES, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, LAST_MODIFIED,
    RETRY_AFTER, USER_AGENT,
};
use reqwest::{Client, StatusCode, redirect};

use super::Coordinates;
use super::forecast::Forecast;
use crate::port::PortFault;

/// The service as one building asks it.
#[derive(Debug)]
pub(super) struct Service {
    client: Client,
    url: String,
    agent: HeaderValue,
}

/// What it answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// `None` if the forecast is the one that we have.
    pub(super) forecast: Option<Forecast>,
    /// What it is asked about the next time: word for word as it came.
    pub(super) last_modified: Option<HeaderValue>,
    /// Until then it is not asked again.
    pub(super) expires_after: Duration,
    /// This version of the service will end.
    pub(super) deprecated: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) cause: PortFault,
    /// How long it is left alone, if it said so or if asking on would be rude.
    pub(super) leave_for: Option<Duration>,
}

impl Service {
    /// At `url`, asked for `place` by `contact`.
    ///
    /// `None` if the contact cannot stand in a header.
    pub(super) fn new(url: &str, place: Coordinates, contact: &str) -> Option<Self> {
        let agent = format!("fyrhus/{} {contact}", env!("CARGO_PKG_VERSION"));
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .http1_only()
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .pool_max_idle_per_host(0)
            .build()
            .ok()?;
        Some(Self {
            client,
            url: format!("{}/compact?{}", url.trim_end_matches('/'), place.query()),
            agent: HeaderValue::from_str(&agent).ok()?,
        })
    }

    /// Asks for the forecast, unless it is still that of `last_modified`.
    pub(super) async fn ask(&self, last_modified: Option<&HeaderValue>) -> Result<Answer, Refused> {
        let mut request = self.client.get(&self.url).header(USER_AGENT, self.agent.clone());
        if let Some(last_modified) = last_modified {
            request = request.header(IF_MODIFIED_SINCE, last_modified.clone());
        }
        let failed = |cause: reqwest::Error| Refused { cause: fault(&cause), leave_for: None };
        let mut response = request.send().await.map_err(failed)?;

        let (status, headers) = (response.status(), response.headers().clone());
        let answer = |forecast| Answer {
            forecast,
            last_modified: headers.get(LAST_MODIFIED).cloned(),
            expires_after: expires_after(&headers),
            deprecated: status == StatusCode::NON_AUTHORITATIVE_INFORMATION,
        };
        match status {
            StatusCode::NOT_MODIFIED if last_modified.is_some() => return Ok(answer(None)),
            StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION => {}
            _ => return Err(refused(status, &headers)),
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(Refused { cause: PortFault::NoForecast, leave_for: None });
            }
            body.extend_from_slice(&chunk);
        }
        let forecast = Forecast::parse(&body);
        let no_forecast = Refused { cause: PortFault::NoForecast, leave_for: None };
        forecast.map(|forecast| answer(Some(forecast))).ok_or(no_forecast)
    }
}

/// How long the answer holds, by the service's own clock.
fn expires_after(headers: &HeaderMap) -> Duration {
    let time = |name: HeaderName| {
        let text = headers.get(name)?.to_str().ok()?;
        DateTime::parse_from_rfc2822(text).ok()
    };
    let told = time(EXPIRES).zip(time(DATE)).and_then(|(end, now)| (end - now).to_std().ok());
    told.unwrap_or(UNTOLD).clamp(SHORTEST, LONGEST)
}

fn refused(status: StatusCode, headers: &HeaderMap) -> Refused {
    let told = headers.get(RETRY_AFTER).and_then(|it| it.to_str().ok()?.parse().ok());
    let told = told.map(|secs| Duration::from_secs(secs).clamp(SHORTEST, A_DAY));
    let leave_for = match status {
        StatusCode::TOO_MANY_REQUESTS => Some(told.unwrap_or(LONGEST)),
        // Who asks, or for what, is not right: that does not mend itself.
        _ if status.is_client_error() => Some(told.unwrap_or(LONGEST)),
        _ => told,
    };
    Refused { cause: PortFault::Status(status.as_u16()), leave_for }
}

/// What a failed request means, from its chain of causes.
fn fault(error: &reqwest::Error) -> PortFault {
    if error.is_timeout() {
        return PortFault::Unreachable(if error.is_connect() {
            CONNECT_WITHIN
        } else {
            ANSWER_WITHIN
        });
    }
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    let mut last = error.to_string();
    while let Some(cause) = next {
        if cause.downcast_ref::<io::Error>().map(io::Error::kind)
            == Some(io::ErrorKind::ConnectionRefused)
        {
            return PortFault::NotListening;
        }
        last = cause.to_string();
        next = cause.source();
    }
    let cause = Arc::new(io::Error::other(last));
    if error.is_connect() { PortFault::System(cause) } else { PortFault::Lost(Some(cause)) }
}

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Of a slow line; a forecast has some 40 kB.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const MOST_BYTES: usize = 2 * 1024 * 1024;
/// What holds where the service does not say, and the bounds of what it may say.
const UNTOLD: Duration = Duration::from_mins(30);
const SHORTEST: Duration = Duration::from_mins(5);
const LONGEST: Duration = Duration::from_hours(3);
const A_DAY: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;

    /// A service that gives these answers, one for each connection, and what it was asked.
    async fn stub(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/weatherapi", listener.local_addr().unwrap());
        let asked = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (mut question, mut chunk) = (Vec::new(), [0; 1_024]);
                while !question.ends_with(b"\r\n\r\n") {
                    let count = stream.read(&mut chunk).await.unwrap();
                    question.extend_from_slice(&chunk[..count]);
                }
                asked.push(String::from_utf8(question).unwrap().to_lowercase());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            asked
        });
        (url, asked)
    }

    fn answer(status: &str, body: &str) -> String {
        format!(
            "HTTP/1.1 {status}\r\nDate: Sat, 10 Jan 2026 13:04:26 GMT\r\nExpires: Sat, 10 Jan 2026 \
             13:35:26 GMT\r\nLast-Modified: Sat, 10 Jan 2026 12:59:01 GMT\r\nContent-Length: \
             {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    #[tokio::test]
    async fn the_terms_of_the_service_are_kept_on_the_wire() {
        // A second time in one process changes nothing.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let forecast = r#"{"properties":{"meta":{"units":{"air_temperature":"celsius"}},
            "timeseries":[{"time":"2026-01-10T13:00:00Z","data":{"instant":{"details":
            {"air_temperature":-4.3}}}}]}}"#;
        let (url, asked) = stub(vec![
            answer("200 OK", forecast),
            answer("304 Not Modified", ""),
            answer("203 Non-Authoritative Information", forecast),
            answer("302 Found\r\nLocation: http://127.0.0.1:1/login", ""),
            answer("200 OK", "<html>Log in</html>"),
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n{".to_owned(),
            answer("403 Forbidden", ""),
        ])
        .await;
        let place = "59.913868999, 10.752245999".parse().unwrap();
        let service = Service::new(&url, place, "drift@example.no").unwrap();

        let first = service.ask(None).await.unwrap();
        assert!(first.forecast.is_some() && !first.deprecated);
        assert_eq!(first.expires_after, Duration::from_mins(31));
        let again = service.ask(first.last_modified.as_ref()).await.unwrap();
        assert_eq!(again.forecast, None, "it is still the same");
        assert!(service.ask(None).await.unwrap().deprecated);
        let status = async || service.ask(None).await.unwrap_err();
        assert!(matches!(status().await.cause, PortFault::Status(302)), "it leads nowhere else");
        assert!(matches!(status().await.cause, PortFault::NoForecast));
        assert!(matches!(status().await.cause, PortFault::Lost(_)), "it broke off");
        let refused = status().await;
        assert!(matches!(refused.cause, PortFault::Status(403)));
        assert_eq!(refused.leave_for, Some(LONGEST));

        let asked = asked.await.unwrap();
        let path = "get /weatherapi/compact?lat=59.9138&lon=10.7522 http/1.1\r\n";
        assert!(asked.iter().all(|it| it.starts_with(path)), "{asked:?}");
        let who =
            concat!("user-agent: fyrhus/", env!("CARGO_PKG_VERSION"), " drift@example.no\r\n");
        assert!(asked.iter().all(|it| it.contains(who)), "{asked:?}");
        assert!(!asked[0].contains("if-modified-since"));
        assert!(asked[1].contains("if-modified-since: sat, 10 jan 2026 12:59:01 gmt\r\n"));
    }

    #[track_caller]
    fn check(headers: &[(HeaderName, &'static str)], minutes: u64) {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect();
        assert_eq!(expires_after(&headers), Duration::from_mins(minutes), "{headers:?}");
    }

    #[test]
    fn an_answer_holds_for_as_long_as_the_service_says_by_its_own_clock() {
        let date = (DATE, "Sat, 10 Jan 2026 13:04:26 GMT");
        check(&[date.clone(), (EXPIRES, "Sat, 10 Jan 2026 13:35:26 GMT")], 31);
        check(&[date.clone(), (EXPIRES, "Sat, 10 Jan 2026 13:04:27 GMT")], 5);
        check(&[date.clone(), (EXPIRES, "Sat, 10 Jan 2026 11:00:00 GMT")], 30);
        check(&[date.clone(), (EXPIRES, "Sun, 10 Jan 2027 11:00:00 GMT")], 180);
        check(&[(EXPIRES, "Sat, 10 Jan 2026 13:35:26 GMT")], 30);
        check(&[date, (EXPIRES, "0")], 30);
    }

    #[test]
    fn a_refusal_is_heeded() {
        let none = HeaderMap::new();
        let leave = |status, headers: &HeaderMap| refused(status, headers).leave_for;
        assert_eq!(leave(StatusCode::FORBIDDEN, &none), Some(LONGEST));
        assert_eq!(leave(StatusCode::TOO_MANY_REQUESTS, &none), Some(LONGEST));
        assert_eq!(leave(StatusCode::BAD_GATEWAY, &none), None);
        let told = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("1200"))]);
        assert_eq!(leave(StatusCode::SERVICE_UNAVAILABLE, &told), Some(Duration::from_mins(20)));
    }
}
