//! Ports of this machine that are open to the network, against those that should be: what nobody knows of, nobody mends.

use super::Check;
use super::listeners::listeners;
use crate::config::{Config, Port, Protocol};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

pub(super) const AREA: &str = "ports";
const SUBJECT: &str = "this machine";
/// proc(5): the kernel's tables of sockets.
const TABLES: [(&str, Protocol); 4] = [
    ("/proc/net/tcp", Protocol::Tcp),
    ("/proc/net/tcp6", Protocol::Tcp),
    ("/proc/net/udp", Protocol::Udp),
    ("/proc/net/udp6", Protocol::Udp),
];
/// `TCP_LISTEN` and `TCP_CLOSE` of the kernel's include/net/tcp_states.h; the second is an UDP socket that takes datagrams of anybody.
const TCP_LISTENS: &str = "0A";
const UDP_UNCONNECTED: &str = "07";
/// ip(7): ports that the system gives to sockets that ask for none, such as those of a question to a DNS server.
const OUTGOING: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// Open ports, each with the addresses on which it is.
type Open = BTreeMap<Port, BTreeSet<IpAddr>>;

/// What should be open.
struct Known {
    /// The gateway's own, each on its address alone: somebody else may listen on the same port of another.
    ours: BTreeSet<SocketAddr>,
    ports: BTreeSet<Port>,
}

impl Known {
    fn has(&self, port: &Port, ip: IpAddr) -> bool {
        let is_ours = port.protocol == Protocol::Tcp && self.ours.contains(&SocketAddr::new(ip, port.number));
        is_ours || self.ports.contains(port)
    }
}

pub(super) fn check(config: &Config) -> Vec<Check> {
    let mut open = Open::new();
    let mut is_read = false;
    for (path, protocol) in TABLES {
        // Without IPv6 in the kernel two of the tables are not there.
        let Ok(table) = std::fs::read_to_string(path) else { continue };
        is_read = true;
        for (address, number) in table.lines().skip(1).filter_map(|line| listening(line, protocol)) {
            open.entry(Port { number, protocol }).or_default().insert(address);
        }
    }
    if !is_read {
        return vec![Check::not_checked(AREA, SUBJECT, "/proc/net cannot be read: look with ss -lntup")];
    }
    let ours = listeners(config).into_iter().filter_map(|listener| listener.address);
    let known = Known { ours: ours.collect(), ports: config.check.ports.iter().copied().collect() };
    judged(&open, &known, &outgoing())
}

fn judged(open: &Open, known: &Known, outgoing: &RangeInclusive<u16>) -> Vec<Check> {
    let (mut strangers, mut known_open) = (Vec::new(), Vec::new());
    let (mut loopback, mut questions) = (0, 0);
    for (port, addresses) in open {
        let outside = addresses.iter().filter(|ip| !ip.is_loopback());
        let (known_there, outside): (Vec<&IpAddr>, Vec<&IpAddr>) =
            outside.partition(|ip| known.has(port, **ip));
        if !known_there.is_empty() {
            known_open.push(port.to_string());
        }
        let outside: Vec<String> = outside.into_iter().map(IpAddr::to_string).collect();
        if outside.is_empty() {
            loopback += usize::from(known_there.is_empty());
        } else if port.protocol == Protocol::Udp && outgoing.contains(&port.number) {
            questions += 1;
        } else {
            strangers.push(Check::fail(
                AREA,
                format!("port {port}"),
                format!("open to the network on {}, and nobody said that it should be", outside.join(", ")),
                format!(
                    "stop what listens there (ss -lntup names it), or write \"{port}\" into [check] ports and keep strangers away by the network"
                ),
            ));
        }
    }
    let known_open = if known_open.is_empty() { "none".to_owned() } else { known_open.join(", ") };
    let found = format!(
        "known and open to the network: {known_open}; {loopback} on loopback alone, {questions} of UDP for outgoing questions"
    );
    let mut checks = vec![Check::pass(AREA, SUBJECT, found)];
    checks.append(&mut strangers);
    checks
}

