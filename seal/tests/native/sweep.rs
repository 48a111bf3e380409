//! Single changed bits all over a real delivery, and the forgeries of people who hold some of the keys: refused, and no plain byte given out.

use crate::delivery::{DELIVERY, Party, draft};
use crate::openssl::Openssl;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use compressor::Uid;
use compressor::bundle::{BundleFile, Options, SegmentSource, Source, pack};
use seal::ids::{DeliveryId, Digest};
use seal::native::{OpenedPieces, Refusal, SealError, Sealing, VerifiedCover, open_cover, seal_delivery};
use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Changes that the whole sweep must make at least.
const CHANGES_MIN: usize = 100_000;
/// The sample of every test run takes one bit of so many; a prime, so that it meets every bit of a byte.
const SAMPLE: usize = 37;
const PIECE_BYTES_MAX: usize = 5_000;
const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
const SIDE: u16 = 64;
/// Bytes before the first segment of a piece, before the first entry of an index, and of a tag (SPEC 2, 4).
const HEADER_BYTES: usize = 64;
const INDEX_HEAD_BYTES: usize = 5;
const TAG_BYTES: usize = 16;

/// A sealed study, as it lies in a mailbox, and who may open it.
struct Posted {
    site: Party,
    doctor: Party,
    folder: TempDir,
    pieces: Vec<PathBuf>,
    cover: Vec<u8>,
}

impl Posted {
    /// Two noisy CT images through the real packer.
    fn new() -> Self {
        let (site, doctor) = (Party::new("site"), Party::new("doctor"));
        let folder = TempDir::new().unwrap();
        let pieces = Self::seal(DELIVERY, &site, &doctor, folder.path());
        let cover = std::fs::read(folder.path().join("cover.p7m")).unwrap();
        Self { site, doctor, folder, pieces, cover }
    }

    fn seal(delivery: DeliveryId, site: &Party, doctor: &Party, folder: &Path) -> Vec<PathBuf> {
        let bundle = folder.join("bundle");
        let syntax = Uid::parse(EXPLICIT_LITTLE_ENDIAN).unwrap();
        let sources: Vec<_> = (1..=2).map(|number| Source::of_bytes(image(number), syntax.clone())).collect();
        let options = Options::lossless(1);
        pack(&sources, &mut File::create(&bundle).unwrap(), &options, &mut |_| ()).unwrap();
        let mut bundle = BundleFile::open(&bundle).unwrap();
        let lengths = bundle.segment_lengths().to_vec();
        let recipients = [doctor.certificate()];
        let sealing =
            Sealing { site: &site.site(), recipients: &recipients, piece_bytes_max: PIECE_BYTES_MAX };
        let sealed = seal_delivery(
            &lengths,
            &mut bundle,
            draft(delivery, &recipients),
            &sealing,
            &folder.join("sealed"),
        );
        let count = sealed.unwrap().piece_bytes().len();
        std::fs::copy(folder.join("sealed/cover.p7m"), folder.join("cover.p7m")).unwrap();
        (1..=count).map(|number| folder.join(format!("sealed/piece-{number:05}"))).collect()
    }

    fn open_cover(&self, der: &[u8]) -> Result<VerifiedCover, SealError> {
        open_cover(der, &self.doctor.doctor(), &[self.site.certificate()])
    }

    fn verified(&self) -> VerifiedCover {
        self.open_cover(&self.cover).unwrap()
    }
}

