//! Sealing and opening hold one segment at a time, whatever the study's size. Alone in its process, because the peak is the process's.

#![cfg(all(feature = "native", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "native/delivery.rs"]
#[allow(dead_code)]
mod delivery;

use compressor::bundle::SegmentSource;
use delivery::{DELIVERY, Party, draft};
use seal::native::{OpenedPieces, Sealing, open_cover, seal_delivery};
use std::io;

const SEGMENTS: u32 = 48;
const SEGMENT_BYTES: u32 = 4 << 20;
const PEAK_BYTES_MAX: u64 = 48 << 20;

/// 192 MiB that are nowhere whole.
struct Made;

impl SegmentSource for Made {
    fn segment(&mut self, number: u32) -> io::Result<Vec<u8>> {
        Ok(vec![number as u8; SEGMENT_BYTES as usize])
    }
}

fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn memory_does_not_grow_with_the_study() {
    let (site, doctor) = (Party::new("site"), Party::new("doctor"));
    let folder = tempfile::TempDir::new().unwrap();
    let sealing =
        Sealing { site: &site.site(), recipients: &[doctor.certificate()], piece_bytes_max: 6 << 20 };
    let lengths = [SEGMENT_BYTES; SEGMENTS as usize];
    let sealed =
        seal_delivery(&lengths, &mut Made, draft(DELIVERY, sealing.recipients), &sealing, folder.path())
            .unwrap();
    let der = std::fs::read(folder.path().join("cover.p7m")).unwrap();
    let cover = open_cover(&der, &doctor.doctor(), &[site.certificate()]).unwrap();
    let pieces: Vec<_> = (1..=sealed.piece_bytes().len())
        .map(|number| folder.path().join(format!("piece-{number:05}")))
        .collect();
    let mut opened = OpenedPieces::open(&cover, &pieces).unwrap();
    for number in 0..SEGMENTS {
        assert!(opened.segment(number).unwrap().iter().all(|&byte| byte == number as u8));
    }
    assert!(peak_bytes() < PEAK_BYTES_MAX, "peak {} MiB", peak_bytes() >> 20);
}
