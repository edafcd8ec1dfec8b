//! What every request has to pass, and what every answer carries.
//!
//! | Against                        | Here                                                     |
//! |--------------------------------|----------------------------------------------------------|
//! | DNS rebinding                  | only IP addresses, `localhost` and our own names as Host |
//! | requests made by another page  | Origin of an unsafe method is our own Host               |
//! | scripts and frames of others   | Content-Security-Policy, nosniff                         |
//! | slow and endless requests      | a time-out, and a limit of the body for each route       |

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::uri::{Authority, Scheme};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::{Code, Problem};
use crate::{Listener, Web};

/// The outermost layer.
pub(crate) async fn guard(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let api = request.uri().path().starts_with("/api/");
    let mut response = match check(&web, request.headers(), request.uri(), request.method()) {
        Ok(()) => match tokio::time::timeout(LONGEST, next.run(request)).await {
            Ok(response) => response,
            Err(_elapsed) => {
                let detail = format!("There was no answer within {} s.", LONGEST.as_secs());
                Problem::new(Code::TooSlow, detail).into_response()
            }
        },
        Err(problem) => problem.into_response(),
    };

    let headers = response.headers_mut();
    for (name, value) in &HEADERS {
        headers.insert(name.clone(), HeaderValue::from_static(value));
    }
    if api {
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    response
}

/// Reading a meter now may take ten seconds on a slow bus; a year of history takes less than one.
const LONGEST: Duration = Duration::from_secs(30);

static HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
         form-action 'self'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

fn check(web: &Web, headers: &HeaderMap, uri: &Uri, method: &Method) -> Result<(), Problem> {
    let host = host(headers, uri)?;
    let name = name_of(&host);
    let ours = name == "localhost"
        || name.parse::<IpAddr>().is_ok()
        || web.own_hosts.contains(name.as_str())
        // One that is brought while the pages run has names of its own.
        || web.certificate().names.iter().any(|own| own.eq_ignore_ascii_case(&name));
    if !ours {
        let detail = format!(
            "`{name}` is not a name of this gateway. Use its IP address, or add the name to its \
             settings."
        );
        return Err(Problem::new(Code::Host, detail).with("host", &name));
    }

    let safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    if safe || same_origin(headers, &host, web.listener) {
        return Ok(());
    }
    Err(Problem::new(Code::Origin, "A page of another host may not change anything here."))
}

/// Whom the request is for: HTTP/2 says it in the URI, HTTP/1.1 in a header.
pub(crate) fn host(headers: &HeaderMap, uri: &Uri) -> Result<Authority, Problem> {
    if let Some(authority) = uri.authority() {
        return Ok(authority.clone());
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.and_then(|host| host.parse().ok())
        .ok_or_else(|| Problem::malformed("the request does not say which host it is for"))
}

/// The name or address in it, in small letters, without brackets and port.
pub(crate) fn name_of(host: &Authority) -> String {
    host.host().trim_start_matches('[').trim_end_matches(']').to_lowercase()
}

/// Whether the request was made by one of our own pages, or by no page at all.
///
/// A browser sends `Origin` with every unsafe request, and a program that is none has no cookie
/// that another page could abuse. A page of ours that came in the clear is not ours: anybody on
/// the way may have written it.
fn same_origin(headers: &HeaderMap, host: &Authority, listener: Listener) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(HeaderValue::as_bytes);
    if let Some(origin) = text(&header::ORIGIN) {
        let origin = str::from_utf8(origin).ok().and_then(|it| it.parse::<Uri>().ok());
        let Some(origin) = origin else {
            return false;
        };
        let secure = listener != Listener::Https || origin.scheme() == Some(&Scheme::HTTPS);
        return secure && origin.authority() == Some(host);
    }
    let site = text(&HeaderName::from_static("sec-fetch-site"));
    matches!(site, None | Some(b"same-origin" | b"none"))
}
