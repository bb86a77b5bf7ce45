//! `/mapping` on the management port: a page to write mappings and try them out, and `GET /mappings`, the texts in use.
//!
//! The page is made of the files beside this one and asks `/mappings`, `/dry-run` and `/unmatched`; it loads nothing from
//! anywhere else, and its policy forbids it to.

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderName, header},
    response::IntoResponse,
    routing::get,
};
use tokio::sync::watch;

use crate::mappings::MappingTexts;

/// Scripts and styles come from the page's own files, requests go to its own address, nobody shows it in a frame, and no
/// text of a mapping or message can become markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Path, type and content.
const FILES: &[(&str, &str, &str)] = &[
    ("/mapping", HTML, include_str!("mapping_page/page.html")),
    ("/mapping/page.css", CSS, include_str!("mapping_page/page.css")),
    ("/mapping/page.js", SCRIPT, include_str!("mapping_page/page.js")),
    ("/mapping/element.js", SCRIPT, include_str!("mapping_page/element.js")),
    ("/mapping/layout.js", SCRIPT, include_str!("mapping_page/layout.js")),
    ("/mapping/editor.js", SCRIPT, include_str!("mapping_page/editor.js")),
    ("/mapping/import.js", SCRIPT, include_str!("mapping_page/import.js")),
    (
        "/mapping/connector.js",
        SCRIPT,
        include_str!("mapping_page/connector.js"),
    ),
    ("/mapping/report.js", SCRIPT, include_str!("mapping_page/report.js")),
    ("/mapping/shapes.js", SCRIPT, include_str!("mapping_page/shapes.js")),
    ("/mapping/icon.svg", SVG, include_str!("mapping_page/icon.svg")),
];

/// The routes.
pub fn routes(texts: watch::Receiver<MappingTexts>) -> Router {
    let page = FILES.iter().fold(Router::new(), |router, (path, kind, content)| {
        router.route(path, get(async move || file(kind, content)))
    });
    page.merge(Router::new().route("/mappings", get(mappings)).with_state(texts))
}

fn file(kind: &'static str, content: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // after an update the files have to fit each other
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, content)
}

async fn mappings(State(texts): State<watch::Receiver<MappingTexts>>) -> Json<MappingTexts> {
    Json(texts.borrow().clone())
}
