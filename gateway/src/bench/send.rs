//! C-STORE, service class user: one association, one image after the other, as most modalities send (PS3.4 B, PS3.7 9.1.1).

use super::BenchError;
use super::report::{Collected, MEGABYTE};
use super::study::Image;
use crate::config::{Config, Pacs, reached_at, taken};
use crate::dimse::fragments::{Event, Messages, Pdvs};
use crate::dimse::{command, field, status};
use crate::query::QueryError;
use crate::query::association::{Association, Proposal};
use compressor::Uid;
use dicom_ul::pdu::PresentationContextProposed;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// By which we call. No PACS has it, so nobody is asked whether the study is whole.
const CALLING: &str = "SCANPOST-BENCH";
/// For each step: a gateway that commits to a busy disk may take long.
const STEP_WAIT: Duration = Duration::from_secs(60);

/// How long sending took.
pub(super) struct Sent {
    bytes: u64,
    /// From the first byte of a request to its response, in seconds.
    each_s: Vec<f64>,
}

impl Sent {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub(super) fn collect(&self, collected: &mut Collected) {
        let seconds: f64 = self.each_s.iter().sum();
        collected.rate("received", "images/s", self.each_s.len() as f64 / seconds);
        collected.rate("received", "MB/s", self.bytes as f64 / MEGABYTE / seconds);
        self.each_s.iter().for_each(|one| collected.cost("answer to one image", "ms", one * 1000.0));
    }
}

/// Where the running gateway listens, as seen from its own machine.
pub(super) fn address(config: &Config) -> Result<SocketAddr, BenchError> {
    let listen = config.dicom.listen.ok_or(BenchError::NoListener)?;
    let taken = taken(listen, config.dicom.port_file.as_deref());
    taken.map(reached_at).map_err(|error| BenchError::Io("port_file of [dicom]", error))
}

/// Sends all images.
pub(super) async fn send(address: SocketAddr, called: &str, images: &[Image]) -> Result<Sent, BenchError> {
    let failed = |error: QueryError| BenchError::gateway(address, &error);
    let peer = Pacs::plain(called, address, CALLING);
    let (contexts, proposed) = contexts(images);
    let proposal = Proposal { called: called.to_owned(), contexts: proposed, roles: Vec::new() };
    let mut association = Association::request(&peer, proposal, STEP_WAIT).await.map_err(failed)?;
    let mut sent = Sent { bytes: 0, each_s: Vec::with_capacity(images.len()) };
    for (number, image) in images.iter().enumerate() {
        let kind = (&image.sop_class, &image.transfer_syntax);
        let context =
            contexts.get(&kind).copied().filter(|context| association.accepted().contains_key(context));
        let context = context.ok_or_else(|| failed(QueryError::NotOffered("such images")))?;
        let began = Instant::now();
        let answered = store(&mut association, context, image, number).await.map_err(failed)?;
        sent.each_s.push(began.elapsed().as_secs_f64());
        if answered != status::SUCCESS {
            association.abort().await;
            return Err(BenchError::Refused { number: number + 1, status: answered });
        }
        sent.bytes += image.data_set.len() as u64;
    }
    association.release().await;
    Ok(sent)
}

type Contexts<'i> = BTreeMap<(&'i Uid, &'i Uid), u8>;

/// One for each SOP class and transfer syntax, with odd ids; past 128 kinds (PS3.8 9.3.2.2) there is none.
fn contexts(images: &[Image]) -> (Contexts<'_>, Vec<PresentationContextProposed>) {
    let mut contexts = Contexts::new();
    let mut proposed = Vec::new();
    for image in images {
        let kind = (&image.sop_class, &image.transfer_syntax);
        let Ok(id) = u8::try_from(2 * proposed.len() + 1) else { break };
        if let Entry::Vacant(kind) = contexts.entry(kind) {
            kind.insert(id);
            proposed.push(PresentationContextProposed {
                id,
                abstract_syntax: image.sop_class.as_str().to_owned(),
                transfer_syntaxes: vec![image.transfer_syntax.as_str().to_owned()],
            });
        }
    }
    (contexts, proposed)
}

/// Gives the status of the response.
async fn store(
    association: &mut Association,
    context: u8,
    image: &Image,
    number: usize,
) -> Result<u16, QueryError> {
    // PS3.7 E.1: 16 bits, unique among requests that wait for their response, which is one here.
    let message_id = u16::try_from(number % usize::from(u16::MAX)).unwrap_or_default() + 1;
    let request = command::store_request(&image.sop_class, &image.sop_instance, message_id);
    association.send_command(context, &request).await?;
    association.send_data_set(context, &image.data_set).await?;
    let mut messages = Messages::default();
    loop {
        let body = association.receive().await?;
        for pdv in Pdvs(&body) {
            if let Event::Command(_, response) = messages.take(pdv?)? {
                let ours = response.field == field::C_STORE_RSP && response.responds_to == Some(message_id);
                return response.status.filter(|_| ours).ok_or(QueryError::Malformed("no answer to C-STORE"));
            }
        }
    }
}
