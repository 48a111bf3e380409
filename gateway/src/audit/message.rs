//! An audit message and its XML (PS3.15 A.5.1). What tells of a patient becomes text here alone, and the text is [`Phi`] again.

use super::codes::Code;
use compressor::dataset::{Banner, on_screen};
use compressor::{Phi, Purpose, Uid};
use std::collections::BTreeMap;
use std::fmt::Write;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Characters of one text: a receiver takes messages of 8 KiB at least (RFC 5425 4.3.1).
const TEXT_CHARACTERS_MAX: usize = 256;
/// SOP classes named for one study; the rest is counted under no name.
const SOP_CLASSES_MAX: usize = 16;
/// `ParticipantObjectID` of a patient without an id: the schema asks for one.
const NO_ID: &str = "(none)";

/// Type of the detail that holds the site's proof of a deletion.
pub(super) const DELETION_PROOF: &str = "Deletion Proof";
/// Type of the detail that names a case which is about to end, and how.
pub(super) const CASE_ENDED: &str = "Case Ended";
/// Type of the detail that names a case which is about to be withdrawn.
pub(super) const CASE_WITHDRAWN: &str = "Case Withdrawn";

/// How an event ended (`EventOutcomeIndicator`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Success,
    /// It did not, and will be tried again.
    MinorFailure,
    /// It did not.
    SeriousFailure,
}

impl Outcome {
    fn indicator(self) -> &'static str {
        match self {
            Self::Success => "0",
            Self::MinorFailure => "4",
            Self::SeriousFailure => "8",
        }
    }
}

/// One event (PS3.15 A.5.2).
pub struct Message {
    pub(super) event: Code,
    pub(super) kind: Option<Code>,
    /// C, R, U, D or E.
    pub(super) action: char,
    pub(super) outcome: Outcome,
    /// What a person should know about the outcome; constant words.
    pub(super) reason: Option<String>,
    pub(super) participants: Vec<Participant>,
    pub(super) objects: Vec<Object>,
    /// What else there is to say of the study, by type.
    pub(super) details: Vec<(&'static str, Vec<u8>)>,
}

/// Who took part.
pub(super) struct Participant {
    /// AE title, process, or name of a doctor in the configuration.
    pub(super) user: String,
    pub(super) requestor: bool,
    pub(super) role: Code,
    /// IP address or host name.
    pub(super) address: Option<Address>,
    pub(super) media: Option<Code>,
}

/// Where a participant is (`NetworkAccessPointTypeCode`).
pub(super) enum Address {
    Host(String),
    Ip(String),
    Mail(String),
}

/// What the event was about.
pub(super) enum Object {
    Study {
        uid: String,
        accession: Option<Phi<String>>,
        classes: BTreeMap<Uid, u64>,
        encrypted: bool,
        deleted: bool,
    },
    Patient(Box<Banner>),
    Query {
        sop_class: &'static str,
        keys: Vec<u8>,
        transfer_syntax: &'static str,
    },
    Node {
        id: String,
        /// Constant words.
        alert: String,
    },
}

impl Message {
    /// The constant words of a security alert; empty for what is none.
    pub(super) fn alert_words(&self) -> &str {
        let words = self.objects.iter().find_map(|object| match object {
            Object::Node { alert, .. } => Some(alert.as_str()),
            _ => None,
        });
        words.unwrap_or_default()
    }

