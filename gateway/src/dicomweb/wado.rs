//! WADO-RS: instances as a stream of DICOM files, of which each data set goes the listener's durable way (PS3.18 10.4). On a thread of its own,
//! since storing blocks.

use super::client::Client;
use super::multipart::{Multipart, Piece};
use super::part10::Head;
use crate::config::Dicomweb;
use crate::query::QueryError;
use crate::receive::limits::{NOT_ASKED_FOR_MAX, RESPONSES_MAX};
use crate::receive::{AeTitle, AssociationInfo, Folder, Intake, Object, SUCCESS, Storing};
use crate::retrieve::only_asked::OnlyAsked;
use crate::retrieve::{Fetched, Order, Progress, RetrieveError};
use dimse::status;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Any transfer syntax: as the server keeps it (PS3.18 8.7.3.5.2).
const ACCEPT: &str = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";

/// Fetches what is missing. Dropped before it returns, it hangs up.
pub(crate) async fn fetch<I: Intake>(
    web: &Dicomweb,
    order: Order<'_>,
    intake: Arc<I>,
    folder: &Path,
    progress: watch::Sender<Progress>,
) -> Result<Fetched, RetrieveError> {
    let (_running, cancelled) = watch::channel(());
    let client = Client::new(web, order.pacs.retrieve_wait())?;
    let disk = Folder::open(folder.to_owned(), |_| false).map_err(|_| RetrieveError::Folder)?;
    let calling = AeTitle::parse(&order.pacs.ae_title).map_err(|_| QueryError::Configuration)?;
    let info = AssociationInfo::new(calling, order.called.clone());
    let asked = Arc::new(OnlyAsked::new(intake, order, folder.to_owned(), progress));
    let runtime = Handle::current();
    let storing = Storing::new(Arc::clone(&asked), Arc::new(disk), info.clone(), runtime.clone());
    let deadline = Instant::now() + order.pacs.retrieve_total();
    let paths = order.missing.paths(order.study);
    let (parts, failed) = (0, 0);
    let download = Download { client, storing, asked, info, runtime, cancelled, deadline, parts, failed };
    tokio::task::spawn_blocking(move || download.run(&paths)).await.map_err(|_| RetrieveError::Defect)?
}

struct Download<I: Intake> {
    client: Client,
    storing: Storing<OnlyAsked<I>, Folder>,
    asked: Arc<OnlyAsked<I>>,
    info: AssociationInfo,
    runtime: Handle,
    cancelled: watch::Receiver<()>,
    deadline: Instant,
    parts: usize,
    /// Parts that were asked for and could not be stored.
    failed: u32,
}

/// A part that is coming.
enum Part {
    Head(Head),
    DataSet(Box<Object<Folder>>),
    /// It was refused, and is skipped.
    Refused,
}

/// Why the bytes of a body end the download.
struct Ended(RetrieveError);

impl From<&'static str> for Ended {
    fn from(words: &'static str) -> Self {
        Self(QueryError::Malformed(words).into())
    }
}

impl<I: Intake> Download<I> {
    fn run(mut self, paths: &[String]) -> Result<Fetched, RetrieveError> {
        let done = self.all(paths);
        self.asked.association_ended(self.info.id);
        let stored = self.storing.stored();
        let AssociationInfo { id, calling, called } = &self.info;
        match &done {
            Ok(_) => {
                tracing::info!(stage = "receive", association = id, %calling, %called, stored, "fetched by DICOMweb")
            }
            Err(error) => tracing::warn!(
                stage = "receive", association = id, %calling, %called, stored, "fetching ended early: {error}"
            ),
        }
        let completed = u32::try_from(stored).unwrap_or(u32::MAX);
        let not_asked_for = self.asked.not_asked_for();
        let failed = self.failed;
        done.map(|status| Fetched { completed, failed, stored, status, not_asked_for, ..Fetched::default() })
    }

