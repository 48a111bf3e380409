//! The events that this gateway knows (PS3.15 A.5.3).

use super::codes::Code;
use super::message::{
    Address, CASE_ENDED, CASE_WITHDRAWN, DELETION_PROOF, Message, Object, Outcome, Participant,
};
use crate::journal::{Act, Ended, NotedAccountAct, NotedAct};
use crate::query::QueryError;
use compressor::Uid;
use compressor::dataset::Banner;
use seal::ids::{CaseId, DeliveryId};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tls::TlsError;

/// A study of one patient, as far as an event is about it.
#[derive(Clone, Default)]
pub struct Subject {
    /// Study Instance UID, where the data sets name one.
    pub study: Option<Uid>,
    /// Patient and accession number.
    pub banner: Banner,
    /// Instances of each SOP class.
    pub classes: BTreeMap<Uid, u64>,
}

/// How long a study was on a doctor's screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// By the reader's clock, seconds since 1970-01-01 UTC.
    pub ended_at: i64,
    /// How long, in seconds, rounded by the reader.
    pub seconds: u32,
}

impl Reading {
    /// When it began and ended, and how long it was.
    fn details(self) -> Vec<(&'static str, Vec<u8>)> {
        let time = |at: i64| {
            let at = OffsetDateTime::from_unix_timestamp(at).ok();
            at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default().into_bytes()
        };
        vec![
            ("Reading Start", time(self.ended_at.saturating_sub(self.seconds.into()))),
            ("Reading End", time(self.ended_at)),
            ("Reading Seconds", self.seconds.to_string().into_bytes()),
        ]
    }
}

/// A server that the gateway connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Takes sealed mails.
    Mail,
    /// Takes notices.
    Notice,
    /// Has the doctors' mailboxes.
    Mailbox,
    /// Says what a series holds.
    Pacs,
    /// Takes the trail.
    Syslog,
}

/// Why a server is not one to talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerRefusal {
    /// Its certificate is not to be trusted.
    Certificate,
    /// It does not speak TLS as required, or does not take our certificate.
    Tls,
    /// It does not take our login.
    Login,
}

impl ServerRefusal {
    /// Of an error that may be a sign of an attack; none for others.
    pub fn of(error: &TlsError) -> Option<Self> {
        match error {
            TlsError::Certificate { .. } => Some(Self::Certificate),
            TlsError::Handshake { .. } | TlsError::ClientCertificate { .. } => Some(Self::Tls),
            _ => None,
        }
    }
}

/// Who takes part in a retrieval.
#[derive(Clone, Copy)]
pub struct RetrievalNodes<'a> {
    /// AE title of the PACS that is asked.
    pub pacs: &'a str,
    /// Its host.
    pub host: &'a str,
    /// AE title under which it comes in.
    pub called: &'a str,
    /// The person who asked for it, where one did.
    pub by: Option<&'a str>,
}

impl RetrievalNodes<'_> {
    fn participants(&self) -> Vec<Participant> {
        let host = Address::Host(self.host.to_owned());
        let source = node(self.pacs, Code::SOURCE, false, Some(host));
        let destination = node(self.called, Code::DESTINATION, self.by.is_none(), None);
        let person = self.by.map(|by| node(by, Code::APPLICATION, true, None));
        [source, destination].into_iter().chain(person).collect()
    }
}

fn study_alone(study: &Uid) -> Object {
    Object::Study {
        uid: study.as_str().to_owned(),
        accession: None,
        classes: BTreeMap::new(),
        encrypted: false,
        deleted: false,
    }
}

/// `ParticipantObjectID` of a study without a UID: the schema asks for one.
const NO_UID: &str = "(none)";

impl Subject {
    fn objects(&self, encrypted: bool, deleted: bool) -> Vec<Object> {
        let study = Object::Study {
            uid: self.study.as_ref().map_or(NO_UID, Uid::as_str).to_owned(),
            accession: Some(self.banner.accession.clone()),
            classes: self.classes.clone(),
            encrypted,
            deleted,
        };
        vec![study, Object::Patient(Box::new(self.banner.clone()))]
    }
}

