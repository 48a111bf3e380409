//! The app's own files, in the program itself, and the manifest of their hashes that is signed offline.

mod icon;
mod script;
mod served;

use super::{Here, Shared};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use served::Served;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Path, type, content of a file in `reader/web`.
macro_rules! file {
    ($path:literal, $kind:expr) => {
        (concat!("/", $path), $kind, include_bytes!(concat!("../../web/", $path)))
    };
}

/// Every file of the app but [`ICON`].
#[rustfmt::skip]
const FILES: &[(&str, &str, &[u8])] = &[
    (INDEX, HTML, include_bytes!("../../web/index.html")),
    file!("app.css", CSS),
    file!("documents.css", CSS),
    file!("icon.svg", SVG),
    file!("js/app.js", SCRIPT),
    file!("js/bytes.js", SCRIPT),
    file!("js/decode-worker.js", SCRIPT),
    file!("js/decoder.js", SCRIPT),
    file!("js/delivery.js", SCRIPT),
    file!("js/dom.js", SCRIPT),
    file!("js/enrol.js", SCRIPT),
    file!("js/fetching.js", SCRIPT),
    file!("js/front.js", SCRIPT),
    file!("js/keys.js", SCRIPT),
    file!("js/later.js", SCRIPT),
    file!("js/link.js", SCRIPT),
    file!("js/notices.js", SCRIPT),
    file!("js/outbox.js", SCRIPT),
    file!("js/portal.js", SCRIPT),
    file!("js/reading.js", SCRIPT),
    file!("js/receipt.js", SCRIPT),
    file!("js/screens/cases.js", SCRIPT),
    file!("js/screens/parts.js", SCRIPT),
    file!("js/screens/settings.js", SCRIPT),
    file!("js/screens/sign-in.js", SCRIPT),
    file!("js/seal.js", SCRIPT),
    file!("js/store.js", SCRIPT),
    file!("js/texts.js", SCRIPT),
    file!("js/trusted.js", SCRIPT),
    file!("js/viewer/answers.js", SCRIPT),
    file!("js/viewer/banner.js", SCRIPT),
    file!("js/viewer/camera.js", SCRIPT),
    file!("js/viewer/cine.js", SCRIPT),
    file!("js/viewer/documents.js", SCRIPT),
    file!("js/viewer/gestures.js", SCRIPT),
    file!("js/viewer/grid.js", SCRIPT),
    file!("js/viewer/handover.js", SCRIPT),
    file!("js/viewer/hanging.js", SCRIPT),
    file!("js/viewer/help.js", SCRIPT),
    file!("js/viewer/keyboard.js", SCRIPT),
    file!("js/viewer/letters.js", SCRIPT),
    file!("js/viewer/marks.js", SCRIPT),
    file!("js/viewer/measure.js", SCRIPT),
    file!("js/viewer/measured.js", SCRIPT),
    file!("js/viewer/measuring.js", SCRIPT),
    file!("js/viewer/mpr.js", SCRIPT),
    file!("js/viewer/pair.js", SCRIPT),
    file!("js/viewer/pane.js", SCRIPT),
    file!("js/viewer/pictures.js", SCRIPT),
    file!("js/viewer/planes.js", SCRIPT),
    file!("js/viewer/presentation.js", SCRIPT),
    file!("js/viewer/renderer.js", SCRIPT),
    file!("js/viewer/report.js", SCRIPT),
    file!("js/viewer/samples.js", SCRIPT),
    file!("js/viewer/scale.js", SCRIPT),
    file!("js/viewer/section.js", SCRIPT),
    file!("js/viewer/stack.js", SCRIPT),
    file!("js/viewer/thumbnail.js", SCRIPT),
    file!("js/viewer/toolbar.js", SCRIPT),
    file!("js/viewer/viewer.js", SCRIPT),
    file!("js/viewer/values.js", SCRIPT),
    file!("js/viewer/volume.js", SCRIPT),
    file!("js/viewer/window.js", SCRIPT),
    file!("js/wasm.js", SCRIPT),
    file!("manifest.webmanifest", MANIFEST),
    file!("measure.css", CSS),
    file!("mpr.css", CSS),
    file!("sw.js", SCRIPT),
    file!("wasm/device.wasm", WASM),
    file!("wasm/documents.wasm", WASM),
    file!("wasm/parser.wasm", WASM),
    file!("wasm/pictures.wasm", WASM),
    file!("wasm/plain.wasm", WASM),
    file!("wasm/simd.wasm", WASM),
];

