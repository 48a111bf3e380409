//! Who may work on what, where several gateways share one queue: a lease with a fencing token.
//!
//! No clock of the wall decides. The holder counts its beats in the lease; another gateway may take it when it has seen the same beat for
//! [`LEASE_MS`] of its own running. Who was paused for longer finds its token refused at its next write, in the transaction of that write.

/// How long a lease must stand still before another gateway takes it, in milliseconds of the taker's running: several beats, and longer than a
/// commit may wait for the writer's lock.
pub const LEASE_MS: i64 = 30_000;

/// Counts who has held a lease; a write with an older one is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenNumber(pub u32);

/// A lease, as a row of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// Number of the gateway that holds it.
    pub holder: Option<u8>,
    /// Of the last one who took it.
    pub token: TokenNumber,
    /// Its signs of life.
    pub beat: u32,
}

/// What a gateway has seen of a lease that another holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    token: TokenNumber,
    beat: u32,
    since_ms: i64,
}

impl Watch {
    /// Looks at the lease, at this time of the gateway's own running.
    pub fn look(seen: Option<Self>, lease: &Lease, running_ms: i64) -> Self {
        let same = seen.filter(|seen| (seen.token, seen.beat) == (lease.token, lease.beat));
        same.unwrap_or(Self { token: lease.token, beat: lease.beat, since_ms: running_ms })
    }

    /// It has stood still for long enough.
    pub fn is_over(&self, running_ms: i64) -> bool {
        running_ms >= self.over_at_ms()
    }

    /// When it will have, of the gateway's own running.
    pub fn over_at_ms(&self) -> i64 {
        self.since_ms.saturating_add(LEASE_MS)
    }
}

impl Lease {
    /// Takes it, if nobody holds it, or who does was seen to stand still. Everybody's older token is void from here on.
    pub fn take(&mut self, who: u8, watch: &Watch, running_ms: i64) -> Option<TokenNumber> {
        let stands_still = (watch.token, watch.beat) == (self.token, self.beat) && watch.is_over(running_ms);
        if self.holder.is_some() && !stands_still {
            return None;
        }
        *self = Self { holder: Some(who), token: TokenNumber(self.token.0.wrapping_add(1)), beat: 0 };
        Some(self.token)
    }

    /// A sign of life. False where another has it by now.
    pub fn beat(&mut self, token: TokenNumber) -> bool {
        let holds = self.is_held_by(token);
        self.beat += u32::from(holds);
        holds
    }

    /// Whether a write under this token is taken. Asked in the transaction of the write.
    pub fn is_held_by(&self, token: TokenNumber) -> bool {
        self.holder.is_some() && self.token == token
    }

    /// Ends it, whoever holds it: what is leased was withdrawn, or is done.
    pub fn revoke(&mut self) {
        self.holder = None;
        self.token.0 = self.token.0.wrapping_add(1);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_taken_from_who_stands_still_and_the_old_token_is_void() {
        let mut lease = Lease::default();
        let fresh = Watch::look(None, &lease, 0);
        let first = lease.take(1, &fresh, 0).unwrap();
        let watch = Watch::look(None, &lease, 1_000);
        assert_eq!(lease.take(2, &watch, 1_000 + LEASE_MS - 1), None, "it may live still");
        assert!(lease.beat(first));
        assert_eq!(lease.take(2, &watch, 1_000 + LEASE_MS), None, "it beat since it was looked at");
        let watch = Watch::look(Some(watch), &lease, 40_000);
        let watch = Watch::look(Some(watch), &lease, 40_000 + LEASE_MS);
        let second = lease.take(2, &watch, 40_000 + LEASE_MS).unwrap();
        assert!(second > first && lease.is_held_by(second));
        assert!(!lease.is_held_by(first) && !lease.beat(first), "who was paused is refused");
        assert_eq!(lease.beat, 0, "a beat of who was paused is none");
        lease.revoke();
        assert!(!lease.is_held_by(second), "withdrawn: nobody works on it");
    }
}