/// This program.
fn gateway(role: Code, requestor: bool) -> Participant {
    Participant {
        user: format!("scanpost-gateway {}", std::process::id()),
        requestor,
        role,
        address: None,
        media: None,
    }
}

fn node(ae_title: &str, role: Code, requestor: bool, address: Option<Address>) -> Participant {
    Participant { user: ae_title.to_owned(), requestor, role, address, media: None }
}

/// By a doctor, at the reader's side.
fn accessed(doctor: &str, subject: &Subject) -> Message {
    let participants = vec![node(doctor, Code::DESTINATION, true, None), gateway(Code::SOURCE, false)];
    message(Code::INSTANCES_ACCESSED, 'R', participants, subject.objects(true, false))
}

fn message(event: Code, action: char, participants: Vec<Participant>, objects: Vec<Object>) -> Message {
    Message {
        event,
        kind: None,
        action,
        outcome: Outcome::Success,
        reason: None,
        participants,
        objects,
        details: Vec::new(),
    }
}

impl Message {
    /// Application Activity: the gateway starts or stops (A.5.3.1).
    pub fn application(starts: bool) -> Self {
        let kind = if starts { Code::APPLICATION_START } else { Code::APPLICATION_STOP };
        let launcher =
            node(&format!("user {}", rustix::process::getuid().as_raw()), Code::LAUNCHER, true, None);
        let event = message(
            Code::APPLICATION_ACTIVITY,
            'E',
            vec![gateway(Code::APPLICATION, false), launcher],
            vec![],
        );
        Self { kind: Some(kind), ..event }
    }

    /// Begin Transferring DICOM Instances: a study begins to come in from `calling` (A.5.3.3).
    pub fn begin_receiving(calling: &str, called: &str, subject: &Subject) -> Self {
        let participants =
            vec![node(calling, Code::SOURCE, true, None), node(called, Code::DESTINATION, false, None)];
        message(Code::BEGIN_TRANSFERRING, 'E', participants, subject.objects(false, false))
    }

    /// DICOM Instances Transferred: what came in (A.5.3.7).
    pub fn received(calling: &str, called: &str, subject: &Subject) -> Self {
        let participants =
            vec![node(calling, Code::SOURCE, true, None), node(called, Code::DESTINATION, false, None)];
        message(Code::INSTANCES_TRANSFERRED, 'C', participants, subject.objects(false, false))
    }

    /// Query: the PACS was asked what a series holds, and answered or did not (A.5.3.10).
    pub fn query(
        own: &str,
        pacs: &str,
        host: &str,
        sop_class: &'static str,
        keys: Vec<u8>,
        transfer_syntax: &'static str,
        failure: Option<&QueryError>,
    ) -> Self {
        let participants = vec![
            node(own, Code::SOURCE, true, None),
            node(pacs, Code::DESTINATION, false, Some(Address::Host(host.to_owned()))),
        ];
        let event =
            message(Code::QUERY, 'E', participants, vec![Object::Query { sop_class, keys, transfer_syntax }]);
        match failure {
            None => event,
            Some(error) => {
                Self { outcome: Outcome::SeriousFailure, reason: Some(error.to_string()), ..event }
            }
        }
    }

    /// Begin Transferring DICOM Instances: a PACS is about to be asked for a study; whose it is is told by what comes (A.5.3.3).
    pub fn begin_retrieving(nodes: RetrievalNodes<'_>, study: &Uid) -> Self {
        message(Code::BEGIN_TRANSFERRING, 'E', nodes.participants(), vec![study_alone(study)])
    }

    /// DICOM Instances Transferred: a PACS gave what it was asked for, or did not (A.5.3.7).
    pub fn retrieved(nodes: RetrievalNodes<'_>, study: &Uid, failure: Option<String>) -> Self {
        let event = message(Code::INSTANCES_TRANSFERRED, 'C', nodes.participants(), vec![study_alone(study)]);
        match failure {
            None => event,
            Some(reason) => Self { outcome: Outcome::MinorFailure, reason: Some(reason), ..event },
        }
    }

