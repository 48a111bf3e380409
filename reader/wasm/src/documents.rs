//! Structured reports and files in data sets (PS3.3 C.17.2, C.17.3, C.24.2), as the page shows them: texts in UTF-8, whatever character set they came in.

mod report;
mod texts;

use crate::headers::{Headers, pair};
use crate::question::{Refused, answered};
use compressor::Purpose;
use compressor::dataset::{Bare, Encoding, Outline, Tree};
use compressor::json::{Json, once};
use compressor::limits::DOCUMENT_BYTES_MAX;
use compressor::pixels::unpack_chunk;
use report::{Content, Contents};
use seal::ids::Digest;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use texts::Texts;

/// People who wrote or verified a document, that are named.
const PEOPLE_MAX: usize = 32;
/// Documents that one follows or replaces, that are named.
const PREDECESSORS_MAX: usize = 256;
/// The SOP classes of structured reports begin so, key object selections among them (PS3.6 A).
const REPORTS: &str = "1.2.840.10008.5.1.4.1.1.88.";
/// Those of encapsulated documents.
const FILES: &str = "1.2.840.10008.5.1.4.1.1.104.";
const PDF_CLASS: &str = "1.2.840.10008.5.1.4.1.1.104.1";
const PDF_TYPE: &str = "application/pdf";
/// ISO 32000-1 7.5.2.
const PDF_START: &[u8] = b"%PDF-";

const TITLE: u32 = 0x0042_0010;
const FILE: u32 = 0x0042_0011;
const FILE_TYPE: u32 = 0x0042_0012;
const FILE_BYTES: u32 = 0x0042_0015;

/// Names the documents of a series, as far as its header segments are here: a list with an entry for each instance, null where it is no document. The input is as for
/// [`scanpost_geometry`](crate::opening::scanpost_geometry); the question has besides `"bulks"`, which instances have a bulk value: that is read as empty. As [`scanpost_ask`](crate::question::scanpost_ask).
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_documents(question_bytes: usize) -> i32 {
    answered(|input| {
        let mut bulks = None;
        let (headers, _) = Headers::of(input, question_bytes, &mut |name, json| match name {
            "bulks" => once(&mut bulks, json.list(Json::number)),
            _ => None,
        })?;
        let bulks: BTreeSet<usize> = bulks.unwrap_or_default().into_iter().collect();
        let named: Vec<_> = headers
            .instances()
            .enumerate()
            .map(|(at, (head, tail))| {
                let source = if bulks.contains(&at) {
                    without_bulk(head, tail, headers.encoding)
                } else {
                    [head, tail].concat()
                };
                let bare = Bare::of(&source, headers.encoding);
                let outline = bare.outline();
                Kind::of(&outline).map(|kind| Shown::of(kind, &outline, &bare.tree(&texts::SEQUENCES)))
            })
            .collect();
        serde_json::to_vec(&named).map_err(|_| Refused::question())
    })
}

/// The bulk value is one of the top level (bundle SPEC 1.2), and the length before it has 32 bits, since it is long: of length 0 the element is whole without it.
fn without_bulk(head: &[u8], tail: &[u8], encoding: Encoding) -> Vec<u8> {
    let mut head = head.to_vec();
    match head.last_chunk_mut::<4>() {
        Some(length) if encoding != Encoding::Deflated => *length = [0; 4],
        _ => {}
    }
    [head.as_slice(), tail].concat()
}

/// Reads a document whole, where its bytes are those that were packed: the question has besides `"instance"`, `"sha256"` and `"chunks": [[coded bytes, raw bytes], …]`, and these follow the
/// segments. The output is JSON, the bytes of its file where there is one that may be opened, and the length of the JSON (`u32`, little endian). As
/// [`scanpost_ask`](crate::question::scanpost_ask).
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_document(question_bytes: usize) -> i32 {
    answered(|input| document(input, question_bytes))
}

