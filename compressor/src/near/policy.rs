//! The rules, as an operator may write them.

use serde::{Deserialize, Serialize};

/// Rules by modality and body part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {}
