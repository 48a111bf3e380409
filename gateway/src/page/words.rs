//! Every word of the page, in both languages. One struct: a word that is missing in one of them does not compile.

mod english;
mod japanese;

/// A language of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// Japanese.
    Ja,
    /// English.
    En,
}

impl Language {
    /// BCP 47.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Ja => "ja",
            Self::En => "en",
        }
    }

    pub(super) fn of_code(code: &str) -> Option<Self> {
        [Self::Ja, Self::En].into_iter().find(|language| language.code() == code)
    }

    /// The better one of an `Accept-Language` (RFC 9110 12.5.4); Japanese where neither is asked for.
    pub(super) fn accepted(header: &str) -> Self {
        let mut best = (0.0_f32, Self::Ja);
        for part in header.split(',').take(16) {
            let (tag, parameters) = part.trim().split_once(';').unwrap_or((part.trim(), ""));
            let weight = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.parse().ok());
            let language = Self::of_code(tag.split('-').next().unwrap_or_default());
            if let (Some(language), Some(weight)) = (language, weight)
                && weight > best.0
            {
                best = (weight, language);
            }
        }
        best.1
    }

    /// Its words.
    pub(super) fn words(self) -> &'static Words {
        match self {
            Self::Ja => &japanese::WORDS,
            Self::En => &english::WORDS,
        }
    }

    /// The other one.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Ja => Self::En,
            Self::En => Self::Ja,
        }
    }
}

macro_rules! words {
    ($($name:ident),* $(,)?) => {
        /// The words. What stands in braces is filled in by [`fill`].
        pub(super) struct Words {
            $(pub(super) $name: &'static str,)*
        }

        #[cfg(test)]
        impl Words {
            fn all(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

words! {
    skip, other_language, sign_out, studies, roster, operator, accounts, account, page_missing, refused_role, refused_form, trouble, back, note_saved, sign_in, name, password, code, code_hint, wrong, wait, new_password, again_password, old_password, change_password, password_rule, password_differs, password_wrong, password_changed, role, technician, administrator, auditor, add_account, second_factor, has_totp, locked, lock, unlock, reset, account_made, account_name_rule, account_taken, password_once, scan_code, transfer, to_whom, outside, outside_name, outside_hint, links, links_ready, links_show, links_none, links_lost, link_of, link_once, link_address, link_address_hint, link_passphrase, link_passphrase_hint, link_until, link_told, link_failed, on_duty, urgent, choose_study, choose_doctor, undo_hint, search, search_hint, study_date, modality, any_modality, all_studies, older_studies, none_yet, none_found, line_lost, comma, dr, st_held, st_waiting, st_receiving, st_missing, st_compressing, st_damaged, st_damaged_left, st_sealing, st_submitting, st_seconds_left, st_chose_wait, st_chose_partial, st_notifying, st_link, st_notified, st_opened, st_escalated, st_told_next, st_quiet, st_added, st_passed_on, st_channel_refused, st_channel_waits, st_act_operator, st_act_server, st_refused, st_first_image, st_seen, st_read_minutes, st_read_seconds, st_looked, st_call_back, st_words, st_unreadable, st_after_end, st_failed, st_cancelled, st_recalled, st_closed, st_expired, st_ended_unopened, st_deletion_proved, st_deletion_going, st_alarm, st_alarm_heard, st_complete, st_partial, st_not_proved, st_bounded, st_lossless, st_pressed, st_mail_gone, st_mail_looking, st_mail_stays, st_mail_kept, st_was_opened, st_was_not_opened, key_images, key_images_hint, series_number, whole_series, image_of_series, note, note_too_long, no_card, no_card_yet, no_name, sex_m, sex_f, counts, came, more, act_undo, act_wait, act_partial, act_cancel, act_recall, act_retry, act_again, act_heard, act_close, not_here, already, will_send, undone, too_late, cannot_close, will_wait, will_send_partial, cancelled, recalled, retried, notified_again, heard, closed, save, at_pacs, more_there, now_on_duty, nobody_on_duty, stands_behind, quiet_until, duties, no_duties, who, days, times, bounds, remove, group, groups, no_groups, unknown_who, add_duty, from, to, first_day, last_day, duty_hint, doctors_in_order, group_hint, import, import_file, import_text, import_hint, import_replace, no_such_doctor, throughput, throughput_label, stage_times, stage, number, own_certificates, site_certificate, page_certificate, certificates, soon, under_way, unopened, in_trouble, disk, free_of, ledger, ledger_hint, ledger_file, week, to_submitted, to_notified, to_fetched, to_first_image, to_acknowledged, alarms, unopened_ends, not_reachable, press_not_reachable, doctors_away, daily_tests, test_day, test_outcome, test_total, test_back, test_late, test_missing, test_not_made,
}

/// Puts values into the braces of a text, one after the other.
pub(super) fn fill(text: &str, values: &[&str]) -> String {
    let mut filled = String::with_capacity(text.len() + 32);
    let mut values = values.iter();
    let mut parts = text.split("{}");
    filled.push_str(parts.next().unwrap_or_default());
    for part in parts {
        filled.push_str(values.next().copied().unwrap_or_default());
        filled.push_str(part);
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_there_in_both_languages_with_the_same_gaps() {
        for ((name, ja), (_, en)) in Language::Ja.words().all().into_iter().zip(Language::En.words().all()) {
            assert!(!ja.is_empty() && !en.is_empty(), "{name}");
            assert_eq!(ja.matches("{}").count(), en.matches("{}").count(), "{name}");
            // The switch names the other language in its own words.
            assert!(
                name == "other_language" || en.chars().all(|char| char < '\u{3000}'),
                "{name} is not English"
            );
        }
    }

    #[test]
    fn the_language_is_the_one_asked_for() {
        for (header, language) in [
            ("", Language::Ja),
            ("en-US,en;q=0.9", Language::En),
            ("ja,en-US;q=0.9,en;q=0.8", Language::Ja),
            ("en;q=0.5,ja;q=0.9", Language::Ja),
            ("de,en;q=0.1", Language::En),
            ("en;q=nonsense", Language::Ja),
        ] {
            assert_eq!(Language::accepted(header), language, "{header}");
        }
    }
}
