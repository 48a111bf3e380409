//! One C-GET or C-MOVE association, on a thread of its own like those of the listener: requests go out one after the other, objects that come
//! are stored before they are acknowledged, and the PACS is told when to stop (PS3.7 9.1.3, 9.1.4; PS3.4 C.4.2, C.4.3).

use super::only_asked::OnlyAsked;
use super::{Fetched, How, Order, Progress, RetrieveError, contexts};
use crate::query::QueryError;
use crate::query::association::associate;
use crate::receive::limits::{CANCEL_WAIT, FAILED_LIST_BYTES_MAX, NOT_ASKED_FOR_MAX};
use crate::receive::{AeTitle, AssociationInfo, Exchange, Folder, Intake, Storing};
use dimse::fragments::{Event, Messages, Pdvs};
use dimse::{Association, Command, command, field, status, uid};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// A PACS need not report while it moves (PS3.4 C.4.2.1.6), so its silence is borne longer then.
const MOVE_PATIENCE: u32 = 5;

/// What is asked for, and how.
struct Service {
    field: u16,
    sop_class: &'static str,
    /// With C-MOVE.
    destination: Option<AeTitle>,
}

/// An association on which the PACS is asked for instances.
pub(super) struct Conversation<I: Intake> {
    association: Association,
    exchange: Exchange<OnlyAsked<I>, Folder>,
    asked: Arc<OnlyAsked<I>>,
    info: AssociationInfo,
    service: Service,
    identifiers: Vec<Vec<u8>>,
    messages: Messages,
    /// The data set that comes belongs to an object, else to a response.
    is_object: bool,
    response_bytes: usize,
    /// The last response to the request has come.
    is_over: bool,
    fetched: Fetched,
    progress: watch::Sender<Progress>,
    cancelled: watch::Receiver<()>,
    /// By when all must be done.
    deadline: Instant,
    runtime: Handle,
}

/// Why we ask the PACS to stop.
#[derive(Clone, Copy)]
enum Stop {
    TooLong,
    /// By the caller, who is gone.
    Cancelled,
    NoRoom,
    NotAskedFor,
}

/// What comes next.
enum Next {
    Body(Vec<u8>),
    Stop(Stop),
}

impl<I: Intake> Conversation<I> {
    /// Connects and agrees on what may come.
    pub(super) async fn begin(
        order: Order<'_>,
        intake: Arc<I>,
        folder: &Path,
        progress: watch::Sender<Progress>,
        cancelled: watch::Receiver<()>,
    ) -> Result<Self, RetrieveError> {
        let deadline = Instant::now() + order.pacs.retrieve_total();
        let service = Service::of(order);
        let stores = service.destination.is_none();
        let (proposed, roles) = contexts::propose(service.sop_class, stores, order.missing.classes());
        let (pacs, wait) = (order.pacs, service.wait(order));
        let association = associate(pacs, pacs.retrieve_ae_title(), proposed.clone(), roles, wait).await?;
        let accepted = contexts::accepted(&proposed, association.accepted());
        if !association.accepted().contains_key(&contexts::SERVICE) || stores && accepted.is_empty() {
            association.release().await;
            return Err(QueryError::NotOffered(service.words()).into());
        }
        // Those that a crash left are the listener's to remove.
        let disk = Folder::open(folder.to_owned(), |_| false).map_err(|_| RetrieveError::Folder)?;
        let calling = AeTitle::parse(&order.pacs.ae_title).map_err(|_| QueryError::Configuration)?;
        let info = AssociationInfo::new(calling, order.called.clone());
        let asked = Arc::new(OnlyAsked::new(intake, order, folder.to_owned(), progress.clone()));
        let storing = Storing::new(Arc::clone(&asked), Arc::new(disk), info.clone(), Handle::current());
        Ok(Self {
            association,
            exchange: Exchange::new(storing, accepted),
            asked,
            info,
            service,
            identifiers: order.missing.identifiers(order.study),
            messages: Messages::default(),
            is_object: false,
            response_bytes: 0,
            is_over: false,
            fetched: Fetched::default(),
            progress,
            cancelled,
            deadline,
            runtime: Handle::current(),
        })
    }

    /// Asks for everything. Blocks.
    pub(super) fn run(mut self) -> Result<Fetched, RetrieveError> {
        let done = self.ask_for_all();
        let Self { association, exchange, asked, info, fetched, runtime, .. } = self;
        let stored = exchange.end();
        asked.association_ended(info.id);
        match &done {
            Ok(()) => runtime.block_on(association.release()),
            Err(_) => runtime.block_on(association.abort()),
        }
        let AssociationInfo { id, calling, called } = info;
        match &done {
            Ok(()) => {
                tracing::info!(stage = "receive", association = id, %calling, %called, stored, ?fetched, "fetched");
            }
            Err(error) => tracing::warn!(
                stage = "receive", association = id, %calling, %called, stored, "fetching ended early: {error}"
            ),
        }
        done.map(|()| Fetched { stored, not_asked_for: asked.not_asked_for(), ..fetched })
    }

    fn ask_for_all(&mut self) -> Result<(), RetrieveError> {
        let identifiers = std::mem::take(&mut self.identifiers);
        for (identifier, message_id) in identifiers.iter().zip(1_u16..) {
            let destination = self.service.destination.as_ref().map(AeTitle::as_str);
            let request =
                command::request(self.service.field, self.service.sop_class, message_id, destination);
            let asked = async {
                self.association.send_command(contexts::SERVICE, &request).await?;
                self.association.send_identifier(contexts::SERVICE, identifier).await
            };
            self.runtime.block_on(asked)?;
            self.follow(message_id)?;
        }
        Ok(())
    }

