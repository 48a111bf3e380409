//! `scanpost-reader answer`: what the doctor says back about a case that was pulled (SPEC 7.3).

use super::error::PullError;
use super::output::{Output, Record};
use super::receipts::Receipts;
use super::session::Session;
use crate::config::Config;
use compressor::Phi;
use seal::answer::{Answer, Words};
use seal::ids::CaseId;
use seal::receipt::ReceiptKind;
use std::io;

/// What the doctor says.
#[derive(Clone)]
pub enum Say {
    /// I have seen it.
    Seen,
    /// I need it no longer: it is deleted everywhere but in the output folder.
    Close,
    /// I cannot take care of it: whoever stands behind is told.
    HandOver,
    /// Call me back.
    CallBack,
    /// A few words.
    Words(Phi<String>),
}

/// Answers the hospital about the newest delivery of a case that is in the output folder. `now` gives seconds since 1970-01-01 UTC.
///
/// # Errors
/// [`PullError`].
pub async fn answer(config: &Config, case: CaseId, say: Say, now: fn() -> i64) -> Result<(), PullError> {
    let (kind, answer) = match say {
        Say::Seen => (ReceiptKind::Seen, None),
        Say::Close => (ReceiptKind::Closed, None),
        Say::HandOver => (ReceiptKind::PassedOn, None),
        Say::CallBack => (ReceiptKind::Answer, Some(Answer::CallBack)),
        Say::Words(text) => {
            let words = Words::new(text).ok_or_else(|| {
                PullError::Unavailable(
                    "an answer is one line of at most 100 characters, without control characters".into(),
                )
            })?;
            (ReceiptKind::Answer, Some(Answer::Words(words)))
        }
    };
    let keys = config.keys()?;
    let mut session = Session::new(config.mailbox_login()?);
    let output = Output::lock(&config.output)?;
    let known = output.known().map_err(PullError::output("cannot read the output folder"))?;
    let receipts = Receipts { address: config.address()?, config, keys: &keys, output: &output, now };
    let of_case = known.placed.values().filter(|record| record.case == case && record.residual_of.is_none());
    let record: &Record = of_case.max_by_key(|record| record.sequence).ok_or(PullError::UnknownCase)?;
    receipts.say(&mut session, record, kind, answer.as_ref()).await?;
    session.close().await;
    Ok(())
}

/// The words as they were typed: without the end of the line.
///
/// # Errors
/// From standard input.
pub fn typed() -> io::Result<Say> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(Say::Words(Phi::new(line.trim().to_owned())))
}
