//! The header bytes of a series out of its segments, as a page asks about them.

use crate::question::Refused;
use compressor::Uid;
use compressor::bundle::header_bytes;
use compressor::dataset::Encoding;
use compressor::json::{Json, object, once};

/// Header bytes of a series that are read at once, in bytes: more than ten thousand slices have.
const HEADER_BYTES_MAX: usize = 96 << 20;

/// Takes a field of a question that says nothing of headers.
pub(crate) type More<'m> = dyn FnMut(&str, &mut Json<'_>) -> Option<()> + 'm;

/// As far as the segments reach.
pub(crate) struct Headers {
    pub(crate) encoding: Encoding,
    heads: Vec<(usize, usize)>,
    stream: Vec<u8>,
}

impl Headers {
    /// And what follows the segments. The input is `question_bytes` of JSON, `{"transfer_syntax": UID, "heads": [[head bytes, tail bytes], …], "parts": [[coded bytes, raw bytes], …]}` and
    /// what `more` takes, then the segments.
    pub(crate) fn of<'i>(
        input: &'i [u8],
        question_bytes: usize,
        more: &mut More<'_>,
    ) -> Result<(Self, &'i [u8]), Refused> {
        let (question, mut coded) = input.split_at_checked(question_bytes).ok_or_else(Refused::question)?;
        let (mut syntax, mut heads, mut sizes) = (None, None, None);
        let asked = object(question, &mut |name, json| match name {
            "transfer_syntax" => once(&mut syntax, Uid::parse(&json.string()?).ok()),
            "heads" => once(&mut heads, json.list(pair)),
            "parts" => once(&mut sizes, json.list(pair)),
            _ => more(name, json),
        });
        let (Some(()), Some(syntax), Some(heads), Some(sizes)) = (asked, syntax, heads, sizes) else {
            return Err(Refused::question());
        };
        let raw = sizes.iter().fold(0_usize, |sum, (_, raw)| sum.saturating_add(*raw));
        if raw > HEADER_BYTES_MAX {
            return Err(Refused::question());
        }
        let mut parts = Vec::with_capacity(sizes.len());
        for (coded_bytes, raw_bytes) in sizes {
            let (part, rest) = coded.split_at_checked(coded_bytes).ok_or_else(Refused::question)?;
            parts.push((part, raw_bytes));
            coded = rest;
        }
        let stream =
            header_bytes(&parts).ok_or_else(|| Refused::damaged("the headers of a series do not unpack"))?;
        Ok((Self { encoding: Encoding::of_transfer_syntax(&syntax), heads, stream }, coded))
    }

    /// Head and tail of each instance.
    pub(crate) fn instances(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = self.stream.as_slice();
        self.heads.iter().map_while(move |(head, tail)| {
            let (own, behind) = rest.split_at_checked(head.checked_add(*tail)?)?;
            rest = behind;
            own.split_at_checked(*head)
        })
    }
}

/// Two sizes in bytes.
pub(crate) fn pair(json: &mut Json<'_>) -> Option<(usize, usize)> {
    if let [first, second] = json.list(Json::number)?[..] { Some((first, second)) } else { None }
}