    /// The same of a query that a person asked for; the AE title only sends it.
    pub fn asked_by(mut self, by: Option<&str>) -> Self {
        if let Some(by) = by {
            self.participants.iter_mut().for_each(|participant| participant.requestor = false);
            self.participants.push(node(by, Code::APPLICATION, true, None));
        }
        self
    }

    /// Export: sealed, and taken by the mail server for a doctor, or never sent (A.5.3.5).
    pub fn exported(doctor: &str, mailbox: &str, subject: &Subject, refused: bool) -> Self {
        let media = Participant {
            media: Some(Code::EMAIL),
            ..node(doctor, Code::DESTINATION_MEDIA, false, Some(Address::Mail(mailbox.to_owned())))
        };
        let event = message(
            Code::EXPORT,
            'R',
            vec![gateway(Code::SOURCE, true), media],
            subject.objects(true, false),
        );
        if !refused {
            return event;
        }
        Self {
            outcome: Outcome::SeriousFailure,
            reason: Some("not sent: the mail server refuses it, or the doctor has no valid key".into()),
            ..event
        }
    }

    /// Begin Transferring DICOM Instances: a sealed study is about to go to the mail server.
    pub fn begin_export(doctors: &[String], subject: &Subject) -> Self {
        let to = doctors.iter().map(|doctor| node(doctor, Code::DESTINATION, false, None));
        let participants = std::iter::once(gateway(Code::SOURCE, true)).chain(to).collect();
        message(Code::BEGIN_TRANSFERRING, 'E', participants, subject.objects(true, false))
    }

    /// A plain notice went to a doctor's phone; the notice itself names nobody.
    pub fn notified(doctor: &str, channel: &str, subject: &Subject) -> Self {
        let participants = vec![gateway(Code::SOURCE, true), node(doctor, Code::DESTINATION, false, None)];
        let event = message(Code::NOTICE, 'E', participants, subject.objects(false, false));
        Self { reason: Some(format!("by channel {channel}")), ..event }
    }

    /// A channel will not take it.
    pub fn notice_refused(doctor: &str, channel: &str, subject: &Subject) -> Self {
        let reason = Some(format!("not sent: channel {channel} refuses it"));
        Self { outcome: Outcome::SeriousFailure, reason, ..Self::notified(doctor, channel, subject) }
    }

    /// DICOM Instances Transferred: a doctor's signed receipt says that the study is there.
    pub fn pulled(doctor: &str, subject: &Subject) -> Self {
        let participants = vec![gateway(Code::SOURCE, false), node(doctor, Code::DESTINATION, true, None)];
        message(Code::INSTANCES_TRANSFERRED, 'R', participants, subject.objects(true, false))
    }

    /// DICOM Instances Accessed: a doctor's signed receipt says that the first image was on the screen (A.5.3.6).
    pub fn first_image(doctor: &str, subject: &Subject) -> Self {
        Self { kind: Some(Code::FIRST_IMAGE), ..accessed(doctor, subject) }
    }

    /// DICOM Instances Accessed: a doctor's signed receipt says how long the study was on the screen (A.5.3.6).
    pub fn read(doctor: &str, reading: Reading, subject: &Subject) -> Self {
        Self { kind: Some(Code::READING), details: reading.details(), ..accessed(doctor, subject) }
    }

    /// A doctor says: I have seen it.
    pub fn seen(doctor: &str, subject: &Subject) -> Self {
        let participants = vec![node(doctor, Code::SOURCE, true, None), gateway(Code::APPLICATION, false)];
        message(Code::SEEN, 'E', participants, subject.objects(true, false))
    }

    /// A doctor says something to the hospital; `told`: what, but for the words.
    pub fn answered(doctor: &str, told: &'static str, subject: &Subject) -> Self {
        let participants = vec![node(doctor, Code::SOURCE, true, None), gateway(Code::APPLICATION, false)];
        let event = message(Code::ANSWERED, 'E', participants, subject.objects(true, false));
        Self { reason: Some(told.to_owned()), ..event }
    }

