//! An association with a PACS, as its table in the configuration says.

use super::QueryError;
use crate::config::Pacs;
use crate::receive::own_user_variables;
use dicom_ul::pdu::{PresentationContextProposed, UserVariableItem};
use dimse::{Association, Peer, Proposal};
use std::time::Duration;

/// Connects and agrees on contexts, with ids that are odd (PS3.8 9.3.2.2), and on the SOP classes of which we are the SCP; each step may take `wait`.
pub(crate) async fn associate(
    pacs: &Pacs,
    called: &str,
    contexts: Vec<PresentationContextProposed>,
    roles: Vec<UserVariableItem>,
    wait: Duration,
) -> Result<Association, QueryError> {
    let (host, port) = pacs.host_and_port().ok_or(QueryError::Configuration)?;
    let peer = Peer { host, port, tls: pacs.tls.as_ref() };
    let mut user_variables = own_user_variables();
    user_variables.extend(roles);
    let (calling, called) = (pacs.own_ae_title.clone(), called.to_owned());
    Ok(Association::request(peer, Proposal { calling, called, contexts, user_variables }, wait).await?)
}
