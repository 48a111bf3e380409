//! The oracle: reads the log of a schedule and what is left at rest, and says what must not be. Written from what is promised (docs/reliability.md), without
//! the queue's rules: whoever changes those changes nothing here.

use super::log::{Entry, Images, Rest, What, bit, case_bit};
use crate::journal::Ended;

/// A case is open for a day of the gateways' running, and ends by its time after a day (`[case] expire_hours`), in milliseconds.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Running is noted at intervals: by so much less a case may be older than a day.
const NOTED_MS: i64 = 60 * 1000;
/// Images of a schedule, at most.
const IMAGES_MAX: usize = 16;
/// Deliveries and cases of a schedule, at most: others are not looked at for tokens, refusals and notices.
const ROWS_MAX: usize = 32;
const DOCTORS: usize = 2;
/// 5xx for one doctor of a delivery: each time before it is noted a gateway may be killed, or the disk full, or who was paused does not know.
const REFUSALS_MAX: u32 = 12;
const DESTINATIONS: usize = 2;

/// What is known of an image.
#[derive(Clone, Copy, Default)]
struct Image {
    /// Where the PACS sends it.
    destination: usize,
    /// The last of its sendings that were answered with Success.
    acknowledged: Option<usize>,
    /// Place in the log of the last withdrawal or end of a case with it, by AE title.
    over: [Option<usize>; DESTINATIONS],
    /// Place in the log of the last press for a study with it.
    pressed: Option<usize>,
    /// What each doctor saw last, by the AE title that it was sent to: a study that is sent to two is two orders.
    shown: [[Option<Shown>; DESTINATIONS]; DOCTORS],
    /// The page showed a dead letter with it after that.
    failed_since: bool,
}

impl Image {
    fn is_over(&mut self, destination: u8, place: usize) {
        self.over.get_mut(usize::from(destination)).map(|over| *over = Some(place)).unwrap_or_default();
    }
}

/// An image before a doctor's eyes.
#[derive(Clone, Copy)]
struct Shown {
    /// Place in the log.
    at: usize,
    /// Where that was assembled which it belongs to.
    began: usize,
    /// How long gateways had been up when its case was opened.
    opened_up_ms: i64,
}

