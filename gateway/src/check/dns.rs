//! Questions to a DNS resolver, over TCP (RFC 7766): an answer is never cut, and no stranger can slip one in from outside the path.

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest wait for an answer: resolvers themselves give up after about five seconds a server.
const WAIT: Duration = Duration::from_secs(10);
pub(super) const PORT: u16 = 53;
/// Why nothing is asked where there is nobody to ask.
pub(super) const NO_RESOLVER: &str = "no resolver: name one in [check] resolver or by --resolver";

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DnsError {
    #[error("{0:?} is not a DNS name")]
    Name(String),
    #[error("the resolver {server} does not answer: {reason}")]
    Unreachable { server: SocketAddr, reason: std::io::ErrorKind },
    #[error("the resolver {0} did not answer in time")]
    Silent(SocketAddr),
    #[error("the resolver {0} sent what is no answer")]
    Malformed(SocketAddr),
    #[error("the resolver {server} says {code}")]
    Failed { server: SocketAddr, code: ResponseCode },
}

/// One TLSA record (RFC 6698 2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tlsa {
    /// Usage, selector, matching type.
    pub(super) kind: [u8; 3],
    pub(super) data: Vec<u8>,
}

/// Asks one resolver.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolver(pub(super) SocketAddr);

/// The first resolver of resolv.conf(5).
pub(super) fn of_the_system() -> Option<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").ok()?;
    let mut servers = text.lines().filter_map(|line| line.strip_prefix("nameserver"));
    servers.find_map(|server| Some(SocketAddr::new(server.trim().parse::<IpAddr>().ok()?, PORT)))
}

impl Resolver {
    /// The texts of a name, each put together; none if there is no such name.
    pub(super) async fn texts(self, name: &str) -> Result<Vec<String>, DnsError> {
        let answer = self.ask(name, RecordType::TXT).await?;
        let texts = answer.answers.iter().filter_map(|record| match &record.data {
            RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
            _ => None,
        });
        Ok(texts.collect())
    }

    /// The mail exchangers of a domain, best first.
    pub(super) async fn exchangers(self, domain: &str) -> Result<Vec<String>, DnsError> {
        let answer = self.ask(domain, RecordType::MX).await?;
        let mut hosts: Vec<(u16, String)> = answer
            .answers
            .iter()
            .filter_map(|record| match &record.data {
                RData::MX(mx) => {
                    Some((mx.preference, mx.exchange.to_ascii().trim_end_matches('.').to_owned()))
                }
                _ => None,
            })
            .collect();
        hosts.sort();
        Ok(hosts.into_iter().map(|(_, host)| host).collect())
    }

    /// The name servers of a zone; none where the domain is no zone of its own.
    pub(super) async fn name_servers(self, domain: &str) -> Result<Vec<String>, DnsError> {
        let answer = self.ask(domain, RecordType::NS).await?;
        // Behind an alias stand the servers of somebody else's zone.
        let own = answer
            .answers
            .iter()
            .filter(|record| record.name.to_ascii().trim_end_matches('.').eq_ignore_ascii_case(domain));
        let hosts = own.filter_map(|record| match &record.data {
            RData::NS(host) => Some(host.to_ascii().trim_end_matches('.').to_owned()),
            _ => None,
        });
        Ok(hosts.collect())
    }

    /// How many records a server hands to a stranger who asks for the whole zone (AXFR, RFC 5936): those of the first message.
    pub(super) async fn transfer(self, zone: &str) -> Result<usize, DnsError> {
        Ok(self.ask(zone, RecordType::AXFR).await?.answers.len())
    }

    /// The addresses of a host.
    pub(super) async fn addresses(self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        let (v6, v4) = (self.ask(host, RecordType::AAAA).await?, self.ask(host, RecordType::A).await?);
        let found = v6.answers.iter().chain(&v4.answers).filter_map(|record| match &record.data {
            RData::A(address) => Some(IpAddr::from(address.0)),
            RData::AAAA(address) => Some(IpAddr::from(address.0)),
            _ => None,
        });
        Ok(found.collect())
    }

    /// The TLSA records of a name, and whether the resolver found them signed (AD, RFC 4035 3.2.3).
    pub(super) async fn tlsa(self, name: &str) -> Result<(Vec<Tlsa>, bool), DnsError> {
        let answer = self.ask(name, RecordType::TLSA).await?;
        let records = answer.answers.iter().filter_map(|record| match &record.data {
            RData::TLSA(tlsa) => Some(Tlsa {
                kind: [tlsa.cert_usage.into(), tlsa.selector.into(), tlsa.matching.into()],
                data: tlsa.cert_data.clone(),
            }),
            _ => None,
        });
        Ok((records.collect(), answer.metadata.authentic_data))
    }

    async fn ask(self, name: &str, kind: RecordType) -> Result<Message, DnsError> {
        let mut parsed = Name::from_ascii(name).map_err(|_| DnsError::Name(name.to_owned()))?;
        parsed.set_fqdn(true);
        let mut question = Message::query();
        question.metadata.recursion_desired = true;
        // RFC 6840 5.7: tell us whether it is signed.
        question.metadata.authentic_data = true;
        question.add_query(Query::query(parsed, kind));
        let id = question.metadata.id;
        let bytes = question.to_vec().map_err(|_| DnsError::Name(name.to_owned()))?;
        let answer = tokio::time::timeout(WAIT, self.exchange(&bytes)).await;
        let answer = answer.map_err(|_| DnsError::Silent(self.0))?;
        let answer =
            answer.map_err(|error| DnsError::Unreachable { server: self.0, reason: error.kind() })?;
        let answer = Message::from_vec(&answer).map_err(|_| DnsError::Malformed(self.0))?;
        match answer.metadata.response_code {
            _ if answer.metadata.id != id => Err(DnsError::Malformed(self.0)),
            ResponseCode::NoError | ResponseCode::NXDomain => Ok(answer),
            code => Err(DnsError::Failed { server: self.0, code }),
        }
    }

    /// RFC 1035 4.2.2: two octets of length before each message, which bounds it too.
    async fn exchange(self, question: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.0).await?;
        let length = u16::try_from(question.len()).map_err(std::io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
        let mut answer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }
}
