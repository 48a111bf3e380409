//! One study in the list.

use super::site::Site;
use super::stage::{STEPS, Stage, Tone, Waiting};
use super::words::{Words, fill};
use super::{clean, pictures};
use crate::journal::{AnswerKind, ShownAnswer, Study, WaitingPress};
use compressor::Purpose;
use compressor::dataset::Banner;
use maud::{Markup, html};

/// What a row's buttons ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Wait,
    Partial,
    Cancel,
    Recall,
    Retry,
    Again,
    Heard,
    Close,
}

impl Wish {
    pub(super) const ALL: [Self; 8] = [
        Self::Wait,
        Self::Partial,
        Self::Cancel,
        Self::Recall,
        Self::Retry,
        Self::Again,
        Self::Heard,
        Self::Close,
    ];

    /// In paths.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Partial => "partial",
            Self::Cancel => "cancel",
            Self::Recall => "recall",
            Self::Retry => "retry",
            Self::Again => "notify",
            Self::Heard => "heard",
            Self::Close => "close",
        }
    }

    fn label(self, words: &Words) -> &'static str {
        match self {
            Self::Wait => words.act_wait,
            Self::Partial => words.act_partial,
            Self::Cancel => words.act_cancel,
            Self::Recall => words.act_recall,
            Self::Retry => words.act_retry,
            Self::Again => words.act_again,
            Self::Heard => words.act_heard,
            Self::Close => words.act_close,
        }
    }
}

/// What can be wished for in a state.
pub(super) fn wishes(state: &str, stage: &Stage) -> Vec<Wish> {
    let of_state = match state {
        "received" if stage.missing.is_some() => vec![Wish::Wait, Wish::Partial, Wish::Cancel],
        "received" | "assembled" | "compressed" | "sealed" => vec![Wish::Cancel],
        "submitted" => vec![Wish::Recall],
        "notified" | "pulled" => {
            let wishes = [
                (Wish::Again, state == "notified" && stage.can_tell_again),
                (Wish::Close, stage.is_opened),
                (Wish::Recall, true),
            ];
            wishes.into_iter().filter(|(_, can)| *can).map(|(wish, _)| wish).collect()
        }
        "failed" => vec![Wish::Retry, Wish::Cancel],
        _ => Vec::new(),
    };
    stage.rings.then_some(Wish::Heard).into_iter().chain(of_state).collect()
}

/// How a name is shown and found.
pub(super) struct Shown {
    /// As it is read first: ideographs where there are some.
    pub(super) name: String,
    /// The other ways to write it.
    pub(super) others: Vec<String>,
    pub(super) id: String,
}

impl Shown {
    /// `without`: what stands there where nothing is known of the patient.
    pub(super) fn of(card: Option<&Banner>, without: &str, words: &Words) -> Self {
        let Some(card) = card else {
            return Self { name: without.to_owned(), others: Vec::new(), id: String::new() };
        };
        let groups = [&card.name.ideographic, &card.name.alphabetic, &card.name.phonetic];
        let mut groups: Vec<_> = groups
            .into_iter()
            .map(|group| clean(&group.expose_for(Purpose::Show).replace('^', " ")).trim().to_owned())
            .filter(|group| !group.is_empty())
            .collect();
        let name = if groups.is_empty() { words.no_name.to_owned() } else { groups.remove(0) };
        Self { name, others: groups, id: clean(card.patient_id.expose_for(Purpose::Show)) }
    }
}

