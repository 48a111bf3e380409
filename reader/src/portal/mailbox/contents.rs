//! What lies in a mailbox, by Message-ID.

use crate::portal::limits::{COVER_BYTES_MAX, COVERS_MAX, TWINS_MAX};
use seal::ids::DeliveryId;
use seal::mail::{Part, Site};
use seal::mailbox::{Found, ImapUid};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Octets of header fields that the mail servers on the way add, about; only for the size that is shown.
const HEADER_OCTETS: u64 = 1_000;
/// Octets that carry 57 bytes (SPEC 6.1).
const LINE_OCTETS: u64 = 78;
const LINE_BYTES: u64 = 57;

/// A mailbox as it was when last looked at.
#[derive(Default)]
pub(crate) struct Contents {
    /// UIDVALIDITY of the first folder.
    pub(crate) uid_validity: u32,
    /// Those whose cover is there, the newest first.
    pub(crate) deliveries: Vec<Delivery>,
    /// Messages of other kinds.
    pub(crate) others: Vec<Found>,
    /// Percent of its quota that is used up, where a person is to be told.
    pub(crate) full_percent: Option<u8>,
}

/// A delivery whose cover is there.
#[derive(Clone)]
pub(crate) struct Delivery {
    /// Its id.
    pub(crate) id: DeliveryId,
    /// Its cover.
    pub(crate) cover: Cover,
    /// Other covers under the same id: one of them may be the genuine one, which only a phone can tell.
    pub(crate) twins: Vec<Cover>,
    /// Pieces by number.
    pub(crate) pieces: BTreeMap<u32, Found>,
}

/// A message that says to be a delivery's cover.
#[derive(Clone)]
pub(crate) struct Cover {
    /// Where it lies.
    pub(crate) at: Found,
    /// None of old ones.
    pub(crate) der: Option<Arc<[u8]>>,
    /// When the mail server took it, seconds since 1970-01-01 UTC.
    pub(crate) received_at: i64,
}

impl Delivery {
    /// All that say to be its cover.
    pub(crate) fn covers(&self) -> impl Iterator<Item = &Cover> {
        std::iter::once(&self.cover).chain(&self.twins)
    }

    /// Whether a cover says to be of this site.
    pub(crate) fn is_of(&self, site: &Site) -> bool {
        self.covers().any(|cover| cover.at.id.site() == site)
    }

    /// Bytes of its pieces without base64, within 1 kB a piece.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes = |found: &Found| {
            u64::from(found.rfc822_size).saturating_sub(HEADER_OCTETS) * LINE_BYTES / LINE_OCTETS
        };
        self.pieces.values().map(bytes).sum()
    }
}

/// Every message that was seen in the folders of a mailbox.
#[derive(Default)]
pub(crate) struct Seen {
    folders: BTreeMap<String, Folder>,
    /// What was read of covers.
    pub(crate) covers: HashMap<Place, CoverRead>,
}

/// Which message it is: folder, UIDVALIDITY, UID.
pub(crate) type Place = (String, u32, ImapUid);

pub(crate) fn place(found: &Found) -> Place {
    (found.folder.clone(), found.uid_validity, found.uid)
}

#[derive(Clone)]
pub(crate) struct CoverRead {
    pub(crate) received_at: i64,
    pub(crate) der: Arc<[u8]>,
}

#[derive(Default)]
struct Folder {
    uid_validity: u32,
    foreign: HashSet<ImapUid>,
    ours: BTreeMap<ImapUid, Found>,
}

impl Seen {
    /// Takes the list of a folder: forgets what is no longer there, gives what must still be looked at.
    pub(crate) fn take(&mut self, folder: &str, uid_validity: u32, uids: &[ImapUid]) -> Vec<ImapUid> {
        let known = self.folders.entry(folder.to_owned()).or_default();
        if known.uid_validity != uid_validity {
            *known = Folder { uid_validity, ..Folder::default() };
        }
        let here: HashSet<ImapUid> = uids.iter().copied().collect();
        known.foreign.retain(|uid| here.contains(uid));
        known.ours.retain(|uid, _| here.contains(uid));
        let is_new = |uid: &&ImapUid| !known.foreign.contains(uid) && !known.ours.contains_key(uid);
        uids.iter().filter(is_new).copied().collect()
    }

    /// What was found of the messages that were to be looked at.
    pub(crate) fn identified(&mut self, folder: &str, looked_at: &[ImapUid], found: Vec<Found>) {
        let known = self.folders.entry(folder.to_owned()).or_default();
        known.foreign.extend(looked_at);
        for found in found {
            known.foreign.remove(&found.uid);
            known.ours.insert(found.uid, found);
        }
    }

    /// A folder that is not there has nothing in it.
    pub(crate) fn forget(&mut self, folder: &str) {
        self.folders.remove(folder);
    }

    pub(crate) fn ours(&self) -> impl Iterator<Item = &Found> {
        self.folders.values().flat_map(|folder| folder.ours.values())
    }

    /// Drops what was read of covers that are gone, and the oldest beyond the limits.
    pub(crate) fn trim(&mut self) {
        let here: HashSet<Place> = self.ours().map(place).collect();
        self.covers.retain(|at, _| here.contains(at));
        let mut newest: Vec<(i64, Place, usize)> =
            self.covers.iter().map(|(at, read)| (read.received_at, at.clone(), read.der.len())).collect();
        newest.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
        let mut bytes = 0;
        for (number, (_, at, length)) in newest.into_iter().enumerate() {
            bytes += length;
            if (number >= COVERS_MAX || bytes > COVER_BYTES_MAX)
                && let Some(read) = self.covers.get_mut(&at)
            {
                read.der = Arc::default();
            }
        }
    }

    /// Everything by delivery; how full the mailbox is, is not known here.
    pub(crate) fn contents(&self, first_folder: &str) -> Contents {
        let mut deliveries: HashMap<DeliveryId, Delivery> = HashMap::new();
        for at in self.ours().filter(|found| found.id.part() == Part::Cover) {
            let Some(read) = self.covers.get(&place(at)) else { continue };
            let der = Some(read.der.clone()).filter(|der| !der.is_empty());
            let cover = Cover { at: at.clone(), der, received_at: read.received_at };
            match deliveries.entry(at.id.delivery()) {
                Entry::Vacant(new) => {
                    let (id, twins, pieces) = (*new.key(), Vec::new(), BTreeMap::new());
                    new.insert(Delivery { id, cover, twins, pieces });
                }
                // A cover that was sent twice is one.
                Entry::Occupied(mut known) => {
                    let is_other = known.get().covers().all(|known| known.der != cover.der);
                    if is_other && known.get().twins.len() < TWINS_MAX {
                        known.get_mut().twins.push(cover);
                    }
                }
            }
        }
        let mut others = Vec::new();
        for found in self.ours() {
            match found.id.part() {
                Part::Piece(number) => {
                    let delivery = deliveries.get_mut(&found.id.delivery());
                    if let Some(delivery) = delivery.filter(|known| known.is_of(found.id.site())) {
                        delivery.pieces.entry(number).or_insert_with(|| found.clone());
                    }
                }
                Part::Cover => {}
                _ => others.push(found.clone()),
            }
        }
        let mut deliveries: Vec<Delivery> = deliveries.into_values().collect();
        deliveries.sort_by_key(|delivery| (std::cmp::Reverse(delivery.cover.received_at), delivery.id));
        let uid_validity = self.folders.get(first_folder).map_or(0, |folder| folder.uid_validity);
        Contents { uid_validity, deliveries, others, full_percent: None }
    }
}
