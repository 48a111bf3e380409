//! Raw bytes of a slab to planes of samples in the order of their values, and back (codec SPEC 2.2, 2.3).

use super::Slab;

/// Samples of all components, one after the other; each component has its frames in order.
pub(super) type Components = Vec<Vec<u16>>;

/// Takes the bytes apart.
pub(super) fn split(slab: &Slab, raw: &[u8]) -> Components {
    let plane = slab.rows * slab.columns;
    let mut components = vec![Vec::with_capacity(plane * slab.frames); slab.components];
    let flip = sign_bit(slab);
    if let ([component], 2, false) = (components.as_mut_slice(), slab.sample_bytes, slab.big_endian) {
        // By far the most frequent layout.
        let (words, _) = raw.as_chunks();
        component.extend(words.iter().take(plane * slab.frames).map(|word| u16::from_le_bytes(*word) ^ flip));
        return components;
    }
    let mut samples = codes(slab, raw).map(|code| code ^ flip);
    for _ in 0..slab.frames {
        if slab.planar || slab.components == 1 {
            components.iter_mut().for_each(|component| component.extend(samples.by_ref().take(plane)));
        } else {
            for _ in 0..plane {
                components.iter_mut().for_each(|component| component.extend(samples.next()));
            }
        }
    }
    components
}

/// Puts the bytes together again.
pub(super) fn join(slab: &Slab, components: &Components) -> Vec<u8> {
    let plane = slab.rows * slab.columns;
    let mut raw = Vec::with_capacity(slab.bytes());
    let flip = sign_bit(slab);
    if let ([component], 2, false) = (components.as_slice(), slab.sample_bytes, slab.big_endian) {
        raw.resize(2 * component.len(), 0);
        let (words, _) = raw.as_chunks_mut();
        words.iter_mut().zip(component).for_each(|(word, value)| *word = (value ^ flip).to_le_bytes());
        return raw;
    }
    let mut samples: Vec<_> = components.iter().map(|component| component.iter()).collect();
    for _ in 0..slab.frames {
        if slab.planar || slab.components == 1 {
            for component in &mut samples {
                component.by_ref().take(plane).for_each(|value| push(slab, value ^ flip, &mut raw));
            }
        } else {
            for _ in 0..plane {
                samples.iter_mut().filter_map(Iterator::next).for_each(|v| push(slab, v ^ flip, &mut raw));
            }
        }
    }
    raw
}

/// Turns red, green, blue into red − green, green, blue − green, modulo the sample's size.
pub(super) fn subtract_green(slab: &Slab, components: &mut Components) {
    let (mask, middle) = (sample_mask(slab), sign_bit_of(slab));
    if let [red, green, blue] = components.as_mut_slice() {
        for ((red, green), blue) in red.iter_mut().zip(green.iter()).zip(blue) {
            *red = red.wrapping_sub(*green).wrapping_add(middle) & mask;
            *blue = blue.wrapping_sub(*green).wrapping_add(middle) & mask;
        }
    }
}

/// The inverse of [`subtract_green`].
pub(super) fn add_green(slab: &Slab, components: &mut Components) {
    let (mask, middle) = (sample_mask(slab), sign_bit_of(slab));
    if let [red, green, blue] = components.as_mut_slice() {
        for ((red, green), blue) in red.iter_mut().zip(green.iter()).zip(blue) {
            *red = red.wrapping_add(*green).wrapping_sub(middle) & mask;
            *blue = blue.wrapping_add(*green).wrapping_sub(middle) & mask;
        }
    }
}

/// Samples in the order and the bits in which they lie in the data set.
pub(crate) fn codes<'r>(slab: &Slab, raw: &'r [u8]) -> impl Iterator<Item = u16> + use<'r> {
    let big_endian = slab.big_endian;
    raw.chunks_exact(slab.sample_bytes).map(move |bytes| match *bytes {
        [low, high] if big_endian => u16::from_be_bytes([low, high]),
        [low, high] => u16::from_le_bytes([low, high]),
        [byte] => byte.into(),
        _ => 0,
    })
}

fn push(slab: &Slab, value: u16, raw: &mut Vec<u8>) {
    match (slab.sample_bytes, slab.big_endian) {
        (1, _) => raw.push(value as u8),
        (_, true) => raw.extend_from_slice(&value.to_be_bytes()),
        (_, false) => raw.extend_from_slice(&value.to_le_bytes()),
    }
}

/// What turns two's complement codes into the order of their values.
pub(super) fn sign_bit(slab: &Slab) -> u16 {
    if slab.signed { sign_bit_of(slab) } else { 0 }
}

fn sign_bit_of(slab: &Slab) -> u16 {
    1 << (8 * slab.sample_bytes - 1)
}

fn sample_mask(slab: &Slab) -> u16 {
    if slab.sample_bytes == 1 { 0xFF } else { 0xFFFF }
}
