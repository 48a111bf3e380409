#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::{OK, scanpost_input, with};
use compressor::pixels::pack_chunk;
use proptest::prelude::*;
use serde_json::{Value, json};

const BASIC_TEXT: &str = "1.2.840.10008.5.1.4.1.1.88.11";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";

/// An element in Explicit VR Little Endian.
fn element(tag: u32, vr: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from(((tag >> 16) as u16).to_le_bytes());
    bytes.extend((tag as u16).to_le_bytes());
    bytes.extend(vr.as_bytes());
    let mut value = value.to_vec();
    if value.len() % 2 == 1 {
        value.push(if matches!(vr, "UI" | "OB") { 0 } else { b' ' });
    }
    if matches!(vr, "SQ" | "UT" | "OB" | "UN") {
        bytes.extend([0; 2]);
        bytes.extend((value.len() as u32).to_le_bytes());
    } else {
        bytes.extend((value.len() as u16).to_le_bytes());
    }
    bytes.extend(value);
    bytes
}

fn sequence(tag: u32, items: &[Vec<u8>]) -> Vec<u8> {
    let items = items.iter().flat_map(|item| {
        [[0xFE, 0xFF, 0x00, 0xE0].as_slice(), &(item.len() as u32).to_le_bytes(), item].concat()
    });
    element(tag, "SQ", &items.collect::<Vec<u8>>())
}

fn code(tag: u32, value: &str, scheme: &str, meaning: &[u8]) -> Vec<u8> {
    let code = [(0x0008_0100, value.as_bytes()), (0x0008_0102, scheme.as_bytes())];
    let code = code.map(|(tag, value)| element(tag, "SH", value)).concat();
    sequence(tag, &[[code, element(0x0008_0104, "LO", meaning)].concat()])
}

/// A content item; `more` has its value.
fn content(relation: &str, kind: &str, name: &str, more: &[u8]) -> Vec<u8> {
    let start =
        [element(0x0040_A010, "CS", relation.as_bytes()), element(0x0040_A040, "CS", kind.as_bytes())];
    [start.concat(), code(texts::CONCEPT_NAME, "1", "99T", name.as_bytes()), more.to_vec()].concat()
}

fn data_set(class: &str, more: &[Vec<u8>]) -> Vec<u8> {
    let start = [
        element(0x0008_0005, "CS", b"ISO_IR 192"),
        element(0x0008_0016, "UI", class.as_bytes()),
        element(0x0008_0018, "UI", b"1.2.3.4"),
        element(0x0008_0023, "DA", b"20240412"),
        element(0x0010_0010, "PN", "Yamada^Tarou=山田^太郎".as_bytes()),
        element(0x0020_000D, "UI", b"1.2.3"),
    ];
    [start.concat(), more.concat()].concat()
}

fn report(items: &[Vec<u8>]) -> Vec<u8> {
    let root = [
        element(0x0040_A040, "CS", b"CONTAINER"),
        code(texts::CONCEPT_NAME, "18748-4", "LN", b"Report"),
        element(0x0040_A491, "CS", b"PARTIAL"),
        element(0x0040_A493, "CS", b"UNVERIFIED"),
    ];
    data_set(BASIC_TEXT, &[root.concat(), sequence(texts::CONTENT, items)])
}

/// A frame of zstd with one block that is stored (RFC 8878 3.1.1), the last block to come.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let header = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 13 << 3];
    let block = |bytes: &[u8]| [&((bytes.len() as u32) << 3).to_le_bytes()[..3], bytes].concat();
    [header.to_vec(), bytes.chunks(100_000).flat_map(block).collect()].concat()
}

struct Given {
    head: Vec<u8>,
    bulk: Vec<u8>,
    tail: Vec<u8>,
    syntax: &'static str,
}

impl Given {
    fn whole(head: Vec<u8>) -> Self {
        Self { head, bulk: Vec::new(), tail: Vec::new(), syntax: EXPLICIT }
    }

