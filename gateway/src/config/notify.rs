//! `[notify]` and `[groups.NAME]`: after how long who is told next while nobody opens a delivery.

use super::{Config, ConfigError, Server, wrong};
use crate::notify::Rules;
use serde::Deserialize;
use std::num::NonZeroU32;

/// `[notify]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// Server for notices; that of `[submit]` where absent.
    pub server: Option<Server>,
    /// Wait for the cover to be seen in the mailbox before the notice goes, at most, in milliseconds.
    #[serde(default = "cover_seen_ms_default")]
    pub cover_seen_ms: u64,
    /// Seconds without anybody having opened a delivery before the next of the group on duty is told; nobody is, where absent.
    pub escalate_after_s: Option<NonZeroU32>,
    /// Seconds without anybody having opened it, after the first doctor was told, before all who are left are told and every channel of everybody is
    /// tried; they are not, where absent.
    pub everybody_after_s: Option<NonZeroU32>,
    /// Seconds without anybody having opened it before a doctor's channels of the next level are tried; they are not, where absent.
    pub channel_after_s: Option<NonZeroU32>,
}

/// `[groups.NAME]`: what is otherwise for one group of the roster; the name is that of the page.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Instead of `notify.channel_after_s`.
    pub channel_after_s: Option<NonZeroU32>,
    /// Instead of `notify.escalate_after_s`.
    pub escalate_after_s: Option<NonZeroU32>,
    /// Instead of `notify.everybody_after_s`.
    pub everybody_after_s: Option<NonZeroU32>,
    /// Instead of `case.alarm_after_s`.
    pub alarm_after_s: Option<NonZeroU32>,
}

impl Group {
    pub(super) fn check(&self, name: &str) -> Result<(), ConfigError> {
        match self.alarm_after_s {
            Some(after_s) if after_s.get() > super::case::ALARM_S_MAX => {
                wrong(format!("groups.{name}.alarm_after_s"), "must be 1 to 86400")
            }
            _ => Ok(()),
        }
    }
}

impl Config {
    /// The rules for a delivery to doctors of this group; those of everybody else where there is none.
    pub fn rules(&self, group: Option<&str>) -> Rules {
        let none = Group::default();
        let group = group.and_then(|name| self.groups.get(name)).unwrap_or(&none);
        let or = |own: Option<NonZeroU32>, all: Option<NonZeroU32>| own.or(all).map(in_ms);
        Rules {
            channel_after_ms: or(group.channel_after_s, self.notify.channel_after_s),
            escalate_after_ms: or(group.escalate_after_s, self.notify.escalate_after_s),
            everybody_after_ms: or(group.everybody_after_s, self.notify.everybody_after_s),
            alarm_after_ms: group.alarm_after_s.map_or(self.case.alarm_after_ms(), in_ms),
        }
    }

    /// Whether anybody is ever told by further channels, or who stands behind.
    pub fn escalates(&self) -> bool {
        let groups = self.groups.keys().map(|name| Some(name.as_str()));
        groups
            .chain([None])
            .map(|group| self.rules(group))
            .any(|rules| rules.channel_after_ms.is_some() || rules.tell_those_behind())
    }
}

fn cover_seen_ms_default() -> u64 {
    5_000
}

fn in_ms(seconds: NonZeroU32) -> i64 {
    i64::from(seconds.get()) * 1000
}
