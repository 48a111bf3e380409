//! Which folders are of one doctor's mailbox, as a login sees them who may see several mailboxes. In doubt a folder is nobody's: nothing is deleted in it,
//! and it counts as not searched.

use seal::mailbox::Listed;
use std::borrow::Cow;

const INBOX: &str = "INBOX";

/// Whose a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The one that pieces come to.
    Own,
    /// Another one of the doctor's mailbox. `is_alone`: no other doctor's lies within the same mailbox.
    Mine { is_alone: bool },
    /// Of another doctor, or of another mailbox.
    Theirs,
    /// It may be of this mailbox, and that cannot be known.
    Nobodys,
}

/// The folders that doctors' pieces come to.
pub(super) struct Extents {
    own: Extent,
    foreign: Vec<Extent>,
    delimiter: Option<char>,
}

/// What a doctor's folder says of where the mailbox is.
struct Extent {
    folder: String,
    /// What the names of the folders below begin with; none where names have one level.
    below: Option<String>,
    /// Where the folder is an INBOX: what the names of all folders of its mailbox begin with. Empty for that of the login, whose names begin with
    /// nothing that others' do not.
    mailbox: Option<String>,
}

impl Extents {
    /// `foreign`: folders of other doctors.
    pub(super) fn of(own: &str, foreign: &[String], delimiter: Option<char>) -> Self {
        let own = Extent::of(own, delimiter);
        let mut foreign: Vec<_> = foreign.iter().map(|other| Extent::of(other, delimiter)).collect();
        foreign.sort_by(|one, other| one.folder.cmp(&other.folder));
        foreign.dedup_by(|one, other| one.folder == other.folder);
        foreign.retain(|other| other.folder != own.folder);
        Self { own, foreign, delimiter }
    }

    /// What the names of all folders begin with that are to be told apart.
    pub(super) fn start(&self) -> &str {
        self.own.mailbox.as_deref().unwrap_or_default()
    }

    pub(super) fn of_folder(&self, listed: &Listed) -> Whose {
        let name = &*canonical(&listed.name, self.delimiter);
        if name == self.own.folder {
            return Whose::Own;
        }
        let mine = self.own.below_length(name);
        let theirs = self.foreign.iter().map(|other| other.own_length(name)).max().unwrap_or(0);
        let is_logins_own = self.own.mailbox.as_deref() == Some("");
        if theirs > mine {
            return Whose::Theirs;
        }
        if mine > 0 {
            let is_searched = !is_logins_own || listed.is_place_for_moved;
            return if is_searched {
                self.unless_all(listed, self.own.below.as_deref())
            } else {
                Whose::Nobodys
            };
        }
        let mine = self.own.mailbox_length(name);
        let theirs = self.foreign.iter().filter(|other| other.mailbox_length(name) > mine);
        if let Some(other) = theirs.max_by_key(|other| other.mailbox_length(name)) {
            let is_within = other.mailbox_length(&self.own.folder) == other.mailbox_length(name);
            return if is_within { Whose::Nobodys } else { Whose::Theirs };
        }
        match self.own.mailbox.as_deref() {
            Some("")
                if is_top_level(name, self.delimiter)
                    && is_top_level(name, listed.delimiter)
                    && listed.is_place_for_moved =>
            {
                self.unless_all(listed, Some(""))
            }
            Some("") | None => Whose::Nobodys,
            Some(start) if name.starts_with(start) => self.unless_all(listed, Some(start)),
            Some(_) => Whose::Theirs,
        }
    }

    /// A folder that shows the mails of others shows another doctor's, where such lie in the same mailbox.
    fn unless_all(&self, listed: &Listed, start: Option<&str>) -> Whose {
        let is_within = |other: &Extent| start.is_some_and(|start| other.folder.starts_with(start));
        let is_alone = !self.foreign.iter().any(is_within);
        if listed.is_view && !is_alone { Whose::Nobodys } else { Whose::Mine { is_alone } }
    }
}

impl Extent {
    fn of(folder: &str, delimiter: Option<char>) -> Self {
        let folder = canonical(folder, delimiter).into_owned();
        let below = delimiter.map(|delimiter| format!("{folder}{delimiter}"));
        let start = folder.strip_suffix(INBOX);
        let mailbox = start.filter(|start| {
            start.is_empty() || delimiter.is_some_and(|delimiter| start.ends_with(delimiter))
        });
        let mailbox = mailbox.map(str::to_owned);
        Self { folder, below, mailbox }
    }

    /// How much of the name says that it lies below, 0 where it does not.
    fn below_length(&self, name: &str) -> usize {
        self.below.as_ref().filter(|below| name.starts_with(below.as_str())).map_or(0, String::len)
    }

    /// [`Extent::below_length`]; most for the folder itself.
    fn own_length(&self, name: &str) -> usize {
        if self.folder == name { usize::MAX } else { self.below_length(name) }
    }

    /// How much of the name says that it lies in the mailbox, 0 where nothing does.
    fn mailbox_length(&self, name: &str) -> usize {
        self.mailbox.as_ref().filter(|start| name.starts_with(start.as_str())).map_or(0, String::len)
    }
}

fn is_top_level(name: &str, delimiter: Option<char>) -> bool {
    delimiter.is_none_or(|delimiter| !name.contains(delimiter))
}

/// Whether two names are of one folder: INBOX is in capitals or not (RFC 3501 5.1).
pub(in super::super) fn is_same_folder(one: &str, other: &str) -> bool {
    one == other || (one.eq_ignore_ascii_case(INBOX) && other.eq_ignore_ascii_case(INBOX))
}

