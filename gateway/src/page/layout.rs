//! The frame around every page.

use super::session::Person;
use super::words::{Language, Words};
use super::{assets, clean};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use qrcode::{Color, QrCode};

/// Which entry of the navigation is the present page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Studies,
    Roster,
    Operator,
    Accounts,
    Account,
}

/// A page of somebody who has signed in.
pub(super) fn page(person: &Person, place: Place, title: &str, content: &Markup) -> Markup {
    let words = person.language.words();
    let csrf = person.secret.csrf();
    let bar = html! {
        nav aria-label=(words.studies) {
            (entry("/", words.studies, place == Place::Studies))
            (entry("/roster", words.roster, place == Place::Roster))
            @if person.role.may_inspect() {
                (entry("/operator", words.operator, place == Place::Operator))
                (entry("/accounts", words.accounts, place == Place::Accounts))
            }
        }
        div .who {
            a href="/account" aria-current=[(place == Place::Account).then_some("page")] { (clean(&person.name)) }
            form method="post" action="/sign-out" { (hidden(&csrf)) button .quiet { (words.sign_out) } }
        }
    };
    frame(person.language, title, &csrf, &bar, content)
}

/// A page of anybody.
pub(super) fn bare(language: Language, title: &str, csrf: &str, content: &Markup) -> Markup {
    frame(language, title, csrf, &html! {}, content)
}

fn frame(language: Language, title: &str, csrf: &str, bar: &Markup, content: &Markup) -> Markup {
    let words = language.words();
    let other = language.other();
    html! {
        (DOCTYPE)
        html lang=(language.code()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Scanpost" }
                link rel="icon" href=(assets::icon());
                link rel="stylesheet" href=(assets::style());
                script src=(assets::script()) defer {}
            }
            body {
                a .skip href="#main" { (words.skip) }
                header {
                    a .brand href="/" { span .mark aria-hidden="true" {} "Scanpost" }
                    (bar)
                    form .language method="post" action="/language" {
                        (hidden(csrf))
                        button .quiet name="language" value=(other.code()) lang=(other.code()) { (words.other_language) }
                    }
                }
                main #main tabindex="-1" { (content) }
            }
        }
    }
}

fn entry(href: &str, name: &str, is_present: bool) -> Markup {
    html! { a href=(href) aria-current=[is_present.then_some("page")] { (name) } }
}

/// The hidden field that shows a form to be ours.
pub(super) fn hidden(csrf: &str) -> Markup {
    html! { input type="hidden" name="csrf" value=(csrf); }
}

/// A message at the top of the page.
pub(super) fn notice(text: &str, is_bad: bool) -> Markup {
    html! { p .notice .bad[is_bad] role=(if is_bad { "alert" } else { "status" }) { (text) } }
}

/// A QR code of some text.
pub(super) fn qr(text: &str, label: &str) -> Markup {
    let Ok(code) = QrCode::new(text) else { return html! {} };
    let width = code.width();
    let dark = code.to_colors().into_iter().enumerate().filter(|(_, color)| *color == Color::Dark);
    let path: String =
        dark.map(|(at, _)| format!("M{} {}h1v1h-1z", at % width + 4, at / width + 4)).collect();
    let size = width + 8;
    html! {
        svg .qr role="img" aria-label=(label) viewBox=(format!("0 0 {size} {size}")) shape-rendering="crispEdges" {
            rect width=(size) height=(size) fill="#fff" {}
            (PreEscaped(format!("<path fill=\"#000\" d=\"{path}\"/>")))
        }
    }
}

/// A page that says why there is none.
pub(super) fn refusal(language: Language, text: &str) -> Markup {
    let words: &Words = language.words();
    bare(language, text, "", &html! { div .sheet { (notice(text, true)) p { a href="/" { (words.back) } } } })
}
