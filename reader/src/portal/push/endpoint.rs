//! A push service, as the phone's browser named it: a URL that somebody else wrote, so it is looked at closely.

use super::super::config::Push;
use super::super::limits::{ENDPOINT_CHARS_MAX, PUSH_ANSWER_BYTES_MAX, PUSH_TTL, PUSH_WAIT};
use super::Sent;
use axum::http::{Request, StatusCode, Uri, header};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tls::{Https, Trust};

/// HTTPS (RFC 9110 4.2.2).
const PORT: u16 = 443;

/// `https`, a host of the list, nothing odd.
pub(crate) struct Endpoint {
    uri: Uri,
    host: String,
    port: u16,
}

impl Endpoint {
    /// None for a URL that nothing is sent to.
    pub(crate) fn parse(text: &str, settings: &Push) -> Option<Self> {
        let uri: Uri = text.parse().ok().filter(|_| text.len() <= ENDPOINT_CHARS_MAX)?;
        let authority = uri.authority()?;
        let (host, port) = (authority.host().to_ascii_lowercase(), authority.port_u16().unwrap_or(PORT));
        let is_plain = uri.scheme_str() == Some("https") && !authority.as_str().contains('@');
        let is_allowed = settings.hosts.iter().any(|allowed| fits(&host, allowed));
        let is_port = port == PORT || settings.private_addresses;
        (is_plain && is_allowed && is_port).then_some(Self { uri, host, port })
    }

    /// What the token is for (RFC 8292 2, `aud`).
    pub(crate) fn origin(&self) -> String {
        let port = if self.port == PORT { String::new() } else { format!(":{}", self.port) };
        format!("https://{}{port}", self.host)
    }

    /// Sends one notice. The name is looked up once, and what it stands for is judged and connected to; redirects are not followed.
    pub(crate) async fn post(
        &self,
        trust: &Trust,
        private: bool,
        body: Vec<u8>,
        authorization: &str,
    ) -> Sent {
        self.try_post(trust, private, body, authorization).await.unwrap_or(Sent::Later)
    }

    async fn try_post(
        &self,
        trust: &Trust,
        private: bool,
        body: Vec<u8>,
        authorization: &str,
    ) -> Option<Sent> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await.ok()?;
        let addresses: Vec<SocketAddr> = found.filter(|address| private || is_public(address.ip())).collect();
        if addresses.is_empty() {
            return Some(Sent::Later);
        }
        let request = Request::post(self.uri.clone())
            .header(header::AUTHORIZATION, authorization)
            .header(header::CONTENT_ENCODING, "aes128gcm")
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header("TTL", PUSH_TTL)
            .header("Urgency", "high")
            .body(body)
            .ok()?;
        let https = Https { trust: trust.clone(), wait: PUSH_WAIT, answer_bytes_max: PUSH_ANSWER_BYTES_MAX };
        let answer = https.send_to(&addresses, request).await.ok()?;
        Some(match answer.status() {
            status if status.is_success() => Sent::Taken,
            StatusCode::NOT_FOUND | StatusCode::GONE => Sent::Ended,
            StatusCode::TOO_MANY_REQUESTS => Sent::Later,
            status if status.is_server_error() => Sent::Later,
            status => Sent::Refused(status.as_u16()),
        })
    }
}

fn fits(host: &str, allowed: &str) -> bool {
    match allowed.strip_prefix('*') {
        Some(end) => end.starts_with('.') && host.len() > end.len() && host.ends_with(end),
        None => host == allowed,
    }
}

/// An address of the internet, as far as the registries of special ones go (RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => is_public_v4(address),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || matches!(
            (first, second, third),
            (0 | 240.., ..) | (100, 64..=127, _) | (192, 0, 0) | (198, 18 | 19, _)
        ))
}

/// Global unicast alone, without what is for documents or carries other addresses (6to4, Teredo).
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    first & 0xE000 == 0x2000 && !matches!((first, second), (0x2001, 0 | 0xDB8) | (0x2002, _))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn settings(private_addresses: bool) -> Push {
        let hosts = ["push.example", "*.notify.example"].map(String::from).to_vec();
        Push { contact: "mailto:a@b".into(), hosts, ca: None, private_addresses }
    }

    #[test]
    fn only_https_of_listed_hosts_is_sent_to() {
        for (text, taken) in [
            ("https://push.example/a?b", true),
            ("https://PUSH.example/a", true),
            ("https://db5.notify.example/w", true),
            ("https://notify.example/w", false),
            ("https://xnotify.example/w", false),
            ("http://push.example/a", false),
            ("https://push.example:8443/a", false),
            ("https://user@push.example/a", false),
            ("https://push.example.evil/a", false),
            ("https://evil/push.example", false),
            ("https://127.0.0.1/", false),
            ("/a", false),
        ] {
            assert_eq!(Endpoint::parse(text, &settings(false)).is_some(), taken, "{text}");
        }
        let endpoint = Endpoint::parse("https://push.example:8443/a", &settings(true)).unwrap();
        assert_eq!(endpoint.origin(), "https://push.example:8443");
    }

    #[test]
    fn addresses_inside_are_not_public() {
        for text in [
            "10.1.2.3",
            "127.0.0.1",
            "169.254.169.254",
            "192.168.0.1",
            "172.16.0.1",
            "100.64.0.1",
            "0.0.0.0",
            "198.18.0.1",
            "255.255.255.255",
            "::1",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "2002:a00:1::",
            "2001:db8::1",
            "ff02::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in ["17.253.144.10", "142.250.0.1", "2a00:1450:4001::1", "::ffff:17.0.0.1"] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }
}