    /// Until the last response to a request.
    fn follow(&mut self, message_id: u16) -> Result<(), RetrieveError> {
        self.is_over = false;
        loop {
            match self.next()? {
                Next::Stop(stop) => return Err(self.cancel(message_id, stop)),
                Next::Body(body) if self.take(&body, message_id)? => return Ok(()),
                Next::Body(_) => {}
            }
        }
    }

    fn next(&mut self) -> Result<Next, RetrieveError> {
        if self.asked.no_room() {
            return Ok(Next::Stop(Stop::NoRoom));
        }
        if self.asked.not_asked_for() > NOT_ASKED_FOR_MAX {
            return Ok(Next::Stop(Stop::NotAskedFor));
        }
        let (association, cancelled, deadline) = (&mut self.association, &mut self.cancelled, self.deadline);
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                // Nobody ever sends: the sender goes with the caller's future.
                _ = cancelled.changed() => Ok(Next::Stop(Stop::Cancelled)),
                () = sleep_until(deadline) => Ok(Next::Stop(Stop::TooLong)),
                body = association.receive() => Ok(Next::Body(body?)),
            }
        })
    }

    /// C-CANCEL, then a little time in which what comes is still stored and acknowledged.
    fn cancel(&mut self, message_id: u16, stop: Stop) -> RetrieveError {
        let until = Instant::now() + CANCEL_WAIT;
        let cancel = command::cancel_request(message_id);
        let sent = self.runtime.block_on(self.association.send_command(contexts::SERVICE, &cancel));
        let mut going_on = sent.is_ok();
        while going_on && Instant::now() < until {
            let association = &mut self.association;
            let body =
                self.runtime.block_on(async { tokio::time::timeout_at(until, association.receive()).await });
            going_on = matches!(body, Ok(Ok(body)) if matches!(self.take(&body, message_id), Ok(false)));
        }
        stop.error()
    }

    /// Takes the body of a P-DATA-TF, and answers. True after the last response.
    fn take(&mut self, body: &[u8], message_id: u16) -> Result<bool, RetrieveError> {
        for pdv in Pdvs(body) {
            let event = self.messages.take(pdv.map_err(QueryError::from)?).map_err(QueryError::from)?;
            if let Event::Command(context, command) = &event {
                self.is_object = *context != contexts::SERVICE;
                if !self.is_object {
                    self.is_over = self.respond(command, message_id)?;
                    continue;
                }
            }
            if self.is_object || matches!(event, Event::Waiting) {
                if let Some((context, answer)) = self.exchange.event(event)? {
                    self.runtime.block_on(self.association.send_command(context, &answer))?;
                }
            } else if let Event::DataSet(fragment, _) = event {
                self.pass_over(fragment)?;
            }
        }
        // The list of what failed may be still to come.
        Ok(self.is_over && self.messages.at_rest())
    }

    fn respond(&mut self, response: &Command, message_id: u16) -> Result<bool, RetrieveError> {
        let ours = response.field == self.service.field | field::RESPONSE
            && response.responds_to == Some(message_id);
        if !ours {
            return Err(QueryError::Malformed("a message that is no answer to the request").into());
        }
        self.response_bytes = 0;
        let told = response.suboperations;
        self.progress.send_modify(|progress| {
            progress.remaining = told.remaining;
            progress.completed = told.completed;
        });
        let status = response.status.ok_or(QueryError::Malformed("an answer without a usable status"))?;
        match status {
            status::PENDING | status::PENDING_WARNING => return Ok(false),
            status::SUCCESS => {}
            // A warning: all is over, and something failed (PS3.4 C.4.3.1.4).
            status::SUBOPERATIONS_FAILED => self.fetched.status = status,
            _ => return Err(RetrieveError::Refused { status }),
        }
        let number = |told: Option<u16>| u32::from(told.unwrap_or_default());
        self.fetched.completed += number(told.completed);
        self.fetched.failed += number(told.failed);
        self.fetched.warning += number(told.warning);
        self.fetched.remaining += number(told.remaining);
        Ok(true)
    }

    /// A response's identifier lists what failed (0008,0058): we look ourselves.
    fn pass_over(&mut self, fragment: &[u8]) -> Result<(), RetrieveError> {
        self.response_bytes += fragment.len();
        if self.response_bytes > FAILED_LIST_BYTES_MAX {
            return Err(QueryError::Malformed("an identifier that is too long").into());
        }
        Ok(())
    }
}

impl Service {
    fn of(order: Order<'_>) -> Self {
        match order.pacs.retrieve {
            How::Move => Self {
                field: field::C_MOVE_RQ,
                sop_class: uid::STUDY_ROOT_MOVE,
                destination: Some(order.called.clone()),
            },
            _ => Self { field: field::C_GET_RQ, sop_class: uid::STUDY_ROOT_GET, destination: None },
        }
    }

    fn wait(&self, order: Order<'_>) -> Duration {
        order.pacs.retrieve_wait() * if self.destination.is_some() { MOVE_PATIENCE } else { 1 }
    }

    fn words(&self) -> &'static str {
        if self.destination.is_some() { "C-MOVE in Study Root" } else { "C-GET in Study Root" }
    }
}

impl Stop {
    fn error(self) -> RetrieveError {
        match self {
            // Nobody hears it.
            Self::TooLong | Self::Cancelled => RetrieveError::TooLong,
            Self::NoRoom => RetrieveError::NoRoom,
            Self::NotAskedFor => RetrieveError::NotAskedFor,
        }
    }
}
