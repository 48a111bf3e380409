//! How many connections are taken, from everywhere and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// How many connections are taken.
#[derive(Clone, Copy, Debug)]
pub struct Connections {
    /// At once, from everywhere.
    pub at_once_max: usize,
    /// Of these, from one address.
    pub of_address_max: usize,
}

/// Connections that are taken now.
#[derive(Debug)]
pub struct Rooms {
    taken: Mutex<HashMap<IpAddr, usize>>,
    connections: Connections,
}

/// The place of one connection; given back when dropped.
#[derive(Debug)]
pub struct Room {
    rooms: Arc<Rooms>,
    address: IpAddr,
}

impl Rooms {
    /// All of them free.
    pub fn new(connections: Connections) -> Arc<Self> {
        Arc::new(Self { taken: Mutex::default(), connections })
    }

    /// A place for a connection from this address; none where all are taken, or all of this address.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Room> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = taken.get(&address).copied().unwrap_or(0);
        let all: usize = taken.values().sum();
        if all >= self.connections.at_once_max || theirs >= self.connections.of_address_max {
            return None;
        }
        taken.insert(address, theirs + 1);
        Some(Room { rooms: Arc::clone(self), address })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut taken = self.rooms.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(theirs) = taken.get_mut(&self.address) {
            *theirs -= 1;
            if *theirs == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn one_address_cannot_take_every_room_and_gives_its_own_back() {
        let rooms = Rooms::new(Connections { at_once_max: 512, of_address_max: 64 });
        let address = |last| IpAddr::from(Ipv4Addr::new(10, 0, 0, last));
        let first: Vec<_> = std::iter::from_fn(|| rooms.enter(address(1))).collect();
        assert_eq!(first.len(), 64);
        assert!(rooms.enter(address(2)).is_some());
        drop(first);
        assert!(rooms.enter(address(1)).is_some());
        let all: Vec<_> = (0..=255)
            .flat_map(|last| std::iter::from_fn(move || Some(last)).take(4))
            .map(|last| rooms.enter(address(last)))
            .collect();
        assert_eq!(all.iter().flatten().count(), 512);
    }
}
