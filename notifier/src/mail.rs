//! Notices by mail, over SMTP with implicit TLS.

use crate::error::unusable;
use crate::limits::MAIL_WAIT;
use crate::{Accepted, Channel, Kind, Language, Notice, NoticeError, Sending, Urgency};
use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{
    ContentTransferEncoding, ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0,
};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::Quit;
use lettre::transport::smtp::extension::ClientId;
use std::error::Error as _;
use std::time::SystemTime;
use time::OffsetDateTime;
use tls::{TlsError, Trust, bounded};

/// Codes that refuse a login (RFC 4954 6).
const LOGIN_REFUSED: [u16; 3] = [530, 534, 535];

/// Signs a mail, given whole with its time in seconds since 1970-01-01 UTC: header fields to put before it, or none if it fails.
pub type Sign = Box<dyn Fn(&[u8], i64) -> Option<String> + Send + Sync>;

/// The server that takes notices.
pub struct MailServer<'a> {
    /// Host name as in its certificate.
    pub host: &'a str,
    /// Port, normally 465.
    pub port: u16,
    /// Login name.
    pub user: &'a str,
    /// Password.
    pub password: &'a str,
    /// Whom to trust, and who we are.
    pub trust: Trust,
    /// Signs each mail; none is signed where absent.
    pub sign: Option<Sign>,
    /// Sender address.
    pub from: &'a str,
    /// The site: greets the server and stands in Message-IDs.
    pub site: &'a str,
}

/// Sends notices as mails.
pub struct MailChannel {
    host: String,
    port: u16,
    trust: Trust,
    sign: Option<Sign>,
    credentials: Credentials,
    from: Mailbox,
    site: String,
}

impl MailChannel {
    /// Prepares the channel; connects to nothing yet.
    ///
    /// # Errors
    /// [`NoticeError::Configuration`].
    pub fn new(server: MailServer<'_>) -> Result<Self, NoticeError> {
        let from: Address = server.from.parse().map_err(|_| unusable("the sender is not a mail address"))?;
        Ok(Self {
            host: server.host.to_owned(),
            port: server.port,
            trust: server.trust,
            sign: server.sign,
            credentials: Credentials::new(server.user.to_owned(), server.password.to_owned()),
            from: Mailbox::new(None, from),
            site: server.site.to_owned(),
        })
    }

    async fn mail(&self, notice: &Notice, to: &str, language: Language) -> Result<Accepted, NoticeError> {
        let message = self.message(notice, to, language)?;
        let stream = self.trust.connect(&self.host, self.port, MAIL_WAIT).await?;
        let late = || NoticeError::Unreachable { reason: "it does not answer in time".to_owned() };
        let mail = self.signed(message.formatted(), OffsetDateTime::now_utc().unix_timestamp())?;
        let handed_over = self.hand_over(stream, message.envelope(), &mail);
        tokio::time::timeout(MAIL_WAIT, handed_over).await.map_err(|_| late())?
    }

    fn signed(&self, mail: Vec<u8>, at: i64) -> Result<Vec<u8>, NoticeError> {
        let Some(sign) = &self.sign else { return Ok(mail) };
        let fields = sign(&mail, at).ok_or_else(|| unusable("the mail cannot be signed"))?;
        Ok([fields.into_bytes(), mail].concat())
    }

    async fn hand_over(
        &self,
        stream: tls::Stream,
        envelope: &Envelope,
        mail: &[u8],
    ) -> Result<Accepted, NoticeError> {
        let name = ClientId::Domain(self.site.clone());
        let greeted = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &name).await;
        // A server that wants another client certificate says so where its greeting is awaited (RFC 8446 4.4.2.4).
        let mut smtp = greeted.map_err(|error| {
            TlsError::behind(&error, &self.host, self.port).map_or_else(|| refused(&error), NoticeError::Tls)
        })?;
        smtp.auth(&[Mechanism::Plain], &self.credentials).await.map_err(|error| refused(&error))?;
        smtp.send(envelope, mail).await.map_err(|error| refused(&error))?;
        let _ = smtp.command(Quit).await;
        Ok(Accepted)
    }

    fn message(&self, notice: &Notice, to: &str, language: Language) -> Result<Message, NoticeError> {
        Kind::Mail.check(to)?;
        let to: Address = to.parse().map_err(|_| unusable("the address is not a mail address"))?;
        let (subject, body) = notice.text(language);
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject)
            .date(SystemTime::from(notice.at))
            .message_id(Some(format!("<{}.notice@{}>", notice.id, self.site)))
            .header(MIME_VERSION_1_0)
            .header(ContentType::TEXT_PLAIN)
            .header(ContentTransferEncoding::Base64)
            .body(body)
            .map_err(|_| unusable("the mail cannot be laid out"))?;
        // RFC 3834 5: no vacation answer comes back.
        add_header(&mut message, "Auto-Submitted", "auto-generated");
        if notice.urgency == Urgency::Urgent {
            // RFC 2156 5.3.4.
            add_header(&mut message, "Importance", "high");
        }
        Ok(message)
    }
}

