//! Reads a trail and finds the lines that are not as they were written: the first of each stretch that the gateway wrote in one piece.

use super::line::{BEGINNING, First, HASH_CHARACTERS, Hash, Payload, chain, statement};
use crate::hex::{hex, unhex};
use seal::native::Certificate;
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Longest line: a message of about 8 KiB with the longest names in it.
const LINE_BYTES_MAX: u64 = 64 << 10;
/// Where the gateway went on anew and nothing before it is bad: it was the end that was missing, or the signed end.
const DAMAGED_BEFORE: &str = "the gateway found the trail damaged up to here, and went on in the next file";
/// What the site's signatures under anchors are made for.
pub(super) const STATEMENT: &str = "scanpost audit anchor 1";

/// How a walk ended.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Every line is as it was written, and none is missing up to the last anchor.
    pub intact: bool,
    /// Messages up to the end, or to the last bad line behind which nothing can be checked.
    pub messages: u64,
    /// The last message under the site's signature.
    pub anchored: u64,
    /// SHA-256 of the chain there.
    pub hash: String,
    /// The first bad line.
    pub fault: Option<Fault>,
    /// Bad lines in what the gateway wrote after it had found the trail damaged.
    pub later: Vec<Fault>,
}

/// Where a trail is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Name of the file.
    pub file: String,
    /// Line in it, from 1.
    pub line: u64,
    /// Number of the message that stands there, or should.
    pub message: u64,
    /// What is wrong.
    pub reason: &'static str,
}

/// How far a chain goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) file: u32,
    pub(super) number: u64,
    pub(super) hash: Hash,
    /// Number of the last message under a signature.
    pub(super) anchored: u64,
}

impl End {
    pub(super) const BEGINNING: Self = Self { file: 0, number: 0, hash: BEGINNING, anchored: 0 };
}

/// The signed end of the trail, kept beside it: what is cut off behind an anchor is missed here.
pub(super) struct Head {
    pub(super) number: u64,
    pub(super) hash: Hash,
}

/// Name of the file of the [`Head`].
pub(super) const HEAD: &str = "head";
/// Name of the file of the position up to which the syslog server has everything.
pub(super) const TAKEN: &str = "taken";

impl Head {
    /// Reads it; `None` where it is not there, an error where it is not what the site signed.
    pub(super) fn read(folder: &Path, site: &Certificate) -> io::Result<Option<Self>> {
        let text = match std::fs::read_to_string(folder.join(HEAD)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let parse = || {
            let mut words = text.strip_suffix('\n')?.split(' ');
            let (number, hash) = (words.next()?.parse().ok()?, unhex(words.next()?)?.try_into().ok()?);
            let signature = unhex(words.next()?)?;
            let signed = site.verifies_statement(STATEMENT, &statement(number, &hash), &signature);
            (signed && words.next().is_none()).then_some(Self { number, hash })
        };
        parse().map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// As it is written.
    pub(super) fn text(number: u64, hash: &Hash, signature: &[u8]) -> String {
        format!("{number} {} {}\n", hex(hash), hex(signature))
    }
}

/// The file with this number.
pub(super) fn path(folder: &Path, file: u32) -> PathBuf {
    folder.join(name(file))
}

fn name(file: u32) -> String {
    format!("trail-{file:06}.log")
}

/// What a walk found.
pub(super) struct Walked {
    /// How far the chain goes that the walk ended on.
    pub(super) end: End,
    /// The first bad line of each stretch between two beginnings anew.
    pub(super) faults: Vec<Fault>,
    /// The signed end of the trail, if there is one, stands before them.
    met_head: bool,
}

impl Walked {
    /// The last file and how much of it is whole, where nothing is wrong but its end behind the signed end of the trail. Lines reach the disk in
    /// groups, each before the next one begins: what stands behind a bad one there was never acknowledged.
    pub(super) fn torn(&self, folder: &Path) -> io::Result<Option<(u32, u64)>> {
        let (Some(file), [fault]) = (files(folder)?.pop(), self.faults.as_slice()) else { return Ok(None) };
        if !self.met_head || fault.file != name(file) || fault.line == 0 {
            return Ok(None);
        }
        let bytes = std::fs::read(path(folder, file))?;
        let before = bytes.split_inclusive(|byte| *byte == b'\n').take(fault.line as usize - 1);
        Ok(Some((file, before.map(|line| line.len() as u64).sum())))
    }
}

/// Numbers of the files that are there, in order.
pub(super) fn files(folder: &Path) -> io::Result<Vec<u32>> {
    let mut files: Vec<u32> = names(folder)?.iter().filter_map(|name| number(name)).collect();
    files.sort_unstable();
    Ok(files)
}

/// Names of all files of a trail, what is only ever appended to last: what the others say of it is true of what is read after them.
///
/// # Errors
/// Any I/O error.
pub(crate) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        names.extend(entry?.file_name().into_string());
    }
    names.retain(|name| name == HEAD || name == TAKEN || grows(name));
    names.sort_by_cached_key(|name| (number(name), name.clone()));
    Ok(names)
}

