//! How hosts of the hospital are asked: those of `[check] hosts`, and no other; all at once, and each port for itself.

use super::{Check, LIMIT};
use futures::future::join_all;
use std::collections::BTreeMap;
use std::io;
use tokio::time::timeout;

/// Asks all hosts at once; an area in which there is nobody to ask says so.
pub(super) async fn each<'a, F: Future<Output = Vec<Check>>>(
    area: &'static str,
    hosts: &'a [String],
    one: impl Fn(&'a str) -> F,
) -> Vec<Check> {
    if hosts.is_empty() {
        return vec![Check::not_checked(area, "hosts", "[check] hosts names none")];
    }
    join_all(hosts.iter().map(|host| one(host))).await.concat()
}

/// Asks these ports of a host at once. Nothing comes of one on which nobody listens; where that is so of all of them, `nobody` passes. What
/// could not be asked is told together: a firewall that swallows everything is one finding.
pub(super) async fn each_port<C: IntoIterator<Item = Check>, F: Future<Output = io::Result<C>>>(
    area: &'static str,
    host: &str,
    ports: impl IntoIterator<Item = u16>,
    nobody: &str,
    one: impl Fn(u16) -> F,
) -> Vec<Check> {
    let asked = ports.into_iter().map(|port| {
        let one = timeout(LIMIT, one(port));
        async move { (port, one.await.unwrap_or_else(|late| Err(late.into()))) }
    });
    let mut checks = Vec::new();
    let mut unasked = BTreeMap::<String, Vec<String>>::new();
    for (port, answer) in join_all(asked).await {
        match answer {
            Ok(found) => checks.extend(found),
            Err(error) => unasked.entry(error.kind().to_string()).or_default().push(port.to_string()),
        }
    }
    if checks.is_empty() && unasked.is_empty() {
        return vec![Check::pass(area, host, nobody)];
    }
    checks.extend(unasked.into_iter().map(|(why, ports)| {
        let subject = format!("{host}:{}", ports.join(","));
        Check::not_checked(area, subject, format!("cannot be asked: {why}"))
    }));
    checks
}