    /// The status that stands for all answers.
    fn all(&mut self, paths: &[String]) -> Result<u16, RetrieveError> {
        let mut status = status::SUCCESS;
        for path in paths {
            let (client, runtime) = (&mut self.client, &self.runtime);
            let until = until(&mut self.cancelled, self.deadline);
            let answer = runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = until => Err(RetrieveError::TooLong),
                    answer = client.get(path, ACCEPT) => Ok(answer?),
                }
            })?;
            // Some instances could not be given (PS3.18 10.4.3.1).
            if answer.status() == StatusCode::PARTIAL_CONTENT {
                status = status::SUBOPERATIONS_FAILED;
            }
            let content_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let multipart = content_type.and_then(Multipart::of);
            let multipart =
                multipart.ok_or(QueryError::Malformed("an answer that is not multipart/related"))?;
            self.body(answer.into_body(), multipart)?;
        }
        Ok(status)
    }

    fn body(&mut self, mut body: Incoming, mut multipart: Multipart) -> Result<(), RetrieveError> {
        let mut part = Part::Refused;
        loop {
            if self.asked.no_room() {
                return Err(RetrieveError::NoRoom);
            }
            if self.asked.not_asked_for() > NOT_ASKED_FOR_MAX {
                return Err(RetrieveError::NotAskedFor);
            }
            let (client, runtime) = (&self.client, &self.runtime);
            let until = until(&mut self.cancelled, self.deadline);
            let bytes = runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = until => Err(RetrieveError::TooLong),
                    bytes = client.next(&mut body) => bytes.map_err(RetrieveError::from),
                }
            });
            let bytes = match bytes {
                // `quirk_no_goodbye`: behind the last boundary it does not matter how a server hangs up.
                Err(_) if multipart.is_over() => break,
                bytes => bytes?,
            };
            let Some(bytes) = bytes else { break };
            multipart.take(&bytes, |piece| self.piece(&mut part, piece)).map_err(|Ended(error)| error)?;
        }
        if multipart.is_over() { Ok(()) } else { Err(QueryError::Malformed("half an answer").into()) }
    }

    fn piece(&mut self, part: &mut Part, piece: Piece<'_>) -> Result<(), Ended> {
        match piece {
            Piece::Begin => {
                self.parts += 1;
                if self.parts > RESPONSES_MAX {
                    return Err(Ended(QueryError::TooMany.into()));
                }
                *part = Part::Head(Head::default());
            }
            Piece::Data(bytes) => self.data(part, bytes)?,
            Piece::End => match std::mem::replace(part, Part::Refused) {
                Part::DataSet(object) => {
                    let before = self.asked.not_asked_for();
                    let kept = self.storing.keep(*object) == SUCCESS;
                    self.failed += u32::from(!kept && self.asked.not_asked_for() == before);
                }
                Part::Head(_) => return Err("a part that is no DICOM file".into()),
                Part::Refused => {}
            },
        }
        Ok(())
    }

    fn data(&mut self, part: &mut Part, bytes: &[u8]) -> Result<(), Ended> {
        let mut bytes = bytes;
        if let Part::Head(head) = part {
            let Some((meta, rest)) = head.take(bytes)? else { return Ok(()) };
            let begun = self.storing.begin(meta.sop_class, meta.sop_instance, meta.transfer_syntax);
            self.failed += u32::from(begun.is_err());
            *part = begun.map_or(Part::Refused, |object| Part::DataSet(Box::new(object)));
            bytes = rest;
        }
        if let Part::DataSet(object) = part
            && self.storing.write(object, bytes).is_err()
        {
            self.failed += 1;
            *part = Part::Refused;
        }
        Ok(())
    }
}

/// Returns when the caller is gone or no time is left.
async fn until(cancelled: &mut watch::Receiver<()>, deadline: Instant) {
    tokio::select! {
        _ = cancelled.changed() => {}
        () = sleep_until(deadline) => {}
    }
}
