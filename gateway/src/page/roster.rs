//! The roster: who is on call now, the duties, the groups; edited and imported by an administrator.

use super::layout::{self, Place, hidden, notice};
use super::session::{Person, Posted};
use super::site::Site;
use super::studies::away;
use super::words::{Language, Words, fill};
use super::{Refused, Shared, clean};
use crate::clock::now_ms;
use crate::journal::{Actor, RosterChange};
use crate::roster::{
    Duty, OnDuty, Roster, When, days_words, from_calendar, from_table, minute_words, to_table, when,
};
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use maud::{Markup, html};
use std::collections::BTreeMap;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/roster", get(show))
        .route("/roster/add", post(add))
        .route("/roster/remove", post(remove))
        .route("/roster/group", post(group))
        .route("/roster/import", post(import))
}

async fn show(State(page): State<Shared>, person: Person) -> Result<Markup, Refused> {
    whole(&page, &person, None).await
}

/// The page; `said` is an error where it is bad.
async fn whole(page: &Shared, person: &Person, said: Option<(&str, bool)>) -> Result<Markup, Refused> {
    let words = person.language.words();
    let site = page.site(now_ms());
    let (roster, ids) = page.journal.roster().await?;
    let on_duty = page.on_duty(now_ms()).await?;
    let away = away(&page.not_reachable().await?, &site, person.language);
    let may_change = person.role.may_administer();
    let content = html! {
        div .sheet {
            h1 { (words.roster) }
            @if let Some((text, is_bad)) = said { (notice(text, is_bad)) }
            (now(&on_duty, &away, &site, words))
            h2 { (words.duties) }
            (duties(&roster, &ids, person, &site, may_change))
            @if may_change { (add_form(&roster, person, &site)) }
            h2 { (words.groups) }
            (groups(&roster, &site, words))
            @if may_change { (group_form(person, words)) (import_form(&roster, person, words)) }
        }
    };
    Ok(layout::page(person, Place::Roster, words.roster, &content))
}

fn now(on_duty: &[OnDuty], away: &BTreeMap<String, String>, site: &Site, words: &Words) -> Markup {
    html! {
        section .now aria-label=(words.now_on_duty) {
            h2 { (words.now_on_duty) }
            @if on_duty.is_empty() { p { (words.nobody_on_duty) } }
            ol { @for duty in on_duty { li {
                (site.doctor(&duty.doctor, words)) @if duty.order > 0 { " " span .tag { (words.stands_behind) } }
                @if let Some(since) = away.get(&duty.doctor) { " " span .tag .away { (since) } }
            } } }
        }
    }
}

fn times(duty: &Duty, language: Language) -> (String, String, String) {
    match &duty.when {
        When::Weekly { days, from, to, first, last } => {
            let date =
                |date: &Option<jiff::civil::Date>| date.map(|date| date.to_string()).unwrap_or_default();
            let bounds = if first.is_none() && last.is_none() {
                String::new()
            } else {
                format!("{} – {}", date(first), date(last))
            };
            (
                days_words(*days, language == Language::Ja),
                format!("{}–{}", minute_words(*from), minute_words(*to)),
                bounds,
            )
        }
        When::Once { from, to } => {
            let time = |time: &jiff::civil::DateTime| time.strftime("%Y-%m-%d %H:%M").to_string();
            (String::new(), format!("{} – {}", time(from), time(to)), String::new())
        }
    }
}

fn duties(roster: &Roster, ids: &[i64], person: &Person, site: &Site, may_change: bool) -> Markup {
    let words = person.language.words();
    html! {
        @if roster.duties.is_empty() { p .hint { (words.no_duties) } }
        @else {
            div .wide { table {
                thead { tr { th { (words.who) } th { (words.days) } th { (words.times) } th { (words.bounds) } @if may_change { td {} } } }
                tbody { @for (duty, id) in roster.duties.iter().zip(ids) {
                    @let (days, times, bounds) = times(duty, person.language);
                    tr {
                        th scope="row" { (who(&duty.who, roster, site, words)) }
                        td { (days) } td { (times) } td { (bounds) }
                        @if may_change { td { form method="post" action="/roster/remove" {
                            (hidden(&person.secret.csrf()))
                            button .quiet name="id" value=(id) aria-label=(format!("{}: {} {times}", words.remove, clean(&duty.who))) { (words.remove) }
                        } } }
                    }
                } }
            } }
        }
    }
}

fn who(who: &str, roster: &Roster, site: &Site, words: &Words) -> Markup {
    html! {
        @if roster.groups.contains_key(who) { (clean(who)) " " span .tag { (words.group) } }
        @else if site.doctors().any(|(key, _)| key == who) { (site.doctor(who, words)) }
        @else { (clean(who)) " " span .tag { (words.unknown_who) } }
    }
}

fn groups(roster: &Roster, site: &Site, words: &Words) -> Markup {
    html! {
        @if roster.groups.is_empty() { p .hint { (words.no_groups) } }
        dl { @for (name, doctors) in &roster.groups {
            dt { (clean(name)) }
            dd { (doctors.iter().map(|doctor| site.doctor(doctor, words)).collect::<Vec<_>>().join(" → ")) }
        } }
    }
}