    /// A doctor's signed request for exact files, before it is taken.
    pub fn exact_asked(doctor: &str, subject: &Subject) -> Self {
        let participants = vec![gateway(Code::SOURCE, false), node(doctor, Code::DESTINATION, true, None)];
        message(Code::EXACT_ASKED, 'R', participants, subject.objects(true, false))
    }

    /// A person asked for a study to be delivered to these doctors.
    pub fn pressed(by: &str, doctors: &[String], subject: &Subject) -> Self {
        let to = doctors.iter().map(|doctor| node(doctor, Code::DESTINATION, false, None));
        let participants = std::iter::once(node(by, Code::SOURCE, true, None)).chain(to).collect();
        message(Code::PRESSED, 'E', participants, subject.objects(false, false))
    }

    /// A person said what is to be done about a delivery.
    pub fn wished(by: &str, words: &'static str, subject: &Subject) -> Self {
        let participants = vec![node(by, Code::SOURCE, true, None), gateway(Code::APPLICATION, false)];
        let event = message(Code::WISHED, 'E', participants, subject.objects(false, false));
        Self { reason: Some(words.to_owned()), ..event }
    }

    /// A delivery is about to end with its case: what is restored from a backup later ends both again by this, also where it knows only one of them.
    pub fn ends(by: &str, ids: (CaseId, DeliveryId), how: Ended, subject: &Subject) -> Self {
        let details = vec![(CASE_ENDED, format!("{} {} {}", ids.0, ids.1, how.word()).into_bytes())];
        Self { details, ..Self::wished(by, how.told(), subject) }
    }

    /// The same of one that a person withdraws.
    pub fn withdraws(by: &str, ids: (CaseId, DeliveryId), subject: &Subject) -> Self {
        Self {
            details: vec![(CASE_WITHDRAWN, format!("{} {}", ids.0, ids.1).into_bytes())],
            ..Self::withdrawn(by, subject)
        }
    }

    /// A person withdrew a study, or the time ended that one waits for a press.
    pub fn withdrawn(by: &str, subject: &Subject) -> Self {
        let participants = vec![node(by, Code::SOURCE, true, None), gateway(Code::APPLICATION, false)];
        message(Code::WITHDRAWN, 'D', participants, subject.objects(false, false))
    }

    /// DICOM Study Deleted: the spool gave it back (A.5.3.8).
    pub fn deleted(subject: &Subject) -> Self {
        message(
            Code::STUDY_DELETED,
            'D',
            vec![gateway(Code::APPLICATION, true)],
            subject.objects(false, true),
        )
    }

    /// DICOM Study Deleted: it is in no mailbox of ours any more either (A.5.3.8). `proof`: the site's signed statement of that.
    pub fn deletion_proved(proof: &[u8], subject: &Subject) -> Self {
        Self { details: vec![(DELETION_PROOF, proof.to_vec())], ..Self::deleted(subject) }
    }

    /// Security Alert: a peer that was not let in (A.5.3.11).
    pub fn peer_refused(peer: SocketAddr, alert: &'static str) -> Self {
        let ip = peer.ip().to_string();
        let suspect = node(&ip, Code::SOURCE, true, Some(Address::Ip(ip.clone())));
        alert_of(Code::NODE_AUTHENTICATION, vec![gateway(Code::APPLICATION, false), suspect], ip, alert)
    }

    /// Security Alert: a server of ours that is not to be trusted, or that does not let us in.
    pub fn server_refused(server: Server, host: &str, refusal: ServerRefusal) -> Self {
        let which = match server {
            Server::Mail => "mail server",
            Server::Notice => "notice server",
            Server::Mailbox => "mailbox server",
            Server::Pacs => "PACS",
            Server::Syslog => "syslog server",
        };
        let alert = match refusal {
            ServerRefusal::Certificate => format!("the certificate of the {which} is refused"),
            ServerRefusal::Tls => format!("the {which} does not speak TLS as required"),
            ServerRefusal::Login => format!("the {which} refuses the login"),
        };
        let server = node(host, Code::DESTINATION, false, Some(Address::Host(host.to_owned())));
        alert_of(
            Code::NODE_AUTHENTICATION,
            vec![gateway(Code::APPLICATION, true), server],
            host.to_owned(),
            &alert,
        )
    }