    fn ask(&self, changes: &[(&str, Value)], call: extern "C" fn(usize) -> i32) -> (i32, Vec<u8>) {
        let stream = [self.head.as_slice(), &self.tail].concat();
        let (part, chunk) = (stored(&stream), pack_chunk(&self.bulk).unwrap());
        let source = [self.head.as_slice(), &self.bulk, &self.tail].concat();
        let mut question = json!({"transfer_syntax": self.syntax, "heads": [[self.head.len(), self.tail.len()]], "parts": [[part.len(), stream.len()]]});
        if !self.bulk.is_empty() {
            question["bulks"] = json!([0]);
        }
        if call as usize == scanpost_document as extern "C" fn(usize) -> i32 as usize {
            let chunks =
                if self.bulk.is_empty() { json!([]) } else { json!([[chunk.len(), self.bulk.len()]]) };
            let more = [
                ("instance", json!(0)),
                ("sha256", json!(Digest::of(&source).to_string())),
                ("chunks", chunks),
            ];
            question.as_object_mut().unwrap().remove("bulks");
            for (name, value) in more.iter().chain(changes) {
                question[name] = value.clone();
            }
        }
        let question = question.to_string().into_bytes();
        let input = [question.as_slice(), &part, &chunk].concat();
        assert!(!scanpost_input(input.len()).is_null());
        with(|worker| worker.input.copy_from_slice(&input));
        let answer = call(question.len());
        (answer, with(|worker| worker.output.clone()))
    }

    /// What is told, and its file.
    fn read(&self) -> (Value, Vec<u8>) {
        let (answer, output) = self.ask(&[], scanpost_document);
        assert_eq!(answer, OK, "{}", String::from_utf8_lossy(&output));
        let (output, length) = output.split_at(output.len() - 4);
        let (json, file) = split(output, u32::from_le_bytes(length.try_into().unwrap()) as usize);
        (serde_json::from_slice(json).unwrap(), file.to_vec())
    }
}

fn split(output: &[u8], at: usize) -> (&[u8], &[u8]) {
    output.split_at(at)
}

fn told(items: &[Vec<u8>]) -> Value {
    Given::whole(report(items)).read().0["content"]["children"].clone()
}

#[test]
fn a_report_says_what_it_is_and_how_far_it_got() {
    let (told, file) = Given::whole(report(&[])).read();
    assert_eq!(told["kind"], "report");
    assert_eq!(told["title"], "Report");
    assert_eq!(told["banner"]["name_ideographic"], "山田^太郎");
    assert_eq!(
        [&told["completion"], &told["verification"], &told["date"]],
        ["PARTIAL", "UNVERIFIED", "20240412"]
    );
    assert_eq!((told["is_damaged"].as_bool(), file.len()), (Some(false), 0));
}

#[test]
fn values_of_every_type_are_told() {
    let measured = |number: &[u8]| {
        let unit = code(texts::UNITS, "mm", "UCUM", b"millimeter");
        sequence(texts::MEASURED, &[[unit, element(0x0040_A30A, "DS", number)].concat()])
    };
    let image = [
        element(0x0008_1150, "UI", b"1.2.5"),
        element(0x0008_1155, "UI", b"1.2.6"),
        element(0x0008_1160, "IS", b"2\\3"),
    ];
    let items = [
        content("CONTAINS", "TEXT", "Finding", &element(0x0040_A160, "UT", "肺炎\r\n疑い".as_bytes())),
        content("CONTAINS", "CODE", "Side", &code(texts::CONCEPT, "24028007", "SCT", b"Right")),
        content("CONTAINS", "NUM", "Length", &measured(b"23.4")),
        content(
            "CONTAINS",
            "NUM",
            "Length",
            &[
                sequence(texts::MEASURED, &[]),
                code(texts::QUALIFIER, "114006", "DCM", b"Measurement failure"),
            ]
            .concat(),
        ),
        content("HAS OBS CONTEXT", "PNAME", "Observer", &element(texts::PERSON_NAME, "PN", b"Sato^Hana^^Dr")),
        content("CONTAINS", "DATETIME", "When", &element(0x0040_A120, "DT", b"20240412101112")),
        content("CONTAINS", "UIDREF", "Study", &element(0x0040_A124, "UI", b"1.2.7")),
        content("CONTAINS", "IMAGE", "Source", &sequence(texts::REFERENCED, &[image.concat()])),
        content("CONTAINS", "SCOORD", "Outline", &element(0x0070_0022, "FL", &[0; 40])),
        content("CONTAINS", "TCOORD", "Beats", &element(0x0040_A138, "DS", b"1\\2\\3")),
        [element(0x0040_A010, "CS", b"INFERRED FROM"), element(0x0040_DB73, "UL", &[1, 0, 0, 0, 3, 0, 0, 0])]
            .concat(),
    ];
    let told = told(&items);
    let texts: Vec<_> =
        told.as_array().unwrap().iter().map(|item| item["text"].as_str().unwrap_or_default()).collect();
    assert_eq!(
        texts,
        ["肺炎\r\n疑い", "Right", "23.4", "", "Sato Hana Dr", "20240412101112", "1.2.7", "", "", "", ""]
    );
    assert_eq!([&told[2]["unit"], &told[3]["qualifier"]], ["mm", "Measurement failure"]);
    assert_eq!(told[7]["references"], json!([{"sop_instance": "1.2.6", "frames": [2, 3]}]));
    assert_eq!([&told[8]["points"], &told[9]["points"]], [5, 3]);
    assert_eq!(told[10]["place"], json!([1, 3]));
}