/// The row of a study that lies here.
pub(super) fn row(study: &Study, stage: &Stage, site: &Site, words: &Words) -> Markup {
    let case = study.delivery.case.to_string();
    // A study that is fetched from a PACS is not known before its first image.
    let without = if study.delivery.instances == 0 && study.delivery.state == "received" {
        words.no_card_yet
    } else {
        words.no_card
    };
    let shown = Shown::of(study.card.as_ref(), without, words);
    let (class, sign) = stage.tone.signs();
    let state = study.delivery.state.as_str();
    let wishes = wishes(state, stage);
    let can_be_sent = state == "held" && stage.waiting.is_none();
    html! {
        li #{"s-" (case)} .study .(class) .sendable[can_be_sent] .ring[stage.rings] data-name=(shown.name) data-id=(shown.id) {
            div .pick {
                @if can_be_sent {
                    input #{"r-" (case)} type="radio" name="study" value=(case) aria-describedby={"w-" (case)};
                } @else { span .sign aria-hidden="true" { (sign) } }
            }
            @if can_be_sent { label .patient for={"r-" (case)} { (patient(&shown, study.card.as_ref(), words)) } }
            @else { div .patient { (patient(&shown, study.card.as_ref(), words)) } }
            div .what {
                @if study.card.is_some() && study.delivery.instances > 0 {
                    img .picture loading="lazy" alt="" width="64" height="64" src=(pictures::path(study));
                }
                (what(study, site, words))
            }
            div .way {
                ol .steps aria-hidden="true" {
                    @for step in 0..STEPS { li .done[step < stage.done] .now[step == stage.done] {} }
                }
                p .words id={"w-" (case)} {
                    span .sign aria-hidden="true" { (sign) }
                    span { (stage.words) }
                    @if let Some(waiting) = stage.waiting { " " (due(waiting)) }
                    @if study.delivery.urgent { " " span .tag { (words.urgent) } }
                }
                @for answer in &study.answers { (said(answer, site, words)) }
                @for line in &stage.details { p .detail { (line) } }
                @if let Some(trouble) = &study.delivery.trouble { p .detail .trouble lang="en" { (clean(trouble)) } }
                @if let Some(remark) = &study.delivery.remark { p .detail lang="en" { (clean(remark)) } }
            }
            div .wishes {
                @if let Some(waiting) = stage.waiting { (undo(waiting, &shown.name, words)) }
                (buttons(&case, &wishes, &shown.name, words))
                @if can_be_sent || study.key_images > 0 { (key_images(study, &shown.name, words)) }
            }
        }
    }
}

/// To the images of a study, with the number of those that are marked.
fn key_images(study: &Study, name: &str, words: &Words) -> Markup {
    let label = match study.key_images {
        0 => words.key_images.to_owned(),
        marked => format!("{}: {marked}", words.key_images),
    };
    html! {
        a .keys href={"/studies/" (study.delivery.case) "/images"} aria-label=(format!("{label}: {name}")) { (label) }
    }
}

/// The row of a press for a study of which nothing is here yet: anybody may take it back.
pub(super) fn waiting_row(press: &WaitingPress, pacs: &str, site: &Site, words: &Words) -> Markup {
    let (class, sign) = Tone::Going.signs();
    let name = fill(words.at_pacs, &[pacs]);
    let waiting = Waiting { press: press.id, due_at_ms: press.due_at_ms };
    let to: Vec<_> = press.doctors.iter().map(|doctor| site.doctor(doctor, words)).collect();
    let to = to.join(words.comma);
    html! {
        li #{"s-press-" (press.id)} .study .(class) data-name=(name) {
            div .pick { span .sign aria-hidden="true" { (sign) } }
            div .patient { span .name { (words.no_card_yet) } }
            div .what { p .lead { (name) } }
            div .way {
                p .words { span .sign aria-hidden="true" { (sign) } span { (fill(words.st_waiting, &[&to])) } " " (due(waiting)) }
                p .detail { (fill(words.st_pressed, &[&site.time(press.at_ms), &clean(&press.by), &to])) }
            }
            div .wishes { (undo(waiting, &name, words)) }
        }
    }
}

