//! Transfer syntaxes whose frames are decoded: at the hospital those that promise no loss, and no others; by a viewer what it has a decoder for.

use crate::Uid;

/// A transfer syntax of compressed pixels without loss (PS3.5 A.4, 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// RLE Lossless (PS3.5 G).
    Rle,
    /// JPEG Lossless, process 14, any predictor or the first (ISO/IEC 10918-1).
    JpegLossless,
    /// JPEG-LS Lossless (ISO/IEC 14495-1).
    JpegLs,
    /// JPEG 2000 Lossless Only (ISO/IEC 15444-1).
    Jpeg2000,
    /// High-Throughput JPEG 2000 Lossless Only, with RPCL options or without (ISO/IEC 15444-15).
    Htj2k,
}

/// By UID; one UID of each syntax comes first, and stands for it.
const UIDS: [(&str, Syntax); 7] = [
    ("1.2.840.10008.1.2.5", Syntax::Rle),
    ("1.2.840.10008.1.2.4.70", Syntax::JpegLossless),
    ("1.2.840.10008.1.2.4.57", Syntax::JpegLossless),
    ("1.2.840.10008.1.2.4.80", Syntax::JpegLs),
    ("1.2.840.10008.1.2.4.90", Syntax::Jpeg2000),
    ("1.2.840.10008.1.2.4.201", Syntax::Htj2k),
    ("1.2.840.10008.1.2.4.202", Syntax::Htj2k),
];

/// What a viewer decodes of frames that are carried as they came, with loss or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codestream {
    /// RLE Lossless (PS3.5 G).
    Rle,
    /// JPEG baseline, or lossless by process 14 (ISO/IEC 10918-1).
    Jpeg,
    /// JPEG 2000 (ISO/IEC 15444-1).
    Jpeg2000,
}

impl Codestream {
    /// Of a transfer syntax (PS3.6 A); `None` where no viewer decodes it: JPEG with 12 bits and loss, JPEG-LS, HTJ2K, video.
    pub fn of(uid: &Uid) -> Option<Self> {
        match uid.as_str().strip_prefix("1.2.840.10008.1.2.")? {
            "5" => Some(Self::Rle),
            "4.50" | "4.57" | "4.70" => Some(Self::Jpeg),
            "4.90" | "4.91" => Some(Self::Jpeg2000),
            _ => None,
        }
    }

    /// As a page passes it on to the module that decodes.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The codestream of such a number.
    pub fn of_number(number: u32) -> Option<Self> {
        [Self::Rle, Self::Jpeg, Self::Jpeg2000].into_iter().find(|codestream| codestream.number() == number)
    }
}

impl Syntax {
    /// The syntax of a UID; `None` where it is not decoded.
    pub fn of(uid: &Uid) -> Option<Self> {
        UIDS.iter().find(|(known, _)| *known == uid.as_str()).map(|(_, syntax)| *syntax)
    }

    /// A UID of the syntax.
    #[cfg(feature = "codecs")]
    pub(crate) fn uid(self) -> &'static str {
        UIDS.iter().find(|(_, syntax)| *syntax == self).map_or("", |(uid, _)| uid)
    }

    /// For a derivation description.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rle => "RLE lossless",
            Self::JpegLossless => "JPEG lossless",
            Self::JpegLs => "JPEG-LS lossless",
            Self::Jpeg2000 => "JPEG 2000 lossless",
            Self::Htj2k => "HTJ2K lossless",
        }
    }

    /// As one byte of a request.
    #[cfg(feature = "native")]
    pub(super) fn number(self) -> u8 {
        self as u8
    }

    /// The syntax of such a byte.
    #[cfg(feature = "codecs")]
    pub(super) fn of_number(number: u8) -> Option<Self> {
        UIDS.iter().map(|(_, syntax)| *syntax).find(|syntax| syntax.number() == number)
    }
}