/// Address and port of a line's socket, where it takes what others send.
fn listening(line: &str, protocol: Protocol) -> Option<(IpAddr, u16)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, _remote, state) = (words.next()?, words.next()?, words.next()?);
    let wanted = if protocol == Protocol::Tcp { TCP_LISTENS } else { UDP_UNCONNECTED };
    (state == wanted).then_some(())?;
    let (address, port) = local.split_once(':')?;
    Some((ip(address)?, u16::from_str_radix(port, 16).ok()?))
}

/// The kernel prints an address as words of 32 bits in its own byte order.
fn ip(hex: &str) -> Option<IpAddr> {
    let word = |start: usize| Some(u32::from_str_radix(hex.get(start..start + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let bytes = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical())
        }
        _ => None,
    }
}

/// Linux's own default where the file cannot be read.
fn outgoing() -> RangeInclusive<u16> {
    let text = std::fs::read_to_string(OUTGOING).unwrap_or_default();
    let mut numbers = text.split_ascii_whitespace().filter_map(|number| number.parse().ok());
    numbers.next().unwrap_or(32_768)..=numbers.next().unwrap_or(60_999)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_of_the_kernel_are_read() {
        let tail =
            "00000000:00000000 00:00000000 00000000     0        0 1060 1 00000000e66e71a1 100 0 0 10 0";
        let line = |local: &str, state: &str| format!("   0: {local} 00000000:0000 {state} {tail}");
        let tcp = |local, state| listening(&line(local, state), Protocol::Tcp);
        assert_eq!(tcp("0100007F:07E8", "0A"), Some(("127.0.0.1".parse().unwrap(), 2024)));
        assert_eq!(tcp("0100007F:07E8", "01"), None);
        let six = "00000000000000000000000001000000:0016";
        assert_eq!(tcp(six, "0A"), Some(("::1".parse().unwrap(), 22)));
        assert_eq!(listening(&line("00000000:0044", "07"), Protocol::Udp).unwrap().1, 68);
        for broken in ["", "0:", "0: zz:1 0:0 0A", "0: 0100007F:07E8"] {
            assert_eq!(listening(broken, Protocol::Tcp), None, "{broken}");
        }
    }

    #[test]
    fn loopback_known_ports_and_questions_are_no_strangers() {
        let port = |text: &str| Port::try_from(text.to_owned()).unwrap();
        let mut open: Open = [
            ("22/tcp", "0.0.0.0"),
            ("25/tcp", "127.0.0.1"),
            ("40000/udp", "0.0.0.0"),
            ("68/udp", "10.0.0.5"),
            ("40000/tcp", "::"),
            ("11112/tcp", "10.0.0.5"),
        ]
        .map(|(text, ip)| (port(text), BTreeSet::from([ip.parse().unwrap()])))
        .into();
        let of = |open: &Open, known: &[&str]| -> Vec<String> {
            let ours = BTreeSet::from(["10.0.0.5:11112".parse().unwrap()]);
            let known = Known { ours, ports: known.iter().map(|text| port(text)).collect() };
            let checks = judged(open, &known, &(32_768..=60_999));
            checks
                .into_iter()
                .filter(|check| check.verdict == Verdict::Fail)
                .map(|check| check.subject)
                .collect()
        };
        assert_eq!(of(&open, &["22/tcp"]), ["port 68/udp", "port 40000/tcp"]);
        assert!(of(&open, &["22/tcp", "68/udp", "40000/tcp"]).is_empty());
        // Beside ours somebody else listens on the same port of another address.
        open.get_mut(&port("11112/tcp")).unwrap().insert("192.0.2.1".parse().unwrap());
        assert_eq!(of(&open, &["22/tcp", "68/udp", "40000/tcp"]), ["port 11112/tcp"]);
    }
}
