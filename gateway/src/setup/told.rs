//! What setup says at its end: what lies where, what others have to enter, and whose turn it is.

use super::answers::Answers;
use super::configuration::OWN_AE_TITLE;
use super::files::Names;
use super::{CONFIG, STATE};
use crate::check::{MAIL_IDENTITY, Report, Verdict, ZONE_TRANSFER};
use crate::config::Config;
use std::collections::BTreeMap;
use std::path::Path;

/// The lowest that a process without rights may listen on (ip(7), `ip_unprivileged_port_start`).
const PORT_UNPRIVILEGED_MIN: u16 = 1024;
/// What `ProtectHome=yes` hides (systemd.exec(5)).
const HIDDEN: [&str; 3] = ["/home", "/root", "/run/user"];

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
        "tlsa" => "who keeps the mail server's zone, with the TLSA records under \"To publish\"",
        _ if MAIL_IDENTITY.contains(&area) => {
            "who keeps the sender's zone, with the records under \"To publish\"; it has one SPF record at most: add to one that is there"
        }
        "tls" | "banners" | "plain" | "old-tls" | "relay" | "proxy" | "ftp" | "listing" => {
            "who runs the server that is named above"
        }
        ZONE_TRANSFER => "who keeps the name server that is named above",
        "directory" => "the doctor, with the code above",
        _ => "you, with the words behind the arrow above",
    }
}

/// What to run next.
pub(super) fn next(config: &Config, names: &Names, open: &[String]) -> String {
    let drop_in = drop_in(config, names);
    let config = names.config.display();
    let red = match open {
        [] => "Nothing is red.".to_owned(),
        open => format!("Still red, and whose turn it is:\n  {}", open.join("\n  ")),
    };
    format!(
        "{red}\n{drop_in}\nStart it:     systemctl start scanpost-gateway\nCheck again:  scanpost-gateway check --config {config}\n\
         The page:     scanpost-gateway account add NAME --role administrator --config {config}\n\
         Its keys can be given to systemd, encrypted: docs/install.md"
    )
}

/// What this configuration needs and the packaged unit does not allow; empty where there is nothing.
fn drop_in(config: &Config, names: &Names) -> String {
    let (mut unit, mut service) = (String::new(), String::new());
    let path = names.config.display();
    if names.config != Path::new(CONFIG) {
        unit = format!("[Unit]\nConditionPathExists=\nConditionPathExists={path}\n");
        service = format!("ExecStart=\nExecStart=/usr/bin/scanpost-gateway serve --config {path}\n");
    }
    if config.state != Path::new(STATE) {
        service += &format!("ReadWritePaths={}\n", config.state.display());
    }
    if [&names.config, &config.state].iter().any(|path| HIDDEN.iter().any(|hidden| path.starts_with(hidden)))
    {
        service += "ProtectHome=no\n";
    }
    let mut ports = config.dicom.listen.iter().chain(config.page.iter().map(|page| &page.listen));
    if ports.any(|address| address.port() < PORT_UNPRIVILEGED_MIN) {
        service += "AmbientCapabilities=CAP_NET_BIND_SERVICE\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\nPrivateUsers=no\n";
    }
    match service.is_empty() {
        true => String::new(),
        false => format!(
            "\nThe packaged service does not allow this by itself. Enter it first, with: systemctl edit scanpost-gateway\n\n{unit}[Service]\n{service}"
        ),
    }
}
