//! Questions on behalf of somebody: the audit trail has them before the PACS does (PS3.15 A.5.3.10).

use super::{
    Found, Limits, QueryError, Series, StudyKeys, Timeouts, instances_of_series, instances_of_study, keys,
    series_keys, studies,
};
use crate::audit::{Audit, Message, Server, ServerRefusal};
use crate::config::Pacs;
use compressor::Uid;
use dimse::uid;
use std::collections::{BTreeMap, BTreeSet};

/// Who asks which PACS.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// Whom.
    pub pacs: &'a Pacs,
    /// Where it is written down.
    pub audit: &'a Audit,
    /// The person who asks; none where the gateway itself does.
    pub by: Option<&'a str>,
}

impl Asking<'_> {
    /// [`studies`], in the PACS's own root.
    ///
    /// # Errors
    /// [`QueryError`]; of those the trail tells too.
    pub async fn studies(&self, keys: &StudyKeys, limits: Limits) -> Result<Found, QueryError> {
        let root = self.pacs.root;
        let identifier = keys.identifier(self.pacs)?;
        self.tell(root.find_class(), &identifier, None).await?;
        let found = studies(self.pacs, keys, root, limits).await;
        self.tell_failure(root.find_class(), &identifier, found.as_ref().err()).await?;
        found
    }

    /// [`instances_of_study`].
    ///
    /// # Errors
    /// [`QueryError`]; of those the trail tells too.
    pub async fn instances_of_study(
        &self,
        study: &Uid,
        timeouts: Timeouts,
    ) -> Result<BTreeMap<Uid, Series>, QueryError> {
        let identifier = series_keys(study);
        self.tell(uid::STUDY_ROOT_FIND, &identifier, None).await?;
        let listed = instances_of_study(self.pacs, study, timeouts).await;
        self.tell_failure(uid::STUDY_ROOT_FIND, &identifier, listed.as_ref().err()).await?;
        listed
    }

    /// [`instances_of_series`].
    ///
    /// # Errors
    /// [`QueryError`]; of those the trail tells too.
    pub async fn instances_of_series(
        &self,
        study: &Uid,
        series: &Uid,
        timeouts: Timeouts,
    ) -> Result<BTreeSet<Uid>, QueryError> {
        let identifier = keys(study, series);
        self.tell(uid::STUDY_ROOT_FIND, &identifier, None).await?;
        let listed = instances_of_series(self.pacs, study, series, timeouts).await;
        self.tell_failure(uid::STUDY_ROOT_FIND, &identifier, listed.as_ref().err()).await?;
        listed
    }

    /// A PACS that is not to be trusted is an alert too.
    async fn tell_failure(
        &self,
        sop_class: &'static str,
        identifier: &[u8],
        failure: Option<&QueryError>,
    ) -> Result<(), QueryError> {
        let Some(failure) = failure else { return Ok(()) };
        if let Some(refusal) = failure.refusal() {
            self.audit.alert(Message::server_refused(Server::Pacs, self.host(), refusal));
        }
        self.tell(sop_class, identifier, Some(failure)).await
    }

    async fn tell(
        &self,
        sop_class: &'static str,
        identifier: &[u8],
        failure: Option<&QueryError>,
    ) -> Result<(), QueryError> {
        let (own, pacs) = (&self.pacs.own_ae_title, &self.pacs.ae_title);
        let keys = identifier.to_vec();
        let message = Message::query(own, pacs, self.host(), sop_class, keys, uid::IMPLICIT_LITTLE, failure);
        Ok(self.audit.record(message.asked_by(self.by)).await?)
    }

    fn host(&self) -> &str {
        self.pacs.host_and_port().map_or("", |(host, _)| host)
    }
}

impl QueryError {
    /// Why the PACS is not one to talk to, where that may be a sign of an attack.
    pub(crate) fn refusal(&self) -> Option<ServerRefusal> {
        match self {
            Self::Tls(error) => ServerRefusal::of(error),
            Self::Http { status: 401 | 403 } => Some(ServerRefusal::Login),
            _ => None,
        }
    }
}
