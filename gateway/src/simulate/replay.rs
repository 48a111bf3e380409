//! simulate --replay: what a real journal says of each delivery goes through the rules of the queue, step by step, and must be a path of them.

use crate::journal::{History, Journal, JournalError};
use crate::queue::{Book, Kept, NewRow, PIECES_MAX, Part, State, Step};
use seal::ids::DeliveryId;
use serde::Serialize;
use std::fmt;

/// Steps that leave no time in the journal: what a delivery went through once more, or what became of it after its last stage.
const UNTIMED: [Step; 7] = [
    Step::GivenUp,
    Step::NotFetched,
    Step::ToldAgain,
    Step::TakenUp(Kept::Instances),
    Step::TakenUp(Kept::Completeness),
    Step::TakenUp(Kept::Bundle),
    Step::TakenUp(Kept::Parts),
];

/// A delivery whose history is no path of the rules.
#[derive(Clone, Debug, Serialize)]
pub struct Wrong {
    /// Its id.
    pub delivery: DeliveryId,
    /// What cannot be.
    pub what: String,
}

/// What a replay showed.
#[derive(Clone, Debug, Serialize)]
pub struct Replayed {
    /// Deliveries in the journal.
    pub deliveries: usize,
    /// Steps, parts, notices and receipts that were gone through.
    pub events: usize,
    /// Those that cannot be.
    pub wrong: Vec<Wrong>,
}

impl fmt::Display for Replayed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Wrong { delivery, what } in &self.wrong {
            writeln!(formatter, "{delivery}: {what}")?;
        }
        let Self { deliveries, events, wrong } = self;
        write!(formatter, "{deliveries} deliveries, {events} events, {} cannot be", wrong.len())
    }
}

/// Replays all deliveries of a journal.
///
/// # Errors
/// [`JournalError`].
pub async fn replay(journal: &Journal) -> Result<Replayed, JournalError> {
    let histories = journal.histories().await?;
    let mut replayed = Replayed { deliveries: histories.len(), events: 0, wrong: Vec::new() };
    for history in histories {
        match walk(&history) {
            Ok(events) => replayed.events += events,
            Err(what) => replayed.wrong.push(Wrong { delivery: history.delivery, what }),
        }
    }
    Ok(replayed)
}

/// What happened, in the order in which it must where the clock shows the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Assembled,
    Compressed,
    Sealed,
    Piece(u8, u8),
    Cover(u8),
    Submitted,
    Notice(u8),
    Notified,
    Fetched(u8),
    Opened(u8),
    Pulled,
    Withdrawn,
}

fn walk(history: &History) -> Result<usize, String> {
    let doctors: Vec<u8> = (0..).take(history.doctors.len()).collect();
    let (mut book, place) = begin(history, &doctors);
    let mut events = events(history);
    events.sort_unstable();
    for (at_ms, event) in &events {
        take(&mut book, place, *event, history).map_err(|what| format!("{event:?} at {at_ms}: {what}"))?;
    }
    let reached = book.state_of(place).unwrap_or(State::Failed);
    if leads(reached, history.state, UNTIMED.len()) {
        return Ok(events.len());
    }
    Err(format!("it is {}, and what happened leads to {}", history.state.word(), reached.word()))
}

/// The book before anything happened to the delivery.
fn begin(history: &History, doctors: &[u8]) -> (Book, usize) {
    let mut book = Book::default();
    // Without a doctor it waits for a press.
    book.record(NewRow { destination: 0, uid: 0, content: 0, file: 0, doctors, now_ms: 0 });
    if history.is_residual {
        book.assembled(0, 1);
        book.compressed(0);
    }
    (book, 0)
}

