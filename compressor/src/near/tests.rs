#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use crate::Uid;
use crate::bundle::{Near, Sigma};
use crate::dataset::{ImageLayout, Meaning, Outline};
use crate::phi::Phi;
use crate::pixels::{Bound, Slab};
use proptest::prelude::*;

const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const MR: &str = "1.2.840.10008.5.1.4.1.1.4";
const CT: &str = "1.2.840.10008.5.1.4.1.1.2";

fn layout(rows: u16, columns: u16) -> ImageLayout {
    ImageLayout { signed: true, ..ImageLayout::new(columns, rows, 1, 16) }
}

fn outline(class: &str, modality: &str, told: &str) -> Outline {
    let meaning = Meaning {
        image_type: Some("ORIGINAL\\PRIMARY\\AXIAL".to_owned()),
        told: Phi::new(told.to_owned()),
        photometric: Some("MONOCHROME2".to_owned()),
        high_bit: Some(15),
        slope: Some(1.0),
        ..Meaning::default()
    };
    Outline {
        sop_class: Some(Uid::parse(class).unwrap()),
        modality: Some(modality.to_owned()),
        image: Some(layout(256, 256)),
        meaning,
        ..Outline::default()
    }
}

fn traits(outline: &Outline) -> Traits {
    Traits::of(outline, &Uid::parse(EXPLICIT).unwrap(), true)
}

/// Numbers of a 64-bit linear congruential generator (Knuth's constants), about normal with this deviation.
fn noise(count: usize, sigma: f64) -> Vec<i16> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as f64 / f64::from(u32::MAX)
    };
    // The sum of 12 has variance 1.
    (0..count).map(|_| (((0..12).map(|_| next()).sum::<f64>() - 6.0) * sigma).round() as i16).collect()
}

