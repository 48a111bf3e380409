//! The hospital's agent. Modules stand in the order of the data: a study is received, assembled, compressed, sealed,
//! submitted, notified, and at last pulled by the doctor. [`pipeline`] shows the whole run on one page.

pub mod config;

pub mod journal;

mod clock;
