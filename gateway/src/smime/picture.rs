//! This side of the rendering process: one image in, its JPEG or nothing out, within a time.

use super::render::{COMMAND, FILE_BYTES_MAX, THUMBNAIL_COMMAND};
use compressor::encapsulated::process;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Largest picture, in bytes: one of 4,096 × 4,096 noisy pixels has less.
const PICTURE_BYTES_MAX: u64 = 8 << 20;
/// Time for one image: the largest takes about a second on a free machine.
const TIME_MAX: Duration = Duration::from_secs(20);

/// The program that renders images, each in a process of its own.
#[derive(Clone, Debug)]
pub struct Renderer {
    program: PathBuf,
    time_max: Duration,
}

impl Renderer {
    /// This program itself, which must run [`super::render::run`] when its first argument is [`COMMAND`].
    pub fn of_this_program() -> Self {
        Self::of(process::THIS_PROGRAM.into())
    }

    /// Another program that has the command.
    pub fn of(program: PathBuf) -> Self {
        Self { program, time_max: TIME_MAX }
    }

    /// The middle frame of a DICOM file as a JPEG; none for what has no picture, or none within memory and time.
    ///
    /// # Errors
    /// The process could not be started; `InvalidData` for a file that turned out to be damaged.
    pub fn picture(&self, file: &mut (dyn Read + Send), bytes: u64) -> io::Result<Option<Vec<u8>>> {
        self.run(COMMAND, file, bytes)
    }

    /// The same, with at most 128 pixels a side.
    ///
    /// # Errors
    /// As [`Renderer::picture`].
    pub fn thumbnail(&self, file: &mut (dyn Read + Send), bytes: u64) -> io::Result<Option<Vec<u8>>> {
        self.run(THUMBNAIL_COMMAND, file, bytes)
    }

    fn run(&self, command: &str, file: &mut (dyn Read + Send), bytes: u64) -> io::Result<Option<Vec<u8>>> {
        if bytes > FILE_BYTES_MAX {
            return Ok(None);
        }
        let mut child = process::start(&self.program, command)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let answer = thread::scope(|scope| {
            let (mut stdin, stdout) = pipes?;
            let (sender, answer) = mpsc::channel();
            // Both end when the process does.
            let copied = scope.spawn(move || io::copy(file, &mut stdin));
            scope.spawn(move || {
                let mut jpeg = Vec::new();
                let read = stdout.take(PICTURE_BYTES_MAX + 1).read_to_end(&mut jpeg);
                let _ = sender.send(read.map(|_| jpeg));
            });
            let answer = answer.recv_timeout(self.time_max);
            let _ = child.kill();
            match copied.join() {
                // A process that wants no more of it is no error.
                Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => Some(Err(error)),
                _ => answer.ok()?.ok().map(Ok),
            }
        });
        let _ = child.wait();
        Ok(answer.transpose()?.filter(|jpeg| !jpeg.is_empty() && jpeg.len() as u64 <= PICTURE_BYTES_MAX))
    }
}
