//! The hospital's agent. Modules stand in the order of the data: a study is received, assembled, compressed, sealed,
//! submitted, notified, and at last pulled by the doctor. [`pipeline`] shows the whole run on one page.

pub mod config;
pub mod serve;

pub mod pipeline;

pub mod dimse;
pub mod receive;

pub mod assemble;
pub mod query;

pub mod compress;

pub mod seal;

pub mod submit;

pub mod notify;

pub mod pulled;

pub mod journal;
pub mod spool;

mod clock;
