//! Data sets as trees, written straightforwardly: what the rewriting is held against.

use crate::dataset::Encoding;
use crate::derive::Renames;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// An element of a data set.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Leaf { tag: u32, vr: &'static str, value: Vec<u8> },
    Sequence { tag: u32, items: Vec<Vec<Node>>, undefined: bool },
}

pub(super) fn leaf(tag: u32, vr: &'static str, value: &[u8]) -> Node {
    Node::Leaf { tag, vr, value: value.to_vec() }
}

pub(super) fn sequence(tag: u32, items: Vec<Vec<Node>>) -> Node {
    Node::Sequence { tag, items, undefined: false }
}

impl Node {
    fn tag(&self) -> u32 {
        match self {
            Self::Leaf { tag, .. } | Self::Sequence { tag, .. } => *tag,
        }
    }

    /// All sequences inside with or without lengths.
    pub(super) fn with_lengths(&self, undefined: bool) -> Self {
        match self {
            Self::Leaf { .. } => self.clone(),
            Self::Sequence { tag, items, .. } => {
                let inner = |item: &Vec<Self>| item.iter().map(|node| node.with_lengths(undefined)).collect();
                Self::Sequence { tag: *tag, items: items.iter().map(inner).collect(), undefined }
            }
        }
    }

    /// The same with new names where SPEC 6.4 asks for them.
    pub(super) fn renamed(&self, renames: &Renames, encoding: Encoding, top: bool) -> Self {
        match self {
            Self::Sequence { tag, items, undefined } => {
                let inner =
                    |item: &Vec<Self>| item.iter().map(|n| n.renamed(renames, encoding, false)).collect();
                Self::Sequence { tag: *tag, items: items.iter().map(inner).collect(), undefined: *undefined }
            }
            Self::Leaf { tag, vr, value } => {
                let own = top && [0x0008_0018, 0x0020_000E].contains(tag);
                let kept = [0x0020_000D, 0x0020_0052].contains(tag);
                let is_uid = *vr == "UI" || (encoding == Encoding::ImplicitLittle && tag >> 16 & 1 == 0);
                match renames.value(value).filter(|_| is_uid && !own && !kept) {
                    Some((mut new, _)) => {
                        new.resize(new.len().next_multiple_of(2), 0);
                        Self::Leaf { tag: *tag, vr, value: new }
                    }
                    None => self.clone(),
                }
            }
        }
    }
}

/// Writes elements in their order. An element (gggg,0000) without value becomes the length of its group.
pub(super) fn encode(nodes: &[Node], encoding: Encoding) -> Vec<u8> {
    let mut out = Vec::new();
    for (place, node) in nodes.iter().enumerate() {
        if node.tag() & 0xFFFF == 0 {
            let group: Vec<_> = nodes[place + 1..]
                .iter()
                .take_while(|n| n.tag() >> 16 == node.tag() >> 16)
                .cloned()
                .collect();
            let length = number(encode(&group, encoding).len() as u32, encoding);
            element(&mut out, node.tag(), "UL", &length, encoding);
            continue;
        }
        match node {
            Node::Leaf { tag, vr, value } => element(&mut out, *tag, vr, value, encoding),
            Node::Sequence { tag, items, undefined } => {
                let mut content = Vec::new();
                for item in items {
                    let inner = encode(item, encoding);
                    head(
                        &mut content,
                        0xFFFE_E000,
                        "",
                        if *undefined { u32::MAX } else { inner.len() as u32 },
                        encoding,
                    );
                    content.extend(inner);
                    if *undefined {
                        head(&mut content, 0xFFFE_E00D, "", 0, encoding);
                    }
                }
                if *undefined {
                    head(&mut content, 0xFFFE_E0DD, "", 0, encoding);
                }
                head(
                    &mut out,
                    *tag,
                    "SQ",
                    if *undefined { u32::MAX } else { content.len() as u32 },
                    encoding,
                );
                out.extend(content);
            }
        }
    }
    out
}

fn element(out: &mut Vec<u8>, tag: u32, vr: &str, value: &[u8], encoding: Encoding) {
    head(out, tag, vr, value.len() as u32, encoding);
    out.extend(value);
}

fn number(number: u32, encoding: Encoding) -> [u8; 4] {
    if encoding == Encoding::ExplicitBig { number.to_be_bytes() } else { number.to_le_bytes() }
}

fn short(number: u16, encoding: Encoding) -> [u8; 2] {
    if encoding == Encoding::ExplicitBig { number.to_be_bytes() } else { number.to_le_bytes() }
}

fn head(out: &mut Vec<u8>, tag: u32, vr: &str, length: u32, encoding: Encoding) {
    out.extend(short((tag >> 16) as u16, encoding));
    out.extend(short(tag as u16, encoding));
    if encoding == Encoding::ImplicitLittle || tag >> 16 == 0xFFFE {
        out.extend(number(length, encoding));
    } else if ["OB", "OW", "SQ", "UN"].contains(&vr) {
        out.extend(vr.as_bytes());
        out.extend([0, 0]);
        out.extend(number(length, encoding));
    } else {
        out.extend(vr.as_bytes());
        out.extend(short(length as u16, encoding));
    }
}

