//! A roster as a table: `who,days,from,to,first,last`, as a spreadsheet saves it.

use super::{DUTIES_MAX, Days, Duty, When, minute_words, parse_minute};
use jiff::civil::{Date, DateTime, Weekday};

const DAY_WORDS: [(&str, &str, Weekday); 7] = [
    ("mon", "月", Weekday::Monday),
    ("tue", "火", Weekday::Tuesday),
    ("wed", "水", Weekday::Wednesday),
    ("thu", "木", Weekday::Thursday),
    ("fri", "金", Weekday::Friday),
    ("sat", "土", Weekday::Saturday),
    ("sun", "日", Weekday::Sunday),
];

/// Reads a table; its first line names the columns.
///
/// # Errors
/// The number of the line and what is wrong with it; then nothing is taken.
pub fn from_table(text: &str) -> Result<Vec<Duty>, String> {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.trim_start_matches('\u{FEFF}').as_bytes());
    let headers = reader.headers().map_err(|_| "line 1: not CSV".to_owned())?.clone();
    let column = |name: &str| headers.iter().position(|header| header.eq_ignore_ascii_case(name));
    let (Some(who), Some(from), Some(to)) = (column("who"), column("from"), column("to")) else {
        return Err("line 1: write who,days,from,to,first,last".to_owned());
    };
    let (days, first, last) = (column("days"), column("first"), column("last"));
    let mut duties = Vec::new();
    for (number, record) in reader.records().enumerate() {
        let wrong = |what: &str| format!("line {}: {what}", number + 2);
        let record = record.map_err(|_| wrong("not CSV"))?;
        let field = |at: Option<usize>| at.and_then(|at| record.get(at)).unwrap_or_default();
        if record.iter().all(str::is_empty) {
            continue;
        }
        if duties.len() == DUTIES_MAX {
            return Err(wrong("too many lines"));
        }
        let when = when(field(days), field(Some(from)), field(Some(to)), field(first), field(last))
            .map_err(wrong)?;
        duties.push(Duty { who: field(Some(who)).to_owned(), when });
    }
    Ok(duties)
}

/// One line's times, as typed into a table or a form.
///
/// # Errors
/// What is wrong.
pub fn when(days: &str, from: &str, to: &str, first: &str, last: &str) -> Result<When, &'static str> {
    if days.trim().is_empty() {
        let time = |text: &str| text.trim().replace(['/', '.'], "-").parse::<DateTime>().ok();
        let (Some(from), Some(to)) = (time(from), time(to)) else {
            return Err("from and to: write 2026-12-31 17:00, or days and 17:00");
        };
        return if from < to { Ok(When::Once { from, to }) } else { Err("to: must be later than from") };
    }
    let date = |text: &str| match text.trim() {
        "" => Ok(None),
        text => text
            .replace(['/', '.'], "-")
            .parse::<Date>()
            .map(Some)
            .map_err(|_| "first and last: write 2026-03-14"),
    };
    Ok(When::Weekly {
        days: parse_days(days).ok_or("days: write Mon-Fri, Sat Sun, daily, or 月-金")?,
        from: parse_minute(from).ok_or("from: write 17:00")?,
        to: parse_minute(to).ok_or("to: write 08:30")?,
        first: date(first)?,
        last: date(last)?,
    })
}

/// `Mon-Fri`, `Sat Sun`, `daily`, `月-金`, `土日`, `毎日`.
pub fn parse_days(text: &str) -> Option<Days> {
    let text = text.trim().to_lowercase();
    if matches!(text.as_str(), "daily" | "毎日") {
        return Some(Days::ALL);
    }
    let mut days = Days(0);
    let mut last: Option<Weekday> = None;
    let mut is_range = false;
    let mut rest = text.as_str();
    while let Some(char) = rest.chars().next() {
        if let Some((day, left)) = day_at(rest) {
            rest = left;
            match last.filter(|_| is_range) {
                Some(from) => {
                    let mut next = from;
                    while next != day {
                        next = next.next();
                        days = days.with(next);
                    }
                }
                None => days = days.with(day),
            }
            (last, is_range) = (Some(day), false);
            continue;
        }
        match char {
            '-' | '–' | '~' | '〜' | '～' if last.is_some() && !is_range => is_range = true,
            ' ' | '\u{3000}' | ',' | '/' | ';' | '・' | '、' if !is_range => {}
            _ => return None,
        }
        rest = &rest[char.len_utf8()..];
    }
    (days.0 != 0 && !is_range).then_some(days)
}

fn day_at(text: &str) -> Option<(Weekday, &str)> {
    let (word, day) = DAY_WORDS.iter().find_map(|(en, ja, day)| {
        let word = if text.starts_with(en) { en } else { ja };
        text.starts_with(word).then_some((*word, *day))
    })?;
    let rest = text.get(word.len()..)?;
    // "Monday", "tues", "月曜日".
    let rest = rest.strip_prefix("曜日").or(rest.strip_prefix('曜')).unwrap_or(rest);
    Some((day, rest.trim_start_matches(|char: char| word.is_ascii() && char.is_ascii_alphabetic())))
}

/// `Mon Tue`, or `月火`.
pub fn days_words(days: Days, japanese: bool) -> String {
    let words = DAY_WORDS.iter().filter(|(_, _, day)| days.has(*day)).map(|(en, ja, _)| {
        if japanese { (*ja).to_owned() } else { format!("{}{}", en[..1].to_uppercase(), &en[1..]) }
    });
    words.collect::<Vec<_>>().join(if japanese { "" } else { " " })
}

/// What [`from_table`] reads.
pub fn to_table(duties: &[Duty]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let _ = writer.write_record(["who", "days", "from", "to", "first", "last"]);
    let day = |date: &Option<Date>| date.map(|date| date.to_string()).unwrap_or_default();
    for duty in duties {
        let _ = match &duty.when {
            When::Weekly { days, from, to, first, last } => writer.write_record([
                &duty.who,
                &days_words(*days, false),
                &minute_words(*from),
                &minute_words(*to),
                &day(first),
                &day(last),
            ]),
            When::Once { from, to } => {
                let time = |time: &DateTime| time.strftime("%Y-%m-%d %H:%M").to_string();
                writer.write_record([&duty.who, "", &time(from), &time(to), "", ""])
            }
        };
    }
    writer.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}
