//! The IMAPS client of both ends: connect, look for our messages by Message-ID, fetch in bounded parts, append.
//!
//! ```ignore
//! pub struct MailboxConfig { host, port, user, password, ca_file: Option<PathBuf> (private root instead of the system's), folders: Vec<String> }
//! impl Mailbox {
//!   pub async fn connect(&MailboxConfig) -> Result<Self, MailboxError>;           // implicit TLS 1.3/1.2 AEAD by rustls, LOGIN
//!   pub async fn covers(&mut self, site: Option<&str>) -> Result<Vec<Found>, _>;  // over all folders: Message-ID ends in ".cover@…"
//!   pub async fn parts_of(&mut self, delivery) -> Result<Vec<Found>, _>;          // every message of a delivery: pieces, cover, receipts
//!   pub async fn fetch_body(&mut self, &Found, sink: &mut dyn Write, bytes_max) -> Result<u64, _>; // BODY.PEEK[1]<o.n>, 1 MiB parts, base64 off
//!   pub async fn append(&mut self, folder, message: &[u8]) -> Result<(), _>;
//! }
//! ```
