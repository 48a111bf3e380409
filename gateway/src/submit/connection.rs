//! One logged-in SMTP connection over implicit TLS, and one message over it (RFC 5321, RFC 6409).

use super::transport::{Body, Progress, Transport, Valve};
use super::{Reply, Step, SubmitError};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Ehlo, Mail as MailCommand, Noop, Quit, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, MailParameter};
use lettre::transport::smtp::response::Response;
use seal::mail::{Address, Message, Part, Site};
use std::error::Error as _;
use std::future::Future;
use std::io::{self, Read};
use std::time::{Duration, Instant};
use tls::{TlsError, Trust};

/// Reply that asks for the message (RFC 5321 4.3.2).
const START_MAIL_INPUT: u16 = 354;

/// Longest waits (RFC 5321 4.5.3.2).
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// TCP and TLS.
    pub connect: Duration,
    /// Greeting (4.5.3.2.1), EHLO, AUTH, MAIL (4.5.3.2.2), RCPT (4.5.3.2.3).
    pub command: Duration,
    /// DATA (4.5.3.2.4).
    pub data: Duration,
    /// One block of the message (4.5.3.2.5).
    pub block: Duration,
    /// Answer to the last dot (4.5.3.2.6): shorter waits make duplicates.
    pub after_dot: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            command: Duration::from_secs(5 * 60),
            data: Duration::from_secs(2 * 60),
            block: Duration::from_secs(3 * 60),
            after_dot: Duration::from_secs(10 * 60),
        }
    }
}

/// One message with its envelope.
pub(super) struct Mail<'a> {
    pub(super) from: &'a Address,
    pub(super) to: &'a [&'a Address],
    pub(super) message: &'a Message,
    pub(super) part: Part,
}

/// What the server said to each recipient, in their order.
pub(super) type Outcomes = Vec<Result<(), SubmitError>>;

/// Greeted, logged in, between two messages.
pub(super) struct Connection {
    smtp: AsyncSmtpConnection,
    valve: Valve,
    timeouts: Timeouts,
    /// SIZE of the server (RFC 1870); none if it names no limit.
    size_max: Option<u64>,
    used: Instant,
}

/// How to open a connection.
pub(super) struct Dial<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) trust: &'a Trust,
    pub(super) site: &'a Site,
    pub(super) user: &'a str,
    pub(super) password: &'a str,
    pub(super) timeouts: Timeouts,
}

impl Connection {
    pub(super) async fn open(dial: &Dial<'_>) -> Result<Self, SubmitError> {
        let stream = dial.trust.connect(dial.host, dial.port, dial.timeouts.connect).await?;
        let valve = Valve::default();
        let transport = Box::new(Transport { stream, valve: valve.clone() });
        let name = ClientId::Domain(dial.site.as_str().to_owned());
        let greeted = AsyncSmtpConnection::connect_with_transport(transport, &name);
        // A server that wants another client certificate says so where its greeting is awaited (RFC 8446 4.4.2.4).
        let greeted = async { greeted.await.map_err(|error| greeting_error(&error, dial)) };
        let greeted = tokio::time::timeout(dial.timeouts.command, greeted).await;
        let smtp = greeted.map_err(|_| SubmitError::Silent { at: Step::Greeting })??;
        let mut connection =
            Self { smtp, valve, timeouts: dial.timeouts, size_max: None, used: Instant::now() };
        // The client reads EHLO without keeping SIZE, so it is asked once more (RFC 5321 4.1.4 allows it).
        let ehlo = connection.command(Step::Ehlo, Ehlo::new(name)).await?;
        connection.size_max = size_in(&ehlo);
        connection.login(dial).await?;
        Ok(connection)
    }

    /// Time since the last answer of the server.
    pub(super) fn idle(&self) -> Duration {
        self.used.elapsed()
    }

    pub(super) async fn is_alive(&mut self) -> bool {
        within(self.timeouts.data, Step::Ehlo, self.smtp.command(Noop)).await.is_ok()
    }

    pub(super) async fn quit(mut self) {
        let _ = within(self.timeouts.connect, Step::Rset, self.smtp.command(Quit)).await;
    }

    /// Sends one message. After an error the connection must be dropped; refused recipients alone leave it usable.
    pub(super) async fn deliver<R: Read + Send>(
        &mut self,
        mail: &Mail<'_>,
        body: impl FnOnce() -> io::Result<R>,
    ) -> Result<Outcomes, SubmitError> {
        let size = mail.message.encoded_bytes();
        self.check_size(mail.part, size)?;
        let sealed = |source| SubmitError::Sealed { part: mail.part, source };
        let body = body().map_err(sealed)?;
        let parameter = MailParameter::Size(usize::try_from(size).unwrap_or(usize::MAX));
        self.command(Step::Mail, MailCommand::new(Some(lettre_address(mail.from)?), vec![parameter])).await?;
        let outcomes = self.recipients(mail.to).await?;
        if outcomes.iter().all(Result::is_err) {
            self.command(Step::Rset, Rset).await?;
            return Ok(outcomes);
        }
        self.data().await?;
        self.body(mail.part, mail.message.lines(body)).await?;
        self.used = Instant::now();
        Ok(outcomes)
    }