/// Drawn here.
const ICON: &str = "/icon.png";
/// The page, by whichever address it is opened.
const INDEX: &str = "/";
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const PNG: &str = "image/png";
const WASM: &str = "application/wasm";
const MANIFEST: &str = "application/manifest+json";
/// What the signature is for; see `docs/spec-portal.md` 7.
const PURPOSE: &[u8] = b"scanpost shell\0";
const FORMAT: u32 = 1;

/// By path.
type Files = BTreeMap<&'static str, Served>;

/// The files as they are served.
pub(crate) struct Shell {
    files: Files,
    manifest: String,
    signature: Option<String>,
}

/// Why the signed app cannot be served: the operator must act.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShellError {
    /// The file.
    #[error("cannot read {0}: {1} (operator: write it by scanpost-reader portal sign-shell)")]
    Read(PathBuf, String),
    /// Signed for another version of the program.
    #[error(
        "{0} does not sign the app of this version (operator: sign it anew, by scanpost-reader portal sign-shell)"
    )]
    Outdated(PathBuf),
    /// The key.
    #[error(
        "the key cannot sign: it must be P-256, PKCS#8 (openssl ecparam -name prime256v1 -genkey | openssl pkcs8 -topk8)"
    )]
    Key,
}

/// What [`sign`] writes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    key: String,
    signature: String,
}

#[derive(Serialize)]
struct Manifest<'a> {
    format: u32,
    key: Option<&'a str>,
    files: BTreeMap<&'static str, String>,
}

fn files() -> Files {
    let served = |(path, kind, content): &(&'static str, &'static str, &[u8])| {
        let content = match std::str::from_utf8(content) {
            Ok(source) if *kind == SCRIPT => script::without_comments(source).into_bytes(),
            _ => content.to_vec(),
        };
        (*path, Served::new(kind, content))
    };
    let drawn = (ICON, Served::new(PNG, icon::png()));
    FILES.iter().map(served).chain([drawn]).collect()
}

/// The manifest of these files, to be signed by `key`.
fn manifest(files: &Files, key: Option<&str>) -> String {
    let files = files.iter().map(|(path, file)| (*path, file.digest().to_string())).collect();
    serde_json::to_string(&Manifest { format: FORMAT, key, files }).unwrap_or_default()
}

/// Signs the files of this program; gives what `portal.shell` is to name.
///
/// # Errors
/// [`ShellError::Key`].
pub(crate) fn sign(pkcs8: &[u8]) -> Result<String, ShellError> {
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map_err(|_| ShellError::Key)?;
    let key = STANDARD.encode(pair.public_key().as_ref());
    let message = [PURPOSE, manifest(&files(), Some(&key)).as_bytes()].concat();
    let signature = pair.sign(&SystemRandom::new(), &message).map_err(|_| ShellError::Key)?;
    let signed = Signed { key, signature: STANDARD.encode(signature.as_ref()) };
    serde_json::to_string(&signed).map_err(|_| ShellError::Key)
}

impl Shell {
    /// With the signature of this file, which must fit.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, ShellError> {
        let files = files();
        let Some(path) = path else {
            let manifest = manifest(&files, None);
            return Ok(Self { files, manifest, signature: None });
        };
        let unreadable = |error: &dyn ToString| ShellError::Read(path.to_owned(), error.to_string());
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(&error))?;
        let signed: Signed = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
        let manifest = manifest(&files, Some(&signed.key));
        if !is_signed(&signed, &manifest) {
            return Err(ShellError::Outdated(path.to_owned()));
        }
        Ok(Self { files, manifest, signature: Some(signed.signature) })
    }
}

fn is_signed(signed: &Signed, manifest: &str) -> bool {
    let (Ok(key), Ok(signature)) = (STANDARD.decode(&signed.key), STANDARD.decode(&signed.signature)) else {
        return false;
    };
    let message = [PURPOSE, manifest.as_bytes()].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(&message, &signature).is_ok()
}

