//! A roster out of a calendar (iCalendar, RFC 5545): events named after a doctor or a group, single ones, and weekly or daily ones. What
//! cannot be taken as it is meant is refused by name, never left out.

use super::{DUTIES_MAX, Days, Duty, When};
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// Reads the events of a calendar.
///
/// # Errors
/// The summary of the event and what cannot be taken; then nothing is.
pub fn from_calendar(text: &str, zone: &TimeZone) -> Result<Vec<Duty>, String> {
    let lines = unfold(text);
    if !lines.iter().any(|line| line.eq_ignore_ascii_case("BEGIN:VCALENDAR")) {
        return Err("not an iCalendar file: BEGIN:VCALENDAR is missing".to_owned());
    }
    let (mut duties, mut event, mut inside) = (Vec::new(), Event::default(), 0_u32);
    for line in &lines {
        let Some(property) = Property::parse(line) else { continue };
        match (property.name.as_str(), property.value.to_ascii_uppercase().as_str()) {
            ("BEGIN", "VEVENT") => (event, inside) = (Event::default(), 1),
            // An alarm within an event has properties of the same names.
            ("BEGIN", _) if inside > 0 => inside += 1,
            ("END", "VEVENT") if inside == 1 => {
                if duties.len() == DUTIES_MAX {
                    return Err("too many events".to_owned());
                }
                let who = event.summary.clone();
                duties.push(std::mem::take(&mut event).duty(zone).map_err(|what| format!("{who}: {what}"))?);
                inside = 0;
            }
            ("END", _) if inside > 0 => inside -= 1,
            _ if inside == 1 => event.take(property),
            _ => {}
        }
    }
    Ok(duties)
}

/// RFC 5545 3.1: a line that begins with white space goes on where the last one ended.
fn unfold(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.trim_start_matches('\u{FEFF}').lines() {
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(more), Some(last)) => last.push_str(more),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

struct Property {
    name: String,
    zone: Option<String>,
    value: String,
}

impl Property {
    fn parse(line: &str) -> Option<Self> {
        // A colon within quotes belongs to a parameter.
        let mut quoted = false;
        let colon = line.char_indices().find(|(_, char)| {
            quoted ^= *char == '"';
            *char == ':' && !quoted
        })?;
        let (head, value) = (line.get(..colon.0)?, line.get(colon.0 + 1..)?);
        let mut parts = head.split(';');
        let name = parts.next()?.to_ascii_uppercase();
        let zone =
            parts.filter_map(|part| part.split_once('=')).find(|(key, _)| key.eq_ignore_ascii_case("TZID"));
        Some(Self {
            name,
            zone: zone.map(|(_, zone)| zone.trim_matches('"').to_owned()),
            value: value.to_owned(),
        })
    }
}

#[derive(Default)]
struct Event {
    summary: String,
    start: Option<Property>,
    end: Option<Property>,
    duration: Option<String>,
    rule: Option<String>,
    exception: Option<&'static str>,
}

impl Event {
    fn take(&mut self, property: Property) {
        match property.name.as_str() {
            "SUMMARY" => self.summary = unescape(&property.value),
            "DTSTART" => self.start = Some(property),
            "DTEND" => self.end = Some(property),
            "DURATION" => self.duration = Some(property.value),
            "RRULE" if self.rule.is_none() => self.rule = Some(property.value),
            "RRULE" => self.exception = Some("it has two RRULE"),
            "EXDATE" => self.exception = Some("it has EXDATE (enter the days left out as single duties)"),
            "RDATE" => self.exception = Some("it has RDATE (enter these days as single duties)"),
            "RECURRENCE-ID" => {
                self.exception = Some("it changes one event of a series (enter it as a single duty)")
            }
            _ => {}
        }
    }

    fn duty(self, zone: &TimeZone) -> Result<Duty, &'static str> {
        if let Some(exception) = self.exception {
            return Err(exception);
        }
        let (from, is_day) = local(&self.start.ok_or("DTSTART is missing")?, zone)?;
        let to = match (self.end, self.duration) {
            (Some(end), _) => local(&end, zone)?.0,
            (None, Some(duration)) => {
                let span: jiff::Span = duration.parse().map_err(|_| "its DURATION cannot be read")?;
                from.checked_add(span).map_err(|_| "its DURATION cannot be read")?
            }
            (None, None) if is_day => from.checked_add(1.day()).map_err(|_| "its date cannot be read")?,
            (None, None) => return Err("DTEND is missing"),
        };
        if to <= from {
            return Err("it ends before it begins");
        }
        let when = match self.rule {
            None => When::Once { from, to },
            Some(rule) => weekly(&rule, from, to, zone)?,
        };
        Ok(Duty { who: self.summary.trim().to_owned(), when })
    }
}

