//! The questions, and that what setup writes is a configuration that the gateway takes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::check::Verdict;
use crate::spool::FileKey;
use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

/// What an operator with a provider's mailbox answers, and no more.
const LEAST: &str = r#"
site = "hospital.example"
pacs_ae_title = "none"
smtp = "smtp.mail.example"
mail_user = "gateway@mail.example"
mail_password = "correct horse"
doctor = "tanaka"
doctor_mailbox = "tanaka.scanpost@mail.example"
notice_mailbox = "tanaka@phone.example"
"#;

fn arguments(folder: &Path, answers: &str) -> Arguments {
    let file = folder.join("answers.toml");
    fs::write(&file, answers).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    Arguments {
        config: folder.join("etc/gateway.toml"),
        state: folder.join("state"),
        answers: Some(file),
        resolver: None,
        given: Given::default(),
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_least_answers_make_a_configuration_and_keys_that_are_ours_alone() {
    let folder = tempfile::tempdir().unwrap();
    let prepared = prepare(arguments(folder.path(), LEAST)).unwrap();
    let (config, etc) = (&prepared.config, folder.path().join("etc"));
    assert_eq!(config.site, "hospital.example");
    assert_eq!(config.dicom.listen.unwrap().to_string(), "127.0.0.1:11112");
    assert_eq!(config.page.as_ref().unwrap().listen.to_string(), "127.0.0.1:8443");
    assert_eq!((config.submit.host.as_str(), config.submit.port), ("smtp.mail.example", 465));
    assert_eq!((config.pulled.server.host.as_str(), config.pulled.server.port), ("smtp.mail.example", 993));
    assert_eq!(config.submit.password().unwrap(), "correct horse");
    assert_eq!(config.doctors_of("DR_TANAKA"), ["tanaka"]);
    assert_eq!(config.doctors["tanaka"].folder, "shared/tanaka.scanpost@mail.example/INBOX");
    assert_eq!(crate::dkim::read(&config.submit.dkim).unwrap().len(), 2);
    assert_eq!(FileKey::masters(config.spool.key_file.as_deref(), None).unwrap().len(), 1);
    assert!(tls::Listener::read(&config.page.as_ref().unwrap().tls().unwrap()).is_ok());
    Submitter::new(config).unwrap();
    for name in names_in(&etc) {
        let mode = fs::metadata(etc.join(&name)).unwrap().permissions().mode() & 0o777;
        let is_public = name == "gateway.toml" || name.ends_with(".cert.pem");
        assert_eq!(mode, if is_public { 0o644 } else { 0o600 }, "{name}");
    }
    let text = fs::read_to_string(etc.join("gateway.toml")).unwrap();
    assert!(!text.contains("correct horse"), "a password in the configuration");
    let key = fs::read_to_string(etc.join("site.key.pem")).unwrap();
    assert!(key.contains("ENCRYPTED PRIVATE KEY"));
}

#[test]
fn nothing_is_written_over_and_nothing_half_made_stays() {
    let folder = tempfile::tempdir().unwrap();
    let etc = folder.path().join("etc");
    fs::create_dir(&etc).unwrap();
    fs::write(etc.join("spool.key"), "the key of years").unwrap();
    let refused = prepare(arguments(folder.path(), LEAST)).err().unwrap();
    assert!(matches!(refused, SetupError::Exists { path } if path.ends_with("spool.key")));
    assert_eq!(fs::read_to_string(etc.join("spool.key")).unwrap(), "the key of years");
    assert_eq!(names_in(&etc), ["spool.key"]);
    fs::remove_file(etc.join("spool.key")).unwrap();
    // What only the whole configuration shows: the AE title of the gateway's own tests.
    let wrong = format!("{LEAST}\ndoctor_ae_title = \"SCANPOST-TEST\"\n");
    assert!(matches!(prepare(arguments(folder.path(), &wrong)), Err(SetupError::Config(_))));
    assert_eq!(names_in(&etc), Vec::<String>::new());
    prepare(arguments(folder.path(), LEAST)).unwrap();
    assert!(matches!(prepare(arguments(folder.path(), LEAST)), Err(SetupError::Exists { .. })));
}

#[test]
fn every_answer_finds_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["mail.example".to_owned()]).unwrap();
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, made.cert.pem()).unwrap();
    let answers = format!(
        r#"
site = "hospital.example"
pacs_ae_title = "PACS"
pacs_address = "127.0.0.1:104"
listen = "127.0.0.1:11113"
hold = "WAITING"
page = "none"
smtp = "smtp.mail.example:4650"
imap = "imap.mail.example:9930"
mail_user = "gateway"
mail_password = 'a"b\c'
mail_from = "gateway@mail.example"
mail_ca = "{ca}"
own_domain = "no"
doctor = "tanaka"
doctor_name = "田中 \"太郎\""
doctor_mailbox = "tanaka@mail.example"
doctor_folder = "user/tanaka"
notice_mailbox = "tanaka@phone.example"
language = "en"
doctor_ae_title = "DR 1"
doctor_certificate = "{ca}"
"#,
        ca = ca.display()
    );
    let config = prepare(arguments(folder.path(), &answers)).unwrap().config;
    let (pacs, doctor) = (&config.pacs["main"], &config.doctors["tanaka"]);
    assert_eq!((pacs.ae_title.as_str(), pacs.address.as_str()), ("PACS", "127.0.0.1:104"));
    assert_eq!(config.dicom.listen.unwrap().port(), 11113);
    assert_eq!(config.dicom.hold.as_deref(), Some("WAITING"));
    assert!(config.page.is_none() && config.submit.dkim.is_empty());
    assert_eq!((config.submit.port, config.pulled.server.port), (4650, 9930));
    assert_eq!((config.submit.user.as_str(), config.submit.sender()), ("gateway", "gateway@mail.example"));
    assert_eq!(config.pulled.server.password().unwrap(), "a\"b\\c");
    assert_eq!(fs::read_to_string(config.submit.ca.as_ref().unwrap()).unwrap(), made.cert.pem());
    assert!(config.pulled.server.ca.is_some());
    // Neither the zone nor the servers are the hospital's: nobody there is asked for what nobody should offer.
    assert!(check::MAIL_IDENTITY.iter().chain(&[check::ZONE_TRANSFER]).all(|area| config.check.skips(area)));
    assert!(config.check.hosts.is_empty());
    assert_eq!(doctor.name.as_deref(), Some("田中 \"太郎\""));
    assert_eq!((doctor.folder.as_str(), doctor.phone.as_str()), ("user/tanaka", "tanaka@phone.example"));
    assert_eq!(doctor.language, notifier::Language::English);
    assert_eq!(config.doctors_of("DR 1"), ["tanaka"]);
    assert!(doctor.certificate.as_ref().unwrap().ends_with("doctor.cert.pem"));
}

