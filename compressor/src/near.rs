//! How far decoded pixels may be from those that came: rules by modality and body part, noise, and what is never touched.
//!
//! The numbers are argued in `docs/decisions/0005-near-auto.md`.

mod anatomy;
mod decision;
mod errors;
mod noise;
mod policy;
mod reason;
mod samples;
mod sop_class;
mod survey;
#[cfg(test)]
mod tests;
mod traits;

pub use anatomy::Part;
pub use policy::{Estimate, Policy, PolicyError, Rule};
pub use reason::Reason;

pub(crate) use decision::{Decision, decide};
pub(crate) use errors::Errors;
pub(crate) use samples::keeps;
pub(crate) use survey::Survey;
pub(crate) use traits::Traits;
