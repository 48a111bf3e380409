//! What of a study is missing, and the identifiers that ask for it at the level that fits (PS3.4 C.4.3.1.3, C.6.2.1).

use crate::query::Series;
use crate::query::identifier::{QUERY_RETRIEVE_LEVEL, SERIES_INSTANCE_UID, STUDY_INSTANCE_UID};
use compressor::Uid;
use dimse::elements::push;
use std::collections::{BTreeMap, BTreeSet};

const SOP_INSTANCE_UID: u32 = 0x0008_0018;

/// UIDs in one identifier: some 32 kB, which every PACS takes that was tried.
const UIDS_MAX: usize = 500;

/// What is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    whole_study: bool,
    series: BTreeSet<Uid>,
    instances: BTreeMap<Uid, BTreeSet<Uid>>,
    /// All that may come, where it is known.
    listed: BTreeSet<Uid>,
    /// SOP classes that were named.
    classes: BTreeSet<Uid>,
}

impl Missing {
    /// All of a study of which nothing is known.
    pub fn study() -> Self {
        Self { whole_study: true, ..Self::default() }
    }

    /// What the PACS lists and we do not hold: the whole study, whole series, single instances, as fits.
    pub fn between(listed: &BTreeMap<Uid, Series>, held: &BTreeSet<Uid>) -> Self {
        let mut missing = Self::default();
        let mut is_anything_held = false;
        for (uid, series) in listed {
            let lacking = series.instances.iter().filter(|(instance, _)| !held.contains(*instance));
            let mut instances = BTreeSet::new();
            for (instance, class) in lacking {
                instances.insert(instance.clone());
                missing.classes.extend(class.clone());
            }
            missing.listed.extend(instances.iter().cloned());
            is_anything_held |= instances.len() < series.instances.len();
            if instances.is_empty() {
                continue;
            }
            if instances.len() == series.instances.len() {
                missing.series.insert(uid.clone());
            } else {
                missing.instances.insert(uid.clone(), instances);
            }
        }
        if !is_anything_held && !missing.series.is_empty() {
            missing.whole_study = true;
            missing.series.clear();
        }
        missing
    }

    /// Nothing is missing.
    pub fn is_nothing(&self) -> bool {
        !self.whole_study && self.series.is_empty() && self.instances.is_empty()
    }

    /// How many instances are missing; 0 where nothing is known of the study.
    pub fn instances(&self) -> usize {
        self.listed.len()
    }

    /// SOP classes of what is missing, as far as they were named.
    pub(super) fn classes(&self) -> &BTreeSet<Uid> {
        &self.classes
    }

    /// Whether an instance was asked for by name.
    pub(super) fn lists(&self, instance: &Uid) -> bool {
        self.listed.contains(instance)
    }

    /// One identifier for each request.
    pub(super) fn identifiers(&self, study: &Uid) -> Vec<Vec<u8>> {
        if self.whole_study {
            return vec![identifier("STUDY", study, None, "")];
        }
        let series: Vec<&Uid> = self.series.iter().collect();
        let mut identifiers: Vec<_> =
            series.chunks(UIDS_MAX).map(|uids| identifier("SERIES", study, None, &list(uids))).collect();
        for (series, instances) in &self.instances {
            let instances: Vec<&Uid> = instances.iter().collect();
            let of_series = instances.chunks(UIDS_MAX);
            identifiers.extend(of_series.map(|uids| identifier("IMAGE", study, Some(series), &list(uids))));
        }
        identifiers
    }
}

impl Missing {
    /// Where WADO-RS has what is missing, below its base URL (PS3.18 10.4.1).
    pub(crate) fn paths(&self, study: &Uid) -> Vec<String> {
        if self.whole_study {
            return vec![format!("/studies/{study}")];
        }
        let series = self.series.iter().map(|series| format!("/studies/{study}/series/{series}"));
        let instances = self.instances.iter().flat_map(|(series, instances)| {
            instances
                .iter()
                .map(move |instance| format!("/studies/{study}/series/{series}/instances/{instance}"))
        });
        series.chain(instances).collect()
    }
}

/// UIDs of one key (PS3.4 C.2.2.2.2).
fn list(uids: &[&Uid]) -> String {
    uids.iter().map(|uid| uid.as_str()).collect::<Vec<_>>().join("\\")
}

