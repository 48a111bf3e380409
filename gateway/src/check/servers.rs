//! TLS of every server that is configured: who answers, in which version, with which certificate. Nobody is logged in.

use super::certificate::Certificate;
use super::files::lasting;
use super::{Check, SKIPPED};
use crate::config::{Channel, Config};
use futures::future::join_all;
use std::collections::BTreeMap;
use std::time::Duration;
use tls::{ClientFiles, TlsError, Trust};

pub(super) const AREA: &str = "tls";
/// A server that does not answer for so long is down.
const WAIT: Duration = Duration::from_secs(10);
/// A server's certificate with fewer days left was not renewed by whatever should do so: automatic ones are renewed with 30 left.
const RENEW_DAYS: i64 = 14;

/// A server by host and port, and the SHA-256 of its public key or why it is not known.
pub(super) type Seen = BTreeMap<(String, u16), Result<Vec<u8>, String>>;

/// Of servers that are not asked.
pub(super) fn unseen(config: &Config) -> Seen {
    let servers = config.servers().map(|(_, server)| (server.host.clone(), server.port));
    servers.map(|server| (server, Err(SKIPPED.to_owned()))).collect()
}

pub(super) async fn check(config: &Config) -> (Vec<Check>, Seen) {
    let servers = join_all(config.servers().map(|(table, server)| async move {
        let subject = server.told_as(table);
        let (check, key) = one(subject, &server.host, server.port, &server.tls()).await;
        (check, ((server.host.clone(), server.port), key))
    }));
    let channels = join_all(config.channels.iter().map(|(name, channel)| of_channel(name, channel)));
    let pacs = join_all(config.pacs.iter().map(|(name, pacs)| async move {
        let (files, (host, port)) = pacs.tls.as_ref().zip(pacs.host_and_port())?;
        Some(one(format!("pacs.{name}.tls {host}:{port}"), host, port, files).await.0)
    }));
    let syslog = join_all(config.audit.syslog.iter().map(|syslog| async move {
        let subject = format!("audit.syslog {}:{}", syslog.host, syslog.port);
        one(subject, &syslog.host, syslog.port, &syslog.tls).await.0
    }));
    let (servers, channels, pacs, syslog) = futures::join!(servers, channels, pacs, syslog);
    let (mut checks, seen): (Vec<Check>, Seen) = servers.into_iter().unzip();
    checks.extend(channels.into_iter().chain(pacs).flatten().chain(syslog));
    if let Some(tls) = &config.dicom.tls {
        let subject = format!("dicom.tls {}", tls.listen);
        checks.push(match tls::Listener::read(&tls.files) {
            Ok(_) => Check::pass(AREA, subject, "certificate, key and client_ca go together"),
            Err(error) => Check::fail(AREA, subject, error, "correct the files of [dicom.tls]"),
        });
    }
    (checks, seen)
}

/// A URL may be a secret: its host alone is shown. None for a program.
async fn of_channel(name: &str, channel: &Channel) -> Option<Check> {
    let table = format!("channels.{name}");
    let url = match channel.server_url() {
        Ok(url) => url?,
        Err(error) => return Some(Check::fail(AREA, table, error, "make the file, mode 600")),
    };
    let Some((host, port)) = notifier::host_of(&url) else {
        return Some(Check::fail(AREA, table, "its URL is not https with a host", "correct the file"));
    };
    Some(one(format!("{table} {host}:{port}"), &host, port, &channel.tls()).await.0)
}

async fn one(
    subject: String,
    host: &str,
    port: u16,
    files: &ClientFiles,
) -> (Check, Result<Vec<u8>, String>) {
    let shown = async { Ok::<_, TlsError>(Trust::read(files)?.connect(host, port, WAIT).await?.seen()) };
    let seen = match shown.await {
        Ok(seen) => seen,
        Err(error) => {
            let why = error.to_string();
            return (Check::fail(AREA, subject, error, "see the words in brackets, docs/tls.md"), Err(why));
        }
    };
    let version = if seen.tls12 { "TLS 1.2 by tls12 = true, " } else { "TLS 1.3, " };
    match seen.chain.first().and_then(|der| Certificate::of_der(der)) {
        None => (
            Check::not_checked(AREA, subject, "its certificate cannot be read"),
            Err("its certificate cannot be read".to_owned()),
        ),
        Some(certificate) => {
            (lasting(AREA, subject, &certificate, RENEW_DAYS, version), Ok(certificate.key_digest))
        }
    }
}