/// Whether a file of a trail is only ever appended to.
pub(crate) fn grows(name: &str) -> bool {
    number(name).is_some()
}

fn number(name: &str) -> Option<u32> {
    name.strip_prefix("trail-")?.strip_suffix(".log")?.parse().ok()
}

/// Walks over the whole trail. `each` is told every message with its number.
///
/// # Errors
/// Where a file cannot be read. That the trail is damaged is a [`Fault`].
pub(super) fn walk(folder: &Path, site: &Certificate, each: &mut dyn FnMut(u64, &str)) -> io::Result<Walked> {
    walk_from(folder, site, End::BEGINNING, each)
}

/// Where to begin for what a start of the gateway has to see: the last file that begins before the signed end.
///
/// # Errors
/// Any I/O error.
pub(super) fn near_head(folder: &Path, site: &Certificate) -> io::Result<End> {
    let head = Head::read(folder, site).ok().flatten();
    let begins = |file| match begin(folder, file)? {
        end if head.as_ref().is_some_and(|head| end.number < head.number) => Some(end),
        _ => None,
    };
    Ok(files(folder)?.into_iter().rev().filter(|file| *file > 1).find_map(begins).unwrap_or(End::BEGINNING))
}

/// The end of the chain in front of a file, as its first line says; none where the file before ends otherwise, unless damage is known there.
fn begin(folder: &Path, file: u32) -> Option<End> {
    let First { after, hash, anew, .. } = first(folder, file)?;
    let ends_so = || {
        let before = std::fs::read(path(folder, file - 1)).ok()?;
        let last = before.strip_suffix(b"\n")?.rsplit(|byte| *byte == b'\n').next()?;
        Some(last.get(..HASH_CHARACTERS)? == hex(&hash).as_bytes())
    };
    let end = End { file: file - 1, number: after, hash, anchored: 0 };
    (anew || ends_so() == Some(true)).then_some(end)
}

fn first(folder: &Path, file: u32) -> Option<First> {
    let mut line = String::new();
    BufReader::new(File::open(path(folder, file)).ok()?).take(LINE_BYTES_MAX).read_line(&mut line).ok()?;
    match Payload::parse(line.trim_end().get(HASH_CHARACTERS + 1..)?)? {
        Payload::File(first) => Some(first),
        _ => None,
    }
}

/// What is known of the chain in front of the next file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// It is as it was written.
    Sound,
    /// It is not, and what continues it cannot be checked.
    Broken,
    /// The walk begins here.
    Unseen,
}

/// Walks from the end of a file on.
pub(super) fn walk_from(
    folder: &Path,
    site: &Certificate,
    begin: End,
    each: &mut dyn FnMut(u64, &str),
) -> io::Result<Walked> {
    let (head, changed) = match Head::read(folder, site) {
        Ok(head) => (head, false),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => (None, true),
        Err(error) => return Err(error),
    };
    let mut walk =
        Walk { end: begin, site, head: head.as_ref(), met_head: false, anchors: 0, ends_signed: false };
    let mut before = if begin == End::BEGINNING { Before::Sound } else { Before::Unseen };
    let mut faults = Vec::new();
    for file in files(folder)?.into_iter().filter(|file| *file > begin.file) {
        if before == Before::Sound && file > walk.end.file + 1 {
            faults.push(walk.fault(walk.end.file + 1, 1, "a file of the trail is missing"));
            before = Before::Broken;
        }
        match first(folder, file) {
            Some(First { after, hash, anew: true, .. }) => {
                if before == Before::Sound {
                    faults.push(walk.fault(walk.end.file.max(1), 0, DAMAGED_BEFORE));
                }
                (walk.end.number, walk.end.hash) = (after, hash);
            }
            _ if before == Before::Broken => continue,
            _ => {}
        }
        walk.end.file = file;
        let bad = walk.file(File::open(path(folder, file))?, each)?;
        before = if bad.is_some() { Before::Broken } else { Before::Sound };
        faults.extend(bad.map(|(line, reason)| walk.fault(file, line, reason)));
    }
    if before != Before::Broken {
        faults.extend(walk.missing(changed));
    }
    let met_head = walk.met_head || (head.is_none() && !changed && walk.anchors == 0);
    Ok(Walked { end: walk.end, faults, met_head })
}

