//! The built front end, inside the binary.
//!
//! Whatever is no file of it and no part of the API is a page of the front end, which finds out
//! itself what the address means. A binary that was built without it says so on a page of its own.

use axum::http::{HeaderValue, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::{Embed, EmbeddedFile};

#[derive(Embed)]
#[folder = "../../web-ui/dist/portfolio"]
#[allow_missing = true]
struct Dist;

/// The file at this address, or the page.
pub(crate) async fn asset(uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    if let Some(file) = Dist::get(path) {
        // Built files carry the hash of their content in their name.
        let cache = if path.starts_with("assets/") {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        return answer(path, file, cache);
    }
    match Dist::get("index.html") {
        Some(page) => answer("index.html", page, "no-cache"),
        None => Html(NOT_BUILT).into_response(),
    }
}

fn answer(path: &str, file: EmbeddedFile, cache: &'static str) -> Response {
    let media_type = match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("ico") => "image/x-icon",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json" | "webmanifest") => "application/json",
        Some("png") => "image/png",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
    ];
    (headers, file.data.into_owned()).into_response()
}

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><title>Fyrhus portfolio</title>\
    <h1>The front end is not built</h1><p>Run <code>make web</code> and build again.</html>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_in_the_binary_where_it_has_to_be() {
        if std::env::var_os("WEB_UI_REQUIRED").is_some() {
            assert!(Dist::get("index.html").is_some(), "run `make web` first");
        }
    }
}