    /// Security Alert: what names itself a doctor's receipt is none.
    pub fn receipt_refused(doctor: &str, alert: &'static str) -> Self {
        let participants = vec![gateway(Code::APPLICATION, true)];
        alert_of(Code::RECEIPT_REFUSED, participants, doctor.to_owned(), alert)
    }

    /// Security Alert: files of the spool are not what was written. That somebody changed them cannot be told from a disk that fails.
    pub fn spool_damaged(delivery: DeliveryId, files: usize) -> Self {
        let participants = vec![gateway(Code::APPLICATION, true)];
        let alert = "received files are damaged or gone in the spool";
        alert_of(Code::SPOOL_DAMAGED, participants, format!("{delivery}: {files}"), alert)
    }

    /// Security Alert, User Security Attributes Changed: what was done to the directory of doctors, by whom, to which key (A.5.3.11).
    pub fn directory(act: &NotedAct) -> Self {
        let person = node(&act.by, Code::SOURCE, true, None);
        let id = format!("{}: {}", act.doctor, act.device);
        let participants = vec![person, gateway(Code::APPLICATION, false)];
        let event = alert_of(Code::USER_SECURITY_CHANGED, participants, id, act.act.words());
        let is_attack = act.act == Act::CodeDead;
        Self { outcome: if is_attack { Outcome::SeriousFailure } else { Outcome::Success }, ..event }
    }

    /// Security Alert, User Security Attributes Changed: what was done to accounts, tokens or the roster, and by whom (A.5.3.11).
    pub fn account(act: &NotedAccountAct) -> Self {
        let person = node(&act.by, Code::SOURCE, true, None);
        let participants = vec![person, gateway(Code::APPLICATION, false)];
        let event = alert_of(Code::USER_SECURITY_CHANGED, participants, act.account.clone(), &act.words);
        Self { outcome: Outcome::Success, ..event }
    }

    /// Security Alert: alerts of these words beyond what is kept.
    pub fn alerts_dropped(words: &str, count: u64) -> Self {
        let participants = vec![gateway(Code::APPLICATION, true)];
        let event = alert_of(Code::RESTRICTED_FUNCTION, participants, "alerts".into(), words);
        Self { reason: Some(format!("too many alerts: {count} more were not kept: {words}")), ..event }
    }

    /// Security Alert: this gateway was restored from a backup of `backed_up_at`.
    pub fn restored(backed_up_at: OffsetDateTime) -> Self {
        let at = backed_up_at.format(&Rfc3339).unwrap_or_default();
        let participants = vec![gateway(Code::APPLICATION, true)];
        alert_of(Code::RESTORED, participants, at, "restored from a backup: the journal is as it was then")
    }

    /// Security Alert: this trail was found damaged.
    pub fn trail_damaged(file: &str, alert: &'static str) -> Self {
        alert_of(Code::TRAIL_DAMAGED, vec![gateway(Code::APPLICATION, true)], file.to_owned(), alert)
    }

    /// User Authentication: a person at the page logs in or out (A.5.3.12).
    pub fn user(name: &str, peer: SocketAddr, logs_in: bool, outcome: Outcome) -> Self {
        let ip = peer.ip().to_string();
        let person = node(name, Code::SOURCE, true, Some(Address::Ip(ip)));
        let event =
            message(Code::USER_AUTHENTICATION, 'E', vec![person, gateway(Code::APPLICATION, false)], vec![]);
        Self { kind: Some(if logs_in { Code::LOGIN } else { Code::LOGOUT }), outcome, ..event }
    }
}

fn alert_of(kind: Code, participants: Vec<Participant>, id: String, alert: &str) -> Message {
    let node = Object::Node { id, alert: alert.to_owned() };
    let event = message(Code::SECURITY_ALERT, 'E', participants, vec![node]);
    Message { kind: Some(kind), outcome: Outcome::SeriousFailure, reason: Some(alert.into()), ..event }
}