#[test]
fn an_item_may_be_written_in_another_character_set() {
    let own = [
        element(0x0008_0005, "CS", b"\\ISO 2022 IR 87"),
        content("CONTAINS", "TEXT", "x", &element(0x0040_A160, "UT", b"\x1b$B;3ED\x1b(B")),
    ];
    let plain = content("CONTAINS", "TEXT", "x", &element(0x0040_A160, "UT", "山".as_bytes()));
    let told = told(&[own.concat(), plain]);
    assert_eq!([&told[0]["text"], &told[1]["text"]], ["山田", "山"]);
}

#[test]
fn what_is_too_much_is_counted() {
    let long = "あ".repeat(TEXT_CHARACTERS);
    let items = vec![content("CONTAINS", "TEXT", "x", &element(0x0040_A160, "UT", long.as_bytes())); 2];
    let told = told(&items);
    let text = told[0]["text"].as_str().unwrap();
    assert!(long.starts_with(text) && text.len() > 200_000, "no half character");
    // What is left out, and the bytes of a character that was cut in two.
    assert!((0..3).contains(&(long.len() as i64 - text.len() as i64 - told[0]["more"].as_i64().unwrap())));
    let items = vec![element(0x0040_A040, "CS", b"CONTAINER"); 20_010];
    let (told, _) = Given::whole(report(&items)).read();
    assert_eq!(
        (told["content"]["children"].as_array().unwrap().len(), told["left_out"].as_u64()),
        (19_999, Some(11))
    );
}

#[test]
fn objects_that_one_item_refers_to_are_bounded_too() {
    let image = element(0x0008_1155, "UI", b"1.2.6");
    let items = [content("CONTAINS", "IMAGE", "x", &sequence(texts::REFERENCED, &vec![image; 20_010]))];
    let (told, _) = Given::whole(report(&items)).read();
    let references = told["content"]["children"][0]["references"].as_array().unwrap().len();
    assert_eq!((references, told["left_out"].as_u64()), (19_998, Some(12)));
}

#[test]
fn a_backslash_in_a_text_changes_no_character_set() {
    let own = [
        element(0x0008_0005, "CS", b"\\ISO 2022 IR 149"),
        content(
            "CONTAINS",
            "TEXT",
            "x",
            &element(0x0040_A160, "UT", b"\x1b$)C\xc6\xf3\xb7\xc5\\\xb0\xe1\xc0\xfd"),
        ),
    ];
    assert_eq!(told(&[own.concat()])[0]["text"], "폐렴\\결절");
}

#[test]
fn documents_that_it_replaces_are_named_one_by_one() {
    let named = |uid: &str| element(0x0008_1155, "UI", uid.as_bytes());
    let series = |uids: &[&str]| {
        let items: Vec<_> = uids.iter().map(|uid| named(uid)).collect();
        sequence(texts::REFERENCED, &items)
    };
    let study = |items: &[Vec<u8>]| sequence(texts::REFERENCED_SERIES, items);
    let studies =
        [study(&[series(&["1.2.31", "1.2.32"]), series(&["1.2.33"])]), study(&[series(&["1.2.34"])])];
    let bytes = data_set(BASIC_TEXT, &[sequence(texts::PREDECESSORS, &studies)]);
    let (told, _) = Given::whole(bytes).read();
    assert_eq!(told["predecessors"], json!(["1.2.31", "1.2.32", "1.2.33", "1.2.34"]));
    let many: Vec<_> = (0..300).map(|at| named(&format!("1.2.{at}"))).collect();
    let many = study(&[sequence(texts::REFERENCED, &many)]);
    let (told, _) = Given::whole(data_set(BASIC_TEXT, &[sequence(texts::PREDECESSORS, &[many])])).read();
    assert_eq!(told["predecessors"].as_array().unwrap().len(), 256);
    assert_eq!(told["predecessors_left_out"], 44);
}