fn bytes(values: &[i16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A bright half on a dark one, with noise; `ground` fills the first rows.
fn phantom(sigma: f64, dark: i16, bright: i16, ground: Option<i16>) -> Vec<i16> {
    let level = |place: usize| if place % 256 < 128 { dark } else { bright };
    let mut values: Vec<_> =
        noise(256 * 256, sigma).into_iter().enumerate().map(|(place, n)| level(place) + n).collect();
    if let Some(ground) = ground {
        values[..40 * 256].fill(ground);
    }
    values
}

fn decided(near: &Near, outline: &Outline, image: &[i16]) -> Decision {
    let slab = Slab::of(&layout(256, 256), 256 * 256 * 2).unwrap();
    decide(near, &traits(outline), |survey| {
        survey.add(&slab, &bytes(image));
        Ok(())
    })
    .unwrap()
}

fn auto() -> Near {
    Near::Auto(Policy::default())
}

#[test]
fn both_estimators_find_white_noise() {
    for sigma in [2.0, 9.0, 40.0] {
        let Sigma { fine, blocks } =
            decided(&auto(), &outline(MR, "MR", ""), &phantom(sigma, 400, 1500, None)).sigma.unwrap();
        assert!((fine / sigma - 1.0).abs() < 0.04, "{sigma}: {fine}");
        // A 20th percentile of deviations of 61 degrees of freedom lies 8 % low.
        assert!((blocks / sigma / 0.923 - 1.0).abs() < 0.04, "{sigma}: {blocks}");
    }
}

#[test]
fn rules_give_the_bound_that_they_say() {
    let noisy = phantom(20.0, -800, 40, None);
    let magnitudes = phantom(20.0, 200, 900, None);
    let quiet = phantom(0.7, -800, 40, None);
    let cases = [
        // 0.25 of s20 = 18.4.
        (MR, "MR", "BRAIN", &magnitudes, 4, "by its noise"),
        (CT, "CT", "HEAD", &noisy, 3, "by the cap of its rule"),
        (CT, "CT", "BRAIN TRAUMA", &quiet, 3, "by the cap of its rule"),
        (CT, "CT", "", &noisy, 3, "by the cap of its rule"),
        (CT, "CT", "CHEST HEAD", &noisy, 3, "by the cap of its rule"),
        // 0.75 of the lower estimate = 13.8.
        (CT, "CT", "CHEST", &noisy, 13, "by its noise"),
        (CT, "CT", "CHEST", &quiet, 0, "bound below one stored value"),
        ("1.2.840.10008.5.1.4.1.1.1", "CR", "CHEST", &noisy, 4, "by its noise"),
        ("1.2.840.10008.5.1.4.1.1.1.2", "MG", "BREAST", &noisy, 0, "rule without loss"),
        ("1.2.840.10008.5.1.4.1.1.6.1", "US", "", &noisy, 0, "rule without loss"),
        ("1.2.840.10008.5.1.4.1.1.20", "NM", "", &noisy, 0, "rule without loss"),
        ("1.2.840.10008.5.1.4.1.1.128", "PT", "", &noisy, 0, "rule without loss"),
        ("1.2.840.10008.5.1.4.1.1.66.4", "SEG", "", &noisy, 0, "no rule for this kind of object"),
        ("1.2.840.10008.5.1.4.1.1.481.2", "RTDOSE", "", &noisy, 0, "no rule for this kind of object"),
        ("1.2.840.10008.5.1.4.1.1.7", "CT", "HEAD", &noisy, 0, "no rule for this kind of object"),
        // The modality of a CT under the SOP class of an MR.
        (MR, "CT", "", &noisy, 0, "no rule for this kind of object"),
        (MR, "MR", "BRAIN", &noisy, 0, "values below zero"),
    ];
    for (class, modality, told, image, near, reason) in cases {
        let decision = decided(&auto(), &outline(class, modality, told), image);
        let found = (decision.bound.near, decision.reason.unwrap().to_string());
        assert_eq!(found, (near, reason.to_owned()), "{modality} {told}");
    }
}

#[test]
fn hounsfield_bounds_are_divided_by_the_slope() {
    let image = phantom(20.0, -800, 40, None);
    for (slope, near, block) in [(0.5, 6, 0.6), (1.0, 3, 0.3), (-2.0, 1, 0.15)] {
        let mut outline = outline(CT, "CT", "HEAD");
        outline.meaning.slope = Some(slope);
        let decision = decided(&auto(), &outline, &image);
        assert_eq!((decision.bound.near, decision.block_max), (near, Some(block)));
    }
    let mut outline = outline(CT, "CT", "HEAD");
    outline.meaning.slope = None;
    assert_eq!(decided(&auto(), &outline, &image).reason, Some(Reason::NoSlope));
}

#[test]
fn what_must_not_be_touched_is_not_whatever_is_asked() {
    type Change = fn(&mut Outline);
    let changes: [(Change, Reason); 12] = [
        (|o| o.meaning.lossy = true, Reason::AlreadyLossy),
        (|o| o.image = None, Reason::NotCoded),
        (|o| o.meaning.photometric = Some("PALETTE COLOR".into()), Reason::Colour),
        (|o| o.meaning.photometric = None, Reason::Colour),
        (|o| o.image.as_mut().unwrap().samples_per_pixel = 3, Reason::Colour),
        (|o| o.image.as_mut().unwrap().bits_stored = 1, Reason::FewBits),
        (|o| o.meaning.high_bit = Some(13), Reason::HighBit),
        (|o| o.meaning.image_type = Some("DERIVED\\PRIMARY\\DIFFUSION\\ADC\\ND".into()), Reason::ImageType),
        (|o| o.meaning.image_type = Some("ORIGINAL\\PRIMARY\\P\\ND".into()), Reason::ImageType),
        (|o| o.meaning.image_type = None, Reason::NoImageType),
        (|o| o.meaning.modality_lut = true, Reason::ModalityLut),
        (|o| (o.meaning.padding, o.meaning.padding_limit) = (Some(0), Some(100)), Reason::Padding),
    ];
    let image = phantom(20.0, 200, 900, None);
    for (change, reason) in changes {
        let mut touched = outline(MR, "MR", "BRAIN");
        change(&mut touched);
        for near in [auto(), Near::Fixed(9)] {
            let decision = decided(&near, &touched, &image);
            assert_eq!((decision.bound, decision.reason), (Bound::LOSSLESS, Some(reason)));
        }
    }
    let whole = outline(MR, "MR", "BRAIN");
    assert_eq!(decided(&Near::Fixed(9), &whole, &image).bound.near, 9);
    assert_eq!(decided(&Near::Fixed(0), &whole, &image).reason, None);
    let jpeg = Traits::of(&whole, &Uid::parse("1.2.840.10008.1.2.4.50").unwrap(), true);
    assert_eq!(jpeg.refusal, Some(Reason::AlreadyLossy));
}

#[test]
fn one_instance_refuses_for_its_series_and_the_steepest_slope_counts() {
    let mut series = traits(&outline(CT, "CT", "HEAD"));
    let mut other = outline(CT, "CT", "HEAD");
    other.meaning.slope = Some(-3.0);
    series.merge(traits(&other));
    assert_eq!((series.slope, series.refusal), (Some(3.0), None));
    other.meaning.lossy = true;
    series.merge(traits(&other));
    assert_eq!(series.refusal, Some(Reason::AlreadyLossy));
}

#[test]
fn padding_and_grounds_are_exact_and_scattered_values_are_not() {
    let image = phantom(20.0, -800, 40, Some(-1024));
    let mut padded = outline(CT, "CT", "CHEST");
    (padded.meaning.padding, padded.meaning.padding_limit) = (Some(-2000_i16 as u16), Some(-1999_i16 as u16));
    let exact = decided(&auto(), &padded, &image).bound.exact;
    assert_eq!(exact, [-2000_i16, -1999, -1024].map(|value| value as u16));
    let scattered = phantom(20.0, 0, 900, None).into_iter().map(|value| value.max(0)).collect::<Vec<_>>();
    assert!(decided(&auto(), &outline(MR, "MR", ""), &scattered).bound.exact.is_empty());
}

#[test]
fn words_tell_the_part() {
    let policy = Policy::default();
    for (told, part) in [
        ("CT ABDOMEN", Part::Body),
        ("Thorax nativ", Part::Body),
        ("胸部CT", Part::Body),
        ("頭部CT", Part::Head),
        ("NCCT Schädel, Abdomen", Part::Head),
        ("handover", Part::Head),
        ("", Part::Head),
    ] {
        assert_eq!(anatomy::part(&policy, &told.to_lowercase()), part, "{told}");
    }
}

#[test]
fn policy_is_read_from_toml_and_a_bad_one_refused() {
    let policy: Policy = toml::from_str(&toml::to_string(&Policy::default()).unwrap()).unwrap();
    assert_eq!(policy, Policy::default());
    assert_eq!(policy.check(), Ok(()));
    let read = |text: &str| toml::from_str::<Policy>(text);
    assert!(read("[[rules]]\nmodality = \"MR\"\nsigmas = 1").is_err());
    assert!(read("[[rules]]\nmodality = \"MR\"\nsigma = 0.5").unwrap().check().is_err());
    assert!(read("[[rules]]\nmodality = \"CT\"\nunits = -1.0").unwrap().check().is_err());
    assert!(read("[[rules]]\nmodality = \"CT\"\nunits = 1.0").unwrap().check().is_ok());
}

/// The same sums, without cleverness.
fn plain(rows: usize, columns: usize, errors: &[i32]) -> (u32, f64, f64) {
    let largest = errors.iter().map(|e| e.unsigned_abs()).max().unwrap();
    let rmse = (errors.iter().map(|e| f64::from(*e).powi(2)).sum::<f64>() / errors.len() as f64).sqrt();
    let mut block: f64 = 0.0;
    for frame in errors.chunks(rows * columns) {
        for top in (0..rows).step_by(32) {
            for left in (0..columns).step_by(32) {
                let (bottom, right) = (rows.min(top + 32), columns.min(left + 32));
                let sum: i32 =
                    (top..bottom).flat_map(|r| (left..right).map(move |c| frame[r * columns + c])).sum();
                block = block.max(f64::from(sum).abs() / ((bottom - top) * (right - left)) as f64);
            }
        }
    }
    (largest, rmse, block)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn statistics_are_those_of_a_plain_recomputation(rows in 1..80_u16, columns in 1..80_u16, frames in 1..3_usize, seed: u64) {
        let count = usize::from(rows) * usize::from(columns) * frames;
        let mut state = seed;
        let mut next = |range: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % range) as i16
        };
        let raw: Vec<i16> = (0..count).map(|_| next(2000) - 1000).collect();
        let decoded: Vec<i16> = raw.iter().map(|value| value + next(15) - 7).collect();
        let layout = ImageLayout { frames: frames as u32, ..layout(rows, columns) };
        let errors: Vec<i32> = raw.iter().zip(&decoded).map(|(r, d)| i32::from(*d) - i32::from(*r)).collect();
        let found = Errors::of(&layout, &bytes(&raw), &bytes(&decoded));
        prop_assert_eq!((found.largest(), found.rmse(), found.block()), plain(rows.into(), columns.into(), &errors));
        let most = errors.iter().map(|e| e.unsigned_abs() as u16).max().unwrap();
        let bound = |near| Bound { near, exact: Vec::new() };
        prop_assert!(keeps(&layout, &bytes(&raw), &bytes(&decoded), &bound(most)));
        prop_assert!(most == 0 || !keeps(&layout, &bytes(&raw), &bytes(&decoded), &bound(most - 1)));
        let touched = raw.iter().zip(&decoded).find(|(r, d)| r != d);
        if let Some((raw_value, decoded_value)) = touched {
            for exact in [*raw_value, *decoded_value] {
                let bound = Bound { near: most, exact: vec![exact as u16] };
                prop_assert!(!keeps(&layout, &bytes(&raw), &bytes(&decoded), &bound));
            }
        }
    }
}
