//! smime: what a recipient who has only a mail program gets (SPEC 9): one message with a picture of each series, the images as `DICOM.ZIP` where they fit,
//! and words that say what is there and what is not. Made here as a MIME entity; [`::seal`] signs and encrypts it.

mod archive;
mod picture;
pub mod render;
mod survey;
mod words;

pub use picture::Renderer;
pub(crate) use survey::file;

use crate::journal::DeliveryInstance;
use crate::spool::Received;
use ::seal::cover::Completeness;
use ::seal::ids::DeliveryId;
use ::seal::mail::{Encryption, LINE_BYTES, LINE_CHARS};
use lettre::message::header::ContentType;
use lettre::message::{Attachment, MultiPart, SinglePart};
use notifier::Language;
use std::io;
use survey::Survey;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use words::Facts;

/// Name of the one attachment that holds the images (PS3.11 STD-GEN-SEC-ZIP-MAIL).
const ARCHIVE_NAME: &str = "DICOM.ZIP";
/// Pictures of one message: a doctor looks at some, and a study of hundreds of series would fill the mail with them.
const PICTURES_MAX: usize = 24;
/// Headers, boundaries, signature with its certificate, recipient info, and the text, in bytes.
const FRAME_BYTES: usize = 128 << 10;
/// Base64 in lines with CRLF.
const LINE_OCTETS: usize = LINE_CHARS + 2;

/// What all messages of a delivery have in common.
pub struct Content {
    survey: Survey,
    pictures: Vec<Picture>,
    archive: Archive,
}

/// The DICOM files, or why they are not there.
pub(crate) enum Archive {
    Zip(Vec<u8>),
    TooLarge { bytes_max: usize },
    Withheld,
    NoImages,
}

struct Picture {
    /// Of its series, from 0.
    index: usize,
    /// Of the image within the series, from 1.
    place: usize,
    jpeg: Vec<u8>,
}

/// For whom a message is, and what it says of the delivery.
pub struct Letter<'a> {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Seconds since 1970-01-01 UTC.
    pub sent_at: i64,
    /// The site's name.
    pub site: &'a str,
    /// The recipient's address: inside the signature, so that nobody can hand it on as if it were for somebody else.
    pub mailbox: &'a str,
    /// Of the words.
    pub language: Language,
    /// Of the delivery.
    pub completeness: Completeness,
    /// Without authentication, key images go alone: who changes them on the way is not found out.
    pub encryption: Encryption,
}

impl Content {
    /// Renders a picture of each series and packs the images, so that the mail has at most `message_bytes_max` octets. All of it is held in memory.
    ///
    /// # Errors
    /// The spool cannot be read, or the rendering process not started.
    pub(crate) fn of(
        received: Received<'_>,
        delivery: DeliveryId,
        instances: Vec<DeliveryInstance>,
        renderer: &Renderer,
        message_bytes_max: usize,
    ) -> io::Result<Self> {
        let survey = Survey::of(received, instances)?;
        let entity_bytes_max = plain(message_bytes_max).saturating_sub(FRAME_BYTES);
        let pictures = pictures(&survey, received, renderer, plain(entity_bytes_max) / 2)?;
        let pictured: usize = pictures.iter().map(|picture| encoded(picture.jpeg.len())).sum();
        let archive_bytes_max = plain(entity_bytes_max.saturating_sub(pictured));
        // The UID of the file-set: 128 random bits (PS3.5 B.2).
        let file_set = format!("2.25.{}", u128::from_be_bytes(delivery.0));
        let archive = match survey.images().next() {
            None => Archive::NoImages,
            Some(_) => match archive::zip(&survey, received, &file_set, archive_bytes_max)? {
                Some(zip) => Archive::Zip(zip),
                None => Archive::TooLarge { bytes_max: message_bytes_max },
            },
        };
        Ok(Self { survey, pictures, archive })
    }

    /// Whether the images go as files too, where the recipient's program allows.
    pub fn has_files(&self) -> bool {
        matches!(self.archive, Archive::Zip(_))
    }

    /// Pictures of series.
    pub fn pictures(&self) -> usize {
        self.pictures.len()
    }

    /// The MIME entity for one recipient, with CRLF at the end of each line.
    pub fn entity(&self, letter: &Letter<'_>) -> Vec<u8> {
        let withheld = letter.encryption == Encryption::QuirkCbc && self.has_files();
        let archive = if withheld { &Archive::Withheld } else { &self.archive };
        let mut pictured = vec![None; self.survey.series.len()];
        for picture in &self.pictures {
            if let Some(place) = pictured.get_mut(picture.index) {
                *place = Some(picture.place);
            }
        }
        let sent = OffsetDateTime::from_unix_timestamp(letter.sent_at).ok();
        let facts = Facts {
            survey: &self.survey,
            pictured: &pictured,
            archive,
            completeness: letter.completeness,
            site: letter.site,
            mailbox: letter.mailbox,
            delivery: letter.delivery.to_string(),
            sent: sent.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default(),
        };
        let text = words::text(&facts, letter.language).replace('\n', "\r\n");
        let mut parts = MultiPart::mixed().singlepart(SinglePart::plain(text));
        for picture in &self.pictures {
            let name = picture_name(picture.index + 1);
            parts = parts.singlepart(attachment(name, picture.jpeg.clone(), "image/jpeg"));
        }
        if let Archive::Zip(zip) = archive {
            parts = parts.singlepart(attachment(ARCHIVE_NAME.to_owned(), zip.clone(), "application/zip"));
        }
        parts.formatted()
    }
}

/// File name of the picture of a series, by its number in the message, from 1.
pub(crate) fn picture_name(number: usize) -> String {
    format!("series-{number:02}.jpg")
}

/// The middle image of each series, until `bytes_max` is reached.
fn pictures(
    survey: &Survey,
    received: Received<'_>,
    renderer: &Renderer,
    bytes_max: usize,
) -> io::Result<Vec<Picture>> {
    let mut pictures = Vec::new();
    let mut left = bytes_max;
    for (index, series) in survey.series.iter().enumerate() {
        let Some((place, image)) = series.middle().filter(|_| pictures.len() < PICTURES_MAX) else {
            continue;
        };
        let Some(jpeg) = renderer.picture(&mut image.file(received)?, image.instance.bytes)? else {
            continue;
        };
        if let Some(rest) = left.checked_sub(jpeg.len()) {
            left = rest;
            pictures.push(Picture { index, place, jpeg });
        }
    }
    Ok(pictures)
}

fn attachment(name: String, bytes: Vec<u8>, content_type: &str) -> SinglePart {
    let content_type = ContentType::parse(content_type).unwrap_or(ContentType::TEXT_PLAIN);
    Attachment::new(name).body(bytes, content_type)
}

/// Bytes that fit into so many octets of base64 lines.
fn plain(octets: usize) -> usize {
    octets / LINE_OCTETS * LINE_BYTES
}

/// Octets of so many bytes as base64 lines.
fn encoded(bytes: usize) -> usize {
    bytes.div_ceil(LINE_BYTES) * LINE_OCTETS
}

#[cfg(test)]
#[path = "smime_tests.rs"]
mod tests;