fn document(input: &[u8], question_bytes: usize) -> Result<Vec<u8>, Refused> {
    let (mut instance, mut sha256, mut chunks) = (None, None, None);
    let (headers, coded) = Headers::of(input, question_bytes, &mut |name, json| match name {
        "instance" => once(&mut instance, json.number::<usize>()),
        "sha256" => once(&mut sha256, Digest::parse(&json.string()?)),
        "chunks" => once(&mut chunks, json.list(pair)),
        _ => None,
    })?;
    let (Some(instance), Some(sha256), Some(chunks)) = (instance, sha256, chunks) else {
        return Err(Refused::question());
    };
    let source = source(&headers, instance, chunks, coded)?;
    if Digest::of(&source) != sha256 {
        return Err(Refused::damaged("a document is not what was packed"));
    }
    let bare = Bare::of(&source, headers.encoding);
    let outline = bare.outline();
    let kind = Kind::of(&outline).ok_or_else(Refused::question)?;
    let tree = bare.tree(&texts::SEQUENCES);
    let shown = Shown::whole(kind, &outline, &tree);
    let file = if shown.refused.is_none() { file(&tree) } else { None };
    let mut output = serde_json::to_vec(&shown).map_err(|_| Refused::question())?;
    let json_bytes = u32::try_from(output.len()).map_err(|_| Refused::question())?;
    output.extend(file.unwrap_or_default());
    output.extend(json_bytes.to_le_bytes());
    Ok(output)
}

/// Head, bulk value, tail (bundle SPEC 1.2).
fn source(
    headers: &Headers,
    instance: usize,
    chunks: Vec<(usize, usize)>,
    mut coded: &[u8],
) -> Result<Vec<u8>, Refused> {
    let damaged = || Refused::damaged("a document does not unpack");
    let (head, tail) = headers.instances().nth(instance).ok_or_else(damaged)?;
    let bytes = chunks.iter().fold(head.len() + tail.len(), |sum, (_, raw)| sum.saturating_add(*raw));
    if bytes > DOCUMENT_BYTES_MAX {
        return Err(Refused::question());
    }
    let mut source = Vec::with_capacity(bytes);
    source.extend(head);
    for (coded_bytes, raw_bytes) in chunks {
        let (chunk, rest) = coded.split_at_checked(coded_bytes).ok_or_else(Refused::question)?;
        source.extend(unpack_chunk(chunk, raw_bytes).map_err(|_| damaged())?);
        coded = rest;
    }
    source.extend(tail);
    Ok(source)
}

#[derive(Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Report,
    Pdf,
    /// A file of another kind.
    File,
}

impl Kind {
    fn of(outline: &Outline) -> Option<Self> {
        let class = outline.sop_class.as_ref()?.as_str();
        if class == PDF_CLASS {
            return Some(Self::Pdf);
        }
        let starts = |start| class.starts_with(start);
        if starts(REPORTS) { Some(Self::Report) } else { starts(FILES).then_some(Self::File) }
    }
}

/// A document as far as it is told. Of a list the content is left out.
#[derive(Serialize)]
struct Shown {
    kind: Kind,
    sop_class: String,
    sop_instance: Option<String>,
    /// Whose it is, as itself says: texts by the names of bundle SPEC 4.3.
    banner: BTreeMap<&'static str, String>,
    title: String,
    /// Content Date, Content Time, and the offset that both are meant with.
    date: String,
    time: String,
    zone: String,
    number: Option<i32>,
    completion: String,
    completion_words: String,
    verification: String,
    preliminary: String,
    verifiers: Vec<Person>,
    authors: Vec<Person>,
    /// How many authors and verifying observers are not among these.
    people_left_out: usize,
    /// SOP instances of documents that it follows or replaces, and how many are not among these.
    predecessors: Vec<String>,
    predecessors_left_out: usize,
    file_type: String,
    file_bytes: Option<usize>,
    /// Why its file is not given.
    refused: Option<&'static str>,
    /// It could not be read to its end.
    is_damaged: bool,
    /// Content items that are not told, since there are too many.
    left_out: usize,
    content: Option<Content>,
}

/// Somebody or something that wrote or verified.
#[derive(Serialize)]
struct Person {
    is_device: bool,
    name: String,
    organization: String,
    at: String,
}

