#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::forward::batch;
use super::line::{self, BEGINNING, HASH_CHARACTERS, chain};
use super::*;
use crate::hex::hex;
use compressor::dataset::{Banner, CharacterSet, PersonName};
use compressor::{Phi, Purpose, Uid};
use proptest::prelude::*;
use seal::native::Certificate;
use std::collections::BTreeMap;
use std::fs;
use tempfile::TempDir;

const SITE: &str = "hospital.example";

fn site_key() -> SiteKey {
    let made = rcgen::generate_simple_self_signed([SITE.to_owned()]).unwrap();
    SiteKey::from_pem(&made.signing_key.serialize_pem(), &made.cert.pem()).unwrap()
}

fn subject() -> Subject {
    let set = CharacterSet::of(b"ISO_IR 192");
    let banner = Banner {
        name: PersonName::decode("Yamada^Tarou=山田^太郎=やまだ^たろう".as_bytes(), set),
        patient_id: Phi::new("4711<\"&'>".to_owned()),
        accession: Phi::new("A 1".to_owned()),
        ..Banner::default()
    };
    let class = Uid::parse("1.2.840.10008.5.1.4.1.1.2").unwrap();
    Subject { study: Some(Uid::parse("1.2.3").unwrap()), banner, classes: BTreeMap::from([(class, 12)]) }
}

fn now(message: Message) -> (OffsetDateTime, Message) {
    (OffsetDateTime::now_utc(), message)
}

/// A folder with a trail of `messages`, in files of one group each where `cut` says so.
struct Made {
    folder: TempDir,
    key: Arc<SiteKey>,
}

impl Made {
    fn new(groups: usize) -> Self {
        let made = Self { folder: TempDir::new().unwrap(), key: Arc::new(site_key()) };
        made.go_on(groups);
        made
    }

