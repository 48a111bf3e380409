//! Where each segment lies (SPEC 4).
