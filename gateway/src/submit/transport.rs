//! The TLS stream under the SMTP client, and the body on its way through it.
//!
//! The client ends every message with a dot when its iterator ends. A piece that could not be read to its end must never
//! get that dot, or the server would accept half a piece as whole: the body shuts a valve, after which nothing is written any more.

use lettre::transport::smtp::client::AsyncTokioStream;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use tls::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const CRLF: &[u8; 2] = b"\r\n";

/// Shut once, never opened again.
#[derive(Clone, Debug, Default)]
pub(super) struct Valve(Arc<AtomicBool>);

impl Valve {
    fn shut(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_shut(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// How far a body has come, watched from outside.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Blocks handed over, plus one when the body ended.
    steps: AtomicU64,
    ended: AtomicBool,
}

impl Progress {
    pub(super) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn step(&self, ended: bool) {
        self.ended.store(ended, Ordering::Relaxed);
        self.steps.fetch_add(1, Ordering::Relaxed);
    }
}

/// Blocks of a message; at an error it shuts the valve, keeps the error and ends. The client writes a CRLF of its own before the closing dot: that of
/// the last line is left to it, or the message had an empty line more than was sealed, signed and announced.
pub(super) struct Body<'a, I> {
    blocks: I,
    valve: Valve,
    progress: &'a Progress,
    error: &'a mut Option<io::Error>,
    /// The CRLF of the block before is not written yet.
    owes_crlf: bool,
}

impl<'a, I> Body<'a, I> {
    pub(super) fn new(
        blocks: I,
        valve: Valve,
        progress: &'a Progress,
        error: &'a mut Option<io::Error>,
    ) -> Self {
        Self { blocks, valve, progress, error, owes_crlf: false }
    }
}

impl<I: Iterator<Item = io::Result<Vec<u8>>>> Iterator for Body<'_, I> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        match self.blocks.next() {
            Some(Ok(mut block)) => {
                self.progress.step(false);
                if std::mem::take(&mut self.owes_crlf) {
                    block.splice(0..0, *CRLF);
                }
                if block.ends_with(CRLF) {
                    block.truncate(block.len() - CRLF.len());
                    self.owes_crlf = true;
                }
                Some(block)
            }
            Some(Err(error)) => {
                self.valve.shut();
                *self.error = Some(error);
                None
            }
            None => {
                self.progress.step(true);
                None
            }
        }
    }
}

/// The stream that the SMTP client writes to.
pub(super) struct Transport {
    pub(super) stream: Stream,
    pub(super) valve: Valve,
}

impl fmt::Debug for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Transport")
    }
}

impl AsyncTokioStream for Transport {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.valve.is_shut() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