/// What must not be, of one schedule; empty where all is well.
pub(super) fn judge(log: &[Entry], rest: &Rest, found: &mut Vec<&'static str>) {
    let mut images = [Image::default(); IMAGES_MAX];
    let mut tokens = [0_u32; ROWS_MAX];
    let mut assembled = [None::<(usize, Images)>; ROWS_MAX];
    let mut refused = [[0_u32; DOCTORS]; ROWS_MAX];
    let mut told: [Vec<(usize, usize)>; DOCTORS] = [Vec::new(), Vec::new()];
    let mut told_again = Vec::new();
    let (mut alarmed, mut heard) = (0_u64, 0_u64);
    for (place, entry) in log.iter().enumerate() {
        match entry.what {
            What::Sends { image, destination } => {
                if let Some(image) = images.get_mut(usize::from(image)) {
                    image.destination = usize::from(destination);
                }
            }
            What::Acknowledged { image, since } => {
                if let Some(image) = images.get_mut(usize::from(image)) {
                    image.acknowledged = image.acknowledged.max(Some(since));
                }
            }
            What::Assembled { delivery, images, is_complete, known, listed } => {
                assembled.get_mut(delivery).map(|known| *known = Some((place, images))).unwrap_or_default();
                if is_complete && listed & !known != 0 {
                    found.push("a study goes as complete, and the PACS lists more");
                }
            }
            What::Wrote { delivery, token } => {
                if let Some(last) = tokens.get_mut(delivery) {
                    if token < *last {
                        found.push("two gateways write to one delivery");
                    }
                    *last = token.max(*last);
                }
            }
            What::RefusedForGood { delivery, doctor } => {
                let refused =
                    refused.get_mut(delivery).and_then(|refused| refused.get_mut(usize::from(doctor)));
                let Some(refused) = refused else { continue };
                *refused += 1;
                if *refused > REFUSALS_MAX {
                    found.push("mail goes again and again to a doctor for whom it is refused for good");
                }
            }
            What::TriedAgain { delivery } => {
                refused.get_mut(delivery).map(|refused| *refused = [0; DOCTORS]).unwrap_or_default();
            }
            What::DeadLetter { images: failed, has_cause } => {
                if !has_cause {
                    found.push("a dead letter that nothing from outside has made");
                }
                for image in members(&mut images, failed) {
                    image.failed_since = true;
                }
            }
            What::Noticed { delivery, case, doctor, is_loud } => {
                let Some(told) = told.get_mut(usize::from(doctor)) else { continue };
                let was_told = told.iter().any(|(of, earlier)| *of == case && *earlier < delivery);
                if was_told && !is_loud && !told_again.contains(&delivery) {
                    found.push("a second alarm of one case");
                }
                told.push((case, delivery));
            }
            What::ToldAgain { delivery } => told_again.push(delivery),
            What::Shown { doctor, destination, delivery, images: shown, opened_up_ms } => {
                let Some((began, whole)) = assembled.get(delivery).copied().flatten() else {
                    found.push("a doctor sees a delivery that was never assembled");
                    continue;
                };
                if whole != shown {
                    found.push("a doctor sees half of a delivery");
                }
                for image in members(&mut images, shown) {
                    let over = image.over.get(usize::from(destination)).copied().flatten();
                    let last = image
                        .shown
                        .get_mut(usize::from(doctor))
                        .and_then(|last| last.get_mut(usize::from(destination)));
                    let Some(last) = last else { continue };
                    let is_again = last.is_some_and(|last| {
                        let is_one_order = over.is_none_or(|over| over < last.began && over < began);
                        let is_one_order = is_one_order
                            && image.pressed.is_none_or(|pressed| pressed < last.began || pressed > began);
                        is_one_order && opened_up_ms - last.opened_up_ms < DAY_MS - NOTED_MS
                    });
                    if is_again && !image.failed_since {
                        found.push("a doctor sees an image twice");
                    }
                    *last = Some(Shown { at: place, began, opened_up_ms });
                }
            }
            What::Pressed { images: pressed } => {
                members(&mut images, pressed).for_each(|image| image.pressed = Some(place));
            }
            What::Withdrawn { destination, images: withdrawn } => {
                for image in members(&mut images, withdrawn) {
                    image.is_over(destination, place);
                }
            }
            What::Ended { case, destination, images: ended, undelivered, how, mailed_up_ms } => {
                let was_heard = heard & case_bit(case) != 0;
                if how != Ended::Closed && entry.up_ms - mailed_up_ms < DAY_MS - NOTED_MS {
                    found.push("a case ends before its time");
                }
                if how == Ended::Unopened && !was_heard {
                    found.push("what nobody opened ends, and nobody has heard an alarm");
                }
                if undelivered != 0 {
                    found.push("a case ends with an image that no doctor can have got");
                }
                for image in members(&mut images, ended) {
                    image.is_over(destination, place);
                }
            }
            What::Alarmed { case } => alarmed |= case_bit(case),
            What::Heard { case } => {
                if alarmed & case_bit(case) == 0 {
                    found.push("somebody heard an alarm that did not ring");
                }
                heard |= case_bit(case);
            }
            What::Emptied { left } => {
                if left {
                    found.push("the page says that a mailbox is empty, and a mail is left");
                }
            }
            What::Proved { left } => {
                if left {
                    found.push("the trail has a proof, and a mail is left");
                }
            }
            What::KeyDestroyed { opened_up_ms } => {
                if entry.up_ms - opened_up_ms < DAY_MS - NOTED_MS {
                    found.push("the key of a case is destroyed before its time");
                }
            }
        }
    }
    at_rest(&mut images, rest, alarmed, found);
}

fn at_rest(images: &mut [Image; IMAGES_MAX], rest: &Rest, alarmed: u64, found: &mut Vec<&'static str>) {
    if !rest.is_reached {
        found.push("it does not come to rest");
        return;
    }
    if rest.has_leftovers {
        found.push("a mail of a withdrawn case stays in a mailbox");
    }
    if rest.unopened & !alarmed != 0 {
        found.push("nobody has opened a case, and the page does not ring");
    }
    for (number, image) in images.iter().enumerate() {
        let Some(since) = image.acknowledged else { continue };
        // A person took it back after the PACS began to send it; or its case ended, which is judged there.
        let over = image.over.get(image.destination).copied().flatten();
        let was_over = over.is_some_and(|over| over > since);
        let after = over.filter(|over| *over < since);
        let is_shown =
            image.shown.iter().flatten().flatten().any(|shown| after.is_none_or(|after| shown.at > after));
        if !was_over && !is_shown && (rest.kept | rest.unread) & bit(number) == 0 {
            found.push("an acknowledged image is lost");
        }
        for (doctor, meant) in rest.meant.iter().enumerate() {
            if meant & bit(number) != 0
                && image.shown.get(doctor).is_some_and(|shown| shown.iter().all(Option::is_none))
            {
                found.push("a doctor does not get what is meant for this one");
            }
        }
    }
}

fn members(images: &mut [Image; IMAGES_MAX], set: Images) -> impl Iterator<Item = &mut Image> {
    images.iter_mut().enumerate().filter(move |(number, _)| set & bit(*number) != 0).map(|(_, image)| image)
}