    /// Opens the trail, adds groups of one to three messages, signs behind every second group.
    fn go_on(&self, groups: usize) {
        let (mut trail, fault) = Trail::open(self.path(), self.key.clone(), SITE).unwrap();
        assert_eq!(fault, None);
        for group in 0..groups {
            let message = || now(Message::begin_receiving("CT1", "DR_DEMO", &subject()));
            let messages: Vec<_> = (0..=group % 3).map(|_| message()).collect();
            trail.append(messages.iter()).unwrap();
            if group % 2 == 1 {
                trail.anchor().unwrap();
            }
        }
        trail.anchor().unwrap();
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn first_file(&self) -> PathBuf {
        walk::path(self.path(), 1)
    }

    fn verdict(&self) -> Verdict {
        command::check(self.path(), self.key.certificate()).unwrap()
    }

    /// The verdict while the first file holds these bytes.
    fn verdict_with(&self, bytes: &[u8]) -> Verdict {
        let before = fs::read(self.first_file()).unwrap();
        fs::write(self.first_file(), bytes).unwrap();
        let verdict = self.verdict();
        fs::write(self.first_file(), before).unwrap();
        verdict
    }

    fn lines(&self) -> Vec<Vec<u8>> {
        fs::read(self.first_file())
            .unwrap()
            .split_inclusive(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect()
    }
}

#[test]
fn a_trail_that_nobody_touched_is_intact_over_restarts() {
    let made = Made::new(7);
    made.go_on(4);
    let verdict = made.verdict();
    assert!(verdict.intact, "{verdict:?}");
    assert_eq!((verdict.messages, verdict.anchored), (13 + 7, 13 + 7));
}

#[test]
fn a_reading_says_from_when_to_when_and_how_long() {
    let reading = Reading { ended_at: 1_795_373_465, seconds: 90 };
    let read = Message::read("Dr X", reading, &subject()).xml(OffsetDateTime::UNIX_EPOCH, SITE);
    let xml = read.expose_for(Purpose::Compare);
    for part in ["110103", "READING", "Dr X", "4711", "EventActionCode=\"R\""] {
        assert!(xml.contains(part), "{part}");
    }
    let listed = super::command::reading(xml);
    assert_eq!(
        listed,
        ["Reading Start 2026-11-22T18:49:35Z", "Reading End 2026-11-22T18:51:05Z", "Reading Seconds 90"]
    );
    let seen = Message::seen("Dr X", &subject()).xml(OffsetDateTime::UNIX_EPOCH, SITE);
    assert_eq!(super::command::reading(seen.expose_for(Purpose::Compare)), Vec::<String>::new());
}

#[test]
fn every_byte_that_is_changed_is_found_where_it_is() {
    let made = Made::new(4);
    let whole = fs::read(made.first_file()).unwrap();
    let mut line = 1;
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 1 << (place % 8);
        let verdict = made.verdict_with(&changed);
        let fault = verdict.fault.expect("a changed byte goes unseen");
        // A line end that is gone makes one line of two.
        assert_eq!((fault.line, fault.file.as_str()), (line, "trail-000001.log"), "byte {place}");
        line += u64::from(whole[place] == b'\n');
    }
    assert!(made.verdict().intact);
}

#[test]
fn lines_removed_doubled_or_moved_are_found() {
    let made = Made::new(8);
    let lines = made.lines();
    for place in 0..lines.len() {
        let mut removed = lines.clone();
        removed.remove(place);
        assert!(!made.verdict_with(&removed.concat()).intact, "line {place} is gone");
        let mut doubled = lines.clone();
        doubled.insert(place, lines[place].clone());
        assert!(!made.verdict_with(&doubled.concat()).intact, "line {place} is there twice");
        let mut moved = lines.clone();
        moved.swap(place, (place + 1) % lines.len());
        assert!(!made.verdict_with(&moved.concat()).intact, "line {place} was moved");
    }
}

#[test]
fn a_trail_cut_off_anywhere_is_found() {
    let made = Made::new(8);
    let lines = made.lines();
    for length in 0..lines.len() {
        let fault = made.verdict_with(&lines[..length].concat()).fault;
        assert!(fault.is_some(), "{length} lines of {} pass for the whole", lines.len());
    }
    let whole = lines.concat();
    for length in (0..whole.len()).step_by(37) {
        assert!(!made.verdict_with(&whole[..length]).intact, "{length} bytes pass for the whole");
    }
}

/// Somebody who can write the files but has no key of the site computes all hashes anew.
#[test]
fn a_trail_written_anew_without_the_key_is_found() {
    let made = Made::new(8);
    let mut payloads: Vec<String> = made
        .lines()
        .iter()
        .map(|line| String::from_utf8(line[HASH_CHARACTERS + 1..line.len() - 1].to_vec()).unwrap())
        .collect();
    payloads[2] = payloads[2].replace("CT1", "CT2");
    let chained = |payloads: &[String]| {
        let mut hash = BEGINNING;
        let mut text = String::new();
        for payload in payloads {
            hash = chain(&hash, payload.as_bytes());
            text += &format!("{} {payload}\n", hex(&hash));
        }
        text
    };
    let fault = made.verdict_with(chained(&payloads).as_bytes()).fault.unwrap();
    assert_eq!(fault.reason, "an anchor that the site did not sign");
    payloads.retain(|payload| !payload.starts_with("anchor"));
    let fault = made.verdict_with(chained(&payloads).as_bytes()).fault.unwrap();
    assert_eq!(fault.reason, "the trail ends before its signed end: something was cut off");
    // With an anchor of another key in the place of each.
    let other = site_key();
    let signature = other.sign_statement(walk::STATEMENT, b"anything").unwrap();
    payloads.push(line::anchor(15, &signature));
    assert!(!made.verdict_with(chained(&payloads).as_bytes()).intact);
}

#[test]
fn the_signed_end_is_missed_and_its_changes_are_seen() {
    let made = Made::new(3);
    let head = made.path().join("head");
    let whole = fs::read(&head).unwrap();
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        fs::write(&head, changed).unwrap();
        assert!(!made.verdict().intact, "byte {place}");
    }
    fs::remove_file(&head).unwrap();
    assert_eq!(made.verdict().fault.unwrap().reason, "the signed end of the trail is missing");
}

#[test]
fn files_follow_one_another_and_a_missing_one_is_found() {
    let made = Made::new(2);
    let (mut trail, _) = Trail::open(made.path(), made.key.clone(), SITE).unwrap();
    let message = now(Message::begin_receiving("CT1", "DR_DEMO", &subject()));
    let size = fs::metadata(made.first_file()).unwrap().len();
    let one_group = || std::iter::repeat_n(&message, 2000);
    let mut groups = 0;
    while !walk::path(made.path(), 3).exists() {
        trail.append(one_group()).unwrap();
        groups += 1;
    }
    trail.anchor().unwrap();
    assert!(size < trail::FILE_BYTES_MAX && groups > 2);
    let verdict = made.verdict();
    assert!(verdict.intact, "{verdict:?}");
    assert_eq!(verdict.messages, 3 + 2000 * groups);
    fs::rename(walk::path(made.path(), 2), made.path().join("elsewhere")).unwrap();
    assert_eq!(made.verdict().fault.unwrap().file, "trail-000002.log");
    fs::remove_file(walk::path(made.path(), 3)).unwrap();
    assert!(!made.verdict().intact, "the last files are gone");
}

