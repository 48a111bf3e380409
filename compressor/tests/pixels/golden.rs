//! Exact coded sizes: a change that makes a ratio worse fails here, and one that makes it better is written down.
//!
//! The table is `golden.tsv`: series, near, exact stored values, bytes of model and slabs. `SCANPOST_RECORD=1` prints a new one
//! and writes it in its place.

use crate::generated::{self, Recipe};
use crate::series::{Series, real};
use compressor::dataset::ImageLayout;
use compressor::pixels::Bound;
use std::collections::BTreeMap;

const TABLE: &str = include_str!("golden.tsv");

/// One line of the table.
#[derive(Clone, Debug)]
struct Row {
    series: String,
    bound: Bound,
    bytes: u64,
}

fn rows() -> Vec<Row> {
    TABLE.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

fn row(line: &str) -> Row {
    let [series, near, exact, bytes] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let exact = exact.split(',').filter_map(|value| value.parse().ok()).collect();
    Row {
        series: series.to_owned(),
        bound: Bound { near: near.parse().unwrap(), exact },
        bytes: bytes.parse().unwrap(),
    }
}

/// Small, and of each kind that the codec takes apart in another way.
fn generated() -> Vec<Series> {
    let base =
        Recipe { layout: ImageLayout::new(128, 120, 1, 16), instances: 12, noise: 9, contrast: 900, seed: 1 };
    let of = |name, recipe| generated::series(name, &recipe);
    vec![
        of("generated-16", base),
        of(
            "generated-signed",
            Recipe { layout: ImageLayout { signed: true, ..base.layout }, noise: 30, ..base },
        ),
        of(
            "generated-8",
            Recipe { layout: ImageLayout::new(131, 97, 1, 8), noise: 3, contrast: 200, ..base },
        ),
        of(
            "generated-rgb",
            Recipe { layout: ImageLayout::new(90, 70, 3, 8), noise: 2, contrast: 180, ..base },
        ),
        generated::screens("generated-palette", ImageLayout::new(200, 150, 1, 8)),
        generated::screens("generated-screen", ImageLayout::new(200, 150, 3, 8)),
        generated::screens(
            "generated-screen-planes",
            ImageLayout { planar: true, ..ImageLayout::new(200, 150, 3, 8) },
        ),
    ]
}

fn check(series: Vec<Series>) {
    let record = std::env::var_os("SCANPOST_RECORD").is_some();
    let known: BTreeMap<_, _> = series.iter().map(|series| (series.name.as_str(), series)).collect();
    let mut wrong = Vec::new();
    let mut table = TABLE.to_owned();
    for row in rows() {
        let Some(series) = known.get(row.series.as_str()) else { continue };
        let coded = series.round_trip(&row.bound);
        assert_eq!(coded.violations, 0, "{row:?}");
        println!("{}", line(&row, coded.bytes));
        if coded.bytes != row.bytes {
            let verdict = if coded.bytes > row.bytes { "WORSE" } else { "better" };
            wrong.push(format!(
                "{verdict}: {} near {}: {} bytes, {} before",
                row.series, row.bound.near, coded.bytes, row.bytes
            ));
            table = table.replace(&line(&row, row.bytes), &line(&row, coded.bytes));
        }
    }
    if record {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pixels/golden.tsv"), table).unwrap();
    } else {
        assert!(wrong.is_empty(), "{}\nSCANPOST_RECORD=1 writes them down", wrong.join("\n"));
    }
}

fn line(row: &Row, bytes: u64) -> String {
    let exact: Vec<_> = row.bound.exact.iter().map(u16::to_string).collect();
    let exact = if exact.is_empty() { "-".to_owned() } else { exact.join(",") };
    format!("{}\t{}\t{exact}\t{bytes}", row.series, row.bound.near)
}

// One test for both, since both may write the table.
#[test]
fn series_have_their_exact_sizes() {
    check(generated().into_iter().chain(real()).collect());
}

#[test]
fn every_generated_series_is_in_the_table() {
    for series in generated() {
        assert!(rows().iter().filter(|row| row.series == series.name).count() >= 3, "{}", series.name);
    }
}