#[test]
fn machines_and_people_who_wrote_are_told() {
    let device = [
        element(0x0008_0070, "LO", b"Maker"),
        element(0x0008_1010, "SH", b"CAD 1"),
        element(0x0008_1090, "LO", b"Finder"),
        element(0x0040_A084, "CS", b"DEV"),
    ];
    let person =
        [element(0x0040_A084, "CS", b"PSN"), element(texts::PERSON_NAME, "PN", "A".repeat(1_030).as_bytes())];
    let authors = [vec![device.concat()], vec![person.concat(); 39]].concat();
    let (told, _) = Given::whole(data_set(BASIC_TEXT, &[sequence(0x0040_A078, &authors)])).read();
    let authors = told["authors"].as_array().unwrap();
    assert_eq!(
        authors[0],
        json!({"is_device": true, "name": "Maker Finder CAD 1", "organization": "", "at": ""})
    );
    assert_eq!(authors[1]["name"], "A".repeat(1_024) + "…");
    assert_eq!((authors.len(), told["people_left_out"].as_u64()), (32, Some(8)));
}

#[test]
fn a_list_reads_behind_the_bulk_value() {
    let marks = [
        code(texts::CONCEPT_NAME, "18748-4", "LN", b"Report"),
        element(0x0040_A491, "CS", b"COMPLETE"),
        element(0x0040_A493, "CS", b"VERIFIED"),
        element(0x0040_A496, "CS", b"PRELIMINARY"),
    ];
    for (head, end) in [
        // Evidence of a written length, and up to its delimiter.
        (element(0x0040_A375, "SQ", &vec![0; 70_000]), 70_000),
        ([&element(0x0040_A375, "SQ", &[])[..8], &[0xFF; 4], &[0; 70_000]].concat(), 70_000),
    ] {
        let (head, bulk) = head.split_at(head.len() - end);
        let given = Given {
            head: data_set(BASIC_TEXT, &[head.to_vec()]),
            bulk: bulk.to_vec(),
            tail: marks.concat(),
            syntax: EXPLICIT,
        };
        let (answer, output) = given.ask(&[], scanpost_documents);
        let listed: Value = serde_json::from_slice(&output).unwrap();
        let told = ["title", "completion", "verification", "preliminary"].map(|name| &listed[0][name]);
        assert_eq!(told, ["Report", "COMPLETE", "VERIFIED", "PRELIMINARY"]);
        assert_eq!((answer, &listed[0]["is_damaged"]), (OK, &json!(false)));
    }
    // What ends within its first 64 KiB is listed, and says that this is not all.
    let cut = Given { head: report(&[]), bulk: vec![1; 70_000], tail: Vec::new(), syntax: EXPLICIT };
    let cut = Given { head: cut.head[..cut.head.len() - 40].to_vec(), ..cut };
    let (_, output) = cut.ask(&[], scanpost_documents);
    assert_eq!(serde_json::from_slice::<Value>(&output).unwrap()[0]["is_damaged"], true);
}

const TEXT_CHARACTERS: usize = 100_000;

#[test]
fn a_cut_report_says_so_and_keeps_what_came_before() {
    let items =
        [b"first", b"other"].map(|text| content("CONTAINS", "TEXT", "x", &element(0x0040_A160, "UT", text)));
    let mut bytes = report(&items);
    bytes.truncate(bytes.len() - 2);
    let (told, _) = Given::whole(bytes).read();
    assert_eq!((&told["is_damaged"], &told["title"]), (&json!(true), &json!("Report")));
    let children = &told["content"]["children"];
    assert_eq!([&children[0]["text"], &children[1]["text"]], [&json!("first"), &Value::Null], "no half text");
}