/// In the site's time; whether it is a whole day.
fn local(property: &Property, zone: &TimeZone) -> Result<(DateTime, bool), &'static str> {
    const UNREADABLE: &str = "a time of it cannot be read";
    let value = property.value.trim();
    if let Some(utc) = value.strip_suffix('Z') {
        let utc = DateTime::strptime("%Y%m%dT%H%M%S", utc).map_err(|_| UNREADABLE)?;
        let instant = TimeZone::UTC.to_timestamp(utc).map_err(|_| UNREADABLE)?;
        return Ok((at(instant, zone), false));
    }
    if value.len() == 8 {
        let day = Date::strptime("%Y%m%d", value).map_err(|_| UNREADABLE)?;
        return Ok((day.at(0, 0, 0, 0), true));
    }
    let time = DateTime::strptime("%Y%m%dT%H%M%S", value).map_err(|_| UNREADABLE)?;
    match &property.zone {
        None => Ok((time, false)),
        Some(name) => {
            let theirs = TimeZone::get(name).map_err(|_| "its time zone is not known here")?;
            let instant = theirs.to_timestamp(time).map_err(|_| UNREADABLE)?;
            Ok((at(instant, zone), false))
        }
    }
}

fn at(instant: Timestamp, zone: &TimeZone) -> DateTime {
    instant.to_zoned(zone.clone()).datetime()
}

/// RFC 5545 3.3.10, as far as a weekly roster needs it.
fn weekly(rule: &str, from: DateTime, to: DateTime, zone: &TimeZone) -> Result<When, &'static str> {
    let mut days = Days(0).with(from.weekday());
    let (mut last, mut frequency) = (None, "");
    for part in rule.split(';') {
        let (key, value) = part.split_once('=').ok_or("its RRULE cannot be read")?;
        match key.to_ascii_uppercase().as_str() {
            "FREQ" => frequency = value,
            "INTERVAL" if value == "1" => {}
            "INTERVAL" => return Err("its RRULE has an INTERVAL (enter it as single duties)"),
            "BYDAY" => days = by_day(value)?,
            "UNTIL" => {
                let until = Property { name: String::new(), zone: None, value: value.to_owned() };
                last = Some(local(&until, zone)?.0.date());
            }
            "WKST" => {}
            _ => return Err("its RRULE has more than FREQ, BYDAY and UNTIL (enter it as single duties)"),
        }
    }
    match frequency.to_ascii_uppercase().as_str() {
        "WEEKLY" => {}
        "DAILY" => days = Days::ALL,
        _ => return Err("its RRULE is neither weekly nor daily (enter it as single duties)"),
    }
    if from.checked_add(1.day()).is_ok_and(|day| to > day) {
        return Err("it repeats and lasts longer than a day (enter a line for each day)");
    }
    let minute =
        |time: DateTime| u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).unwrap_or(0);
    Ok(When::Weekly { days, from: minute(from), to: minute(to), first: Some(from.date()), last })
}

fn by_day(value: &str) -> Result<Days, &'static str> {
    let mut days = Days(0);
    for word in value.split(',') {
        let day = match word.trim().to_ascii_uppercase().as_str() {
            "MO" => Weekday::Monday,
            "TU" => Weekday::Tuesday,
            "WE" => Weekday::Wednesday,
            "TH" => Weekday::Thursday,
            "FR" => Weekday::Friday,
            "SA" => Weekday::Saturday,
            "SU" => Weekday::Sunday,
            _ => return Err("a day in its RRULE cannot be read"),
        };
        days = days.with(day);
    }
    Ok(days)
}

/// RFC 5545 3.3.11.
fn unescape(text: &str) -> String {
    text.replace("\\,", ",").replace("\\;", ";").replace("\\n", " ").replace("\\N", " ").replace("\\\\", "\\")
}
