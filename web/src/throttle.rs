//! Who tries passwords must wait: by account in the journal, by address in memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failed sign-ins of an account before it must wait.
const FAILURES_FREE: u32 = 5;
/// Wait after one more, doubled with each further one.
const FAILURE_WAIT_MS: i64 = 30_000;
/// Longest such wait: nobody can lock a technician or a doctor out for a night.
pub const FAILURE_WAIT_MAX_MS: i64 = 15 * 60_000;
/// Failed sign-ins of one address within [`ADDRESS_WINDOW`].
const ADDRESS_FAILURES_MAX: u32 = 20;
/// See [`ADDRESS_FAILURES_MAX`].
const ADDRESS_WINDOW: Duration = Duration::from_secs(600);
/// Addresses remembered for that.
const ADDRESSES_MAX: usize = 4096;

/// Milliseconds that an account must still wait after `failures` in a row, the last at `failed_at_ms`; 0 if it need not.
pub fn wait_ms(failures: u32, failed_at_ms: i64, now_ms: i64) -> i64 {
    let Some(beyond) = failures.checked_sub(FAILURES_FREE) else { return 0 };
    let wait = FAILURE_WAIT_MS.checked_shl(beyond.min(20)).unwrap_or(FAILURE_WAIT_MAX_MS);
    // A clock that was set back makes nobody wait for long.
    (wait.min(FAILURE_WAIT_MAX_MS) - (now_ms - failed_at_ms)).clamp(0, FAILURE_WAIT_MAX_MS)
}

/// Failures of addresses.
#[derive(Default)]
pub struct Addresses(Mutex<HashMap<IpAddr, (Instant, u32)>>);

impl Addresses {
    /// Whether this address may try once more.
    pub fn may_try(&self, address: IpAddr, now: Instant) -> bool {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(&address).is_none_or(|(since, count)| {
            *count < ADDRESS_FAILURES_MAX || now.duration_since(*since) >= ADDRESS_WINDOW
        })
    }

    /// It failed.
    pub fn failed(&self, address: IpAddr, now: Instant) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= ADDRESSES_MAX {
            failures.retain(|_, (since, _)| now.duration_since(*since) < ADDRESS_WINDOW);
        }
        // With that many addresses at once, forgetting them all is the lesser evil: each account still waits.
        if failures.len() >= ADDRESSES_MAX {
            failures.clear();
        }
        let (since, count) = failures.entry(address).or_insert((now, 0));
        if now.duration_since(*since) >= ADDRESS_WINDOW {
            (*since, *count) = (now, 0);
        }
        *count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn an_account_waits_longer_with_each_failure_but_never_a_night() {
        let waits: Vec<_> = (4..13).map(|failures| wait_ms(failures, 1_000, 1_000) / 1_000).collect();
        assert_eq!(waits, [0, 30, 60, 120, 240, 480, 900, 900, 900]);
        assert_eq!(wait_ms(u32::MAX, 1_000, 1_000), FAILURE_WAIT_MAX_MS);
        assert_eq!(wait_ms(6, 1_000, 61_000), 0);
        assert_eq!(wait_ms(6, 1_000, -1_000_000_000), FAILURE_WAIT_MAX_MS);
    }

    #[test]
    fn an_address_is_stopped_and_let_in_again_and_the_memory_is_bounded() {
        let (addresses, now) = (Addresses::default(), Instant::now());
        let bad = IpAddr::from(Ipv4Addr::new(10, 0, 0, 1));
        for _ in 0..ADDRESS_FAILURES_MAX {
            assert!(addresses.may_try(bad, now));
            addresses.failed(bad, now);
        }
        assert!(!addresses.may_try(bad, now));
        assert!(addresses.may_try(IpAddr::from(Ipv4Addr::new(10, 0, 0, 2)), now));
        assert!(addresses.may_try(bad, now + ADDRESS_WINDOW));
        for number in 0..10_000_u32 {
            addresses.failed(IpAddr::from(Ipv4Addr::from(number)), now);
        }
        assert!(addresses.0.lock().unwrap_or_else(PoisonError::into_inner).len() <= ADDRESSES_MAX);
    }
}