impl Shown {
    fn of(kind: Kind, outline: &Outline, tree: &Tree<'_>) -> Self {
        let texts = Texts::of(&tree.top);
        let named = texts.code(texts::CONCEPT_NAME);
        let [verifiers, authors] =
            [(0x0040_A073, 0x0040_A075), (0x0040_A078, texts::PERSON_NAME)].map(|(sequence, name)| {
                texts.inside(sequence).take(PEOPLE_MAX).map(|one| Person::of(&one, name)).collect::<Vec<_>>()
            });
        let people = [0x0040_A073, 0x0040_A078].map(|sequence| tree.top.items(sequence).len());
        let predecessors = || predecessors(&texts);
        let title = Some(texts.title(TITLE)).filter(|title| kind != Kind::Report && !title.is_empty());
        Self {
            kind,
            sop_class: outline.sop_class.as_ref().map_or_else(String::new, |uid| uid.as_str().to_owned()),
            sop_instance: outline.sop_instance.as_ref().map(|uid| uid.as_str().to_owned()),
            banner: outline.banner.texts(Purpose::Show).map(|(name, text)| (name, text.to_owned())).collect(),
            title: title.unwrap_or(named),
            date: texts.short(0x0008_0023),
            time: texts.short(0x0008_0033),
            zone: texts.short(0x0008_0201),
            number: outline.instance_number,
            completion: texts.short(0x0040_A491),
            completion_words: texts.short(0x0040_A492),
            verification: texts.short(0x0040_A493),
            preliminary: texts.short(0x0040_A496),
            people_left_out: people.iter().sum::<usize>() - verifiers.len() - authors.len(),
            verifiers,
            authors,
            predecessors: predecessors()
                .take(PREDECESSORS_MAX)
                .filter_map(|one| one.sop_instance())
                .collect(),
            predecessors_left_out: predecessors().count().saturating_sub(PREDECESSORS_MAX),
            file_type: texts.short(FILE_TYPE),
            file_bytes: None,
            refused: None,
            is_damaged: tree.is_damaged,
            left_out: 0,
            content: None,
        }
    }

    fn whole(kind: Kind, outline: &Outline, tree: &Tree<'_>) -> Self {
        let mut shown = Self::of(kind, outline, tree);
        if kind == Kind::Report {
            let mut contents = Contents::default();
            shown.content = contents.read(&Texts::of(&tree.top));
            shown.left_out = contents.left_out;
        } else {
            shown.file_bytes = file(tree).map(<[u8]>::len);
            shown.refused = refusal(kind, &shown.file_type, file(tree));
        }
        shown
    }
}

impl Person {
    fn of(texts: &Texts<'_, '_>, name: u32) -> Self {
        let organizations = [0x0040_A027, 0x0008_0080].map(|tag| texts.short(tag));
        let organization = organizations.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
        let is_device = texts.short(0x0040_A084) == "DEV";
        // Manufacturer, model, station (PS3.3 10-2).
        let device = || [0x0008_0070, 0x0008_1090, 0x0008_1010].map(|tag| texts.short(tag));
        let name = if is_device { worded(device()) } else { texts.name(name) };
        Self { is_device, name, organization, at: texts.short(0x0040_A030) }
    }
}

fn worded(words: [String; 3]) -> String {
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// By study and series (PS3.3 C.17-3).
fn predecessors<'t, 'b>(texts: &Texts<'t, 'b>) -> impl Iterator<Item = Texts<'t, 'b>> + use<'t, 'b> {
    let series = texts.inside(texts::PREDECESSORS).flat_map(|study| study.inside(texts::REFERENCED_SERIES));
    series.flat_map(|series| series.inside(texts::REFERENCED))
}

/// The file in a document, without the byte that fills it up to even length; none where its length is another than it says.
fn file<'b>(tree: &Tree<'b>) -> Option<&'b [u8]> {
    let value = tree.top.value(FILE)?;
    match tree.top.longs(FILE_BYTES).next().map(|bytes| bytes as usize) {
        Some(bytes) if bytes == value.len() || bytes + 1 == value.len() => value.get(..bytes),
        Some(_) => None,
        None => Some(value.strip_suffix(&[0]).unwrap_or(value)),
    }
}

fn refusal(kind: Kind, file_type: &str, file: Option<&[u8]>) -> Option<&'static str> {
    // Parameters may follow (RFC 2045 5.1).
    let essence = file_type.split(';').next().unwrap_or_default().trim();
    match file {
        _ if kind != Kind::Pdf => Some("kind"),
        None => Some("length"),
        Some(_) if essence.is_empty() => Some("untyped"),
        Some(_) if !essence.eq_ignore_ascii_case(PDF_TYPE) => Some("type"),
        Some(file) if !file.starts_with(PDF_START) => Some("start"),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
