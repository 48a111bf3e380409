//! zstd frames opened within a budget: by the reference library, or where there is no C, by a decoder in Rust (decision 0006).

#[cfg(feature = "native")]
mod native;
#[cfg(feature = "portable")]
pub mod portable;

#[cfg(not(any(feature = "native", feature = "portable")))]
compile_error!("compressor needs the feature native or portable, to open zstd frames");

#[cfg(feature = "native")]
pub(crate) use native::{Stream, decode, decode_at_most};
#[cfg(not(feature = "native"))]
pub(crate) use portable::{Stream, decode, decode_at_most};
