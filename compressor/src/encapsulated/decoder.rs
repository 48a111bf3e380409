//! This side of the decoding process: starts it for one frame, and waits no longer than a frame of that size may take.

use super::request::{self, DECODED};
use super::{NotDecoded, Syntax, process};
use crate::dataset::ImageLayout;
use crate::limits::FRAME_DECODED_BYTES_MAX;
use crate::pixels;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ChildStdout;
use std::time::{Duration, Instant};

/// Hidden command of a program that runs [`super::child`].
pub const COMMAND: &str = "decode-frame";
/// Time for a frame, whatever its size: decoders take some milliseconds on a free machine.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Further time for each MiB of a frame: the slowest decoder does 20 of them in a second.
const TIME_PER_MIB: Duration = Duration::from_secs(1);

/// The program that decodes frames, each in a process of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameDecoder {
    program: PathBuf,
    time_max: Duration,
}

impl FrameDecoder {
    /// This program itself, which must run `child::run` when its first argument is [`COMMAND`]: the one that runs, also after an upgrade
    /// has put another into its place.
    pub fn of_this_program() -> Self {
        Self::of(process::THIS_PROGRAM.into())
    }

    /// Another program that has the command.
    pub fn of(program: PathBuf) -> Self {
        Self { program, time_max: TIME_MAX }
    }

    /// With another time for a frame, before what is allowed for its size.
    #[must_use]
    pub fn with_time_max(self, time_max: Duration) -> Self {
        Self { time_max, ..self }
    }

    /// Decodes the codestream of one frame of `layout`, which has one sample a pixel: native bytes, little endian, whole words
    /// sign-extended.
    ///
    /// # Errors
    /// [`NotDecoded`]; the process is gone in any case.
    pub fn decode(
        &self,
        syntax: Syntax,
        layout: &ImageLayout,
        codestream: &[u8],
    ) -> Result<Vec<u8>, NotDecoded> {
        let frame_bytes = pixels::frame_bytes(layout).filter(|_| layout.samples_per_pixel == 1);
        let frame_bytes = frame_bytes.ok_or(NotDecoded::Shape)?;
        if frame_bytes > FRAME_DECODED_BYTES_MAX {
            return Err(NotDecoded::TooLarge);
        }
        let frame_bytes = frame_bytes as usize;
        let deadline = Instant::now() + self.time_max + TIME_PER_MIB * (frame_bytes >> 20) as u32;
        let mut child = process::start(&self.program, COMMAND).map_err(|_| NotDecoded::Start)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let answer = std::thread::scope(|scope| {
            let (mut stdin, stdout) = pipes.ok_or(NotDecoded::Start)?;
            // Ends when all is written, or when the process is.
            scope.spawn(move || {
                let head = request::head(syntax, layout);
                stdin.write_all(&head).and_then(|()| stdin.write_all(codestream))
            });
            let answer = read(stdout, size_of_val(&DECODED) + frame_bytes, deadline);
            let _ = child.kill();
            answer
        });
        let _ = child.wait();
        request::frame(answer?, frame_bytes)
    }
}

/// Reads to the end, at most one byte more than `bytes`.
fn read(mut stdout: ChildStdout, bytes: usize, deadline: Instant) -> Result<Vec<u8>, NotDecoded> {
    let mut answer = vec![0; bytes + 1];
    let mut filled = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| NotDecoded::Failed)?;
        match poll(&mut [PollFd::new(&stdout, PollFlags::IN)], Some(&left)) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return Err(NotDecoded::Failed),
            Ok(0) => return Err(NotDecoded::Time),
            Ok(_) => {}
        }
        let count = stdout.read(answer.get_mut(filled..).unwrap_or_default());
        filled += count.as_ref().map_or(0, |count| *count);
        if count.map_err(|_| NotDecoded::Failed)? == 0 {
            answer.truncate(filled);
            return Ok(answer);
        }
    }
}
