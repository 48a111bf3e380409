//! When to try again: pure, so that a night of retries is tested in microseconds.

use std::time::Duration;

/// First wait.
pub const FIRST_DELAY: Duration = Duration::from_secs(1);
/// Longest wait: a mended server is noticed within a quarter of an hour.
pub const DELAY_MAX: Duration = Duration::from_secs(15 * 60);
/// A delivery that fails for longer than this reaches a person.
pub const ALARM_AFTER: Duration = Duration::from_secs(60 * 60);

/// Wait before the next try. `failures` counts the tries that failed in a row, from 1. The wait doubles each time up to
/// [`DELAY_MAX`]; `draw`, a uniform random number, picks from its upper half, so that many deliveries do not come back at once.
pub fn delay(failures: u32, draw: u64) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
    let whole = FIRST_DELAY.saturating_mul(factor).min(DELAY_MAX);
    let half = whole / 2;
    half + half.mul_f64(draw as f64 / u64::MAX as f64)
}

/// Whether a person must hear of it. Times in seconds since 1970-01-01 UTC; a clock that was set back raises no alarm.
pub fn is_alarm(failing_since: i64, now: i64) -> bool {
    now.saturating_sub(failing_since) >= ALARM_AFTER.as_secs() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_from_one_second_to_a_quarter_of_an_hour() {
        let waits: Vec<u64> = (1..=12).map(|failures| delay(failures, u64::MAX).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    }

    #[test]
    fn draw_picks_from_the_upper_half() {
        assert_eq!(delay(5, 0), Duration::from_secs(8));
        assert_eq!(delay(5, u64::MAX), Duration::from_secs(16));
        let middle = delay(5, u64::MAX / 2);
        assert!(middle > Duration::from_secs(11) && middle < Duration::from_secs(13));
    }

    #[test]
    fn any_number_of_failures_has_a_delay() {
        for failures in [0, 31, 32, 33, 1000, u32::MAX] {
            let wait = delay(failures, u64::MAX);
            assert!(wait >= FIRST_DELAY / 2 && wait <= DELAY_MAX, "{failures}");
        }
    }

    #[test]
    fn alarm_after_an_hour() {
        assert!(!is_alarm(1000, 1000 + 3599));
        assert!(is_alarm(1000, 1000 + 3600));
        assert!(!is_alarm(1000, 0));
    }
}
