//! The b-value of diffusion-weighted MR: the standard's element, and those in which makers wrote it before there was one.

use super::element::Syntax;

/// Diffusion b-value (0018,9087), s/mm² (PS3.3 C.8.13.5.9).
const B_VALUE: u32 = 0x0018_9087;
/// Blocks of one data set that are told apart; no maker has more than a few of these.
const BLOCKS_MAX: usize = 8;
/// GE adds 10⁹ to some b-values.
const GE_MODULUS: f64 = 1e5;

/// A maker's element, by the group and private creator of its block (PS3.5 7.8.1) and its last byte.
struct Own {
    group: u16,
    creator: &'static str,
    element: u8,
    read: fn(&[u8], Syntax) -> Option<f64>,
}

const OWN: [Own; 3] = [
    Own {
        group: 0x0019,
        creator: "SIEMENS MR HEADER",
        element: 0x0C,
        read: |value, _| super::geometry::number(value),
    },
    Own {
        group: 0x0043,
        creator: "GEMS_PARM_01",
        element: 0x39,
        read: |value, _| Some(super::geometry::number(value)? % GE_MODULUS),
    },
    Own {
        group: 0x2001,
        creator: "Philips Imaging DD 001",
        element: 0x03,
        read: |value, syntax| value.try_into().ok().map(|bytes| f32::from_bits(syntax.u32(bytes)).into()),
    },
];

/// The blocks of a data set whose makers are known.
#[derive(Default)]
pub(super) struct Diffusion {
    /// The upper three bytes of a tag of the block, and whose it is.
    blocks: Vec<(u32, &'static Own)>,
}

impl Diffusion {
    /// The b-value, if this element of the data set's top level or of a functional group holds one.
    pub(super) fn take(&mut self, tag: u32, value: &[u8], syntax: Syntax) -> Option<f64> {
        let read = if tag == B_VALUE {
            value.try_into().ok().map(|bytes| syntax.f64(bytes))
        } else {
            self.learn(tag, value);
            let (_, own) =
                self.blocks.iter().find(|(block, own)| *block == tag >> 8 && own.element == tag as u8)?;
            (own.read)(value, syntax)
        };
        read.filter(|b| b.is_finite() && *b >= 0.0)
    }

    /// A private creator reserves the block of its own last byte.
    fn learn(&mut self, tag: u32, value: &[u8]) {
        let (group, block) = ((tag >> 16) as u16, tag & 0xFFFF);
        let known =
            || OWN.iter().find(|own| own.group == group && super::geometry::text(value) == Some(own.creator));
        if (0x10..=0xFF).contains(&block) && self.blocks.len() < BLOCKS_MAX {
            self.blocks.extend(known().map(|own| (u32::from(group) << 8 | block, own)));
        }
    }
}