/// Tag, start and end of each element of the top level whose sequences have lengths, or hold no delimiter but their own.
pub(super) fn top_level(bytes: &[u8], encoding: Encoding) -> Vec<(u32, usize, usize)> {
    let (mut found, mut at) = (Vec::new(), 0);
    let big = encoding == Encoding::ExplicitBig;
    let u16_at = |at: usize| {
        let two = bytes[at..at + 2].try_into().unwrap();
        if big { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) }
    };
    let u32_at = |at: usize| {
        let four = bytes[at..at + 4].try_into().unwrap();
        if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
    };
    let mut depth = 0;
    while at < bytes.len() {
        let start = at;
        let tag = u32::from(u16_at(at)) << 16 | u32::from(u16_at(at + 2));
        let implicit = encoding == Encoding::ImplicitLittle || tag >> 16 == 0xFFFE;
        let long = !implicit && [&b"OB"[..], b"OW", b"SQ", b"UN"].contains(&&bytes[at + 4..at + 6]);
        let (bytes_of_head, length) = match (implicit, long) {
            (true, _) => (8, u32_at(at + 4)),
            (_, true) => (12, u32_at(at + 8)),
            _ => (8, u16_at(at + 6).into()),
        };
        at += bytes_of_head;
        let delimiter = tag == 0xFFFE_E00D || tag == 0xFFFE_E0DD;
        if depth == 0 {
            found.push((tag, start, at));
        }
        if length == u32::MAX {
            depth += 1;
        } else if delimiter {
            depth -= 1;
        } else if at + length as usize <= bytes.len() {
            at += length as usize;
        } else {
            break;
        }
        if depth == 0 {
            found.last_mut().unwrap().2 = at;
        }
    }
    found
}

/// Elements that a generated data set may have: group lengths, texts, UIDs that name something or nothing, private bytes.
const LEAVES: [(u32, &str); 16] = [
    (0x0008_0000, "UL"),
    (0x0008_0008, "CS"),
    (0x0008_0018, "UI"),
    (0x0008_1155, "UI"),
    (0x0008_2111, "ST"),
    (0x0010_0010, "PN"),
    (0x0020_0000, "UL"),
    (0x0020_000D, "UI"),
    (0x0020_000E, "UI"),
    (0x0020_0052, "UI"),
    (0x0020_4000, "LT"),
    (0x0028_0000, "UL"),
    (0x0028_2110, "CS"),
    (0x0028_2112, "DS"),
    (0x0029_1010, "OB"),
    (0x0040_A124, "UI"),
];
const SEQUENCES: [u32; 6] = [0x0008_1115, 0x0008_1140, 0x0008_2112, 0x0008_9215, 0x0040_A730, 0x5200_9230];

fn value(vr: &'static str) -> BoxedStrategy<Vec<u8>> {
    match vr {
        "UL" => Just(Vec::new()).boxed(),
        "UI" => prop::sample::select(vec!["1.2.3.4\0", "1.2.3\0", "9.9\0", "1.2.3.44", ""])
            .prop_map(|uid| uid.as_bytes().to_vec())
            .boxed(),
        "DS" => Just(b"5.25".to_vec()).boxed(),
        "OB" => prop::collection::vec(any::<u8>(), 0..20)
            .prop_map(|mut bytes| {
                bytes.truncate(bytes.len() / 2 * 2);
                bytes
            })
            .boxed(),
        _ => "[A-Z]{0,9}".prop_map(|text| even(text.into_bytes())).boxed(),
    }
}

fn even(mut text: Vec<u8>) -> Vec<u8> {
    text.resize(text.len().next_multiple_of(2), b' ');
    text
}

fn any_leaf() -> impl Strategy<Value = Node> {
    prop::sample::select(LEAVES.to_vec())
        .prop_flat_map(|(tag, vr)| value(vr).prop_map(move |value| Node::Leaf { tag, vr, value }))
}

/// Ascending, each tag once.
fn ordered(nodes: Vec<Node>) -> Vec<Node> {
    nodes.into_iter().map(|node| (node.tag(), node)).collect::<BTreeMap<_, _>>().into_values().collect()
}

/// A data set of any shape.
pub(super) fn data_set() -> impl Strategy<Value = Vec<Node>> {
    let node = any_leaf().prop_recursive(4, 40, 4, |inner| {
        let item = prop::collection::vec(inner, 0..5).prop_map(ordered);
        (prop::sample::select(SEQUENCES.to_vec()), prop::collection::vec(item, 0..3), any::<bool>())
            .prop_map(|(tag, items, undefined)| Node::Sequence { tag, items, undefined })
    });
    prop::collection::vec(node, 0..12).prop_map(ordered)
}