fn events(history: &History) -> Vec<(i64, Event)> {
    let mut events = Vec::new();
    for (stage, done) in &history.stages {
        let event = match stage.as_str() {
            "receive" => Event::Assembled,
            "compress" => Event::Compressed,
            "seal" => Event::Sealed,
            "submit" => Event::Submitted,
            "notify" => Event::Notified,
            "pulled" => Event::Pulled,
            _ => continue,
        };
        events.extend(done.map(|at_ms| (at_ms, event)));
    }
    let number = |doctor: &str| {
        (0..).zip(&history.doctors).find(|(_, one)| one.doctor == doctor).map(|(number, _)| number)
    };
    for (part, doctor, at_ms) in &history.parts {
        let Some(doctor) = number(doctor) else { continue };
        match u8::try_from(*part).unwrap_or(u8::MAX) {
            0 => events.push((*at_ms, Event::Cover(doctor))),
            piece if piece <= PIECES_MAX => events.push((*at_ms, Event::Piece(doctor, piece))),
            _ => {}
        }
    }
    for (doctor, one) in (0..).zip(&history.doctors) {
        events.extend(one.notified_at_ms.map(|at_ms| (at_ms, Event::Notice(doctor))));
        events.extend(one.pulled_at_ms.map(|at_ms| (at_ms, Event::Fetched(doctor))));
        events.extend(one.opened_at_ms.map(|at_ms| (at_ms, Event::Opened(doctor))));
    }
    events.extend(history.withdrawn_at_ms.map(|at_ms| (at_ms, Event::Withdrawn)));
    events
}

/// One event, if it may be now.
fn take(book: &mut Book, place: usize, event: Event, history: &History) -> Result<(), &'static str> {
    let must = |may: bool, why_not| if may { Ok(()) } else { Err(why_not) };
    let share = |book: &Book, doctor| book.share(place, doctor).copied().unwrap_or_default();
    let is_sealed = book.deliveries.get(place).is_some_and(|delivery| delivery.cover.is_some());
    let has_cover = |book: &Book, doctor| share(book, doctor).has_cover;
    match event {
        Event::Assembled => must(book.assembled(place, 1), "it does not collect"),
        Event::Compressed => must(book.compressed(place), "it is not assembled"),
        Event::Sealed => {
            let pieces = u8::try_from(history.pieces).unwrap_or(PIECES_MAX);
            must(book.sealed(place, pieces, 1), "it is not compressed")
        }
        Event::Piece(doctor, piece) => {
            book.accepted(place, Part::Piece(piece), doctor);
            must(is_sealed, "it is not sealed")
        }
        Event::Cover(doctor) => {
            // A mail program gets one message, and no pieces.
            let pieces = share(book, doctor).pieces.count_ones();
            let is_last = pieces == 0 || pieces >= history.pieces.min(PIECES_MAX.into());
            book.accepted(place, Part::Cover, doctor);
            must(is_sealed && is_last, "the cover goes last")
        }
        Event::Submitted => {
            let doctors = (0..).zip(&history.doctors);
            let all = doctors.clone().all(|(doctor, one)| one.refused || has_cover(book, doctor));
            let any = doctors.clone().any(|(doctor, _)| has_cover(book, doctor));
            must(all && any && book.step(place, Step::Submitted), "a doctor lacks the cover")
        }
        Event::Notice(doctor) => {
            book.mark(place, doctor, |share| share.notified = true);
            must(has_cover(book, doctor), "the doctor lacks the cover")
        }
        Event::Notified => must(book.step(place, Step::Notified), "it is not submitted"),
        Event::Fetched(doctor) => {
            book.mark(place, doctor, |share| share.told.pulled = true);
            must(is_sealed, "it is not sealed")
        }
        Event::Opened(doctor) => {
            book.mark(place, doctor, |share| share.told.seen = true);
            must(is_sealed, "it is not sealed")
        }
        Event::Pulled => {
            let any = (0..).zip(&history.doctors).any(|(doctor, _)| share(book, doctor).told.pulled);
            must(any && book.step(place, Step::Pulled), "nobody has fetched it")
        }
        Event::Withdrawn => {
            let step = match history.state {
                State::Cancelled => Step::Cancelled,
                State::Recalled => Step::Recalled,
                _ => Step::Closed,
            };
            must(book.step(place, step), "it was over")
        }
    }
}

/// Whether steps that leave no time lead from one state to another.
fn leads(from: State, to: State, steps: usize) -> bool {
    let mut next = UNTIMED.into_iter().filter_map(|step| from.after(step));
    from == to || (steps > 0 && next.any(|next| leads(next, to, steps - 1)))
}

#[cfg(test)]
mod tests;