fn identifier(level: &str, study: &Uid, series: Option<&Uid>, uids: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    if level == "IMAGE" {
        push(&mut bytes, SOP_INSTANCE_UID, uids.as_bytes(), 0);
    }
    push(&mut bytes, QUERY_RETRIEVE_LEVEL, level.as_bytes(), b' ');
    push(&mut bytes, STUDY_INSTANCE_UID, study.as_str().as_bytes(), 0);
    match series {
        Some(series) => push(&mut bytes, SERIES_INSTANCE_UID, series.as_str().as_bytes(), 0),
        None if level == "SERIES" => push(&mut bytes, SERIES_INSTANCE_UID, uids.as_bytes(), 0),
        None => {}
    }
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use dimse::elements::Elements;

    fn uid(text: &str) -> Uid {
        Uid::parse(text).unwrap()
    }

    fn listed(series: &[(&str, &[&str])]) -> BTreeMap<Uid, Series> {
        let of = |instances: &[&str]| instances.iter().map(|text| (uid(text), Some(uid("1.8")))).collect();
        series
            .iter()
            .map(|(text, instances)| (uid(text), Series { modality: None, instances: of(instances) }))
            .collect()
    }

    fn asked(missing: &Missing) -> Vec<Vec<(u32, String)>> {
        let text = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec()).unwrap().trim_end_matches(['\0', ' ']).to_owned()
        };
        let read = |identifier: &Vec<u8>| {
            Elements::of(identifier)
                .map(Result::unwrap)
                .map(|element| (element.tag, text(element.value)))
                .collect()
        };
        missing.identifiers(&uid("1.2")).iter().map(read).collect()
    }

    #[test]
    fn the_level_fits_what_is_missing() {
        let all = listed(&[
            ("1.2.1", &["1.9.1", "1.9.2"]),
            ("1.2.2", &["1.9.3"]),
            ("1.2.3", &["1.9.4", "1.9.5", "1.9.6"]),
        ]);
        let nothing_held = Missing::between(&all, &BTreeSet::new());
        let study = |level: &str| {
            vec![(QUERY_RETRIEVE_LEVEL, level.to_owned()), (STUDY_INSTANCE_UID, "1.2".to_owned())]
        };
        assert_eq!(asked(&nothing_held), [study("STUDY")]);
        assert_eq!(nothing_held.instances(), 6);
        let some = Missing::between(&all, &BTreeSet::from([uid("1.9.4")]));
        let mut series = study("SERIES");
        series.push((SERIES_INSTANCE_UID, "1.2.1\\1.2.2".to_owned()));
        let mut images = study("IMAGE");
        images.insert(0, (SOP_INSTANCE_UID, "1.9.5\\1.9.6".to_owned()));
        images.push((SERIES_INSTANCE_UID, "1.2.3".to_owned()));
        assert_eq!(asked(&some), [series, images]);
        assert!(some.lists(&uid("1.9.3")) && !some.lists(&uid("1.9.4")));
        let held = all.values().flat_map(|series| series.instances.keys().cloned()).collect();
        assert!(Missing::between(&all, &held).is_nothing());
        assert!(Missing::between(&BTreeMap::new(), &BTreeSet::new()).is_nothing());
    }

    #[test]
    fn long_lists_are_cut() {
        let uids: Vec<String> = (0..UIDS_MAX + 1).map(|number| format!("1.9.{number}")).collect();
        let uids: Vec<&str> = uids.iter().map(String::as_str).collect();
        let all = listed(&[("1.2.1", &uids)]);
        let missing = Missing::between(&all, &BTreeSet::from([uid("1.9.0")]));
        assert_eq!(missing.identifiers(&uid("1.2")).len(), 1);
        let all = listed(&[("1.2.1", &uids), ("1.2.2", &["1.7"])]);
        let two = [&uids[..], &["1.9.600"]].concat();
        let more = listed(&[("1.2.1", &two)]);
        assert_eq!(
            Missing::between(&more, &BTreeSet::from([uid("1.9.0")])).identifiers(&uid("1.2")).len(),
            2
        );
        assert_eq!(Missing::between(&all, &BTreeSet::from([uid("1.7")])).identifiers(&uid("1.2")).len(), 1);
    }
}
