//! Style, script and icon, in the program itself. Their path holds a digest, so that an update is seen at once.

use super::Shared;
use crate::hex::hex;
use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const STYLE: &str = include_str!("static/page.css");
const SCRIPT: &str = include_str!("static/page.js");
const LINKS_SCRIPT: &str = include_str!("static/links.js");
const ICON: &str = include_str!("static/icon.svg");
/// Where there is no picture of a study.
pub(super) const NO_PICTURE: &str = include_str!("static/no-picture.svg");
const FOREVER: &str = "public, max-age=31536000, immutable";

static STYLE_PATH: LazyLock<String> = LazyLock::new(|| path("css", STYLE));
static SCRIPT_PATH: LazyLock<String> = LazyLock::new(|| path("js", SCRIPT));
static LINKS_SCRIPT_PATH: LazyLock<String> = LazyLock::new(|| path("js", LINKS_SCRIPT));
static ICON_PATH: LazyLock<String> = LazyLock::new(|| path("svg", ICON));

/// Path of the style sheet.
pub(super) fn style() -> &'static str {
    &STYLE_PATH
}

/// Path of the script.
pub(super) fn script() -> &'static str {
    &SCRIPT_PATH
}

/// Path of the script that shows links.
pub(super) fn links_script() -> &'static str {
    &LINKS_SCRIPT_PATH
}

/// Path of the icon.
pub(super) fn icon() -> &'static str {
    &ICON_PATH
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route(style(), get(|| file("text/css; charset=utf-8", STYLE)))
        .route(script(), get(|| file("text/javascript; charset=utf-8", SCRIPT)))
        .route(links_script(), get(|| file("text/javascript; charset=utf-8", LINKS_SCRIPT)))
        .route(icon(), get(|| file("image/svg+xml", ICON)))
}

async fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, FOREVER)], text)
}

fn path(ending: &str, text: &str) -> String {
    let digest = Sha256::digest(text);
    format!("/static/{}.{ending}", digest.first_chunk::<8>().map_or_else(String::new, |first| hex(first)))
}
