//! Makes this device known to a site by a one-time code, and the site to this device; tells sites of a new key (SPEC 8).

use crate::config::{Config, ConfigError};
use crate::key_folder::KeyFolder;
use crate::pull::{PullError, Session, is_of_message};
use seal::enrol::{Code, fingerprint};
use seal::ids::{DeliveryId, InvitationId};
use seal::limits::CONFIRMATION_BYTES_MAX;
use seal::mail::{Message, MessageId, Part, Site};
use seal::mailbox::Found;
use seal::native::{Certificate, CodeKeys, DoctorKey, SealError, open_confirmation, sign_request};
use std::io;
use std::time::Duration;
use time::OffsetDateTime;

/// Pause between two looks for the answer.
const POLL: Duration = Duration::from_secs(1);

/// What an enrolment came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Enrolment {
    /// The administrator has not confirmed yet: run it again with the same code.
    Waits,
    /// The site is pinned.
    Done {
        /// Its name.
        site: String,
        /// SHA-256 of its certificate.
        certificate: String,
    },
}

/// One device that enrols.
pub struct Enrolling<'a> {
    config: &'a Config,
    folder: KeyFolder,
    doctor: DoctorKey,
    code: Code,
    keys: CodeKeys,
}

impl<'a> Enrolling<'a> {
    /// Reads the code and makes keys unless they are there.
    ///
    /// # Errors
    /// [`PullError::Config`]: a code that was mistyped, a configuration without `doctor.keys`.
    pub fn begin(config: &'a Config, code: &str, now: OffsetDateTime) -> Result<Self, PullError> {
        let code = Code::parse(code).ok_or(ConfigError::Code)?;
        let folder = config.key_folder()?;
        let doctor = folder.make(now)?;
        let keys = CodeKeys::of(&code)?;
        Ok(Self { config, folder, doctor, code, keys })
    }

    /// What the doctor tells the administrator, and the administrator sees: the same on both sides, or a key was swapped.
    pub fn fingerprint(&self) -> String {
        let identity = self.doctor.identity().unwrap_or(self.doctor.certificate()).digest();
        fingerprint(self.keys.invitation, &self.doctor.certificate().digest(), &identity)
    }

    /// Puts the request into the mailbox unless it lies there, and looks for the answer for `wait`.
    ///
    /// # Errors
    /// [`PullError`]; messages that others put there under the same Message-ID are passed over.
    pub async fn run(self, device: &str, now: i64, wait: Duration) -> Result<Enrolment, PullError> {
        let mut session = Session::new(self.config.mailbox_login()?);
        let id = MessageId::enrolment(self.keys.invitation, Part::Enrol, self.code.site());
        put(&mut session, self.config, &id, &self.request(device, now)?, now).await?;
        let began = std::time::Instant::now();
        let answer = loop {
            let answer = self.answer(&mut session).await?;
            if answer.is_some() || began.elapsed() >= wait {
                break answer;
            }
            tokio::time::sleep(POLL).await;
        };
        session.close().await;
        let Some(site) = answer else { return Ok(Enrolment::Waits) };
        self.folder.pin(self.code.site(), &site)?;
        self.folder.forget_request(self.keys.invitation);
        let certificate = site.digest().to_string();
        Ok(Enrolment::Done { site: self.code.site().to_string(), certificate })
    }

    fn request(&self, device: &str, now: i64) -> Result<Vec<u8>, PullError> {
        let make = || {
            sign_request(&self.doctor, device, &self.keys, now)
                .map_err(|error| ConfigError::MakeKeys(error.to_string()))
        };
        Ok(self.folder.request(self.keys.invitation, make)?)
    }

    /// The site's certificate from the first message that is genuine.
    async fn answer(&self, session: &mut Session) -> Result<Option<Certificate>, PullError> {
        for body in bodies(session, self.keys.invitation, Part::Enrolled).await? {
            match open_confirmation(&body, &self.doctor, &self.keys) {
                Ok(site) => return Ok(Some(site)),
                Err(refusal) => {
                    tracing::warn!(%refusal, "a message that names this enrolment is not from the site");
                }
            }
        }
        Ok(None)
    }
}

/// Makes a new key, or takes the one that no site has sealed for yet, and tells every pinned site of it. Gives their names.
///
/// # Errors
/// [`PullError`].
pub async fn renew(config: &Config, now: OffsetDateTime) -> Result<Vec<Site>, PullError> {
    let folder = config.key_folder()?;
    let sites = folder.site_names()?;
    if sites.is_empty() {
        return Err(ConfigError::NotEnrolled.into());
    }
    let (id, message) = folder.renewal(now)?;
    let mut session = Session::new(config.mailbox_login()?);
    for site in &sites {
        let id = MessageId::enrolment(id, Part::Renew, site);
        put(&mut session, config, &id, &message, now.unix_timestamp()).await?;
    }
    session.close().await;
    Ok(sites)
}

/// Puts a message into the mailbox unless the same lies there.
async fn put(
    session: &mut Session,
    config: &Config,
    id: &MessageId,
    body: &[u8],
    now: i64,
) -> Result<(), PullError> {
    let lying = bodies(session, InvitationId(id.delivery().0), id.part()).await?;
    if lying.iter().any(|lies| lies == body) {
        return Ok(());
    }
    let message = Message::new(id.clone(), &config.address()?, now, body.len() as u64)
        .map_err(|error| SealError::Io(io::Error::other(error)))?;
    let blocks: io::Result<Vec<_>> = message.lines(body).collect();
    let mail = blocks.map_err(SealError::Io)?.concat();
    Ok(session.append(config.receipt_folder(), &mail).await?)
}

/// What lies in the mailbox under an id, whoever put it there.
async fn bodies(session: &mut Session, id: InvitationId, part: Part) -> Result<Vec<Vec<u8>>, PullError> {
    let found = session.parts_of(DeliveryId(id.0)).await?;
    let mut bodies = Vec::new();
    for found in found.iter().filter(|found| found.id.part() == part) {
        bodies.extend(body(session, found).await?);
    }
    Ok(bodies)
}

async fn body(session: &mut Session, found: &Found) -> Result<Option<Vec<u8>>, PullError> {
    let mut body = Vec::new();
    match session.fetch(found, &mut body, CONFIRMATION_BYTES_MAX as u64).await {
        Err(error) if is_of_message(&error) => Ok(None),
        fetched => {
            fetched?;
            Ok(Some(body))
        }
    }
}