#[test]
fn what_a_power_cut_left_of_a_line_is_removed_and_the_trail_goes_on() {
    let made = Made::new(3);
    let whole = fs::read(made.first_file()).unwrap();
    fs::write(made.first_file(), [whole.as_slice(), b"0123456789abc"].concat()).unwrap();
    assert_eq!(made.verdict().fault.unwrap().reason, "the line is cut short");
    made.go_on(1);
    assert!(made.verdict().intact);
    // And an empty next file, made and not yet written.
    fs::write(walk::path(made.path(), 2), b"").unwrap();
    made.go_on(1);
    assert!(made.verdict().intact);
}

/// A disk writes sectors in any order: a line may have its end and not its beginning.
#[test]
fn what_a_power_cut_left_behind_the_signed_end_is_removed_from_its_first_bad_line_on() {
    let made = Made::new(3);
    let (mut trail, _) = Trail::open(made.path(), made.key.clone(), SITE).unwrap();
    let signed = made.lines().len();
    for _ in 0..2 {
        let group = [now(Message::application(true)), now(Message::application(false))];
        trail.append(group.iter()).unwrap();
    }
    drop(trail);
    let (whole, head) = (made.lines(), fs::read(made.path().join(walk::HEAD)).unwrap());
    for torn in signed..whole.len() {
        let mut lines = whole.clone();
        lines[torn][..40].fill(0);
        fs::write(made.first_file(), lines.concat()).unwrap();
        assert!(!made.verdict().intact);
        let (trail, fault) = Trail::open(made.path(), made.key.clone(), SITE).unwrap();
        drop(trail);
        assert_eq!(fault, None, "line {torn}");
        assert!(made.verdict().intact);
        assert_eq!(made.lines()[..torn], whole[..torn], "what was acknowledged stays");
        fs::write(made.path().join(walk::HEAD), &head).unwrap();
    }
}

#[test]
fn a_damaged_trail_goes_on_in_a_new_file_and_stays_damaged() {
    let made = Made::new(3);
    let mut lines = made.lines();
    lines.remove(2);
    fs::write(made.first_file(), lines.concat()).unwrap();
    let (mut trail, fault) = Trail::open(made.path(), made.key.clone(), SITE).unwrap();
    assert_eq!(fault.unwrap().line, 3);
    trail.append([now(Message::application(true))].iter()).unwrap();
    trail.anchor().unwrap();
    assert_eq!(made.verdict().fault.unwrap().line, 3);
    let second = walk::path(made.path(), 2);
    assert!(fs::read_to_string(&second).unwrap().contains("Application Start"));
    // What was told once is not told at each start, nor blamed on the new file.
    for _ in 0..2 {
        made.go_on(2);
    }
    assert!(!walk::path(made.path(), 3).exists());
    let verdict = made.verdict();
    assert_eq!((verdict.fault.unwrap().line, verdict.later), (3, vec![]));
    // A change behind the damage is found as well, at the start and by who looks.
    let text = fs::read_to_string(&second).unwrap();
    fs::write(&second, text.replacen("Application Start", "Application Stop!", 1)).unwrap();
    let later = made.verdict().later;
    assert_eq!((later.len(), later[0].file.as_str(), later[0].line), (1, "trail-000002.log", 3));
    let (_, fault) = Trail::open(made.path(), made.key.clone(), SITE).unwrap();
    assert_eq!(fault.unwrap(), later[0]);
}

#[test]
fn an_end_that_was_cut_off_stays_known_after_the_trail_went_on() {
    let made = Made::new(6);
    let lines = made.lines();
    fs::write(made.first_file(), lines[..lines.len() - 3].concat()).unwrap();
    let (mut trail, fault) = Trail::open(made.path(), made.key.clone(), SITE).unwrap();
    assert_eq!(fault.unwrap().reason, "the trail ends before its signed end: something was cut off");
    trail.append([now(Message::application(true))].iter()).unwrap();
    trail.anchor().unwrap();
    made.go_on(1);
    let fault = made.verdict().fault.unwrap();
    assert_eq!((fault.file.as_str(), fault.line), ("trail-000001.log", 0));
    assert!(fault.reason.starts_with("the gateway found the trail damaged up to here"));
}

