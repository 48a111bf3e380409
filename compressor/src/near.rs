//! How far decoded pixels may be from those that came: rules by modality and body part, noise, and what is never touched.

mod policy;

pub use policy::Policy;
