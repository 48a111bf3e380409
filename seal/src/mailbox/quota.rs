//! How full a mailbox is (RFC 9208; servers of RFC 2087 answer the same way). Only its owner may ask: Dovecot tells nobody another user's quota.

use super::session::Reply;
use super::{Mailbox, MailboxError, quoted};
use async_imap::imap_proto::Response;
use async_imap::imap_proto::rfc2087::{QuotaResource, QuotaResourceName};

/// From this on a mailbox counts as nearly full, percent: with 1 GB and studies of 20 MB the last ten still fit, which is a night's.
const NEARLY_FULL_PERCENT: u8 = 80;
/// Octets that a server may say of a folder's quota.
const QUOTA_BYTES_MAX: u64 = 16 << 10;
/// Quota roots of a folder: real servers have one for the user and one for the domain.
const QUOTA_ROOTS_MAX: usize = 16;

/// What part of its quota a mailbox has used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fill(u8);

impl Fill {
    /// Of what `resource` tells; none of a resource that does not keep a mail out, or without a limit that means anything.
    fn of(resource: &QuotaResource<'_>) -> Option<Self> {
        if !matches!(resource.name, QuotaResourceName::Storage | QuotaResourceName::Message) {
            return None;
        }
        let percent = (u128::from(resource.usage) * 100).checked_div(u128::from(resource.limit))?;
        Some(Self(u8::try_from(percent.min(100)).unwrap_or(100)))
    }

    /// Percent, rounded down, 0 to 100; also 100 where more is used than there is.
    pub fn percent(self) -> u8 {
        self.0
    }

    /// Whether a person is to be told: the next studies may not arrive.
    pub fn is_nearly_full(self) -> bool {
        self.0 >= NEARLY_FULL_PERCENT
    }
}

impl Mailbox {
    /// How full the quota of `folder` is: of storage and number of messages, and of all its quota roots, the fullest. None where the server
    /// keeps no quota, or does not tell this login.
    ///
    /// # Errors
    /// [`MailboxError`]; the connection is of no use then.
    pub async fn fill(&mut self, folder: &str) -> Result<Option<Fill>, MailboxError> {
        let keeps_quota = match self.keeps_quota {
            Some(known) => known,
            None => self.has_one_of(&["QUOTA"]).await?,
        };
        self.keeps_quota = Some(keeps_quota);
        if !keeps_quota {
            return Ok(None);
        }
        let (mut roots, mut told) = (Vec::new(), Vec::new());
        let command = format!("GETQUOTAROOT {}", quoted(folder)?);
        let reply = self.link.command("GETQUOTAROOT", &command, QUOTA_BYTES_MAX, |response| match response {
            Response::QuotaRoot(root) => {
                roots.extend(root.quota_root_names.iter().map(|name| name.clone().into_owned()));
            }
            Response::Quota(quota) => {
                let fullest = quota.resources.iter().filter_map(Fill::of).max();
                told.push((quota.root_name.clone().into_owned(), fullest));
            }
            _ => {}
        });
        if reply.await? != Reply::Ok {
            return Ok(None);
        }
        if roots.len() > QUOTA_ROOTS_MAX || told.len() > QUOTA_ROOTS_MAX {
            return Err(MailboxError::Protocol { during: "GETQUOTAROOT" });
        }
        Ok(told.into_iter().filter(|(root, _)| roots.contains(root)).filter_map(|(_, fill)| fill).max())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_told_from_80_percent_on() {
        for (usage, is_told) in [(0, false), (79, false), (80, true), (100, true), (200, true)] {
            let name = QuotaResourceName::Storage;
            let fill = Fill::of(&QuotaResource { name, usage, limit: 100 });
            assert_eq!(fill.map(Fill::is_nearly_full), Some(is_told), "{usage}");
        }
    }
}
