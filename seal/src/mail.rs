//! Mail layout: constant headers, base64 in lines of 76 (SPEC 6).
//!
//! Sketch of what both ends use:
//! - `MessageId::piece(delivery, number, site)`, `::cover(delivery, site)`, `::receipt(delivery, kind, recipient, site)`; `Display` as `<…@…>`
//!   and `parse(&str) -> Option<(Site, Parsed)>`
//! - `Message { id, from, date, kind: PartKind, body_bytes }` with `encoded_bytes()` (exact octets on the wire, for SIZE) and
//!   `lines(reader: impl Read) -> impl Iterator<Item = io::Result<Vec<u8>>>` that streams headers and base64 in blocks of about 64 kB
//! - `Base64Decoder` that takes fetched parts of any cut, checks line geometry and gives back bytes