    /// RFC 1870 6.1: too large is known before a byte of it was sent.
    fn check_size(&self, part: Part, message_bytes: u64) -> Result<(), SubmitError> {
        match self.size_max {
            Some(allowed_bytes) if message_bytes > allowed_bytes => {
                Err(SubmitError::TooLarge { part, allowed_bytes, message_bytes })
            }
            _ => Ok(()),
        }
    }

    async fn recipients(&mut self, to: &[&Address]) -> Result<Outcomes, SubmitError> {
        let mut outcomes = Vec::with_capacity(to.len());
        for mailbox in to {
            let rcpt = Rcpt::new(lettre_address(mailbox)?, Vec::new());
            outcomes.push(match self.command(Step::Rcpt, rcpt).await {
                Ok(_) => Ok(()),
                // 421 closes the connection, whatever it answers (RFC 5321 3.8).
                Err(SubmitError::Refused { reply, .. }) if reply.code != 421 => {
                    Err(SubmitError::Recipient { mailbox: mailbox.to_string(), reply })
                }
                Err(error) => return Err(error),
            });
        }
        Ok(outcomes)
    }

    async fn data(&mut self) -> Result<(), SubmitError> {
        let reply = within(self.timeouts.data, Step::Data, self.smtp.command(Data)).await?;
        let code = code_of(&reply);
        if code == START_MAIL_INPUT { Ok(()) } else { Err(SubmitError::Protocol { at: Step::Data }) }
    }

    async fn body(
        &mut self,
        part: Part,
        blocks: impl Iterator<Item = io::Result<Vec<u8>>> + Send,
    ) -> Result<(), SubmitError> {
        let progress = Progress::default();
        let mut error = None;
        let body = Body::new(blocks, self.valve.clone(), &progress, &mut error);
        let sent = tokio::select! {
            sent = self.smtp.message_iter(body) => Some(sent),
            () = stalled(&progress, self.timeouts) => None,
        };
        let at = if progress.has_ended() { Step::AfterDot } else { Step::Body };
        if let Some(source) = error {
            return Err(SubmitError::Sealed { part, source });
        }
        sent.ok_or(SubmitError::Silent { at })?.map(drop).map_err(|error| smtp_error(&error, at))
    }

    async fn login(&mut self, dial: &Dial<'_>) -> Result<(), SubmitError> {
        if self.smtp.server_info().get_auth_mechanism(&[Mechanism::Plain]).is_none() {
            return Err(SubmitError::NoLogin);
        }
        let credentials = Credentials::new(dial.user.to_owned(), dial.password.to_owned());
        let auth = self.smtp.auth(&[Mechanism::Plain], &credentials);
        match within(self.timeouts.command, Step::Auth, auth).await {
            Err(SubmitError::Refused { reply, .. }) if reply.is_permanent() => {
                Err(SubmitError::Login { user: dial.user.to_owned(), reply })
            }
            other => other.map(drop),
        }
    }

    async fn command(&mut self, at: Step, command: impl std::fmt::Display) -> Result<Response, SubmitError> {
        let response = within(self.timeouts.command, at, self.smtp.command(command)).await?;
        self.used = Instant::now();
        Ok(response)
    }
}

/// Returns when the body has made no progress for as long as its phase allows.
async fn stalled(progress: &Progress, timeouts: Timeouts) {
    loop {
        let before = progress.steps();
        tokio::time::sleep(if progress.has_ended() { timeouts.after_dot } else { timeouts.block }).await;
        if progress.steps() == before {
            return;
        }
    }
}

async fn within<T>(
    wait: Duration,
    at: Step,
    answer: impl Future<Output = Result<T, SmtpError>>,
) -> Result<T, SubmitError> {
    let answer = tokio::time::timeout(wait, answer).await.map_err(|_| SubmitError::Silent { at })?;
    answer.map_err(|error| smtp_error(&error, at))
}

fn smtp_error(error: &SmtpError, at: Step) -> SubmitError {
    let text = error.source().map(ToString::to_string).unwrap_or_default();
    match error.status() {
        Some(code) => SubmitError::Refused { at, reply: Reply::new(u16::from(code), &text) },
        // What cannot be parsed may be anything, and is not repeated; an answer cut short is a lost connection.
        None if error.is_response() && text != "incomplete response" => SubmitError::Protocol { at },
        None => SubmitError::Lost { at },
    }
}

fn greeting_error(error: &SmtpError, dial: &Dial<'_>) -> SubmitError {
    let refused = TlsError::behind(error, dial.host, dial.port);
    refused.map_or_else(|| smtp_error(error, Step::Greeting), SubmitError::Tls)
}

fn code_of(response: &Response) -> u16 {
    u16::from(response.code())
}

/// `SIZE n` of an EHLO answer; 0 or nothing means no limit is named (RFC 1870 4).
fn size_in(ehlo: &Response) -> Option<u64> {
    let mut sizes = ehlo.message().filter_map(|line| {
        let (keyword, size) = line.split_once(' ')?;
        keyword.eq_ignore_ascii_case("SIZE").then(|| size.trim().parse::<u64>().ok())?
    });
    sizes.next().filter(|size| *size > 0)
}

fn lettre_address(address: &Address) -> Result<lettre::Address, SubmitError> {
    let text = address.as_str();
    text.parse().map_err(|_| SubmitError::Address { address: text.to_owned() })
}
