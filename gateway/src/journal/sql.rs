//! The journal's queries, written once for both databases: what is bound, where it runs, and what comes back.
//!
//! A truth value is a number, 0 or 1, in both. Where one that is bound stands as a condition, it is compared (`$3 = 1`).

mod pool;
mod row;
pub(super) mod server;

pub(super) use pool::{CHANGED, Connection, Pool, Transaction, sqlite_options};
#[cfg(test)]
pub(super) use pool::{CONNECTIONS_MAX, MIGRATOR_POSTGRES};
pub(super) use row::Row;

use super::JournalError;
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::sqlite::{Sqlite, SqliteArguments};
use sqlx::{Error, Executor, SqlSafeStr, SqlStr};
use std::pin::Pin;

/// What is bound to `$1`, `$2` and so on. Each is typed also where it is NULL, since PostgreSQL asks.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

macro_rules! value_from {
    ($($type:ty => $variant:ident, $owned:expr;)*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(Some($owned(value)))
            }
        }
        impl From<Option<$type>> for Value {
            fn from(value: Option<$type>) -> Self {
                Self::$variant(value.map($owned))
            }
        }
    )*};
}

value_from! {
    i64 => Integer, std::convert::identity;
    i32 => Integer, i64::from;
    u32 => Integer, i64::from;
    u16 => Integer, i64::from;
    u8 => Integer, i64::from;
    bool => Integer, i64::from;
    String => Text, std::convert::identity;
    &String => Text, String::clone;
    &str => Text, str::to_owned;
    Vec<u8> => Bytes, std::convert::identity;
    &[u8] => Bytes, <[u8]>::to_vec;
}

/// Where a statement runs: on any connection, alone, or in a transaction.
pub(super) enum On<'c> {
    Pool(&'c Pool),
    Connection(&'c mut Connection),
}

impl<'c> From<&'c Pool> for On<'c> {
    fn from(pool: &'c Pool) -> Self {
        Self::Pool(pool)
    }
}

impl<'c> From<&'c mut Connection> for On<'c> {
    fn from(connection: &'c mut Connection) -> Self {
        Self::Connection(connection)
    }
}

/// What a statement did.
pub(super) struct Done {
    affected: u64,
    rows: Vec<Row>,
}

impl Done {
    pub(super) fn rows_affected(&self) -> u64 {
        self.affected
    }
}

/// What a statement did, once it has.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<Done, JournalError>> + Send + 'a>>;

/// Which of its rows somebody waits for.
#[derive(Clone, Copy)]
enum Wanted {
    Nothing,
    First,
    All,
}

/// A statement with what is bound to it.
pub(super) struct Query {
    sql: SqlStr,
    values: Vec<Value>,
}

/// A statement in the SQL that both databases share.
pub(super) fn query(sql: impl SqlSafeStr) -> Query {
    Query { sql: sql.into_sql_str(), values: Vec::new() }
}

impl Query {
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    pub(super) async fn execute(self, on: impl Into<On<'_>>) -> Result<Done, JournalError> {
        self.run(Wanted::Nothing, on.into()).await
    }

    pub(super) async fn fetch_all(self, on: impl Into<On<'_>>) -> Result<Vec<Row>, JournalError> {
        Ok(self.run(Wanted::All, on.into()).await?.rows)
    }

    pub(super) async fn fetch_optional(self, on: impl Into<On<'_>>) -> Result<Option<Row>, JournalError> {
        Ok(self.run(Wanted::First, on.into()).await?.rows.pop())
    }

    pub(super) async fn fetch_one(self, on: impl Into<On<'_>>) -> Result<Row, JournalError> {
        self.fetch_optional(on).await?.ok_or(JournalError::Sql(Error::RowNotFound))
    }

    /// On the heap: what waits for a statement holds no more than a pointer, however deep it is nested.
    fn run(self, wanted: Wanted, on: On<'_>) -> Answer<'_> {
        Box::pin(async move {
            match on {
                On::Connection(connection) => connection.run(self, wanted).await,
                On::Pool(Pool::Sqlite(pool)) => self.on_sqlite(wanted, pool).await.map_err(JournalError::Sql),
                On::Pool(Pool::Postgres(pool)) if self.reads() => {
                    pool.answered(self.on_postgres(wanted, &pool.connections)).await
                }
                On::Pool(pool @ Pool::Postgres(_)) => {
                    let mut transaction = pool.begin_writing().await?;
                    let done = transaction.run(self, wanted).await?;
                    transaction.commit().await?;
                    Ok(done)
                }
            }
        })
    }

    async fn on_sqlite(
        self,
        wanted: Wanted,
        on: impl Executor<'_, Database = Sqlite>,
    ) -> Result<Done, Error> {
        let query = self.sqlite();
        let (affected, rows) = match wanted {
            Wanted::Nothing => (query.execute(on).await?.rows_affected(), Vec::new()),
            Wanted::First => (0, query.fetch_optional(on).await?.into_iter().map(Row::Sqlite).collect()),
            Wanted::All => (0, query.fetch_all(on).await?.into_iter().map(Row::Sqlite).collect()),
        };
        Ok(Done { affected, rows })
    }

    async fn on_postgres(
        self,
        wanted: Wanted,
        on: impl Executor<'_, Database = Postgres>,
    ) -> Result<Done, Error> {
        let query = self.postgres();
        let (affected, rows) = match wanted {
            Wanted::Nothing => (query.execute(on).await?.rows_affected(), Vec::new()),
            Wanted::First => (0, query.fetch_optional(on).await?.into_iter().map(Row::Postgres).collect()),
            Wanted::All => (0, query.fetch_all(on).await?.into_iter().map(Row::Postgres).collect()),
        };
        Ok(Done { affected, rows })
    }

    /// Whether it changes nothing. PostgreSQL itself refuses a change by one for which this says so (`default_transaction_read_only`).
    fn reads(&self) -> bool {
        let sql = self.sql.as_str().trim_start();
        sql.starts_with("SELECT") || sql.starts_with("WITH")
    }

    fn sqlite(self) -> sqlx::query::Query<'static, Sqlite, SqliteArguments> {
        let mut query = sqlx::query::<Sqlite>(self.sql);
        for value in self.values {
            query = match value {
                Value::Integer(integer) => query.bind(integer),
                Value::Text(text) => query.bind(text),
                Value::Bytes(bytes) => query.bind(bytes),
            };
        }
        query
    }

    fn postgres(self) -> sqlx::query::Query<'static, Postgres, PgArguments> {
        let mut query = sqlx::query::<Postgres>(without_hints(self.sql));
        for value in self.values {
            query = match value {
                Value::Integer(integer) => query.bind(integer),
                Value::Text(text) => query.bind(text.map(without_nul)),
                Value::Bytes(bytes) => query.bind(bytes),
            };
        }
        query
    }
}

/// PostgreSQL keeps no NUL in text. None is in what the journal writes by itself, but in what a broken modality says of itself there may be.
fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text }
}

/// SQLite is told by `CROSS JOIN` in which order to go, and by `INDEXED BY` along which index. PostgreSQL knows by its statistics.
fn without_hints(sql: SqlStr) -> SqlStr {
    if !sql.as_str().contains("CROSS JOIN") && !sql.as_str().contains("INDEXED BY") {
        return sql;
    }
    let plain = sql.as_str().replace("CROSS JOIN", "JOIN");
    let mut parts = plain.split(" INDEXED BY ");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (_index, rest) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
        whole.push(' ');
        whole.push_str(rest);
    }
    sqlx::AssertSqlSafe(whole).into_sql_str()
}
