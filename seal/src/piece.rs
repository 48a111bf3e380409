//! Frame of a piece (SPEC 3).