struct Walk<'w> {
    end: End,
    site: &'w Certificate,
    head: Option<&'w Head>,
    /// The message of the head is here, with its hash.
    met_head: bool,
    anchors: u64,
    /// The last line is an anchor.
    ends_signed: bool,
}

impl Walk<'_> {
    /// Walks over one file; gives the first bad line and what is wrong with it.
    fn file(
        &mut self,
        file: File,
        each: &mut dyn FnMut(u64, &str),
    ) -> io::Result<Option<(u64, &'static str)>> {
        let mut source = BufReader::new(file);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            if source.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
                return Ok((number == 1).then_some((1, "the file is empty")));
            }
            if let Err(reason) = self.line(&line, number, each) {
                return Ok(Some((number, reason)));
            }
        }
        Ok(None)
    }

    fn line(
        &mut self,
        line: &[u8],
        number: u64,
        each: &mut dyn FnMut(u64, &str),
    ) -> Result<(), &'static str> {
        let line = line.strip_suffix(b"\n").ok_or("the line is cut short")?;
        let text = std::str::from_utf8(line).map_err(|_| "the line was changed")?;
        let (hash, payload) = text.split_at_checked(HASH_CHARACTERS).ok_or("the line was changed")?;
        let payload = payload.strip_prefix(' ').ok_or("the line was changed")?;
        let chained = chain(&self.end.hash, payload.as_bytes());
        if hash != hex(&chained) {
            return Err("the line was changed, or one before it removed, added or moved");
        }
        let payload = Payload::parse(payload).ok_or("a line that no gateway writes")?;
        let ends_signed = matches!(payload, Payload::Anchor { .. });
        match payload {
            Payload::File(First { file, after, hash, .. }) => {
                if (file, after, hash, number) != (self.end.file, self.end.number, self.end.hash, 1) {
                    return Err("a file that does not belong here");
                }
            }
            _ if number == 1 => return Err("the file does not say which it is"),
            Payload::Message { number, text } => {
                if number != self.end.number + 1 {
                    return Err("a message is missing");
                }
                self.end.number = number;
                each(number, text);
            }
            Payload::Anchor { number, signature } => self.anchor(number, &signature)?,
        }
        self.end.hash = chained;
        self.ends_signed = ends_signed;
        Ok(())
    }

    /// The signature is over the chain in front of the anchor.
    fn anchor(&mut self, number: u64, signature: &[u8]) -> Result<(), &'static str> {
        let signed = statement(number, &self.end.hash);
        if number != self.end.number || !self.site.verifies_statement(STATEMENT, &signed, signature) {
            return Err("an anchor that the site did not sign");
        }
        self.end.anchored = number;
        self.anchors += 1;
        self.met_head |= self.head.is_some_and(|head| (head.number, head.hash) == (number, self.end.hash));
        Ok(())
    }

    fn fault(&self, file: u32, line: u64, reason: &'static str) -> Fault {
        Fault { file: name(file), line, message: self.end.number + 1, reason }
    }

    /// What the end of the trail lacks.
    fn missing(&self, head_changed: bool) -> Option<Fault> {
        let (last, in_head) =
            (self.end.file.max(1), |reason| Fault { file: HEAD.into(), ..self.fault(1, 0, reason) });
        match self.head {
            _ if head_changed => Some(in_head("the signed end of the trail was changed")),
            Some(_) if !self.met_head => {
                Some(self.fault(last, 0, "the trail ends before its signed end: something was cut off"))
            }
            // Behind its first anchor a trail has no head for a moment, in which the power may be cut.
            None if self.anchors > 1 || (self.anchors == 1 && !self.ends_signed) => {
                Some(in_head("the signed end of the trail is missing"))
            }
            _ => None,
        }
    }
}
