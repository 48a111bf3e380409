//! The journal's tests on a PostgreSQL server, where `SCANPOST_TEST_POSTGRES` names one: a URL without a database, of a user who may make some.
//!
//! Every file that a test opens a journal in stands for a database of its own, the same one each time.
#![allow(clippy::unwrap_used)]

use super::Database;
use crate::hex::hex;
use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use std::path::Path;

/// The server of the tests; none where they are to run on SQLite.
pub(super) fn server() -> Option<String> {
    std::env::var("SCANPOST_TEST_POSTGRES").ok()
}

/// Where a test keeps the journal of this file.
pub(crate) fn database(path: &Path) -> Database {
    database_of(path).unwrap_or_else(|| Database::File(path.to_owned()))
}

/// A database for a test of the server itself, which says so where there is none.
pub(super) fn on_server(folder: &tempfile::TempDir) -> Option<Database> {
    let database = database_of(&folder.path().join("journal.sqlite"));
    if database.is_none() {
        println!("NOT RUN: SCANPOST_TEST_POSTGRES names no server");
    }
    database
}

/// The database that stands for a file.
fn database_of(path: &Path) -> Option<Database> {
    let server = server()?;
    let name = format!("t{}", &hex(&Sha256::digest(path.as_os_str().as_encoded_bytes()))[..32]);
    let url = format!("{server}/{name}");
    // In a thread of its own: a test has a runtime, and this is no place to wait in it.
    let made = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
            let there = sqlx::query("SELECT 1 FROM pg_database WHERE datname = $1").bind(&name);
            if there.fetch_optional(&mut connection).await.unwrap().is_none() {
                let make =
                    AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"));
                sqlx::query(make).execute(&mut connection).await.unwrap();
            }
            connection.close().await.unwrap();
        });
    });
    made.join().unwrap();
    Some(Database::postgres(&url).unwrap())
}
