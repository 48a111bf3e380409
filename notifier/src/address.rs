//! Which kinds of channels there are, and how each addresses a phone.

use crate::NoticeError;
use serde::Deserialize;

/// A mail address, as lettre reads it, is at most that long (RFC 5321 4.5.3.1.3).
const MAIL_CHARS_MAX: usize = 254;
/// Topics of ntfy.
const TOPIC_CHARS_MAX: usize = 64;
/// Digits of a number (E.164 6.2.1 has 15), at least those of a short one.
const DIGITS: std::ops::RangeInclusive<usize> = 3..=15;
/// Ids of people and rooms at LINE WORKS, and what a webhook or a program is told, are names of some ten characters.
const NAME_CHARS_MAX: usize = 128;

/// What carries notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Mail over SMTP with implicit TLS.
    Mail,
    /// An ntfy server.
    Ntfy,
    /// Any service that checks signatures by Standard Webhooks.
    Webhook,
    /// Microsoft Teams, by a webhook of Workflows.
    Teams,
    /// Slack, by an incoming webhook.
    Slack,
    /// LINE WORKS, by a bot.
    LineWorks,
    /// A gateway for text messages.
    Sms,
    /// A gateway for calls that speak the text.
    Voice,
    /// A program on this machine.
    Command,
}

impl Kind {
    /// Whether an address of a phone is one of this kind.
    ///
    /// # Errors
    /// [`NoticeError::Address`], which says what it should be.
    pub fn check(self, to: &str) -> Result<(), NoticeError> {
        let (is_good, reason) = match self {
            Self::Mail => (is_mail(to), "write a mail address"),
            Self::Ntfy => (is_topic(to), "write a topic: 1 to 64 letters, digits, - and _"),
            Self::Teams | Self::Slack => (to.is_empty(), "its secret URL names the room: leave `to` out"),
            Self::LineWorks => (
                is_name(to.strip_prefix("channel:").unwrap_or(to)),
                "write a user's id, or channel: and a room's id",
            ),
            Self::Sms | Self::Voice => (is_number(to), "write a telephone number: + and 3 to 15 digits"),
            Self::Webhook | Self::Command => (
                to.is_empty() || is_name(to),
                "write at most 128 letters, digits and . _ - @ +, or leave `to` out",
            ),
        };
        if is_good { Ok(()) } else { Err(NoticeError::Address { reason }) }
    }
}

fn is_mail(to: &str) -> bool {
    to.len() <= MAIL_CHARS_MAX && to.parse::<lettre::Address>().is_ok()
}

fn is_topic(to: &str) -> bool {
    (1..=TOPIC_CHARS_MAX).contains(&to.len())
        && to.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn is_number(to: &str) -> bool {
    let digits = to.strip_prefix('+').unwrap_or(to);
    DIGITS.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Nothing that has a meaning in a URL, a header or a shell.
fn is_name(to: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&to.len())
        && to.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte))
        && !to.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_takes_its_own_addresses_and_no_others() {
        for (kind, good, bad) in [
            (Kind::Mail, &["a@mobile.example"][..], &["", "a", "a@b\r\nBcc: c@d", "a@b, c@d"][..]),
            (Kind::Ntfy, &["dr-tanaka_7"], &["", "a/b", "a b", "話題"]),
            (Kind::Slack, &[""], &["#room"]),
            (Kind::Teams, &[""], &["room"]),
            (Kind::LineWorks, &["tanaka@hospital", "channel:1234-ab"], &["", "a/../b", "channel:", "a?b"]),
            (Kind::Sms, &["+819012345678", "110"], &["", "+", "12", "0901234567890123", "090-1234"]),
            (Kind::Voice, &["+819012345678"], &["tanaka"]),
            (Kind::Webhook, &["", "tanaka"], &["-rf", "a b"]),
            (Kind::Command, &["", "4711"], &["$(id)", "../x"]),
        ] {
            assert!(good.iter().all(|to| kind.check(to).is_ok()), "{kind:?}");
            for to in bad {
                assert!(kind.check(to).is_err(), "{kind:?} {to:?}");
            }
        }
    }
}
