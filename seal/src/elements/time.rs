//! UTCTime and GeneralizedTime as RFC 5280 4.1.2.5 wants them: with seconds, in UTC, without fractions.

use super::{Element, GENERALIZED_TIME, UTC_TIME};

const DAY_S: i64 = 86_400;

/// Seconds since 1970-01-01 UTC; none before, and none that is no such time.
pub(crate) fn time(element: &Element<'_>) -> Option<i64> {
    let (year, rest) = match (element.tag, element.value) {
        (UTC_TIME, [y, z, rest @ ..]) => match two(*y, *z)? {
            year @ 50.. => (1900 + year, rest),
            year => (2000 + year, rest),
        },
        (GENERALIZED_TIME, [w, x, y, z, rest @ ..]) => (two(*w, *x)? * 100 + two(*y, *z)?, rest),
        _ => return None,
    };
    let [m1, m2, d1, d2, h1, h2, n1, n2, s1, s2, b'Z'] = rest else { return None };
    let (month, day) = (two(*m1, *m2)?, two(*d1, *d2)?);
    let (hour, minute, second) = (two(*h1, *h2)?, two(*n1, *n2)?, two(*s1, *s2)?);
    let is_time = year >= 1970
        && (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    is_time.then(|| days_before(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second)
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
    Some(digit(tens)? * 10 + digit(ones)?)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to this one.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    years + (1..month).map(|month| days_of(year, month)).sum::<i64>() + day - 1
}
