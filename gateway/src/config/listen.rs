//! Where a listener of ours is reached.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// What was really taken: a port of 0 is whichever the system gave, and stands in the port file.
///
/// # Errors
/// There is no such file, as where the gateway does not run, or no port in it.
pub(crate) fn taken(listen: SocketAddr, port_file: Option<&Path>) -> io::Result<SocketAddr> {
    if listen.port() != 0 {
        return Ok(listen);
    }
    let file = port_file.ok_or(io::ErrorKind::NotFound)?;
    let port = std::fs::read_to_string(file)?.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(SocketAddr::new(listen.ip(), port))
}

/// Where this machine reaches it: a wildcard is no address to connect to.
pub(crate) fn reached_at(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}
