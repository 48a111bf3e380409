//! What the technician's page and the doctors' portal have in common: connections, passwords, one-time codes, and waits for who tries
//! them. Knows no study, no mail and no database.

pub mod events;
mod linger;
pub mod password;
pub mod rooms;
pub mod server;
pub mod throttle;
pub mod totp;