    /// The XML of the event that happened `at`, reported by `source`.
    pub(super) fn xml(&self, at: OffsetDateTime, source: &str) -> Phi<String> {
        let mut xml = Xml::default();
        xml.open("AuditMessage", &[]);
        let at = at.format(&Rfc3339).unwrap_or_default();
        let action = self.action.to_string();
        xml.open(
            "EventIdentification",
            &[
                ("EventActionCode", &action),
                ("EventDateTime", &at),
                ("EventOutcomeIndicator", self.outcome.indicator()),
            ],
        );
        xml.code("EventID", self.event);
        self.kind.into_iter().for_each(|kind| xml.code("EventTypeCode", kind));
        if let Some(reason) = &self.reason {
            xml.text("EventOutcomeDescription", reason);
        }
        xml.close("EventIdentification");
        self.participants.iter().for_each(|participant| participant.write(&mut xml));
        xml.open("AuditSourceIdentification", &[("AuditSourceID", source)]);
        // 4: application server process.
        xml.empty("AuditSourceTypeCode", &[("csd-code", "4")]);
        xml.close("AuditSourceIdentification");
        self.objects.iter().for_each(|object| object.write(&mut xml, &self.details));
        xml.close("AuditMessage");
        Phi::new(xml.0)
    }
}

impl Participant {
    fn write(&self, xml: &mut Xml) {
        let requestor = if self.requestor { "true" } else { "false" };
        let mut attributes = vec![("UserID", self.user.as_str()), ("UserIsRequestor", requestor)];
        if let Some(address) = &self.address {
            let (id, kind) = match address {
                Address::Host(host) => (host, "1"),
                Address::Ip(ip) => (ip, "2"),
                Address::Mail(mailbox) => (mailbox, "4"),
            };
            attributes.extend([("NetworkAccessPointID", id.as_str()), ("NetworkAccessPointTypeCode", kind)]);
        }
        xml.open("ActiveParticipant", &attributes);
        xml.code("RoleIDCode", self.role);
        if let Some(media) = self.media {
            xml.open("MediaIdentifier", &[]);
            xml.code("MediaType", media);
            xml.close("MediaIdentifier");
        }
        xml.close("ActiveParticipant");
    }
}

impl Object {
    fn write(&self, xml: &mut Xml, details: &[(&'static str, Vec<u8>)]) {
        match self {
            Self::Study { uid, accession, classes, encrypted, deleted } => {
                // 2, 3: system object, report. 15: erased.
                let mut attributes = vec![
                    ("ParticipantObjectID", uid.as_str()),
                    ("ParticipantObjectTypeCode", "2"),
                    ("ParticipantObjectTypeCodeRole", "3"),
                ];
                attributes.extend(deleted.then_some(("ParticipantObjectDataLifeCycle", "15")));
                xml.object(&attributes, Code::STUDY_INSTANCE_UID, |xml| {
                    xml.text("ParticipantObjectName", uid);
                    details.iter().for_each(|(kind, value)| xml.detail(kind, value));
                    xml.open("ParticipantObjectDescription", &[]);
                    if let Some(accession) =
                        accession.as_ref().map(|a| a.expose_for(Purpose::Audit)).filter(|a| !a.is_empty())
                    {
                        xml.empty("Accession", &[("Number", accession)]);
                    }
                    write_classes(classes, xml);
                    if *encrypted {
                        xml.text("Encrypted", "true");
                    }
                    xml.close("ParticipantObjectDescription");
                });
            }
            Self::Patient(banner) => {
                let id = banner.patient_id.expose_for(Purpose::Audit);
                let id = if id.is_empty() { NO_ID } else { id };
                // 1, 1: person, patient.
                let attributes = [
                    ("ParticipantObjectID", id),
                    ("ParticipantObjectTypeCode", "1"),
                    ("ParticipantObjectTypeCodeRole", "1"),
                ];
                xml.object(&attributes, Code::PATIENT_NUMBER, |xml| {
                    let names = [&banner.name.alphabetic, &banner.name.ideographic, &banner.name.phonetic];
                    let name = names.map(|name| name.expose_for(Purpose::Audit).as_str()).join("=");
                    xml.text("ParticipantObjectName", name.trim_end_matches('='));
                });
            }
            Self::Query { sop_class, keys, transfer_syntax } => {
                // 2, 3: system object, report.
                let attributes = [
                    ("ParticipantObjectID", *sop_class),
                    ("ParticipantObjectTypeCode", "2"),
                    ("ParticipantObjectTypeCodeRole", "3"),
                ];
                xml.object(&attributes, Code::SOP_CLASS_UID, |xml| {
                    xml.base64("ParticipantObjectQuery", keys);
                    xml.detail("TransferSyntax", transfer_syntax.as_bytes());
                });
            }
            Self::Node { id, alert } => {
                // 2, 13: system object, security resource.
                let attributes = [
                    ("ParticipantObjectID", id.as_str()),
                    ("ParticipantObjectTypeCode", "2"),
                    ("ParticipantObjectTypeCodeRole", "13"),
                ];
                xml.object(&attributes, Code::NODE_ID, |xml| {
                    xml.text("ParticipantObjectName", id);
                    xml.detail("Alert Description", alert.as_bytes());
                });
            }
        }
    }
}

fn write_classes(classes: &BTreeMap<Uid, u64>, xml: &mut Xml) {
    for (class, instances) in classes.iter().take(SOP_CLASSES_MAX) {
        xml.empty("SOPClass", &[("UID", class.as_str()), ("NumberOfInstances", &instances.to_string())]);
    }
    let rest: u64 = classes.values().skip(SOP_CLASSES_MAX).sum();
    if rest > 0 {
        xml.empty("SOPClass", &[("NumberOfInstances", &rest.to_string())]);
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// XML in one line, as a line of the trail and of syslog has to be.
#[derive(Default)]
struct Xml(String);

impl Xml {
    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.start(name, attributes);
        self.0.push('>');
    }

    fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.start(name, attributes);
        self.0.push_str("/>");
    }

    fn close(&mut self, name: &str) {
        let _ = write!(self.0, "</{name}>");
    }

    fn text(&mut self, name: &str, text: &str) {
        self.open(name, &[]);
        self.escaped(text);
        self.close(name);
    }

    /// Whole, however long: no part of it means anything.
    fn base64(&mut self, name: &str, bytes: &[u8]) {
        let _ = write!(self.0, "<{name}>{}</{name}>", base64(bytes));
    }

    /// See [`Self::base64`].
    fn detail(&mut self, kind: &'static str, value: &[u8]) {
        let _ = write!(self.0, "<ParticipantObjectDetail type=\"{kind}\" value=\"{}\"/>", base64(value));
    }

    fn code(&mut self, name: &str, code: Code) {
        self.empty(
            name,
            &[("csd-code", code.code), ("codeSystemName", code.system), ("originalText", code.meaning)],
        );
    }

    fn object(&mut self, attributes: &[(&str, &str)], id_type: Code, inside: impl FnOnce(&mut Self)) {
        self.open("ParticipantObjectIdentification", attributes);
        self.code("ParticipantObjectIDTypeCode", id_type);
        inside(self);
        self.close("ParticipantObjectIdentification");
    }

    fn start(&mut self, name: &str, attributes: &[(&str, &str)]) {
        let _ = write!(self.0, "<{name}");
        for (name, value) in attributes {
            let _ = write!(self.0, " {name}=\"");
            self.escaped(value);
            self.0.push('"');
        }
    }

    /// Bounded, and without characters that XML has no way to write or that steer a terminal.
    fn escaped(&mut self, text: &str) {
        for character in on_screen(text, TEXT_CHARACTERS_MAX).chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\u{FFFE}' | '\u{FFFF}' => self.0.push(char::REPLACEMENT_CHARACTER),
                character => self.0.push(character),
            }
        }
    }
}
