//! A file as it goes over the line: plain, and once and for all by gzip.

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    IF_NONE_MATCH, VARY,
};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use seal::ids::Digest;
use std::io::Write;

/// One file of the app.
pub(super) struct Served {
    kind: &'static str,
    digest: Digest,
    plain: Bytes,
    /// None where gzip makes it no smaller.
    gzip: Option<Bytes>,
}

impl Served {
    pub(super) fn new(kind: &'static str, plain: Vec<u8>) -> Self {
        let gzip = gzip(&plain).filter(|gzip| gzip.len() < plain.len());
        Self { kind, digest: Digest::of(&plain), plain: plain.into(), gzip: gzip.map(Bytes::from) }
    }

    /// SHA-256 of the plain bytes: what a browser has once it has decoded them.
    pub(super) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// By gzip for whoever takes it. A range is not looked at, which RFC 9110 14.2 allows.
    pub(super) fn answer(&self, asked: &HeaderMap) -> Response {
        let gzip = self.gzip.as_ref().filter(|_| takes_gzip(asked));
        // Each encoding is a representation with a tag of its own (RFC 9110 8.8.3.3).
        let etag = format!("\"{}{}\"", self.digest, if gzip.is_some() { "-gzip" } else { "" });
        let fresh = [(CACHE_CONTROL, "no-cache"), (ETAG, &etag), (VARY, "accept-encoding")];
        if listed(asked, &IF_NONE_MATCH).any(|known| known.trim_start_matches("W/") == etag) {
            return (StatusCode::NOT_MODIFIED, fresh).into_response();
        }
        let kind = [(CONTENT_TYPE, self.kind)];
        match gzip {
            Some(gzip) => (fresh, kind, [(CONTENT_ENCODING, "gzip")], gzip.clone()).into_response(),
            None => (fresh, kind, self.plain.clone()).into_response(),
        }
    }
}

fn gzip(plain: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok()
}

/// RFC 9110 12.5.3: named, and not with a weight of nought.
fn takes_gzip(asked: &HeaderMap) -> bool {
    listed(asked, &ACCEPT_ENCODING).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight| weight > 0.0)
    })
}

/// The members of a list, which may stand in one header line or in several.
fn listed<'h>(asked: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let lines = asked.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Read;

    fn asked(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    async fn body(answer: Response) -> Bytes {
        axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap()
    }

    #[tokio::test]
    async fn who_takes_gzip_gets_the_same_bytes_by_it() {
        let file = Served::new("text/plain", vec![b'a'; 4000]);
        for takes in ["gzip", "br, GZIP;q=0.5", "deflate ,gzip"] {
            let answer = file.answer(&asked(ACCEPT_ENCODING, takes));
            assert_eq!(answer.headers()[CONTENT_ENCODING], "gzip");
            assert_eq!(answer.headers()[VARY], "accept-encoding");
            let (coded, mut plain) = (body(answer).await, Vec::new());
            flate2::read::GzDecoder::new(&*coded).read_to_end(&mut plain).unwrap();
            assert!(coded.len() < 100 && plain == file.plain);
        }
        for refuses in ["", "br", "gzip;q=0", "gzip;q=0.000", "gzip;q=x", "xgzip"] {
            let answer = file.answer(&asked(ACCEPT_ENCODING, refuses));
            assert!(
                answer.headers().get(CONTENT_ENCODING).is_none()
                    && answer.headers()[VARY] == "accept-encoding"
            );
            assert_eq!(body(answer).await, file.plain);
        }
        let tiny = Served::new("text/plain", b"a".to_vec()).answer(&asked(ACCEPT_ENCODING, "gzip"));
        assert!(tiny.headers().get(CONTENT_ENCODING).is_none());
    }

    #[test]
    fn each_encoding_is_known_by_its_own_tag() {
        let file = Served::new("text/plain", vec![b'a'; 4000]);
        let tag = |asked: &HeaderMap| file.answer(asked).headers()[ETAG].to_str().unwrap().to_owned();
        let (gzip, plain) = (tag(&asked(ACCEPT_ENCODING, "gzip")), tag(&HeaderMap::new()));
        assert_ne!(gzip, plain);
        for (known, status) in [
            (plain.clone(), StatusCode::OK),
            (gzip.clone(), StatusCode::NOT_MODIFIED),
            (format!("\"other\", W/{gzip}"), StatusCode::NOT_MODIFIED),
        ] {
            let mut headers = asked(ACCEPT_ENCODING, "gzip");
            headers.insert(IF_NONE_MATCH, known.parse().unwrap());
            let answer = file.answer(&headers);
            assert_eq!((answer.status(), answer.headers()[ETAG].to_str().unwrap()), (status, gzip.as_str()));
        }
        assert_eq!(file.answer(&asked(IF_NONE_MATCH, &plain)).status(), StatusCode::NOT_MODIFIED);
    }
}