/// An explicit VR little endian data set with a patient in it.
fn image(number: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut element = |tag: [u16; 2], vr: &[u8; 2], value: &[u8]| {
        bytes.extend(tag[0].to_le_bytes());
        bytes.extend(tag[1].to_le_bytes());
        bytes.extend(vr);
        match vr {
            b"OW" => {
                bytes.extend([0, 0]);
                bytes.extend((value.len() as u32).to_le_bytes());
            }
            _ => bytes.extend((value.len() as u16).to_le_bytes()),
        }
        bytes.extend(value);
    };
    element([8, 0x16], b"UI", b"1.2.840.10008.5.1.4.1.1.2\0");
    element([8, 0x18], b"UI", format!("1.2.3.{:03}\0", 100 + number).as_bytes());
    element([8, 0x60], b"CS", b"CT");
    element([0x10, 0x10], b"PN", b"YAMADA^TARO ");
    element([0x20, 0x0D], b"UI", b"1.2.3.4\0");
    element([0x20, 0x0E], b"UI", b"1.2.3.5\0");
    element([0x28, 2], b"US", &1_u16.to_le_bytes());
    element([0x28, 4], b"CS", b"MONOCHROME2 ");
    for (tag, value) in [(0x10, SIDE), (0x11, SIDE), (0x100, 16), (0x101, 12), (0x102, 11), (0x103, 0)] {
        element([0x28, tag], b"US", &value.to_le_bytes());
    }
    // Noise, so that little can be compressed away.
    let mut state = u32::from(number);
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 18) as u16 & 0xFFF).to_le_bytes()
    };
    let pixels: Vec<u8> = (0..u32::from(SIDE) * u32::from(SIDE)).flat_map(|_| noise()).collect();
    element([0x7FE0, 0x10], b"OW", &pixels);
    bytes
}

/// What a sweep did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Swept {
    changes: usize,
    refused: usize,
    plain_bytes: usize,
}

impl Swept {
    /// Counts one change; the plain bytes are those that a reader would have been given.
    fn count(&mut self, outcome: Result<usize, SealError>) {
        self.changes += 1;
        match outcome {
            Err(SealError::Refused(_)) => self.refused += 1,
            Err(other) => panic!("not a refusal: {other}"),
            Ok(plain) => self.plain_bytes += plain,
        }
    }
}

/// Changes one bit of every `step` of cover, pieces, and segments behind the check of their piece.
fn sweep(posted: &Posted, step: usize) -> [Swept; 3] {
    [sweep_cover(posted, step), sweep_pieces(posted, step), sweep_segments(posted, step)]
}

fn sweep_cover(posted: &Posted, step: usize) -> Swept {
    let (doctor, sites) = (posted.doctor.doctor(), [posted.site.certificate()]);
    let mut swept = Swept::default();
    for bit in (0..posted.cover.len() * 8).step_by(step) {
        let mut changed = posted.cover.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        // The content of a cover is what it gives out, the content key before all.
        let opened = open_cover(&changed, &doctor, &sites);
        swept.count(opened.map(|opened| serde_json::to_vec(&opened.cover).unwrap().len()));
    }
    swept
}

fn sweep_pieces(posted: &Posted, step: usize) -> Swept {
    let cover = posted.verified();
    let mut swept = Swept::default();
    for path in &posted.pieces {
        with_each_bit_changed(path, 0..bytes_of(path), step, &mut || {
            swept.count(OpenedPieces::open(&cover, &posted.pieces).map(|mut opened| read_all(&mut opened)));
        });
    }
    swept
}

/// Whoever can change the files after they were checked (a reader's disk) is held by the segments' own digests and tags.
fn sweep_segments(posted: &Posted, step: usize) -> Swept {
    let cover = posted.verified();
    let mut opened = OpenedPieces::open(&cover, &posted.pieces).unwrap();
    let lengths: Vec<usize> =
        (0..opened.segments()).map(|number| opened.segment(number).unwrap().len() + TAG_BYTES).collect();
    let mut swept = Swept::default();
    let (mut piece, mut start) = (0, HEADER_BYTES + 4 + INDEX_HEAD_BYTES + 44 * lengths.len() + TAG_BYTES);
    for (number, length) in (0..).zip(lengths) {
        if start == bytes_of(&posted.pieces[piece]) {
            (piece, start) = (piece + 1, HEADER_BYTES);
        }
        with_each_bit_changed(&posted.pieces[piece], start..start + length, step, &mut || {
            let outcome = opened.segment(number).map(|plain| plain.len());
            swept.count(outcome.map_err(|error| match error.downcast::<SealError>() {
                Ok(refused) => refused,
                Err(other) => panic!("not a refusal: {other}"),
            }));
        });
        start += length;
    }
    assert_eq!(
        (piece + 1, start),
        (posted.pieces.len(), bytes_of(&posted.pieces[piece])),
        "every segment was changed"
    );
    swept
}

