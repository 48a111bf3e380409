//! Whether an image shows the head, by what people write into body part and descriptions.

use super::Policy;
use serde::{Deserialize, Serialize};

/// The part of the body that a rule asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The head, or not told.
    Head,
    /// Told to be anything but the head.
    Body,
}

/// Words of body part (PS3.16 CID 4030) and of descriptions, found anywhere in them.
const HEAD_WORDS: [&str; 24] = [
    "head", "brain", "skull", "neuro", "crani", "cereb", "enceph", "stroke", "orbit", "sinus", "temporal",
    "petrous", "kopf", "schädel", "schaedel", "hirn", "tête", "crâne", "cabeza", "cráneo", "cerveau", "頭",
    "脳", "颅",
];
/// Whole words, since a short one may lie in another word. The neck is missing on purpose: it is seldom sent without the head.
const BODY_WORDS: [&str; 41] = [
    "chest",
    "thorax",
    "lung",
    "lungs",
    "heart",
    "cardiac",
    "coronary",
    "breast",
    "abdomen",
    "abd",
    "abdo",
    "pelvis",
    "liver",
    "kidney",
    "pancreas",
    "colon",
    "spine",
    "tspine",
    "lspine",
    "lsspine",
    "lumbar",
    "thoracic",
    "sacrum",
    "shoulder",
    "humerus",
    "elbow",
    "wrist",
    "hand",
    "hip",
    "femur",
    "knee",
    "ankle",
    "foot",
    "extremity",
    "wholebody",
    "aorta",
    "becken",
    "bauch",
    "胸",
    "腹",
    "骨盤",
];

pub(super) fn head_words() -> Vec<String> {
    HEAD_WORDS.map(str::to_owned).to_vec()
}

pub(super) fn body_words() -> Vec<String> {
    BODY_WORDS.map(str::to_owned).to_vec()
}

/// The part that is told by a text in lower case. Head words count wherever they stand, so that a doubt ends at the stricter side.
pub(super) fn part(policy: &Policy, told: &str) -> Part {
    let head = policy.head_words.iter().any(|word| told.contains(word.as_str()));
    let mut words = told.split(|character: char| !character.is_alphanumeric());
    // Words of ideographs are not set apart by spaces.
    let body = policy.body_words.iter().any(|word| !word.is_ascii() && told.contains(word.as_str()))
        || words.any(|word| policy.body_words.iter().any(|body| body == word));
    if body && !head { Part::Body } else { Part::Head }
}