/// The name with INBOX in capitals where that is the first level.
fn canonical(name: &str, delimiter: Option<char>) -> Cow<'_, str> {
    let first = delimiter.and_then(|delimiter| name.split(delimiter).next()).unwrap_or(name);
    match name.get(first.len()..) {
        Some(rest) if first != INBOX && first.eq_ignore_ascii_case(INBOX) => format!("{INBOX}{rest}").into(),
        _ => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the folders are searched for the first of the doctors, and which count as not searched. `~`: a place for moved mails, `*`: a view.
    fn of(
        doctors: &[&str],
        delimiter: Option<char>,
        folders: &[&'static str],
    ) -> (Vec<&'static str>, Vec<&'static str>) {
        let foreign: Vec<String> = doctors.iter().skip(1).map(|other| (*other).to_owned()).collect();
        let extents = Extents::of(doctors.first().copied().unwrap_or_default(), &foreign, delimiter);
        let (mut mine, mut nobodys) = (Vec::new(), Vec::new());
        for name in folders.iter().filter(|name| name.starts_with(extents.start())) {
            let listed = Listed {
                name: name.trim_end_matches(['~', '*']).to_owned(),
                is_view: name.ends_with('*'),
                is_place_for_moved: name.ends_with('~'),
                is_sendable: true,
                delimiter: if name.contains('.') { Some('.') } else { delimiter },
            };
            match extents.of_folder(&listed) {
                Whose::Mine { .. } => mine.push(*name),
                Whose::Nobodys => nobodys.push(*name),
                Whose::Own | Whose::Theirs => {}
            }
        }
        (mine, nobodys)
    }

    const SHARED: [&str; 10] = [
        "INBOX",
        "Junk~",
        "Old",
        "shared/a/INBOX",
        "shared/a/Junk~",
        "shared/a/x/y",
        "shared/a/All*",
        "shared/b/INBOX",
        "shared/b/Junk~",
        "shared/ab/z",
    ];

    #[test]
    fn a_mailbox_is_what_lies_beside_its_inbox_and_nothing_of_another_doctor() {
        let slash = Some('/');
        let a = vec!["shared/a/Junk~", "shared/a/x/y", "shared/a/All*"];
        assert_eq!(of(&["shared/a/INBOX", "shared/b/INBOX"], slash, &SHARED), (a, vec![]));
        // Two tables of the configuration with one folder.
        let b = vec!["shared/b/Junk~"];
        assert_eq!(
            of(&["shared/b/INBOX", "shared/a/INBOX", "shared/b/INBOX", "inbox"], slash, &SHARED),
            (b, vec![])
        );
    }

    #[test]
    fn of_the_logins_own_mailbox_only_the_usual_places_are_searched_and_the_rest_is_told() {
        let slash = Some('/');
        // That of b is in no configuration.
        let rest = vec!["Old", "shared/b/INBOX", "shared/b/Junk~", "shared/ab/z"];
        for own in ["INBOX", "inbox"] {
            assert_eq!(of(&[own, "shared/a/INBOX"], slash, &SHARED), (vec!["Junk~"], rest.clone()));
        }
        assert_eq!(of(&["INBOX"], None, &["INBOX", "Junk~", "Old"]), (vec!["Junk~"], vec!["Old"]));
        // A namespace has a delimiter of its own.
        for own in [None, slash] {
            assert_eq!(of(&["INBOX"], own, &["INBOX", "#shared.b.Junk~"]), (vec![], vec!["#shared.b.Junk~"]));
        }
        assert_eq!(
            of(&["INBOX"], slash, &["Inbox", "inbox/old", "inbox/x~", "All*"]),
            (vec!["inbox/x~"], vec!["inbox/old", "All*"])
        );
    }

    #[test]
    fn of_a_folder_for_each_doctor_what_lies_below_is_searched_and_what_is_nobodys_is_told() {
        let slash = Some('/');
        let folders = [
            "INBOX",
            "Trash~",
            "doctors/a",
            "doctors/a/old",
            "doctors/a/all*",
            "doctors/ab",
            "doctors/b",
            "doctors/b/old",
        ];
        let nobodys = vec!["INBOX", "Trash~", "doctors/ab"];
        assert_eq!(
            of(&["doctors/a", "doctors/b"], slash, &folders),
            (vec!["doctors/a/old", "doctors/a/all*"], nobodys)
        );
        // Guests beside users who are in no configuration.
        let users = ["user/guests", "user/guests/Junk~", "user/x", "user/x/Junk~"];
        assert_eq!(
            of(&["user/guests"], slash, &users),
            (vec!["user/guests/Junk~"], vec!["user/x", "user/x/Junk~"])
        );
        // One within the other.
        let folders = ["doctors/a", "doctors/a/all*", "doctors/a/old", "doctors/a/old/x", "doctors/a/y"];
        assert_eq!(
            of(&["doctors/a", "doctors/a/old"], slash, &folders),
            (vec!["doctors/a/y"], vec!["doctors/a/all*"])
        );
        assert_eq!(of(&["doctors/a/old", "doctors/a"], slash, &folders), (vec!["doctors/a/old/x"], vec![]));
        // A folder in another doctor's mailbox.
        let folders = ["s/a/INBOX", "s/a/Junk~", "s/a/All*", "s/a/b", "s/a/b/old"];
        assert_eq!(
            of(&["s/a/b", "s/a/INBOX"], slash, &folders),
            (vec!["s/a/b/old"], vec!["s/a/Junk~", "s/a/All*"])
        );
        assert_eq!(of(&["s/a/INBOX", "s/a/b"], slash, &folders), (vec!["s/a/Junk~"], vec!["s/a/All*"]));
        // Names have one level.
        assert_eq!(of(&["a", "b"], None, &["a", "ab", "b", "c"]), (vec![], vec!["ab", "c"]));
    }
}
