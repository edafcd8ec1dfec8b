//! The built front end, out of the binary.
//!
//! | Path                      | Answer                                                   |
//! |---------------------------|----------------------------------------------------------|
//! | a file of the build       | the file; under `assets/` its name has a hash, so it never changes |
//! | anything else with a dot, or under `assets/` | 404                                   |
//! | anything else             | `index.html`: the page finds its own way from the address |
//!
//! A build of this crate needs no Node. Without a built front end every page says how to build it.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::problem::{Code, Problem};

#[derive(RustEmbed)]
#[folder = "dist/gateway"]
#[allow_missing = true]
struct Built;

/// Whatever is no route of the API.
pub(crate) async fn page(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") || path == "api" {
        let detail = format!("The API has no route {}.", uri.path());
        return Problem::new(Code::NoSuchRoute, detail).into_response();
    }
    if !matches!(method, Method::GET | Method::HEAD) {
        return Problem::new(Code::Method, "A page can only be read.").into_response();
    }
    if let Some(file) = Built::get(path) {
        return sent(path, file, &headers);
    }
    let file_name = path.rsplit('/').next().unwrap_or_default();
    if path.starts_with("assets/") || file_name.contains('.') {
        return (StatusCode::NOT_FOUND, "There is no such file.\n").into_response();
    }
    match Built::get(INDEX) {
        Some(index) => sent(INDEX, index, &headers),
        None => (StatusCode::SERVICE_UNAVAILABLE, NOT_BUILT).into_response(),
    }
}

const INDEX: &str = "index.html";

const NOT_BUILT: &str = "front end not built: make web\n\nThe API is at /api/v1/openapi.json.\n";

fn sent(path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", HEXLOWER.encode(&file.metadata.sha256_hash()));
    let hashed = path.starts_with("assets/");
    let cache = if hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known =
        headers.get(header::IF_NONE_MATCH).is_some_and(|it| it.as_bytes() == etag.as_bytes());

    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Body::from(file.data).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(path)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(etag) = HeaderValue::try_from(etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

/// What the build writes. Everything else is bytes.
fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("ico") => "image/x-icon",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("png") => "image/png",
        Some("svg") => "image/svg+xml",
        Some("txt") => "text/plain; charset=utf-8",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `make test` builds the front end first and sets `WEB_UI_REQUIRED`.
    #[test]
    fn the_front_end_is_in_the_binary_when_it_is_required() {
        let built = Built::get(INDEX).is_some();
        if std::env::var_os("WEB_UI_REQUIRED").is_some() {
            assert!(built, "there is no dist/gateway/index.html: make web");
        } else if !built {
            println!("skipped: the front end is not built (make web)");
        }
    }
}
