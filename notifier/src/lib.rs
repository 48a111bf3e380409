//! Plain notices, and the channels that carry them. Nothing here knows what a study is.
//!
//! Sketch:
//! - `Notice { id: [u8; 16] random, at: OffsetDateTime, urgency: Urgency }`: no field can hold patient data
//! - `Language`, `Notice::text(Language) -> (subject, body)`: constant templates, Japanese and English
//! - `trait Channel { async fn send(&self, notice, to, language) -> Result<Accepted, NoticeError> }`, `MailChannel` over SMTPS
//! - `NoticeError { Temporary | Permanent }` by who must act

/// Language of a notice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[serde(rename = "en")]
    English,
    /// Japanese.
    #[default]
    #[serde(rename = "ja")]
    Japanese,
}