fn pdf(class: &str, kind: &[u8], file: &[u8], length: Option<u32>) -> Given {
    let mut more = vec![element(0x0042_0010, "ST", "検査報告".as_bytes())];
    let value = element(FILE, "OB", file);
    let (head, bulk) = value.split_at(value.len() - file.len() - file.len() % 2);
    more.push(head.to_vec());
    let mut tail = element(FILE_TYPE, "LO", kind);
    tail.extend(length.map_or_else(Vec::new, |length| element(FILE_BYTES, "UL", &length.to_le_bytes())));
    Given { head: data_set(class, &more), bulk: bulk.to_vec(), tail, syntax: EXPLICIT }
}

#[test]
fn a_pdf_comes_out_as_it_went_in() {
    let file = b"%PDF-1.4 a file of odd length..";
    for (kind, length) in [
        ("application/pdf", Some(file.len() as u32)),
        ("Application/PDF; version=1.4", Some(file.len() as u32 + 1)),
        ("application/pdf", None),
    ] {
        let (told, given) = pdf(PDF_CLASS, kind.as_bytes(), file, length).read();
        assert_eq!(
            (&told["kind"], &told["title"], &told["refused"]),
            (&json!("pdf"), &json!("検査報告"), &Value::Null)
        );
        let padding: &[u8] = if length == Some(file.len() as u32 + 1) { &[0] } else { &[] };
        assert_eq!(given, [file, padding].concat(), "{length:?}");
        assert_eq!(told["file_bytes"], given.len());
    }
}

#[test]
fn a_file_that_is_not_what_it_says_is_not_given() {
    let file = b"%PDF-1.4 file";
    let cases = [
        ("length", pdf(PDF_CLASS, b"application/pdf", file, Some(5))),
        ("length", pdf(PDF_CLASS, b"application/pdf", file, Some(900))),
        ("type", pdf(PDF_CLASS, b"text/html", file, None)),
        ("untyped", pdf(PDF_CLASS, b"", file, None)),
        ("start", pdf(PDF_CLASS, b"application/pdf", b"<html><script>", None)),
        ("start", pdf(PDF_CLASS, b"application/pdf", b"", None)),
        ("kind", pdf("1.2.840.10008.5.1.4.1.1.104.2", b"text/XML", b"<ClinicalDocument/>", None)),
        // What says that it is another kind is none that is opened, whatever it begins with.
        ("kind", pdf("1.2.840.10008.5.1.4.1.1.104.3", b"application/pdf", file, None)),
    ];
    for (reason, given) in cases {
        let (told, file) = given.read();
        assert_eq!((told["refused"].as_str(), file.len()), (Some(reason), 0));
    }
}

#[test]
fn bytes_that_are_not_those_that_were_packed_are_refused() {
    let given = pdf(PDF_CLASS, b"application/pdf", b"%PDF-1.4", None);
    let other = json!("00".repeat(32));
    for (name, value) in
        [("sha256", other), ("instance", json!(1)), ("chunks", json!([])), ("chunks", json!([[3, 20]]))]
    {
        let (answer, output) = given.ask(&[(name, value)], scanpost_document);
        assert!(answer != OK, "{name}");
        assert!(String::from_utf8(output).unwrap().contains("damaged"), "{name}");
    }
}

#[test]
fn a_list_names_documents_alone() {
    let (answer, output) = Given::whole(report(&[])).ask(&[], scanpost_documents);
    let listed: Value = serde_json::from_slice(&output).unwrap();
    assert_eq!((answer, &listed[0]["title"], &listed[0]["content"]), (OK, &json!("Report"), &Value::Null));
    let image = data_set("1.2.840.10008.5.1.4.1.1.2", &[]);
    assert_eq!(Given::whole(image).ask(&[], scanpost_documents).1, b"[null]");
    assert_eq!(Given::whole(b"no data set".to_vec()).ask(&[], scanpost_documents).1, b"[null]");
}

proptest! {
    #[test]
    fn any_change_is_read_or_refused(at in 0_usize..900, with: u8) {
        let text = content("CONTAINS", "TEXT", "x", &element(0x0040_A160, "UT", b"text"));
        let inner = content("CONTAINS", "CONTAINER", "y", &sequence(texts::CONTENT, &[text.clone(), text]));
        let mut bytes = report(&[inner]);
        if let Some(byte) = bytes.get_mut(at) { *byte = with; }
        let (_, output) = Given::whole(bytes).ask(&[], scanpost_document);
        prop_assert!(!output.is_empty());
    }
}
