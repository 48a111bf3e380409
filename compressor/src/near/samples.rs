//! Stored values of a grey slab as numbers, and what must hold for each of them.

use crate::dataset::ImageLayout;
use crate::pixels::{Bound, Slab, codes};

/// Stored values in order.
pub(super) fn values<'r>(slab: &Slab, raw: &'r [u8]) -> impl Iterator<Item = i32> + use<'r> {
    let slab = *slab;
    codes(&slab, raw).map(move |code| value(&slab, code))
}

/// Whether each voxel is within the bound, each exact value where it was and nowhere else, and nothing changed where bits above
/// those stored are in use: an overlay may lie there (PS3.5 8.1.2).
pub(crate) fn keeps(layout: &ImageLayout, raw: &[u8], decoded: &[u8], bound: &Bound) -> bool {
    let Some(slab) = Slab::of(layout, raw.len()) else { return false };
    let is_stored = stored_range(layout);
    let free = |code: u16| !bound.exact.contains(&code) && is_stored.contains(&value(&slab, code));
    raw.len() == decoded.len()
        && codes(&slab, raw).zip(codes(&slab, decoded)).all(|(before, after)| {
            let within = || value(&slab, before).abs_diff(value(&slab, after)) <= bound.near.into();
            before == after || (within() && free(before) && free(after))
        })
}

fn value(slab: &Slab, code: u16) -> i32 {
    match (slab.signed, slab.sample_bytes) {
        (true, 1) => i32::from(code as u8 as i8),
        (true, _) => i32::from(code as i16),
        (false, _) => i32::from(code),
    }
}

/// Values that have no more bits than are stored.
fn stored_range(layout: &ImageLayout) -> std::ops::Range<i32> {
    let count = 1_i32 << layout.bits_stored.clamp(1, 16);
    if layout.signed { -count / 2..count / 2 } else { 0..count }
}
