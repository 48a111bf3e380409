//! From traits and survey to the bound of a series.

use super::anatomy::part;
use super::{Estimate, Policy, Reason, Rule, Survey, Traits};
use crate::bundle::{Near, PackError, Sigma};
use crate::phi::Purpose;
use crate::pixels::Bound;

/// Values that are kept exact besides padding: the ground of CT outside its field, zeros of MR.
const GROUNDS_MAX: usize = 4;

/// The bound of a series and why.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decision {
    pub(crate) bound: Bound,
    /// Largest mean error of a block, in stored values.
    pub(crate) block_max: Option<f64>,
    pub(crate) sigma: Option<Sigma>,
    pub(crate) ratio_max: Option<f64>,
    /// `None` where lossless was asked for.
    pub(crate) reason: Option<Reason>,
}

impl Decision {
    pub(crate) fn lossless(reason: Option<Reason>) -> Self {
        Self { bound: Bound::LOSSLESS, block_max: None, sigma: None, ratio_max: None, reason }
    }
}

/// Decides on a series. `look` fills the survey with some of its slabs; it is called where that matters.
pub(crate) fn decide(
    near: &Near,
    traits: &Traits,
    look: impl FnOnce(&mut Survey) -> Result<(), PackError>,
) -> Result<Decision, PackError> {
    let (policy, asked) = match near {
        Near::Fixed(0) => return Ok(Decision::lossless(None)),
        Near::Fixed(near) => (&Policy::default(), Some(*near)),
        Near::Auto(policy) => (policy, None),
    };
    let refused = |reason| Ok(Decision::lossless(Some(reason)));
    if let Some(reason) = traits.refusal {
        return refused(reason);
    }
    let modality = traits.modality.unwrap_or_default();
    let part = part(policy, traits.told.expose_for(Purpose::Near));
    let Some(rule) = policy.rule(modality, part) else { return refused(Reason::NoRule) };
    if asked.is_none() && !rule.allows_loss() {
        return refused(Reason::Rule);
    }
    let mut survey = Survey::with_padding(&traits.padding);
    look(&mut survey)?;
    if modality == "MR" && survey.has_negative() {
        return refused(Reason::Negative);
    }
    let sigma = survey.sigma();
    let found = match asked {
        Some(near) => Ok((near, Reason::Asked)),
        None => bound(rule, traits.slope, sigma),
    };
    let (near, reason) = match found {
        Ok(found) => found,
        Err(reason) => return Ok(Decision { sigma, ..Decision::lossless(Some(reason)) }),
    };
    let block_max = asked.is_none().then_some(rule.block_units.zip(traits.slope)).flatten();
    Ok(Decision {
        bound: Bound { near, exact: exact(&traits.padding, &survey) },
        block_max: block_max.map(|(units, slope)| units / slope),
        sigma,
        ratio_max: rule.ratio_max,
        reason: Some(reason),
    })
}

/// The least of what a rule allows, in whole stored values.
fn bound(rule: &Rule, slope: Option<f64>, sigma: Option<Sigma>) -> Result<(u16, Reason), Reason> {
    let slope = slope.filter(|slope| slope.is_normal());
    if (rule.units.is_some() || rule.block_units.is_some()) && slope.is_none() {
        return Err(Reason::NoSlope);
    }
    let noise = match (rule.sigma, sigma) {
        (Some(_), None) => return Err(Reason::NoNoise),
        (share, sigma) => share.zip(sigma).map(|(share, sigma)| share * estimate(rule.estimate, sigma)),
    };
    let units = rule.units.zip(slope).map(|(units, slope)| units / slope);
    let caps = [units, rule.stored.map(f64::from)];
    let cap = caps.into_iter().flatten().fold(f64::INFINITY, f64::min);
    let least = noise.unwrap_or(f64::INFINITY).min(cap);
    // Beyond 16 bits the cast stays at the largest.
    match least.floor() as u16 {
        0 => Err(Reason::BelowOne),
        near if noise.is_some_and(|noise| noise < cap) => Ok((near, Reason::Noise)),
        near => Ok((near, Reason::Cap)),
    }
}

fn estimate(estimate: Estimate, sigma: Sigma) -> f64 {
    match estimate {
        Estimate::Lower => sigma.fine.min(sigma.blocks),
        Estimate::Blocks => sigma.blocks,
    }
}

/// Padding first: of more than three that a slab has, the codec keeps the first three and codes the slab without loss for the others.
fn exact(padding: &[u16], survey: &Survey) -> Vec<u16> {
    let grounds = survey.grounds().iter().map(|value| *value as u16).filter(|code| !padding.contains(code));
    padding.iter().copied().chain(grounds.take(GROUNDS_MAX)).collect()
}