pub(crate) fn routes() -> Router<Shared> {
    let mut router = Router::new()
        .route(
            "/shell.json",
            get(async |State(portal): Here| text(&portal.shell.manifest, "application/json")),
        )
        .route("/shell.sig", get(signature))
        // A link for a guest, or a case by its notice: the app looks at its own address.
        .route("/l/{link}", get(file))
        .route("/c/{delivery}", get(file));
    for path in FILES.iter().map(|(path, ..)| *path).chain([ICON]) {
        router = router.route(path, get(file));
    }
    router
}

async fn signature(State(portal): Here) -> Response {
    match &portal.shell.signature {
        Some(signature) => text(signature, "text/plain"),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn text(text: &str, kind: &'static str) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], text.to_owned()).into_response()
}

async fn file(State(portal): Here, uri: Uri, headers: HeaderMap) -> Response {
    let asked = uri.path();
    let path = if asked.starts_with("/l/") || asked.starts_with("/c/") { INDEX } else { asked };
    portal
        .shell
        .files
        .get(path)
        .map_or_else(|| StatusCode::NOT_FOUND.into_response(), |file| file.answer(&headers))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// One that is not in the list would be missing on every phone.
    #[test]
    fn every_file_of_the_app_is_served() {
        fn walk(folder: &Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
                if path.ends_with("node_modules") {
                    // The type checker's, which nobody serves.
                } else if path.is_dir() {
                    walk(&path, found);
                } else if matches!(ending, "css" | "js" | "svg" | "wasm" | "webmanifest") {
                    found.push(path.to_str().unwrap().to_owned());
                }
            }
        }
        let (top, mut found) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("web"), Vec::new());
        walk(&top, &mut found);
        let top = top.to_str().unwrap();
        for path in found {
            let path = path.strip_prefix(top).unwrap();
            assert!(FILES.iter().any(|(known, ..)| *known == path), "{path} is not in FILES");
        }
    }

    /// One sign ` that stands alone would turn literals and code around.
    #[test]
    fn comments_are_found_in_every_script() {
        for (path, _, content) in FILES.iter().filter(|(_, kind, _)| *kind == SCRIPT) {
            let source = std::str::from_utf8(content).unwrap();
            let script = script::without_comments(source);
            assert_eq!(source.lines().count(), script.lines().count());
            assert_eq!(script.matches('`').count() % 2, 0, "{path}");
            assert!(script.len() < source.len(), "{path}");
        }
    }

    /// Each level of imports that is not named there costs a way to the portal and back.
    #[test]
    fn the_page_names_all_that_its_script_imports() {
        fn imported(from: &Path, found: &mut std::collections::BTreeSet<PathBuf>) {
            if !found.insert(from.to_owned()) {
                return;
            }
            for line in
                std::fs::read_to_string(from).unwrap().lines().filter(|line| line.starts_with("import "))
            {
                let name = line.split('\'').nth(1).unwrap();
                imported(&from.parent().unwrap().join(name).canonicalize().unwrap(), found);
            }
        }
        let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web").canonicalize().unwrap();
        let mut found = std::collections::BTreeSet::new();
        imported(&web.join("js/app.js"), &mut found);
        let page = include_str!("../../web/index.html");
        let named = page.lines().filter_map(|line| line.strip_prefix("<link rel=\"modulepreload\" href=\"/"));
        let named: Vec<_> = named.map(|line| web.join(line.trim_end_matches("\">"))).collect();
        found.remove(&web.join("js/app.js"));
        assert_eq!(named, Vec::from_iter(found));
    }

    #[test]
    fn what_was_signed_is_served_and_nothing_else() {
        let pkcs8 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap().to_pkcs8v1().unwrap();
        let (folder, text) = (tempfile::tempdir().unwrap(), sign(pkcs8.as_ref()).unwrap());
        let path = folder.path().join("shell");
        std::fs::write(&path, &text).unwrap();
        let shell = Shell::read(Some(&path)).unwrap();
        assert!(shell.manifest.contains(r#""files":{"/":""#) && shell.signature.is_some());
        let other = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let signed: Signed = serde_json::from_str(&text).unwrap();
        let other = Signed { key: STANDARD.encode(other.public_key().as_ref()), ..signed };
        std::fs::write(&path, serde_json::to_string(&other).unwrap()).unwrap();
        assert!(matches!(Shell::read(Some(&path)), Err(ShellError::Outdated(_))));
    }
}