fn bytes_of(path: &Path) -> usize {
    std::fs::metadata(path).unwrap().len() as usize
}

fn read_all(opened: &mut OpenedPieces) -> usize {
    (0..opened.segments()).filter_map(|number| opened.segment(number).ok()).map(|plain| plain.len()).sum()
}

/// Changes one bit of every `step` within these bytes after the other, and puts it back.
fn with_each_bit_changed(path: &Path, range: Range<usize>, step: usize, look: &mut dyn FnMut()) {
    let bytes = std::fs::read(path).unwrap();
    let file = OpenOptions::new().write(true).open(path).unwrap();
    for bit in (range.start * 8..range.end * 8).step_by(step) {
        let (at, byte) = (bit / 8, bytes[bit / 8]);
        file.write_all_at(&[byte ^ 1 << (bit % 8)], at as u64).unwrap();
        look();
        file.write_all_at(&[byte], at as u64).unwrap();
    }
}

fn check(step: usize, changes_min: usize) {
    let posted = Posted::new();
    let swept = sweep(&posted, step);
    for (what, swept) in ["cover", "pieces", "segments"].iter().zip(&swept) {
        println!(
            "{what}: {} single-bit changes, {} refused, {} plain bytes given out",
            swept.changes, swept.refused, swept.plain_bytes
        );
        assert!(swept.changes > 0);
        assert_eq!((swept.refused, swept.plain_bytes), (swept.changes, 0), "{what}");
    }
    let changes: usize = swept.iter().map(|swept| swept.changes).sum();
    println!("together {changes}");
    assert!(changes >= changes_min, "{changes}");
    // What was put back opens: the refusals were those of the changes.
    let mut opened = OpenedPieces::open(&posted.verified(), &posted.pieces).unwrap();
    assert!(read_all(&mut opened) > 8_000);
}

#[test]
fn a_sample_of_changed_bits_is_refused() {
    check(SAMPLE, CHANGES_MIN / SAMPLE);
}

#[test]
#[ignore = "the whole sweep; tests/run --long"]
fn a_hundred_thousand_changed_bits_are_refused() {
    check(1, CHANGES_MIN);
}

/// Each forgery is told apart by its words.
#[test]
fn forgeries_are_refused_each_in_its_own_words() {
    let posted = Posted::new();
    let cover = posted.verified();
    let words = [
        ("swapped pieces", swapped(&posted, &cover)),
        ("a piece of an earlier delivery", replayed(&posted, &cover)),
        ("another site's signature", another_site(&posted)),
        ("another's signature in the name of the site", in_the_name_of_the_site(&posted)),
        ("another doctor's key", another_doctor(&posted)),
        ("forged with the content key", forged_with_content_key(&posted, &cover)),
        ("a cover signed by a doctor of the group", signed_by_a_member(&posted)),
        ("forwarded to somebody else", forwarded(&posted)),
        ("signed by nobody", unsigned(&posted)),
        ("encrypted without authentication", unauthenticated(&posted)),
    ]
    .map(|(what, refusal)| (what, refusal.to_string()));
    for (what, words) in &words {
        println!("{what}: {words}");
    }
    assert_eq!(
        words.map(|(_, words)| words),
        [
            "piece 3 came in the place of piece 2",
            "piece 2 belongs to another delivery",
            "the cover is not signed by a site that this reader knows",
            "the cover bears the name of a signer who is known here, and not their signature",
            "the cover is not addressed to this recipient",
            "piece 3 is not the one that the site signed: it was changed or damaged on the way, or made by somebody who has \
             the content key",
            // A doctor is no more a site than any stranger.
            "the cover is not signed by a site that this reader knows",
            "the site did not seal this cover for this recipient: somebody else passed it on",
            "the cover is not signed",
            "the cover is encrypted without authentication and is refused",
        ]
    );
}