#[test]
fn who_does_not_answer_is_told_which_question_it_was() {
    let folder = tempfile::tempdir().unwrap();
    for (line, key) in LEAST.lines().filter_map(|line| Some((line, line.split_once(" =")?.0))) {
        let words = prepare(arguments(folder.path(), &LEAST.replace(line, ""))).err().unwrap().to_string();
        assert!(words.starts_with(key) && words.contains("no answer"), "{key}: {words}");
    }
    let misspelt = prepare(arguments(folder.path(), &format!("{LEAST}\nsmpt = \"x\"\n"))).err().unwrap();
    assert!(misspelt.to_string().contains("line 11, column 1:"), "{misspelt}");
    for (from, to) in [
        ("hospital.example", "Hospital Example"),
        ("\"none\"", "\"A_TITLE_OF_TOO_MANY\""),
        ("smtp.mail.example", "smtp.mail.example:x"),
        ("correct horse", "two\\nlines"),
        ("tanaka.scanpost@mail.example", "tanaka"),
        ("\"tanaka\"", "\"田中\""),
    ] {
        assert!(
            matches!(
                prepare(arguments(folder.path(), &LEAST.replace(from, to))),
                Err(SetupError::Answer { .. })
            ),
            "{to}"
        );
    }
    assert!(!folder.path().join("etc").exists());
}

#[test]
fn a_password_that_is_no_toml_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    for (text, place) in [
        (r#"mail_password = "geheim\Wort""#, "line 6, column 25:"),
        ("mail_password = geheim\\Wort", "line 6, column 17:"),
        ("mail_password = [\"geheim\\\\Wort\"]", "line 6, column 17:"),
    ] {
        let answers = LEAST.replace("mail_password = \"correct horse\"", text);
        let error = prepare(arguments(folder.path(), &answers)).err().unwrap();
        for words in [error.to_string(), format!("{error:?}"), format!("{:?}", anyhow::Error::from(error))] {
            assert!(!words.contains("geheim") && !words.contains("Wort"), "{words}");
            assert!(words.contains(place) || words.contains("line: 6"), "{words}");
        }
    }
}

