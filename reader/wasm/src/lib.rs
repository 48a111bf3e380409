//! What runs in the doctor's browser: numbers in, numbers out, no bindings to generate.
//!
//! The page asks for room ([`scanpost_input`]), writes bytes there, calls, and reads what [`scanpost_output`] and
//! [`scanpost_output_bytes`] name. Nothing the page passes is taken for an address, so there is nothing to get wrong in here. A pointer
//! holds until the next call.
//!
//! Five modules are built from it: the parsers of what is sealed ([`opening`], [`study`]), small, for the page; what a [`device`] signs and a link's
//! [`passphrase`], and reports and [`documents`], which the page fetches when they are asked for; the pixel [`decoder`], fast, for the workers, and for these too that of
//! [`pictures`] which came compressed. One instance is one worker, with one input and one output.

// Names that a page can find are all that is unsafe here: `no_mangle` could clash with another symbol of the same name.
#![allow(unsafe_code)]

#[cfg(feature = "decoder")]
pub mod decoder;
#[cfg(feature = "device")]
pub mod device;
#[cfg(feature = "documents")]
pub mod documents;
#[cfg(any(feature = "parser", feature = "documents"))]
mod headers;
#[cfg(feature = "parser")]
pub mod opening;
#[cfg(feature = "device")]
pub mod passphrase;
#[cfg(feature = "pictures")]
pub mod pictures;
#[cfg(feature = "question")]
pub mod question;
#[cfg(feature = "parser")]
pub mod study;

use std::cell::RefCell;

/// What one call may need: the index of a million segments. A slab's references and both of its parts are less.
const INPUT_BYTES_MAX: usize = 48 << 20;

/// It worked.
const OK: i32 = 0;

#[derive(Default)]
struct Worker {
    input: Vec<u8>,
    output: Vec<u8>,
}

thread_local! {
    static WORKER: RefCell<Worker> = RefCell::default();
}

fn with<T>(work: impl FnOnce(&mut Worker) -> T) -> T {
    WORKER.with_borrow_mut(work)
}

/// Room for `bytes` bytes of input. Null where that is more than a call can need.
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_input(bytes: usize) -> *mut u8 {
    if bytes > INPUT_BYTES_MAX {
        return std::ptr::null_mut();
    }
    with(|worker| {
        worker.input.resize(bytes, 0);
        worker.input.as_mut_ptr()
    })
}

/// Where the output lies.
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_output() -> *const u8 {
    with(|worker| worker.output.as_ptr())
}

/// Its length.
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_output_bytes() -> usize {
    with(|worker| worker.output.len())
}
