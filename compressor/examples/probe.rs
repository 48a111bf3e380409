use compressor::{dataset::*, pixels::*};
use std::{fs::File, io::*, time::*};
fn main() {
    for dir in std::env::args().skip(1) {
        let (mut raw_t, mut coded_t, mut px, mut te, mut td, mut z) = (0, 0, 0, 0.0, 0.0, 0);
        for f in std::fs::read_dir(&dir).unwrap() {
            let p = f.unwrap().path();
            let mut f = File::open(&p).unwrap();
            let n = f.metadata().unwrap().len();
            let Some(part) = locate(&mut f, n).unwrap() else { continue };
            f.seek(SeekFrom::Start(part.prefix_bytes)).unwrap();
            let Ok(o) = outline_here(
                &mut f,
                n - part.prefix_bytes,
                Encoding::of_transfer_syntax(&part.transfer_syntax),
            ) else {
                println!("{p:?} damaged");
                continue;
            };
            let (Some(l), Some(b)) = (o.image, o.bulk) else { continue };
            let all = std::fs::read(&p).unwrap();
            let mut bulk = &all
                [(part.prefix_bytes + b.range.start) as usize..(part.prefix_bytes + b.range.end) as usize];
            for len in slab_lengths(&l).unwrap() {
                let (raw, rest) = bulk.split_at(len);
                bulk = rest;
                let s = Slab::of(&l, len).unwrap();
                let t = Instant::now();
                let c = Med.encode(&s, raw);
                te += t.elapsed().as_secs_f64();
                let t = Instant::now();
                let d = Med.decode(&s, &c).unwrap();
                td += t.elapsed().as_secs_f64();
                assert!(d == raw);
                raw_t += len;
                coded_t += c.len();
                px += s.bytes() / s.sample_bytes;
                if encode_slab(&l, raw).unwrap()[0] == 1 {
                    z += 1
                }
            }
        }
        println!(
            "{dir} raw {raw_t} coded {coded_t} bpp {:.3} enc {:.1} MB/s dec {:.1} MB/s zstd wins {z}",
            coded_t as f64 * 8.0 / px as f64,
            raw_t as f64 / te / 1e6,
            raw_t as f64 / td / 1e6
        );
    }
}
