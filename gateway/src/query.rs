//! Asks a PACS which instances a series has (C-FIND SCU, Study Root, IMAGE level; PS3.4 C.4.1, C.6.2).
//!
//! What the PACS answers is read by the bounded readers of [`crate::dimse`].

mod answers;
mod association;
mod error;
mod identifier;

pub use error::{Lasting, QueryError};
pub use identifier::keys;

use crate::config::Pacs;
use crate::dimse::command::find_request;
use crate::dimse::fragments::{Messages, Pdv};
use crate::dimse::uid;
use answers::Answers;
use association::Association;
use compressor::Uid;
use dicom_ul::pdu::{PDataValue, PDataValueType, Pdu};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::timeout;

/// Message ID of the one request of an association.
const MESSAGE_ID: u16 = 1;
/// How long a PACS has to take part in ending an association whose result is already known.
const RELEASE_WAIT: Duration = Duration::from_secs(2);

/// How long a query may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the connection, and for each PDU of the PACS.
    pub wait: Duration,
    /// For the whole query.
    pub total: Duration,
}

impl Default for Timeouts {
    /// 10 s without a word, since some archives think that long; 60 s in all, since a doctor waits.
    fn default() -> Self {
        Self { wait: Duration::from_secs(10), total: Duration::from_secs(60) }
    }
}

/// The SOP Instance UIDs that the PACS holds of one series.
///
/// # Errors
/// [`QueryError`]; then nothing is known about the series.
pub async fn instances_of_series(
    pacs: &Pacs,
    study: &Uid,
    series: &Uid,
    timeouts: Timeouts,
) -> Result<BTreeSet<Uid>, QueryError> {
    let asked = async {
        let mut association = Association::request(pacs, timeouts.wait).await?;
        let found = converse(&mut association, study, series).await;
        Ok::<_, QueryError>((association, found))
    };
    let (association, found) = timeout(timeouts.total, asked).await.map_err(|_| QueryError::Silent)??;
    let ended = async {
        match &found {
            Ok(_) => association.release().await,
            Err(_) => association.abort().await,
        }
    };
    // The answer is complete or void already; a PACS that does not end the association in order changes neither.
    let _ = timeout(RELEASE_WAIT, ended).await;
    found
}

async fn converse(
    association: &mut Association,
    study: &Uid,
    series: &Uid,
) -> Result<BTreeSet<Uid>, QueryError> {
    let context = association.context();
    let request = find_request(uid::STUDY_ROOT_FIND, MESSAGE_ID);
    association.send(&fragment(context, PDataValueType::Command, request)).await?;
    association.send(&fragment(context, PDataValueType::Data, identifier::keys(study, series))).await?;
    let (mut messages, mut answers) = (Messages::default(), Answers::new(study, series, context, MESSAGE_ID));
    loop {
        for value in &data(association.receive().await?)? {
            if answers.take(messages.take(borrowed(value))?)? {
                return Ok(answers.into_instances());
            }
        }
    }
}

fn fragment(presentation_context_id: u8, value_type: PDataValueType, data: Vec<u8>) -> Pdu {
    Pdu::PData { data: vec![PDataValue { presentation_context_id, value_type, is_last: true, data }] }
}

fn data(pdu: Pdu) -> Result<Vec<PDataValue>, QueryError> {
    match pdu {
        Pdu::PData { data } => Ok(data),
        Pdu::AbortRQ { .. } => Err(QueryError::Aborted),
        _ => Err(QueryError::Malformed("a PDU that may not come now")),
    }
}

fn borrowed(value: &PDataValue) -> Pdv<'_> {
    Pdv {
        context: value.presentation_context_id,
        command: value.value_type == PDataValueType::Command,
        last: value.is_last,
        bytes: &value.data,
    }
}