fn add_form(roster: &Roster, person: &Person, site: &Site) -> Markup {
    let words = person.language.words();
    html! {
        form .row method="post" action="/roster/add" {
            h2 { (words.add_duty) }
            (hidden(&person.secret.csrf()))
            label { (words.who) select name="who" {
                @for name in roster.groups.keys() { option value=(name) { (clean(name)) } }
                @for (key, name) in site.doctors() { option value=(key) { (clean(name)) } }
            } }
            label { (words.days) input name="days" placeholder="Mon-Fri" aria-describedby="duty-hint"; }
            label { (words.from) input name="from" placeholder="17:00" required aria-describedby="duty-hint"; }
            label { (words.to) input name="to" placeholder="08:30" required aria-describedby="duty-hint"; }
            label { (words.first_day) input type="date" name="first"; }
            label { (words.last_day) input type="date" name="last"; }
            button { (words.add_duty) }
            p #duty-hint .hint { (words.duty_hint) }
        }
    }
}

fn group_form(person: &Person, words: &Words) -> Markup {
    html! {
        form .row method="post" action="/roster/group" {
            (hidden(&person.secret.csrf()))
            label { (words.group) input name="name" required maxlength="32"; }
            label { (words.doctors_in_order) input name="doctors" placeholder="tanaka, sato" aria-describedby="group-hint"; }
            button { (words.save) }
            p #group-hint .hint { (words.group_hint) }
        }
    }
}

fn import_form(roster: &Roster, person: &Person, words: &Words) -> Markup {
    html! {
        form method="post" action="/roster/import" {
            h2 { (words.import) }
            (hidden(&person.secret.csrf()))
            label { (words.import_file) input type="file" data-into="import" accept=".csv,.ics,text/csv,text/calendar"; }
            label { (words.import_text) textarea #import name="text" rows="8" spellcheck="false" { (to_table(&roster.duties)) } }
            p .hint { (words.import_hint) }
            label .tick { input type="checkbox" name="replace" checked; (words.import_replace) }
            button { (words.import) }
        }
    }
}

async fn add(State(page): State<Shared>, posted: Posted) -> Result<Markup, Refused> {
    let Posted { person, fields } = posted;
    let one = |name| fields.one(name);
    match when(one("days"), one("from"), one("to"), one("first"), one("last")) {
        Ok(when) => {
            let duties = vec![Duty { who: one("who").trim().to_owned(), when }];
            take(&page, &person, RosterChange::Add(duties)).await
        }
        Err(what) => refuse(&page, &person, what).await,
    }
}

async fn remove(State(page): State<Shared>, posted: Posted) -> Result<Markup, Refused> {
    let id = posted.fields.one("id").parse().map_err(|_| Refused::Form)?;
    take(&page, &posted.person, RosterChange::Remove(id)).await
}

async fn group(State(page): State<Shared>, posted: Posted) -> Result<Markup, Refused> {
    let Posted { person, fields } = posted;
    let doctors: Vec<String> = fields
        .one("doctors")
        .split([',', '、', ' ', '→'])
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    let name = fields.one("name").trim().to_owned();
    if name.is_empty() || name.chars().count() > 32 || page.config.doctors.contains_key(&name) {
        return refuse(&page, &person, "a group has a name of 1 to 32 characters that is no doctor's").await;
    }
    if let Some(unknown) = doctors.iter().find(|doctor| !page.config.is_doctor(doctor)) {
        let what = fill(person.language.words().no_such_doctor, &[&clean(unknown)]);
        return refuse(&page, &person, &what).await;
    }
    take(&page, &person, RosterChange::Group(name, doctors)).await
}

async fn import(State(page): State<Shared>, posted: Posted) -> Result<Markup, Refused> {
    let Posted { person, fields } = posted;
    let text = fields.one("text");
    let is_calendar = text.to_ascii_uppercase().contains("BEGIN:VCALENDAR");
    let read = if is_calendar { from_calendar(text, &page.zone) } else { from_table(text) };
    match read {
        Ok(duties) if fields.has("replace") => take(&page, &person, RosterChange::Replace(duties)).await,
        Ok(duties) => take(&page, &person, RosterChange::Add(duties)).await,
        Err(what) => refuse(&page, &person, &clean(&what)).await,
    }
}

/// Nothing is taken that names somebody unknown: at night it would stand for nobody.
async fn take(page: &Shared, person: &Person, change: RosterChange) -> Result<Markup, Refused> {
    if !person.role.may_administer() {
        return Err(Refused::Role);
    }
    let words = person.language.words();
    if let RosterChange::Add(duties) | RosterChange::Replace(duties) = &change {
        let (roster, _) = page.journal.roster().await?;
        let is_known = |who: &String| roster.groups.contains_key(who) || page.config.is_doctor(who);
        if let Some(duty) = duties.iter().find(|duty| !is_known(&duty.who)) {
            return refuse(page, person, &fill(words.no_such_doctor, &[&clean(&duty.who)])).await;
        }
    }
    page.journal.change_roster(&change, Actor { by: &person.name, at_ms: now_ms() }).await?;
    whole(page, person, Some((words.note_saved, false))).await
}

async fn refuse(page: &Shared, person: &Person, what: &str) -> Result<Markup, Refused> {
    if !person.role.may_administer() {
        return Err(Refused::Role);
    }
    whole(page, person, Some((what, true))).await
}
