//! The decoding process and what foreign bytes may do to it: the program is `scanpost-pack` as it is built, or a worse one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use compressor::Uid;
use compressor::bundle::{Near, Options, PackError, Source, pack};
use compressor::dataset::{Encoding, ImageLayout, outline};
use compressor::encapsulated::{FrameDecoder, NotDecoded, Syntax, index};
use std::io::{Cursor, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn decoder() -> FrameDecoder {
    FrameDecoder::of(PathBuf::from(env!("CARGO_BIN_EXE_scanpost-pack")))
}

/// Layout, syntax and codestream of a file of one frame.
struct Foreign {
    layout: ImageLayout,
    syntax: Syntax,
    codestream: Vec<u8>,
}

fn read(path: &Path) -> (ImageLayout, Uid, Vec<u8>) {
    let file = std::fs::read(path).unwrap();
    let part = compressor::dataset::locate(&mut Cursor::new(&file), file.len() as u64).unwrap().unwrap();
    let data = &file[part.prefix_bytes as usize..];
    let encoding = Encoding::of_transfer_syntax(&part.transfer_syntax);
    let found = outline(&mut Cursor::new(data), data.len() as u64, encoding).unwrap();
    let range = found.bulk.unwrap().range;
    (found.image.unwrap(), part.transfer_syntax, data[range.start as usize..range.end as usize].to_vec())
}

fn foreign(path: &Path) -> Foreign {
    let (layout, uid, value) = read(path);
    let mut source = Cursor::new(&value);
    source.seek(SeekFrom::Start(0)).unwrap();
    let frames = index(&mut source, value.len() as u64, 1).unwrap().unwrap();
    let bytes = |range: &std::ops::Range<u64>| value[range.start as usize..range.end as usize].to_vec();
    let codestream = frames.fragments(0).iter().flat_map(bytes).collect();
    Foreign { layout, syntax: Syntax::of(&uid).unwrap(), codestream }
}

/// pydicom's small MR image, native, and the same by other people's encoders.
fn images() -> Option<(Vec<u8>, Vec<Foreign>)> {
    let Some(folder) = std::env::var_os("SCANPOST_ODD_FILES").map(PathBuf::from) else {
        println!("NOT RUN on foreign codestreams: set SCANPOST_ODD_FILES, e.g. to pydicom/data/test_files");
        return None;
    };
    let names = ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"];
    let (layout, _, native) = read(&folder.join("MR_small.dcm"));
    assert_eq!(native.len(), usize::from(layout.rows) * usize::from(layout.columns) * 2);
    Some((native, names.map(|name| foreign(&folder.join(name))).into()))
}

#[test]
fn foreign_frames_are_what_they_were() {
    let Some((native, images)) = images() else { return };
    for Foreign { layout, syntax, codestream } in images {
        assert!(decoder().decode(syntax, &layout, &codestream) == Ok(native.clone()), "{syntax:?}");
        let other = ImageLayout { columns: layout.columns / 2, rows: layout.rows * 2, ..layout };
        let expected = if syntax == Syntax::Rle { None } else { Some(NotDecoded::Shape) };
        let refused = decoder().decode(syntax, &other, &codestream).err();
        assert!(refused == expected, "{syntax:?} of another shape: {refused:?}");
        let eight = ImageLayout { bits_allocated: 8, bits_stored: 8, ..layout };
        assert_eq!(decoder().decode(syntax, &eight, &codestream), Err(NotDecoded::Shape), "{syntax:?}");
    }
}

/// Whatever the bytes, the answer is a frame of the right length or a reason, in time.
#[test]
fn hostile_codestreams_end_with_a_reason() {
    let Some((_, images)) = images() else { return };
    let mut state = 7_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let (mut refused, mut tried) = (0, 0);
    for Foreign { layout, syntax, codestream } in &images {
        let mut hostile = vec![Vec::new(), vec![0xFF; 5000], codestream[..codestream.len() / 2].to_vec()];
        for _ in 0..20 {
            let mut bytes = codestream.clone();
            for _ in 0..1 + random() % 8 {
                let place = random() % bytes.len();
                bytes[place] = random() as u8;
            }
            hostile.push(bytes);
        }
        for bytes in hostile {
            let began = Instant::now();
            let decoded = decoder().decode(*syntax, layout, &bytes);
            assert!(began.elapsed() < Duration::from_secs(8), "{syntax:?}");
            tried += 1;
            match decoded {
                Ok(frame) => assert_eq!(frame.len(), 64 * 64 * 2),
                Err(reason) => {
                    assert_ne!(reason, NotDecoded::Start);
                    refused += 1;
                }
            }
        }
    }
    println!("{refused} of {tried} hostile codestreams were refused, the others gave a frame");
    assert!(refused >= 9);
}

/// JPEG 2000 of 8,000 × 4,000 in tiles of one pixel: 32 million of them, for which OpenJPEG wants far more than the limit.
#[test]
fn a_bomb_does_not_get_its_memory() {
    let segment = |marker: u8, content: &[u8]| {
        [&[0xFF, marker][..], &(content.len() as u16 + 2).to_be_bytes(), content].concat()
    };
    let numbers: Vec<u8> = [8000, 4000, 0, 0, 1, 1, 0, 0].into_iter().flat_map(u32::to_be_bytes).collect();
    let size = segment(0x51, &[&[0, 0][..], &numbers, &[0, 1, 15, 1, 1]].concat());
    let coding = segment(0x52, &[0, 0, 0, 1, 0, 5, 4, 4, 0, 1]);
    let quantization = segment(0x5C, &[0x40, 0x80]);
    let part = segment(0x90, &[0, 0, 0, 0, 0, 0, 0, 1]);
    let bomb = [&[0xFF, 0x4F][..], &size, &coding, &quantization, &part, &[0xFF, 0x93]].concat();
    let layout = ImageLayout::new(8000, 4000, 1, 16);
    let before = resident();
    let began = Instant::now();
    let refused = decoder().decode(Syntax::Jpeg2000, &layout, &bomb).unwrap_err();
    assert!(matches!(refused, NotDecoded::Damaged | NotDecoded::Failed), "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(60));
    // The answer it waits for has 64 MB.
    assert!(resident() < before + (96 << 20), "{} of memory more", resident() - before);
    // A frame of the largest shape there is must not even be tried.
    let largest = ImageLayout::new(65_535, 65_535, 1, 16);
    assert_eq!(decoder().decode(Syntax::Jpeg2000, &largest, &bomb), Err(NotDecoded::TooLarge));
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// A program that does this in place of decoding.
fn program(folder: &Path, script: &str) -> FrameDecoder {
    let path = folder.join("decoder");
    let mut file = std::fs::File::create(&path).unwrap();
    writeln!(file, "#!/bin/sh\n{script}").unwrap();
    file.set_permissions(PermissionsExt::from_mode(0o755)).unwrap();
    drop(file);
    FrameDecoder::of(path).with_time_max(Duration::from_millis(700))
}

#[test]
fn whatever_a_process_does_the_parent_gets_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let layout = ImageLayout::new(16, 16, 1, 16);
    // More than a pipe holds: a process that does not read must not hold its parent.
    let codestream = vec![1; 1 << 20];
    for (script, expected) in [
        ("exec /bin/sleep 100", NotDecoded::Time),
        ("exec <&- >&-; exec /bin/sleep 100", NotDecoded::Failed),
        ("exit 0", NotDecoded::Failed),
        ("kill -SEGV $$", NotDecoded::Failed),
        ("exec /usr/bin/head -c 400 /dev/zero", NotDecoded::Failed),
        ("exec /bin/cat /dev/zero", NotDecoded::Failed),
        ("printf '\\003'", NotDecoded::Lossy),
        ("printf '\\077'", NotDecoded::Failed),
    ] {
        let began = Instant::now();
        let refused = program(folder.path(), script).decode(Syntax::JpegLs, &layout, &codestream);
        assert_eq!(refused, Err(expected), "{script}");
        assert!(began.elapsed() < Duration::from_secs(5), "{script}");
    }
    let zeros = program(folder.path(), "exec /usr/bin/head -c 513 /dev/zero");
    assert_eq!(zeros.decode(Syntax::JpegLs, &layout, &codestream), Ok(vec![0; 512]));
    let nowhere = FrameDecoder::of(folder.path().join("nothing"));
    assert_eq!(nowhere.decode(Syntax::JpegLs, &layout, &codestream), Err(NotDecoded::Start));
}

/// A package that is being upgraded must not make every compressed study pass as it came.
#[test]
fn a_decoder_that_cannot_be_started_is_an_error_and_no_reason() {
    let Some(folder) = std::env::var_os("SCANPOST_ODD_FILES").map(PathBuf::from) else {
        println!("NOT RUN on foreign codestreams: set SCANPOST_ODD_FILES, e.g. to pydicom/data/test_files");
        return;
    };
    let file = std::fs::read(folder.join("MR_small_jpeg_ls_lossless.dcm")).unwrap();
    let part = compressor::dataset::locate(&mut Cursor::new(&file), file.len() as u64).unwrap().unwrap();
    let data = file[part.prefix_bytes as usize..].to_vec();
    let packed = |decoder| {
        let options = Options {
            threads: 1,
            near: Near::Fixed(1),
            residual: false,
            decoder: Some(decoder),
            ..Options::lossless(1)
        };
        let source = Source::of_bytes(data.clone(), part.transfer_syntax.clone());
        pack(&[source], &mut Vec::new(), &options, &mut |_| ())
    };
    let refused = packed(FrameDecoder::of("/nowhere/scanpost-gateway".into()));
    assert!(matches!(refused, Err(PackError::Decoder(NotDecoded::Start))));
    let (manifest, _) = packed(decoder()).unwrap();
    assert!(manifest.series[0].near == 1 && manifest.series[0].passed().next().is_none());
}
