//! What each service is asked: the bodies are constants but for the fields of a notice.

use super::body::{Body, Values};
use crate::error::unusable;
use crate::{Kind, Language, Notice, NoticeError, Secret, Urgency};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// ntfy's priorities go from 1 to 5; 5 rings longest.
const NTFY_PRIORITY_URGENT: u8 = 5;
const NTFY_PRIORITY: u8 = 4;
/// Standard Webhooks: how a secret is written.
const WEBHOOK_SECRET_PREFIX: &str = "whsec_";
/// Standard Webhooks: 24 to 64 bytes.
const WEBHOOK_SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A service, and what it needs beside URL and login.
pub enum Template {
    /// JSON to the root of an ntfy server.
    Ntfy,
    /// JSON, signed by Standard Webhooks with this secret.
    Webhook(Secret),
    /// An Adaptive Card for a webhook of Workflows.
    Teams,
    /// A text for an incoming webhook.
    Slack,
    /// A text by a bot, whose URL ends in its number.
    LineWorks,
    /// What the operator wrote for a gateway of text messages.
    Sms(Body),
    /// The same for calls.
    Voice(Body),
}

/// What is asked of a server.
pub(super) struct Asked {
    pub(super) url: Uri,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Template {
    pub(super) fn ask(
        &self,
        url: &Uri,
        notice: &Notice,
        to: &str,
        language: Language,
        now: OffsetDateTime,
    ) -> Result<Asked, NoticeError> {
        self.kind().check(to)?;
        let asked = |body: &Value| Asked {
            url: url.clone(),
            content_type: "application/json",
            body: body.to_string().into_bytes(),
            headers: Vec::new(),
        };
        Ok(match self {
            Self::Ntfy => asked(&ntfy(notice, to, language)),
            Self::Webhook(secret) => {
                let mut asked = asked(&webhook(notice, to, language)?);
                asked.headers = signed(secret, notice, &asked.body, now)?;
                asked
            }
            Self::Teams => asked(&card(notice, language)),
            Self::Slack => asked(&json!({ "text": notice.line(language) })),
            Self::LineWorks => {
                let content = json!({ "type": "text", "text": notice.line(language) });
                Asked { url: room(url, to)?, ..asked(&json!({ "content": content })) }
            }
            Self::Sms(body) | Self::Voice(body) => {
                let (id, text) = (notice.id.to_string(), notice.line(language));
                let (content_type, body) = body.fill(&Values { to, text: &text, id: &id });
                Asked { url: url.clone(), content_type, body, headers: Vec::new() }
            }
        })
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Ntfy => Kind::Ntfy,
            Self::Webhook(_) => Kind::Webhook,
            Self::Teams => Kind::Teams,
            Self::Slack => Kind::Slack,
            Self::LineWorks => Kind::LineWorks,
            Self::Sms(_) => Kind::Sms,
            Self::Voice(_) => Kind::Voice,
        }
    }
}

/// docs.ntfy.sh/publish, "Publish as JSON". A repeated notice replaces the first on the phone by its sequence id; servers without that ignore it.
fn ntfy(notice: &Notice, topic: &str, language: Language) -> Value {
    let (title, body) = notice.text(language);
    let (priority, tag) = match notice.urgency {
        Urgency::Urgent => (NTFY_PRIORITY_URGENT, "rotating_light"),
        Urgency::Routine => (NTFY_PRIORITY, "envelope"),
    };
    json!({
        "topic": topic, "title": title, "message": body.replace("\r\n", "\n").trim_end(), "priority": priority, "tags": [tag],
        "sequence_id": notice.id.to_string(),
    })
}

fn webhook(notice: &Notice, to: &str, language: Language) -> Result<Value, NoticeError> {
    let mut data =
        json!({ "id": notice.id.to_string(), "urgency": notice.urgency, "text": notice.line(language) });
    if let (false, Value::Object(data)) = (to.is_empty(), &mut data) {
        data.insert("to".into(), to.into());
    }
    Ok(json!({ "type": "scanpost.notice", "timestamp": notice.at_text()?, "data": data }))
}

/// Standard Webhooks 1.0: `webhook-id` stays the same at each try, the signature is over id, time and body.
fn signed(
    secret: &Secret,
    notice: &Notice,
    body: &[u8],
    now: OffsetDateTime,
) -> Result<Vec<(&'static str, String)>, NoticeError> {
    let secret = super::read(secret)?;
    let encoded = secret.strip_prefix(WEBHOOK_SECRET_PREFIX).unwrap_or(&secret);
    let key = STANDARD.decode(encoded).ok().filter(|key| WEBHOOK_SECRET_BYTES.contains(&key.len()));
    let key = key.ok_or(NoticeError::Secret { reason: "it is not whsec_ and 24 to 64 bytes in base64" })?;
    let (id, at) = (notice.id.to_string(), now.unix_timestamp().to_string());
    let content = [id.as_bytes(), b".", at.as_bytes(), b".", body].concat();
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &content);
    let signature = format!("v1,{}", STANDARD.encode(signature));
    Ok(vec![("webhook-id", id), ("webhook-timestamp", at), ("webhook-signature", signature)])
}

/// Adaptive Cards 1.4 in the message that the trigger "when a Teams webhook request is received" takes.
fn card(notice: &Notice, language: Language) -> Value {
    let (title, _) = notice.text(language);
    let colour = if notice.urgency == Urgency::Urgent { "Attention" } else { "Default" };
    let blocks = json!([
        { "type": "TextBlock", "text": title, "weight": "Bolder", "size": "Large", "color": colour, "wrap": true },
        { "type": "TextBlock", "text": notice.line(language), "wrap": true },
    ]);
    let content = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4", "body": blocks,
    });
    let attachment = json!({
        "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": content,
    });
    json!({ "type": "message", "attachments": [attachment] })
}

/// LINE WORKS API 2.0: below the bot, a person's messages or a room's. [`Kind::check`] lets nothing through that has a meaning in a path.
fn room(bot: &Uri, to: &str) -> Result<Uri, NoticeError> {
    let path = match to.strip_prefix("channel:") {
        Some(room) => format!("channels/{room}/messages"),
        None => format!("users/{to}/messages"),
    };
    format!("{}/{path}", bot.to_string().trim_end_matches('/'))
        .parse()
        .map_err(|_| unusable("the URL and the address make no URL"))
}

impl Notice {
    /// When, by RFC 3339.
    pub(crate) fn at_text(&self) -> Result<String, NoticeError> {
        self.at
            .replace_nanosecond(0)
            .unwrap_or(self.at)
            .format(&Rfc3339)
            .map_err(|_| unusable("the clock is off"))
    }
}
