//! The hospital's agent. Modules stand in the order of the data: a study is received, assembled, compressed, sealed,
//! submitted, notified, and at last pulled by the doctor. [`pipeline`] shows the whole run on one page.

pub mod config;
pub mod serve;

pub mod pipeline;

pub mod directory;
pub mod duty;
pub mod receive;

pub mod assemble;
mod dicomweb;
pub mod query;
pub mod retrieve;

pub mod compress;

pub mod link;
pub mod seal;
pub mod smime;

pub mod dkim;
pub mod submit;

pub mod notify;

pub mod pulled;

mod ledger;
pub mod page;
pub mod roster;

pub mod simulate;

pub mod audit;
pub mod backup;
pub mod bench;
pub mod check;
pub mod setup;
pub mod upgrade;

pub mod journal;
pub mod queue;
pub mod spool;
pub mod takeover;

mod clock;
mod hex;

/// Patient data fits neither into a log line nor into a notice. What does not compile here does so with the value exposed, as the last one shows.
///
/// ```compile_fail,E0277
/// let name = compressor::Phi::new(String::from("Yamada^Tarou"));
/// tracing::info!(%name, "received");
/// ```
/// ```compile_fail,E0277
/// let name = compressor::Phi::new(String::from("Yamada^Tarou"));
/// tracing::info!(?name, "received");
/// ```
/// ```compile_fail,E0277
/// let name = compressor::Phi::new(String::from("Yamada^Tarou"));
/// tracing::info!(name, "received");
/// ```
/// ```compile_fail,E0308
/// let name = compressor::Phi::new(String::from("Yamada^Tarou"));
/// notifier::Notice { id: name, at: time::OffsetDateTime::UNIX_EPOCH, urgency: notifier::Urgency::Routine };
/// ```
/// ```compile_fail,E0560
/// let name = compressor::Phi::new(String::from("Yamada^Tarou"));
/// notifier::Notice {
///     id: notifier::NoticeId([0; 16]), at: time::OffsetDateTime::UNIX_EPOCH, urgency: notifier::Urgency::Routine, patient: name,
/// };
/// ```
/// ```
/// let name = compressor::Phi::new(String::from("Yamada^Tarou"));
/// tracing::info!(name = name.expose_for(compressor::Purpose::Show), "received");
/// notifier::Notice {
///     id: notifier::NoticeId([0; 16]), at: time::OffsetDateTime::UNIX_EPOCH, urgency: notifier::Urgency::Routine,
/// };
/// ```
mod patient_data {}
