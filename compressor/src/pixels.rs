//! Samples to bytes and back: the interface that a pixel coder fills (SPEC 3.2).