#[test]
fn no_new_key_comes_over_an_older_trail_and_no_older_credential_before_a_new_key() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    for name in ["audit", "journal.sqlite"] {
        fs::create_dir_all(state.join(name)).unwrap();
        let refused = prepare(arguments(folder.path(), LEAST)).err().unwrap();
        assert!(matches!(&refused, SetupError::Used { path } if path.ends_with(name)), "{refused}");
        assert!(refused.to_string().contains("docs/install.md"), "{refused}");
        fs::remove_dir(state.join(name)).unwrap();
    }
    let names = Names::beside(&folder.path().join("etc/gateway.toml"));
    for name in ["scanpost-passphrase", "spool.key", "mail.password"] {
        let credential = folder.path().join(format!("scanpost-gateway.{name}"));
        fs::write(&credential, "encrypted").unwrap();
        let refused = names.refuse_credentials(folder.path()).unwrap_err();
        assert!(matches!(&refused, SetupError::Credential { path, .. } if path.ends_with(name)), "{refused}");
        fs::remove_file(&credential).unwrap();
    }
    names.refuse_credentials(folder.path()).unwrap();
    assert!(!folder.path().join("etc").exists());
}

#[test]
fn what_the_packaged_unit_cannot_do_is_said_with_the_drop_in_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let Prepared { mut config, mut names, .. } =
        prepare(arguments(folder.path(), &format!("{LEAST}\nlisten = \"127.0.0.1:104\"\n"))).unwrap();
    let words = told::next(&config, &names, &[]);
    for part in [
        "systemctl edit scanpost-gateway".to_owned(),
        "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\nPrivateUsers=no".to_owned(),
        format!("ReadWritePaths={}", config.state.display()),
        format!("ConditionPathExists=\nConditionPathExists={}", names.config.display()),
        format!("ExecStart=\nExecStart=/usr/bin/scanpost-gateway serve --config {}", names.config.display()),
    ] {
        assert!(words.contains(&part), "{part} not in {words}");
    }
    // As it is packaged nothing has to be added.
    config.dicom.listen = Some("127.0.0.1:11112".parse().unwrap());
    config.state = "/var/lib/scanpost".into();
    names = Names::beside(Path::new("/etc/scanpost/gateway.toml"));
    let words = told::next(&config, &names, &[]);
    assert!(!words.contains("systemctl edit"), "{words}");
}

/// A terminal that remembers what it showed.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl io::Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_person_is_asked_again_until_the_answer_can_be_and_may_take_what_stands_in_brackets() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    fs::write(&password, "correct horse\n").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    // In the order of the questions; an empty line takes the default.
    let typed = "Hospital Example\nhospital.example\nPACS\nnowhere\n127.0.0.1:104\n\nSCANPOST\n\nEurope/Berlin\nsmtp.mail.example\n\n\
                 gateway@mail.example\n\n\n\ntanaka\n\ntanaka@mail.example\n\ntanaka@phone.example\n\nSCANPOST\n\n\n";
    let screen = Screen::default();
    let given: Given = toml::from_str(&format!("mail_password_file = \"{}\"", password.display())).unwrap();
    let mut asker = Asker::between(Box::new(Cursor::new(typed)), Box::new(screen.clone()));
    let answers = Answers::gather(given, &mut asker).unwrap();
    assert_eq!(answers.site, "hospital.example");
    assert_eq!(answers.listen.to_string(), "127.0.0.1:11112", "the address by which the PACS is reached");
    assert_eq!(answers.page.unwrap().time_zone, "Europe/Berlin");
    assert_eq!(*answers.mail_password, "correct horse");
    assert_eq!((answers.doctor.ae_title.as_str(), answers.doctor.name.as_str()), ("DR_TANAKA", "tanaka"));
    let shown = String::from_utf8(screen.0.lock().unwrap().clone()).unwrap();
    for words in [
        "[shared/tanaka@mail.example/INBOX]",
        "  a domain name in lower case",
        "take another",
        "of mail.example: yes or no",
    ] {
        assert!(shown.contains(words), "{words} not in {shown}");
    }
    // Who hangs up in the middle.
    let mut asker = Asker::between(Box::new(Cursor::new("hospital.example\n")), Box::new(screen));
    assert!(matches!(
        Answers::gather(Given::default(), &mut asker),
        Err(SetupError::Unanswered { key: "pacs_ae_title" })
    ));
}

#[test]
fn what_is_red_stands_under_whose_turn_it_is() {
    let check = |area, verdict| check::Check {
        area,
        subject: String::new(),
        verdict,
        found: String::new(),
        mend: None,
    };
    let report = check::Report {
        checks: vec![
            check("secrets", Verdict::Pass),
            check("spf", Verdict::Fail),
            check("dkim", Verdict::Fail),
            check("dkim", Verdict::Fail),
            check("directory", Verdict::Fail),
            check("mta-sts", Verdict::NotChecked),
            check("tlsa", Verdict::Fail),
        ],
        publish: Vec::new(),
    };
    assert_eq!(
        told::open(&report),
        [
            "the doctor, with the code above: directory",
            "who keeps the mail server's zone, with the TLSA records under \"To publish\": tlsa",
            "who keeps the sender's zone, with the records under \"To publish\"; it has one SPF record at most: add to one that is there: spf, dkim"
        ]
    );
}