#[test]
fn a_missing_file_does_not_hold_up_the_syslog_server() {
    let made = Made::new(3);
    let bytes = fs::metadata(made.first_file()).unwrap().len();
    fs::rename(made.first_file(), walk::path(made.path(), 3)).unwrap();
    let (mut position, durable) = (Durable { file: 1, bytes: 77 }, Durable { file: 3, bytes });
    let mut frames = Vec::new();
    while let Some((more, next)) = batch(made.path(), position, durable).unwrap() {
        frames.extend(more);
        position = next;
    }
    assert!(position == durable && !frames.is_empty());
    let own = Durable { file: 4, bytes: 1 };
    assert!(
        batch(made.path(), Durable { file: 4, bytes: 0 }, own).is_err(),
        "the one being written must be there"
    );
}

#[tokio::test]
async fn messages_are_durable_when_recorded_and_forwarded_in_frames() {
    let state = TempDir::new().unwrap();
    let key = Arc::new(site_key());
    let audit = Audit::open(state.path(), key.clone(), SITE).unwrap();
    for _ in 0..10 {
        audit.record(Message::received("CT1", "DR_DEMO", &subject())).await.unwrap();
    }
    for _ in 0..2 * alerts::MINUTE_MAX {
        audit.alert(Message::peer_refused("192.0.2.1:4711".parse().unwrap(), "unknown"));
    }
    audit.close(Message::application(false)).await.unwrap();
    let verdict = verify(&folder(state.path()), key.certificate()).unwrap();
    assert!(verdict.intact, "{verdict:?}");
    // The last but one says how many alerts were not kept.
    let messages = 10 + alerts::MINUTE_MAX + 2;
    assert_eq!((verdict.messages, verdict.anchored), (messages, messages));
    let (frames, end) = batch(&folder(state.path()), Durable { file: 1, bytes: 0 }, *audit.grown().borrow())
        .unwrap()
        .unwrap();
    assert_eq!(end, *audit.grown().borrow());
    let mut rest = frames.as_slice();
    let mut count = 0;
    while !rest.is_empty() {
        let space = rest.iter().position(|byte| *byte == b' ').unwrap();
        let length: usize = std::str::from_utf8(&rest[..space]).unwrap().parse().unwrap();
        let message = std::str::from_utf8(&rest[space + 1..][..length]).unwrap();
        assert!(message.starts_with("<8") && message.ends_with("</AuditMessage>"), "{message}");
        rest = &rest[space + 1 + length..];
        count += 1;
    }
    assert_eq!(count, verdict.messages);
}

