//! Opens a delivery as the reader does, and says what is in it: segments KEY.pem CERT.pem SITE.pem COVER PIECE... Prints one line for each
//! segment: its number and the SHA-256 of its plain bytes. Tests hold other openers against it.

use compressor::bundle::SegmentSource;
use seal::ids::Digest;
use seal::native::{Certificate, DoctorKey, OpenedPieces, open_cover};
use std::error::Error;
use std::fs;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [key, certificate, site, cover, pieces @ ..] = paths.as_slice() else {
        return Err("segments KEY.pem CERT.pem SITE.pem COVER PIECE...".into());
    };
    let doctor = DoctorKey::from_pem(&fs::read_to_string(key)?, &fs::read_to_string(certificate)?)?;
    let site = Certificate::from_pem(&fs::read_to_string(site)?)?;
    let cover = open_cover(&fs::read(cover)?, &doctor, &[site])?;
    let mut opened = OpenedPieces::open(&cover, pieces)?;
    for number in 0..opened.segments() {
        println!("{number} {}", Digest::of(&opened.segment(number)?));
    }
    Ok(())
}
