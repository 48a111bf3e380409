//! The figures as an SVG picture (SVG 1.1): a bar to the middle value, a line to the 95th percentile, a dot for each value.

use super::report::{Measure, Report};
use std::fmt::Write;

/// Pixels of a row, of the left column with names, of the longest bar, of the right column with numbers.
const ROW: f64 = 26.0;
const NAMES: f64 = 250.0;
const BARS: f64 = 460.0;
const NUMBERS: f64 = 170.0;
/// Pixels above the first row, and below the last.
const HEAD: f64 = 56.0;
const FOOT: f64 = 14.0;
/// Dots of one row: more would hide each other.
const DOTS_MAX: usize = 200;

/// The whole picture.
pub(super) fn svg(report: &Report) -> String {
    #[expect(clippy::cast_precision_loss, reason = "some ten rows")]
    let height = HEAD + ROW * report.measures.len() as f64 + FOOT;
    let width = NAMES + BARS + NUMBERS;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let machine = &report.machine;
    text(&mut out, 10.0, 20.0, "15", &format!("{}, {} rounds", report.study, report.rounds));
    let place = format!("{}, {} threads, load {}", machine.processor, machine.threads, machine.load);
    text(
        &mut out,
        10.0,
        40.0,
        "11",
        &format!("scanpost-gateway {} on {place}; bar: p50, line: p95, dots: each", report.version),
    );
    let mut y = HEAD;
    for measure in &report.measures {
        row(&mut out, measure, y, scale(report, measure.unit));
        y += ROW;
    }
    out.push_str("</svg>\n");
    out
}

/// The largest value of this unit: its bars can be compared.
fn scale(report: &Report, unit: &str) -> f64 {
    let of_unit = report.measures.iter().filter(|measure| measure.unit == unit);
    of_unit.flat_map(|measure| &measure.values).copied().fold(f64::MIN_POSITIVE, f64::max)
}

fn row(out: &mut String, measure: &Measure, y: f64, largest: f64) {
    let x = |value: f64| NAMES + BARS * (value / largest).clamp(0.0, 1.0);
    let (p50, p95, middle) = (x(measure.p50), x(measure.p95), y + ROW / 2.0);
    text(out, 10.0, middle + 4.0, "13", measure.name);
    let _ = writeln!(
        out,
        "<rect x=\"{NAMES}\" y=\"{:.1}\" width=\"{:.1}\" height=\"14\" fill=\"#7aa6c2\"/>",
        middle - 7.0,
        p50 - NAMES
    );
    let _ = writeln!(
        out,
        "<path d=\"M{p95:.1} {:.1}V{:.1}\" stroke=\"#1c3d52\" stroke-width=\"2\"/>",
        middle - 9.0,
        middle + 9.0
    );
    for value in measure.values.iter().take(DOTS_MAX) {
        let _ = writeln!(
            out,
            "<circle cx=\"{:.1}\" cy=\"{middle:.1}\" r=\"2\" fill=\"#1c3d52\" fill-opacity=\"0.5\"/>",
            x(*value)
        );
    }
    let numbers = format!("{:.2} / {:.2} {}", measure.p50, measure.p95, measure.unit);
    text(out, NAMES + BARS + 10.0, middle + 4.0, "13", &numbers);
}

/// Escaped as XML wants it (XML 1.0 2.4): a processor's name is not ours.
fn text(out: &mut String, x: f64, y: f64, size: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(out, "<text x=\"{x}\" y=\"{y:.1}\" font-size=\"{size}\">{words}</text>");
}
