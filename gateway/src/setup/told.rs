//! What setup says at its end: what lies where, what others have to enter, and whose turn it is.

use super::answers::Answers;
use super::configuration::OWN_AE_TITLE;
use super::files::Names;
use crate::check::{MAIL_IDENTITY, Report, Verdict};
use crate::config::Config;
use std::collections::BTreeMap;

pub(super) fn written(names: &Names) -> String {
    let folder = names.config.parent().unwrap_or(&names.config);
    format!(
        "Written: {}, and the keys beside it. Keep a copy of {} elsewhere: who loses the keys cannot read what waits in the spool.\n",
        names.config.display(),
        folder.display()
    )
}

/// What the PACS's administrator enters.
pub(super) fn pacs(config: &Config, answers: &Answers) -> String {
    let mut lines = vec!["To enter at the PACS:".to_owned()];
    let listen = answers.listen;
    let target = |title: &str, what: &str| {
        format!("  send target  AE title {title:<16}  host {}  port {}  {what}", listen.ip(), listen.port())
    };
    lines.extend(
        config
            .destinations
            .iter()
            .map(|(title, to)| target(title, &format!("for {}", to.doctors.join(", ")))),
    );
    lines.push(target(&answers.hold, "waits on the technician's page"));
    if let Some(pacs) = &answers.pacs {
        lines.push(format!(
            "  may ask      AE title {OWN_AE_TITLE:<16}  host {}  C-FIND and C-GET at {}",
            listen.ip(),
            pacs.ae_title
        ));
    }
    lines.join("\n") + "\n"
}

/// What is red, by whose turn it is.
pub(super) fn open(report: &Report) -> Vec<String> {
    let mut turns: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for check in report.checks.iter().filter(|check| check.verdict == Verdict::Fail) {
        let turn = turns.entry(whose(check.area)).or_default();
        if !turn.contains(&check.area) {
            turn.push(check.area);
        }
    }
    turns.into_iter().map(|(who, areas)| format!("{who}: {}", areas.join(", "))).collect()
}

fn whose(area: &str) -> &'static str {
    match area {
        _ if MAIL_IDENTITY.contains(&area) => "who keeps the DNS zone, with the records under \"To publish\"",
        "tls" => "who runs the server that is named above",
        "directory" => "the doctor, with the code above",
        _ => "you, with the words behind the arrow above",
    }
}

/// What to run next.
pub(super) fn next(names: &Names, open: &[String]) -> String {
    let config = names.config.display();
    let red = match open {
        [] => "Nothing is red.".to_owned(),
        open => format!("Still red, and whose turn it is:\n  {}", open.join("\n  ")),
    };
    format!(
        "{red}\n\nStart it:     systemctl start scanpost-gateway\nCheck again:  scanpost-gateway check --config {config}\n\
         The page:     scanpost-gateway account add NAME --role administrator --config {config}\n\
         Its keys can be given to systemd, encrypted: docs/install.md"
    )
}
