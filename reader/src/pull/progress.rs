//! A bar for people who wait; nothing where nobody watches.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal as _;

/// Shows how far a delivery has come.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar on standard error where that is a terminal.
    pub fn on_terminal() -> Self {
        let bar =
            if std::io::stderr().is_terminal() { ProgressBar::no_length() } else { ProgressBar::hidden() };
        Self { bar }
    }

    /// Begins a step of `bytes` bytes.
    pub(crate) fn fetching(&self, bytes: u64) {
        self.begin("fetch {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}", bytes);
    }

    /// Begins a step of `instances` instances.
    pub(crate) fn unpacking(&self, instances: u64) {
        self.begin("unpack {wide_bar} {pos}/{len} instances", instances);
    }

    /// Begins a step of `objects` objects.
    pub(crate) fn forwarding(&self, objects: u64) {
        self.begin("forward {wide_bar} {pos}/{len} images", objects);
    }

    /// `count` more of what the step counts.
    pub(crate) fn advance(&self, count: u64) {
        self.bar.inc(count);
    }

    /// Takes the bar away, so that a line can be printed.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn begin(&self, template: &str, length: u64) {
        // The templates above are constant: one that did not parse would leave the plain bar.
        self.bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        self.bar.reset();
        self.bar.set_length(length);
    }
}
