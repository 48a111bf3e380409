//! How old the master key of the spool is, and whether a change of it is under way.

use super::Check;
use crate::config::{Config, Encryption};
use crate::spool::next_of;
use time::OffsetDateTime;

pub(super) const AREA: &str = "spool";
const SUBJECT: &str = "spool key";
const ROTATE: &str = "stop the gateway, scanpost-gateway spool rotate-key, start it";
/// Two years, the longest a key that wraps others is to be used (NIST SP 800-57 part 1, 5.3.6).
const AGE_DAYS_MAX: i64 = 730;

pub(super) async fn check(config: &Config) -> Check {
    if config.spool.encryption == Encryption::Off {
        let mend = "write encryption = \"on\" into [spool], with a key_file (docs/config.md)";
        return Check::fail(
            AREA,
            SUBJECT,
            "[spool] encryption is off: studies lie on the disk in the clear",
            mend,
        );
    }
    if config.spool.key_file.as_deref().is_some_and(|file| next_of(file).exists()) {
        return Check::fail(AREA, SUBJECT, "a change of the key is not finished", ROTATE);
    }
    let since = match super::database::opened(config).await {
        Ok(journal) => journal.master_since_ms().await.ok().flatten(),
        Err(_) => None,
    };
    match since.and_then(|since| OffsetDateTime::from_unix_timestamp(since / 1000).ok()) {
        None => Check::not_checked(AREA, SUBJECT, "no gateway of this version has worked here yet"),
        Some(since) => aged(since, OffsetDateTime::now_utc()),
    }
}

fn aged(since: OffsetDateTime, now: OffsetDateTime) -> Check {
    let days = (now - since).whole_days();
    let found = format!("{days} days old at least, in use since {}", since.date());
    if days > AGE_DAYS_MAX {
        return Check::fail(AREA, SUBJECT, found, ROTATE);
    }
    Check::pass(AREA, SUBJECT, found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use time::Duration;

    #[test]
    fn a_key_is_to_be_changed_after_two_years() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let at = |days| aged(now - Duration::days(days), now);
        assert_eq!(
            (at(0).verdict, at(730).verdict, at(731).verdict),
            (Verdict::Pass, Verdict::Pass, Verdict::Fail)
        );
        assert_eq!(at(12).found, "12 days old at least, in use since 2027-01-03");
        assert!(at(800).mend.unwrap().contains("rotate-key"));
    }
}