impl Channel for MailChannel {
    fn send<'a>(&'a self, notice: &'a Notice, to: &'a str, language: Language) -> Sending<'a> {
        Box::pin(self.mail(notice, to, language))
    }
}

fn add_header(message: &mut Message, name: &'static str, value: &str) {
    let name = HeaderName::new_from_ascii_str(name);
    message.headers_mut().insert_raw(HeaderValue::new(name, value.to_owned()));
}

fn refused(error: &SmtpError) -> NoticeError {
    let text = error.source().map(ToString::to_string).unwrap_or_default();
    let text = bounded(&text);
    match error.status().map(u16::from) {
        Some(code) if LOGIN_REFUSED.contains(&code) => NoticeError::Login { code, reply: text },
        Some(code) if code >= 500 => NoticeError::Refused { code, reply: text },
        Some(code) => NoticeError::Busy { code, reply: text, retry_after: None },
        // What cannot be parsed may be anything, and is not repeated.
        None if error.is_response() => {
            NoticeError::Unreachable { reason: "its answer is not understood".to_owned() }
        }
        None => NoticeError::Unreachable { reason: text },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::NoticeId;
    use time::macros::datetime;
    use tls::ClientFiles;

    fn channel() -> MailChannel {
        MailChannel::new(MailServer {
            host: "mail.example",
            port: 465,
            user: "scanpost",
            password: "secret",
            trust: Trust::read(&ClientFiles::default()).unwrap(),
            sign: None,
            from: "scanpost@hospital.example",
            site: "hospital.example",
        })
        .unwrap()
    }

    fn notice(urgency: Urgency) -> Notice {
        Notice { id: NoticeId([0xA5; 16]), at: datetime!(2026-11-22 17:14:59 UTC), urgency }
    }

    #[tokio::test]
    async fn mail_is_exactly_this() {
        let message =
            channel().message(&notice(Urgency::Urgent), "phone@mobile.example", Language::English).unwrap();
        let expected = "From: scanpost@hospital.example\r\n\
            To: phone@mobile.example\r\n\
            Subject: Scanpost: URGENT, images are waiting for you\r\n\
            Date: Sun, 22 Nov 2026 17:14:59 +0000\r\n\
            Message-ID: <a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5.notice@hospital.example>\r\n\
            MIME-Version: 1.0\r\n\
            Content-Type: text/plain; charset=utf-8\r\n\
            Content-Transfer-Encoding: base64\r\n\
            Auto-Submitted: auto-generated\r\n\
            Importance: high\r\n\r\n";
        let text = String::from_utf8(message.formatted()).unwrap();
        let (head, _) = text.split_at(text.find("\r\n\r\n").unwrap() + 4);
        assert_eq!(head, expected);
    }

    #[tokio::test]
    async fn same_notice_gives_the_same_mail() {
        let channel = channel();
        let mail = || {
            channel.message(&notice(Urgency::Routine), "phone@mobile.example", Language::Japanese).unwrap()
        };
        assert_eq!(mail().formatted(), mail().formatted());
    }

    #[tokio::test]
    async fn lines_cannot_be_smuggled_in_by_an_address() {
        for to in ["", "a", "a@b\r\nBcc: c@d", "a@b, c@d"] {
            let message = channel().message(&notice(Urgency::Routine), to, Language::English);
            assert!(matches!(message.unwrap_err(), NoticeError::Address { .. }), "{to:?}");
        }
    }
}
