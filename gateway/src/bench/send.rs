//! C-STORE, service class user: one association, one image after the other, as most modalities send (PS3.4 B, PS3.7 9.1.1).

use super::BenchError;
use super::report::{Collected, MEGABYTE};
use super::study::Image;
use crate::config::{Config, Pacs, reached_at, taken};
use crate::query::QueryError;
use crate::query::association::associate;
use compressor::Uid;
use dicom_ul::pdu::PresentationContextProposed;
use dimse::status;
use dimse::store::{Object, store};
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
    let mut association = associate(&peer, called, proposed, Vec::new(), STEP_WAIT).await.map_err(failed)?;
    let mut sent = Sent { bytes: 0, each_s: Vec::with_capacity(images.len()) };
    for (number, image) in images.iter().enumerate() {
        let kind = (&image.sop_class, &image.transfer_syntax);
        let context =
            contexts.get(&kind).copied().filter(|context| association.accepted().contains_key(context));
        let context = context.ok_or_else(|| failed(QueryError::NotOffered("such images")))?;
        let began = Instant::now();
        let mut data_set = image.data_set.as_slice();
        let object = Object {
            sop_class: &image.sop_class,
            sop_instance: &image.sop_instance,
            bytes: data_set.len() as u64,
            data_set: &mut data_set,
        };
        let answered = store(&mut association, context, object, number).await;
        let answered = answered.map_err(|error| failed(error.into()))?;
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
