//! CMS structures of cover and receipt (RFC 5652, 5083, 5753), without cryptography.