#[test]
fn a_message_says_who_what_and_whose() {
    let text = line::syslog(
        &Message::exported("Dr X", "x@mail.example", &subject(), false),
        7,
        OffsetDateTime::UNIX_EPOCH,
        SITE,
        42,
    );
    let text = text.expose_for(Purpose::Audit);
    assert!(text.starts_with("<85>1 1970-01-01T00:00:00Z hospital.example scanpost-gateway 42 DICOM+RFC3881 [meta sequenceId=\"7\"] \u{FEFF}<?xml"));
    for part in [
        "<EventID csd-code=\"110106\" codeSystemName=\"DCM\" originalText=\"Export\"/>",
        "EventActionCode=\"R\" EventDateTime=\"1970-01-01T00:00:00Z\" EventOutcomeIndicator=\"0\"",
        "ParticipantObjectID=\"4711&lt;&quot;&amp;'&gt;\"",
        "<ParticipantObjectName>Yamada^Tarou=山田^太郎=やまだ^たろう</ParticipantObjectName>",
        "<SOPClass UID=\"1.2.840.10008.5.1.4.1.1.2\" NumberOfInstances=\"12\"/><Encrypted>true</Encrypted>",
        "<MediaType csd-code=\"110031\" codeSystemName=\"DCM\" originalText=\"Email\"/>",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_a_patient_is_called_a_line_stays_a_line(name in any::<String>(), id in any::<String>()) {
        let banner = Banner { patient_id: Phi::new(id), name: PersonName { alphabetic: Phi::new(name), ..PersonName::default() }, ..Banner::default() };
        let message = Message::deleted(&Subject { banner, ..subject() });
        let text = line::syslog(&message, 1, OffsetDateTime::UNIX_EPOCH, SITE, 1);
        let text = text.expose_for(Purpose::Audit);
        prop_assert!(!text.chars().any(char::is_control));
        prop_assert!(text.len() < 8192);
        let is_first = matches!(line::Payload::parse(text), Some(line::Payload::Message { number: 1, .. }));
        prop_assert!(is_first);
    }

    #[test]
    fn any_change_of_any_length_is_found(place in 0_usize..6000, length in 0_usize..400, put in prop::collection::vec(any::<u8>(), 0..400)) {
        static MADE: std::sync::OnceLock<(TempDir, Certificate, Vec<u8>)> = std::sync::OnceLock::new();
        let (_, site, whole) = MADE.get_or_init(|| {
            let made = Made::new(6);
            let whole = fs::read(made.first_file()).unwrap();
            (made.folder, made.key.certificate().clone(), whole)
        });
        let place = place % whole.len();
        let mut changed = whole.clone();
        changed.splice(place..(place + length).min(whole.len()), put);
        prop_assume!(&changed != whole);
        let copy = TempDir::new().unwrap();
        fs::copy(MADE.get().unwrap().0.path().join("head"), copy.path().join("head")).unwrap();
        fs::write(walk::path(copy.path(), 1), &changed).unwrap();
        prop_assert!(!command::check(copy.path(), site).unwrap().intact);
    }
}

#[test]
fn the_trail_says_which_cases_are_over_and_takes_no_forged_proof() {
    use crate::journal::{Ended, EndedAgain};
    use seal::ids::{CaseId, DeliveryId};
    use seal::statement;
    let made = Made::new(1);
    let of = |number| DeliveryId([number; 16]);
    let proof = |case: CaseId, key: &SiteKey| {
        let content = format!(
            r#"{{"format":2,"case":"{case}","deliveries":["{}"],"how":"unopened","by":null,"mailboxes":[]}}"#,
            of(9)
        );
        let signature = key.sign_statement(PURPOSE_OF_PROOF, content.as_bytes()).unwrap();
        Message::deletion_proved(&statement::join(&signature, content.as_bytes()), &subject())
    };
    let [closed, expired, recalled, proved, forged, given_up] =
        [1, 2, 3, 4, 5, 6].map(|number| CaseId([number; 16]));
    let messages = [
        Message::ends("tanaka", (closed, of(1)), Ended::Closed, &subject()),
        Message::ends("tanaka", (closed, of(2)), Ended::Closed, &subject()),
        Message::ends("expired", (expired, of(3)), Ended::Expired, &subject()),
        Message::withdraws("sato", (recalled, of(4)), &subject()),
        Message::ends("unopened", (proved, of(5)), Ended::Unopened, &subject()),
        proof(proved, &made.key),
        proof(forged, &site_key()),
        Message::withdrawn(&given_up.to_string(), &subject()),
    ];
    let (mut trail, _) = Trail::open(made.path(), made.key.clone(), SITE).unwrap();
    trail.append(messages.map(now).iter()).unwrap();
    trail.anchor().unwrap();
    let over = |how, by: Option<&str>, deliveries: &[u8]| {
        let deliveries = deliveries.iter().map(|number| of(*number)).collect();
        EndedAgain { how, by: by.map(str::to_owned), deliveries }
    };
    let expected = BTreeMap::from([
        (closed, over(Some(Ended::Closed), Some("tanaka"), &[1, 2])),
        (expired, over(Some(Ended::Expired), None, &[3])),
        (recalled, over(None, Some("sato"), &[4])),
        (proved, over(Some(Ended::Unopened), None, &[5, 9])),
    ]);
    assert_eq!(endings(made.path(), made.key.certificate()).unwrap(), (expected, vec![]));

    // What stands behind a bad line is not believed, and that is said.
    let text = fs::read_to_string(made.first_file()).unwrap();
    fs::write(made.first_file(), text.replacen("\"sato\"", "\"kato\"", 1)).unwrap();
    let (found, faults) = endings(made.path(), made.key.certificate()).unwrap();
    assert!(faults.len() == 1 && !found.contains_key(&proved), "{faults:?}");
}
