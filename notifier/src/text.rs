//! The constant texts. Only time and id vary.

use crate::{Language, Notice, Urgency};
use time::macros::{format_description, offset};

const SUBJECT_EN: &str = "Scanpost: images are waiting for you";
const SUBJECT_EN_URGENT: &str = "Scanpost: URGENT, images are waiting for you";
const SUBJECT_JA: &str = "Scanpost: 画像が届いています";
const SUBJECT_JA_URGENT: &str = "Scanpost: 【至急】画像が届いています";

const BODY_EN: &str = "Images are waiting for you in Scanpost. Please open Scanpost to view them.";
const BODY_EN_URGENT: &str =
    "Images are waiting for you in Scanpost. Please open Scanpost and look at them at once.";
const BODY_JA: &str = "Scanpost に画像が届いています。Scanpost を開いてご確認ください。";
const BODY_JA_URGENT: &str = "Scanpost に画像が届いています。至急 Scanpost を開いてご確認ください。";

impl Notice {
    /// Subject and body. English names the time in UTC, Japanese in Japan's one time zone.
    pub fn text(&self, language: Language) -> (&'static str, String) {
        let (subject, body) = constant(language, self.urgency);
        let id = self.id;
        let body = match language {
            Language::English => format!("{body}\r\n\r\nTime: {}\r\nNotice: {id}\r\n", self.time(language)),
            Language::Japanese => {
                format!("{body}\r\n\r\n時刻: {}\r\n通知番号: {id}\r\n", self.time(language))
            }
        };
        (subject, body)
    }

    /// All in one line, for what is short or spoken: 70 characters at most in English, 50 in Japanese, one text message each.
    pub fn line(&self, language: Language) -> String {
        let (subject, _) = constant(language, self.urgency);
        let stop = if language == Language::English { ". " } else { "。" };
        format!("{subject}{stop}{}", self.time(language))
    }

    fn time(&self, language: Language) -> String {
        let minutes = format_description!("[year]-[month]-[day] [hour]:[minute]");
        let (at, zone) = match language {
            Language::English => (self.at.to_offset(offset!(UTC)), "UTC"),
            Language::Japanese => (self.at.to_offset(offset!(+9)), "(日本時間)"),
        };
        // Only a year beyond 9999 cannot be written so.
        format!("{} {zone}", at.format(minutes).unwrap_or_default())
    }
}

fn constant(language: Language, urgency: Urgency) -> (&'static str, &'static str) {
    match (language, urgency) {
        (Language::English, Urgency::Routine) => (SUBJECT_EN, BODY_EN),
        (Language::English, Urgency::Urgent) => (SUBJECT_EN_URGENT, BODY_EN_URGENT),
        (Language::Japanese, Urgency::Routine) => (SUBJECT_JA, BODY_JA),
        (Language::Japanese, Urgency::Urgent) => (SUBJECT_JA_URGENT, BODY_JA_URGENT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoticeId;
    use time::macros::datetime;

    fn notice(urgency: Urgency) -> Notice {
        Notice { id: NoticeId([0xA5; 16]), at: datetime!(2026-11-22 17:14:59 UTC), urgency }
    }

    #[test]
    fn texts_are_exactly_these() {
        let (subject, body) = notice(Urgency::Routine).text(Language::English);
        assert_eq!(subject, "Scanpost: images are waiting for you");
        assert_eq!(
            body,
            "Images are waiting for you in Scanpost. Please open Scanpost to view them.\r\n\r\n\
             Time: 2026-11-22 17:14 UTC\r\nNotice: a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\r\n"
        );
        let (subject, body) = notice(Urgency::Urgent).text(Language::Japanese);
        assert_eq!(subject, "Scanpost: 【至急】画像が届いています");
        assert_eq!(
            body,
            "Scanpost に画像が届いています。至急 Scanpost を開いてご確認ください。\r\n\r\n\
             時刻: 2026-11-23 02:14 (日本時間)\r\n通知番号: a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\r\n"
        );
    }

    #[test]
    fn a_line_fits_into_one_text_message() {
        let urgent = notice(Urgency::Urgent);
        assert_eq!(
            urgent.line(Language::English),
            "Scanpost: URGENT, images are waiting for you. 2026-11-22 17:14 UTC"
        );
        assert_eq!(
            urgent.line(Language::Japanese),
            "Scanpost: 【至急】画像が届いています。2026-11-23 02:14 (日本時間)"
        );
        // 3GPP TS 23.038: 160 characters of the GSM alphabet, 70 of any other.
        assert!(urgent.line(Language::English).is_ascii() && urgent.line(Language::English).len() <= 160);
        assert!(urgent.line(Language::Japanese).chars().count() <= 70);
    }

    #[test]
    fn urgency_shows_in_subject_and_body() {
        for language in [Language::English, Language::Japanese] {
            let (routine, urgent) =
                (notice(Urgency::Routine).text(language), notice(Urgency::Urgent).text(language));
            assert!(routine.0 != urgent.0 && routine.1 != urgent.1);
        }
    }
}
