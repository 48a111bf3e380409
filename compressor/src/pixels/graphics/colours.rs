//! The table of the colours of a slab, and its samples as numbers in it (codec SPEC 10.4).

use super::super::planes::Components;
use super::chances::{Chances, Decisions};
use std::collections::BTreeSet;

/// Components of a pixel at most.
pub(super) const COMPONENTS_MAX: usize = 4;
/// Colours of a table that is worth its bytes.
const COLOURS_MAX: usize = 4096;
/// A colour has at least this many pixels in the mean,
const PIXELS_A_COLOUR: usize = 128;
/// and of one component, fewer values than this share of those from the least to the largest.
const SPARSE: usize = 2;
/// Numbers have at most so many bits.
const NUMBER_BITS_MAX: u32 = 18;
/// Plain chances of the table: 64 for each kind of number. Those below are the walk's.
const CHANCES_FIRST: usize = 2048;

/// One sample for each component.
pub(super) type Colour = [u16; COMPONENTS_MAX];

/// Colours in ascending order.
#[derive(Default)]
pub(super) struct Colours(Vec<Colour>);

impl Colours {
    /// `None` where pixels are better left as they are.
    pub(super) fn of(components: &Components) -> Option<Self> {
        let pixels = components.first().map_or(0, Vec::len);
        let most = COLOURS_MAX.min(pixels / PIXELS_A_COLOUR);
        let mut colours = BTreeSet::new();
        let mut last = None;
        for place in 0..pixels {
            let colour = colour(components, place);
            if last != Some(colour) {
                colours.insert(colour);
                last = Some(colour);
            }
            if colours.len() > most {
                return None;
            }
        }
        let [least, largest] =
            [colours.first(), colours.last()].map(|colour| colour.map_or(0, |[first, ..]| *first));
        let dense = components.len() == 1 && colours.len() * SPARSE > usize::from(largest - least);
        // What is dense and starts at 0 has its numbers already.
        (!dense || least > 0).then(|| Self(colours.into_iter().collect()))
    }

    pub(super) fn largest(&self) -> u16 {
        (self.0.len().max(1) - 1) as u16
    }

    /// All pixels as numbers.
    pub(super) fn numbers(&self, components: &Components) -> Vec<u16> {
        let pixels = components.first().map_or(0, Vec::len);
        let number = |place| self.0.binary_search(&colour(components, place)).unwrap_or_default() as u16;
        (0..pixels).map(number).collect()
    }

    /// The inverse of [`Self::numbers`].
    pub(super) fn components(&self, numbers: &[u16], count: usize) -> Components {
        let sample = |number: &u16, component: usize| {
            let colour = self.0.get(usize::from(*number)).or(self.0.last());
            colour.and_then(|colour| colour.get(component)).copied().unwrap_or_default()
        };
        (0..count).map(|component| numbers.iter().map(|number| sample(number, component)).collect()).collect()
    }

    /// Writes a table, or gives the one that was written and does not look at this one.
    pub(super) fn code(&self, count: usize, chances: &mut Chances, coder: &mut impl Decisions) -> Self {
        let length = number(self.largest().into(), 0, chances, coder).min(u16::MAX.into()) as usize + 1;
        let mut coded = Vec::with_capacity(length);
        let mut last = Colour::default();
        for place in 0..length {
            let own = self.0.get(place).copied().unwrap_or_default();
            let mut colour = Colour::default();
            let [first, ..] = own;
            let [last_first, ..] = last;
            let step = number(first.wrapping_sub(last_first).into(), 1, chances, coder);
            let first = last_first.wrapping_add(step as u16);
            for (component, place) in colour.iter_mut().enumerate().take(count) {
                *place = first;
                if component > 0 {
                    // From the first component, as far as the colour before was.
                    let at = |colour: &Colour| colour.get(component).copied().unwrap_or_default();
                    let guess = first.wrapping_add(at(&last).wrapping_sub(last_first));
                    let coded = number(folded(at(&own).wrapping_sub(guess)), 1 + component, chances, coder);
                    *place = guess.wrapping_add(unfolded(coded));
                }
            }
            coded.push(colour);
            last = colour;
        }
        Self(coded)
    }
}

fn colour(components: &Components, place: usize) -> Colour {
    let mut colour = Colour::default();
    for (sample, component) in colour.iter_mut().zip(components) {
        *sample = component.get(place).copied().unwrap_or_default();
    }
    colour
}

/// Small numbers of both signs to small numbers.
fn folded(difference: u16) -> u32 {
    let difference = difference as i16;
    ((difference << 1) ^ (difference >> 15)) as u16 as u32
}

fn unfolded(number: u32) -> u16 {
    (number as u16 >> 1) ^ (number as u16 & 1).wrapping_neg()
}

/// A number by its length and its bits (SPEC 10.4).
fn number(number: u32, kind: usize, chances: &mut Chances, coder: &mut impl Decisions) -> u32 {
    let first = CHANCES_FIRST + 64 * kind;
    let wanted = u32::BITS - number.leading_zeros();
    let mut bits = 0;
    while bits < NUMBER_BITS_MAX && chances.plain(coder, wanted > bits, first + bits as usize) {
        bits += 1;
    }
    let mut coded = u32::from(bits > 0);
    for bit in (0..bits.max(1) - 1).rev() {
        let yes = chances.plain(coder, number >> bit & 1 == 1, first + 32 + bit as usize);
        coded = coded << 1 | u32::from(yes);
    }
    coded
}
