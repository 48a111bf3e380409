//! The rules, as an operator may write them.

use super::anatomy::{self, Part};
use serde::{Deserialize, Serialize};

/// Rules by modality and body part. What has no rule is coded without loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The first that fits a series is its rule.
    pub rules: Vec<Rule>,
    /// Anywhere in body part, descriptions or protocol name, in lower case: the image shows the head.
    #[serde(default = "anatomy::head_words")]
    pub head_words: Vec<String>,
    /// Whole words in the same places that make a CT one of the body. Told neither or both, it is one of the head, which is stricter.
    #[serde(default = "anatomy::body_words")]
    pub body_words: Vec<String>,
}

/// How the bound of a series is found: the least of `sigma`, `units` and `stored`, rounded down to whole stored values. A rule
/// without any of them means no loss.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Modality (0008,0060), which must be that of the SOP class too.
    pub modality: String,
    /// Only for this part of the body; any where absent.
    pub part: Option<Part>,
    /// Largest error as a multiple of the noise. Asks for `units` or `stored` beside it as a cap.
    pub sigma: Option<f64>,
    /// Which estimate of the noise.
    #[serde(default)]
    pub estimate: Estimate,
    /// Largest error in the units after rescale, HU for CT: divided by Rescale Slope (0028,1053).
    pub units: Option<f64>,
    /// Largest error in stored values.
    pub stored: Option<u16>,
    /// Largest mean error of a block of 32 × 32, in the units after rescale; where a slab is beyond it, its bound falls.
    pub block_units: Option<f64>,
    /// Original pixel bytes for each coded byte above which a series is for reference only.
    pub ratio_max: Option<f64>,
}

/// An estimate of the noise of a series, see [`crate::bundle::Sigma`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Estimate {
    /// The lower of both.
    #[default]
    Lower,
    /// That of the blocks, which sees noise of all frequencies.
    Blocks,
}

/// A policy that cannot work; the operator must mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule {number} ({modality}): {reason}")]
pub struct PolicyError {
    /// Which rule, from 1.
    number: usize,
    /// Its modality.
    modality: String,
    /// What is wrong, and what to write instead.
    reason: &'static str,
}

impl Default for Policy {
    /// German ceilings (DRG consensus, Loose 2009); bounds of `docs/decisions/0005-near-auto.md`.
    fn default() -> Self {
        let rule = |modality: &str| Rule { modality: modality.to_owned(), ..Rule::default() };
        let quarter = |modality: &str, stored, ratio_max| Rule {
            sigma: Some(0.25),
            stored: Some(stored),
            ratio_max: Some(ratio_max),
            ..rule(modality)
        };
        let rules = vec![
            Rule { estimate: Estimate::Blocks, ..quarter("MR", 64, 7.0) },
            Rule {
                part: Some(Part::Head),
                units: Some(3.0),
                block_units: Some(0.3),
                ratio_max: Some(5.0),
                ..rule("CT")
            },
            Rule { sigma: Some(0.75), units: Some(15.0), ratio_max: Some(8.0), ..rule("CT") },
            quarter("CR", 16, 10.0),
            quarter("DX", 16, 10.0),
            quarter("XA", 8, 6.0),
            quarter("RF", 8, 6.0),
            Rule { ratio_max: Some(15.0), ..rule("MG") },
            rule("US"),
            rule("NM"),
            rule("PT"),
        ];
        Self { rules, head_words: anatomy::head_words(), body_words: anatomy::body_words() }
    }
}

impl Policy {
    /// Checks what serde cannot.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn check(&self) -> Result<(), PolicyError> {
        (1..).zip(&self.rules).try_for_each(|(number, rule)| {
            rule.check().map_err(|reason| PolicyError { number, modality: rule.modality.clone(), reason })
        })
    }

    /// The rule for a series of this modality that shows this part.
    pub(super) fn rule(&self, modality: &str, part: Part) -> Option<&Rule> {
        let fits = |rule: &&Rule| rule.modality == modality && rule.part.is_none_or(|own| own == part);
        self.rules.iter().find(fits)
    }
}

impl Rule {
    /// Whether it allows any error.
    pub(super) fn allows_loss(&self) -> bool {
        self.sigma.is_some() || self.units.is_some() || self.stored.is_some()
    }

    fn check(&self) -> Result<(), &'static str> {
        let numbers = [self.sigma, self.units, self.block_units, self.ratio_max];
        if !numbers.iter().flatten().all(|number| number.is_finite() && *number >= 0.0) {
            return Err("numbers must be 0 or more");
        }
        if self.sigma.is_some() && self.units.is_none() && self.stored.is_none() {
            return Err("sigma needs a cap beside it: units (after rescale) or stored (stored values)");
        }
        Ok(())
    }
}
