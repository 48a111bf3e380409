//! Whether a name server hands the whole zone to strangers: the names of all machines, for who looks for one to attack.

use super::Check;
use super::dns::{DnsError, NO_RESOLVER, PORT, Resolver};
use crate::config::Config;
use futures::future::join_all;
use hickory_proto::op::ResponseCode;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;

pub(crate) const AREA: &str = "zone-transfer";

pub(super) async fn check(config: &Config, resolver: Option<SocketAddr>) -> Vec<Check> {
    let domain = config.submit.sender_domain().to_ascii_lowercase();
    let Some(resolver) = resolver else {
        return vec![Check::not_checked(AREA, domain, NO_RESOLVER)];
    };
    let hosts = match Resolver(resolver).name_servers(&domain).await {
        Ok(hosts) => hosts,
        Err(error) => return vec![Check::not_checked(AREA, domain, error)],
    };
    // The zone above may be a registry's: nobody there is ours to ask.
    if hosts.is_empty() {
        let why = "has no name servers of its own: ask who keeps the zone above it whether that is handed to anybody";
        return vec![Check::not_checked(AREA, domain, why)];
    }
    // The hospital's own resolver often holds the zone too.
    let mut servers = BTreeMap::from([(resolver, format!("{domain} at the resolver {resolver}"))]);
    let mut checks = Vec::new();
    let looked_up = hosts.iter().map(async |host| (host, Resolver(resolver).addresses(host).await));
    for (host, addresses) in join_all(looked_up).await {
        let subject = format!("{domain} at {host}");
        match addresses {
            Ok(addresses) if addresses.is_empty() => {
                checks.push(Check::not_checked(AREA, subject, "the name server has no address"));
            }
            Ok(addresses) => servers.extend(
                addresses.into_iter().map(|ip| (SocketAddr::new(ip, PORT), format!("{subject} {ip}"))),
            ),
            Err(error) => checks.push(Check::not_checked(AREA, subject, error)),
        }
    }
    checks.extend(join_all(servers.into_iter().map(|(server, subject)| one(server, subject, &domain))).await);
    checks
}

async fn one(server: SocketAddr, subject: String, zone: &str) -> Check {
    match Resolver(server).transfer(zone).await {
        Ok(0) => Check::pass(AREA, subject, "gives no zone"),
        Ok(_) => {
            let mend = "who keeps the name server: allow transfers to the other name servers alone (BIND: allow-transfer)";
            Check::fail(AREA, subject, "hands the whole zone to anybody", mend)
        }
        Err(DnsError::Failed {
            code: ResponseCode::Refused | ResponseCode::NotAuth | ResponseCode::NotImp,
            ..
        }) => Check::pass(AREA, subject, "refuses"),
        // Some close the connection in place of an answer.
        Err(DnsError::Unreachable {
            reason: ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset, ..
        }) => Check::pass(AREA, subject, "refuses"),
        Err(error) => Check::not_checked(AREA, subject, error),
    }
}
