//! C-STORE, service class user: one object, and the status of its answer (PS3.4 B, PS3.7 9.1.1).

use crate::fragments::{Event, Messages, Pdvs};
use crate::{Association, AssociationError, command, field};
use compressor::Uid;
use tokio::io::AsyncRead;
use tokio::time::timeout;

/// An object to be stored.
pub struct Object<'o> {
    /// Its SOP class.
    pub sop_class: &'o Uid,
    /// Its SOP instance UID.
    pub sop_instance: &'o Uid,
    /// Its data set, in the transfer syntax of the context.
    pub data_set: &'o mut (dyn AsyncRead + Unpin + Send),
    /// Bytes of that.
    pub bytes: u64,
}

/// Sends an object as message `number` of the association; gives the status (0000,0900) of the answer. PS3.7 E.1: message ids have 16 bits and are unique
/// among requests that wait for their answer, which is one here.
///
/// # Errors
/// [`AssociationError`]; then nobody knows whether it was stored.
pub async fn store(
    association: &mut Association,
    context: u8,
    object: Object<'_>,
    number: usize,
) -> Result<u16, AssociationError> {
    let wait = association.wait_for(object.bytes);
    timeout(wait, exchange(association, context, object, number))
        .await
        .map_err(|_| AssociationError::Silent)?
}

async fn exchange(
    association: &mut Association,
    context: u8,
    object: Object<'_>,
    number: usize,
) -> Result<u16, AssociationError> {
    let message_id = u16::try_from(number % usize::from(u16::MAX)).unwrap_or_default() + 1;
    let request = command::store_request(object.sop_class, object.sop_instance, message_id);
    association.send_command(context, &request).await?;
    association.send_data_set(context, object.data_set, object.bytes).await?;
    let mut messages = Messages::default();
    loop {
        let body = association.receive().await?;
        for pdv in Pdvs(&body) {
            if let Event::Command(_, response) = messages.take(pdv?)? {
                let ours = response.field == field::C_STORE_RSP && response.responds_to == Some(message_id);
                let unusable = AssociationError::Malformed("no answer to C-STORE");
                return response.status.filter(|_| ours).ok_or(unusable);
            }
        }
    }
}