fn refusal<T>(result: Result<T, SealError>) -> Refusal {
    match result {
        Err(SealError::Refused(refusal)) => refusal,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted"),
    }
}

fn swapped(posted: &Posted, cover: &VerifiedCover) -> Refusal {
    let mut pieces = posted.pieces.clone();
    pieces.swap(1, 2);
    refusal(OpenedPieces::open(cover, &pieces))
}

fn replayed(posted: &Posted, cover: &VerifiedCover) -> Refusal {
    let earlier = TempDir::new().unwrap();
    let replayed = Posted::seal(DeliveryId([0x0D; 16]), &posted.site, &posted.doctor, earlier.path());
    let mut pieces = posted.pieces.clone();
    pieces[1].clone_from(&replayed[1]);
    refusal(OpenedPieces::open(cover, &pieces))
}

fn another_site(posted: &Posted) -> Refusal {
    let folder = TempDir::new().unwrap();
    Posted::seal(DELIVERY, &Party::new("another site"), &posted.doctor, folder.path());
    refusal(posted.open_cover(&std::fs::read(folder.path().join("cover.p7m")).unwrap()))
}

/// Its certificate has the issuer and serial number of the site's own.
fn in_the_name_of_the_site(posted: &Posted) -> Refusal {
    let folder = TempDir::new().unwrap();
    Posted::seal(DELIVERY, &Party::new("site"), &posted.doctor, folder.path());
    refusal(posted.open_cover(&std::fs::read(folder.path().join("cover.p7m")).unwrap()))
}

fn unsigned(posted: &Posted) -> Refusal {
    let json = serde_json::to_vec(&posted.verified().cover).unwrap();
    refusal(posted.open_cover(&Openssl::new().unsigned(&json, &posted.doctor)))
}

fn unauthenticated(posted: &Posted) -> Refusal {
    let json = serde_json::to_vec(&posted.verified().cover).unwrap();
    refusal(posted.open_cover(&Openssl::new().cbc(&json, &posted.site, &posted.doctor)))
}

fn another_doctor(posted: &Posted) -> Refusal {
    refusal(open_cover(&posted.cover, &Party::new("another").doctor(), &[posted.site.certificate()]))
}

/// A member of the group holds the content key and puts an image of their own into the mailbox, under the true header.
fn forged_with_content_key(posted: &Posted, cover: &VerifiedCover) -> Refusal {
    let genuine = std::fs::read(&posted.pieces[2]).unwrap();
    let content_key = cover.cover.content_key.key().unwrap();
    let extracted = sign(&Key::new(HMAC_SHA256, &genuine[32..64]), &*content_key);
    let info = [b"scanpost piece\x01".as_slice(), &DELIVERY.0, &3_u32.to_be_bytes(), &[1]].concat();
    let key = sign(&Key::new(HMAC_SHA256, extracted.as_ref()), &info);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).unwrap());
    let mut forged = vec![0; genuine.len() - 64 - 16];
    let bound = Aad::from([&genuine[..32], &[0, 0, 0, 9]].concat());
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), bound, &mut forged).unwrap();
    let path = posted.folder.path().join("forged");
    std::fs::write(&path, [&genuine[..64], &forged].concat()).unwrap();
    let mut pieces = posted.pieces.clone();
    pieces[2] = path;
    refusal(OpenedPieces::open(cover, &pieces))
}

/// The same member writes a whole cover for a colleague, whose certificate is public, and signs it with the own key.
fn signed_by_a_member(posted: &Posted) -> Refusal {
    let member = Party::new("member");
    let mut cover = posted.verified().cover;
    cover.index = Digest([9; 32]);
    let json = serde_json::to_vec(&cover).unwrap();
    refusal(posted.open_cover(&Openssl::new().cover(&json, &member, &posted.doctor)))
}

/// The site's own signed statement, taken out by its reader and sealed anew for somebody else.
fn forwarded(posted: &Posted) -> Refusal {
    let other = Party::new("other");
    let forwarded = Openssl::new().forward(&posted.cover, &posted.doctor, &other);
    refusal(open_cover(&forwarded, &other.doctor(), &[posted.site.certificate()]))
}
