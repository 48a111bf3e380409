//! Studies that a person looks for at a PACS.

use super::Pipeline;
use crate::audit::AuditError;
use crate::config::Pacs;
use crate::query::{self, Found, Limits, QueryError, StudyKeys, Timeouts};
use std::time::Duration;

/// A person waits for it before the screen.
const LIMITS: Limits = Limits {
    answers_max: 50,
    timeouts: Timeouts { wait: Duration::from_secs(6), total: Duration::from_secs(10) },
};

impl Pipeline {
    /// What a PACS has of what is looked for; the audit trail has the question before the answer counts.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn search(&self, pacs: &Pacs, keys: &StudyKeys) -> Result<Found, QueryError> {
        let identifier = keys.identifier(pacs)?;
        let found = query::studies(pacs, keys, pacs.root, LIMITS).await;
        self.audit_query(pacs, identifier, found.as_ref().err())
            .await
            .map_err(|_| QueryError::Audit(AuditError))?;
        found
    }
}