/// What a doctor said back; the words are another's, and stand apart from the direction of the line.
fn said(answer: &ShownAnswer, site: &Site, words: &Words) -> Markup {
    let line = match answer.kind {
        AnswerKind::CallBack => words.st_call_back,
        AnswerKind::Words => words.st_words,
        AnswerKind::Unreadable => words.st_unreadable,
        AnswerKind::Closed => words.st_after_end,
    };
    let line = fill(line, &[&site.doctor(&answer.doctor, words), &site.time(answer.came_at_ms)]);
    let own = answer.words.as_ref().map(|own| clean(own.expose_for(Purpose::Show)));
    html! {
        p .answer .urgent[answer.kind != AnswerKind::Words] { (line) @if let Some(own) = own { " " bdi { (own) } } }
    }
}

/// Counted down by the script.
fn due(waiting: Waiting) -> Markup {
    html! { span .due data-due=(waiting.due_at_ms) {} }
}

fn undo(waiting: Waiting, name: &str, words: &Words) -> Markup {
    html! {
        button form="acts" formaction={"/presses/" (waiting.press) "/undo"} data-wish="undo" aria-label=(format!("{}: {name}", words.act_undo)) { (words.act_undo) }
    }
}

fn patient(shown: &Shown, card: Option<&Banner>, words: &Words) -> Markup {
    let text = |field: &dyn Fn(&Banner) -> String| card.map(field).unwrap_or_default();
    let birth = text(&|card| date(card.birth_date.expose_for(Purpose::Show)));
    let sex = text(&|card| match card.sex.expose_for(Purpose::Show).as_str() {
        "M" => words.sex_m.to_owned(),
        "F" => words.sex_f.to_owned(),
        other => clean(other),
    });
    html! {
        span .name { bdi { (shown.name) } }
        @for other in &shown.others { " " span .other { bdi { (other) } } }
        @if !shown.id.is_empty() { " " span .id { "ID " bdi { (shown.id) } } }
        @if !birth.is_empty() || !sex.is_empty() { " " span .born { (birth) " " (sex) } }
    }
}

fn what(study: &Study, site: &Site, words: &Words) -> Markup {
    let text = |field: &dyn Fn(&Banner) -> &str| {
        study.card.as_ref().map(|card| clean(field(card))).unwrap_or_default()
    };
    let description = text(&|card| card.study_description.expose_for(Purpose::Show));
    let series = text(&|card| card.series_description.expose_for(Purpose::Show));
    let day =
        study.card.as_ref().map(|card| date(card.study_date.expose_for(Purpose::Show))).unwrap_or_default();
    let instances = study.delivery.instances;
    html! {
        p .lead { @for modality in &study.modalities { span .modality { (clean(modality)) } " " } bdi { (if description.is_empty() { series } else { description }) } }
        p .detail { (day) " " (fill(words.counts, &[&instances.to_string(), &study.series.to_string()])) }
        p .detail { (fill(words.came, &[&site.time(study.last_received_ms.unwrap_or(study.opened_at_ms))])) }
    }
}

/// The choice stands open; what takes something back is one step away.
fn buttons(case: &str, wishes: &[Wish], name: &str, words: &Words) -> Markup {
    let is_open =
        |wish: &&Wish| matches!(wish, Wish::Wait | Wish::Partial | Wish::Retry | Wish::Again | Wish::Heard);
    let (open, hidden): (Vec<&Wish>, Vec<&Wish>) = wishes.iter().partition(is_open);
    let button = |wish: Wish| {
        let label = wish.label(words);
        html! {
            button form="acts" formaction={"/studies/" (case) "/" (wish.word())} data-wish=(wish.word()) aria-label=(format!("{label}: {name}")) { (label) }
        }
    };
    html! {
        @for wish in open { (button(*wish)) }
        @if !hidden.is_empty() {
            details {
                summary aria-label=(format!("{}: {name}", words.more)) { "⋯" }
                @for wish in hidden { (button(*wish)) }
            }
        }
    }
}

/// 20260314 (PS3.5 6.2, VR DA) as 2026-03-14; anything else as it is.
pub(super) fn date(text: &str) -> String {
    let is_date = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    match (is_date, text.get(..4), text.get(4..6), text.get(6..)) {
        (true, Some(year), Some(month), Some(day)) => format!("{year}-{month}-{day}"),
        _ => clean(text),
    }
}
