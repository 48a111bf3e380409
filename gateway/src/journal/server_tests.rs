//! What a PostgreSQL server does for the journal: one writer, one gateway, nothing lost.
#![allow(clippy::unwrap_used)]

use super::sql::Pool;
use super::tests::instance;
use super::tests_postgres::on_server;
use super::*;
use sqlx::postgres::{PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// SQLSTATE of a write in a transaction that reads.
const READ_ONLY: &str = "25006";

async fn connection(database: &Database) -> PgConnection {
    let Database::Postgres(server) = database else { panic!("a server") };
    server.options.connect().await.unwrap()
}

fn code(error: &JournalError) -> String {
    let JournalError::Server(error) = error else { panic!("{error}") };
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned()
}

async fn wait_for_a_writer_that_waits(database: &Database) {
    let mut looking = connection(database).await;
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'";
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut looking).await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_server_of_another_machine_must_show_who_it_is() {
    let mode = |url: &str| match Database::postgres(url).ok() {
        Some(Database::Postgres(server)) => Some(server.options.get_ssl_mode()),
        _ => None,
    };
    for url in [
        "postgresql://scanpost:word@db.hospital.example/scanpost",
        "postgresql://scanpost:word@10.0.0.9:5433/scanpost?sslmode=disable",
        "postgres://scanpost:word@[fd00::9]/scanpost?sslmode=require",
    ] {
        assert!(matches!(mode(url), Some(PgSslMode::VerifyFull)), "{url}");
    }
    for url in [
        "postgresql://u@127.0.0.1/scanpost",
        "postgresql://u@localhost/scanpost",
        "postgresql:///scanpost?host=/run/postgresql&user=u",
    ] {
        assert!(matches!(mode(url), Some(PgSslMode::Prefer)), "{url}");
    }
    for url in ["postgresql://scanpost:word@db.hospital.example", "mysql://u@h/d", "scanpost", ""] {
        let words = Database::postgres(url).err().unwrap();
        assert!(!words.contains("word@"), "{words}");
    }
}

#[tokio::test]
async fn nothing_is_written_beside_the_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let Some(database) = on_server(&folder) else { return };
    let journal = Journal::open(database.clone()).await.unwrap();
    let beside = sql::query("WITH beside AS (UPDATE running SET ms = 7 RETURNING ms) SELECT ms FROM beside");
    assert_eq!(code(&beside.fetch_all(&journal.pool).await.err().unwrap()), READ_ONLY);
    let mut reading = journal.pool.begin_reading().await.unwrap();
    let beside = sql::query("UPDATE running SET ms = 7").execute(&mut *reading).await;
    assert_eq!(code(&beside.err().unwrap()), READ_ONLY);
    drop(reading);

    let other = Journal::open(database.clone()).await.unwrap();
    let first = journal.pool.begin_writing().await.unwrap();
    let second = tokio::spawn(async move { other.ran(5).await });
    wait_for_a_writer_that_waits(&database).await;
    assert!(!second.is_finished());
    first.commit().await.unwrap();
    second.await.unwrap().unwrap();
}

#[tokio::test]
async fn who_was_taken_over_from_writes_nothing_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let Some(database) = on_server(&folder) else { return };
    let (first, hold) = database.clone().take(Others::None).await.unwrap();
    let journal = Journal::open(first).await.unwrap();
    journal.record_instance(instance(1)).await.unwrap();
    assert!(matches!(database.clone().take(Others::None).await.err(), Some(JournalError::Held)));
    // As where its connection broke and it was stopped: another one starts before it has noticed.
    drop(hold);
    let (second, mut held) = database.clone().take(Others::None).await.unwrap();
    let other = Journal::open(second).await.unwrap();
    assert!(matches!(journal.record_instance(instance(2)).await, Err(JournalError::Lost)));
    assert!(matches!(journal.ran(1).await, Err(JournalError::Lost)));
    assert_eq!(journal.files().await.unwrap().len(), 1, "it may read");
    other.record_instance(instance(3)).await.unwrap();
    let beside = Journal::open_directory(database.clone()).await.unwrap();
    beside.ran(1).await.unwrap();
    // The one that holds it finds out when its number is an earlier one.
    let mut third = connection(&database).await;
    sqlx::query("UPDATE gateway_start SET number = number + 1").execute(&mut third).await.unwrap();
    assert!(matches!(held.lost().await, JournalError::Lost));
}

/// As when a gateway stood still: the server has ended its connection, and it looks again when another one has the lock.
#[tokio::test]
async fn who_stood_still_finds_out_that_another_one_has_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let Some(database) = on_server(&folder) else { return };
    let (_, mut held) = database.clone().take(Others::None).await.unwrap();
    let mut other = connection(&database).await;
    let end =
        "SELECT count(pg_terminate_backend(pid)) FROM pg_locks JOIN pg_database ON database = pg_database.oid
               WHERE datname = current_database() AND locktype = 'advisory'";
    assert_eq!(sqlx::query_scalar::<_, i64>(end).fetch_one(&mut other).await.unwrap(), 1);
    let (_, mut second) = database.clone().take(Others::None).await.unwrap();
    assert!(matches!(held.lost().await, JournalError::Lost));
    assert!(
        tokio::time::timeout(Duration::from_secs(3), second.lost()).await.is_err(),
        "the second one has it still"
    );
}

#[tokio::test]
async fn who_takes_over_waits_for_what_is_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let Some(database) = on_server(&folder) else { return };
    let (first, hold) = database.clone().take(Others::None).await.unwrap();
    let journal = Journal::open(first).await.unwrap();
    let mut writing = journal.pool.begin_writing().await.unwrap();
    sql::query("UPDATE running SET ms = 7").execute(&mut *writing).await.unwrap();
    drop(hold);
    let is_over = AtomicUsize::new(0);
    let second = async {
        let taken = database.clone().take(Others::None).await.unwrap();
        assert_eq!(is_over.load(Ordering::SeqCst), 1, "what was under way is over");
        taken
    };
    let first = async {
        wait_for_a_writer_that_waits(&database).await;
        is_over.store(1, Ordering::SeqCst);
        writing.commit().await.unwrap();
    };
    let ((second, _held), ()) = tokio::join!(second, first);
    let row =
        sql::query("SELECT ms FROM running").fetch_one(&Journal::open(second).await.unwrap().pool).await;
    assert_eq!(row.unwrap().get::<i64, _>(0), 7);
}

#[tokio::test]
async fn who_is_refused_leaves_the_schema_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let Some(database) = on_server(&folder) else { return };
    let (_first, _hold) = database.clone().take(Others::None).await.unwrap();
    let mut connection = connection(&database).await;
    sqlx::query("DELETE FROM _sqlx_migrations").execute(&mut connection).await.unwrap();
    assert!(matches!(database.clone().take(Others::None).await.err(), Some(JournalError::Held)));
    assert!(matches!(Journal::open(database.clone()).await.err(), Some(JournalError::Older)));
    let rows = sqlx::query("SELECT 1 FROM _sqlx_migrations").fetch_all(&mut connection).await.unwrap();
    assert!(rows.is_empty());
}

#[tokio::test]
async fn the_level_of_what_writes_and_the_limits_of_each_connection_are_ours() {
    let folder = tempfile::tempdir().unwrap();
    let Some(database) = on_server(&folder) else { return };
    let name =
        Journal::open(database.clone()).await.unwrap().setting("SELECT current_database()::text").await;
    let set = format!("ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'");
    sqlx::query(AssertSqlSafe(set)).execute(&mut connection(&database).await).await.unwrap();
    let journal = Journal::open(database).await.unwrap();
    let mut writing = journal.pool.begin_writing().await.unwrap();
    let level = sql::query("SELECT current_setting('transaction_isolation')").fetch_one(&mut *writing).await;
    assert_eq!(level.unwrap().get::<&str, _>(0), "read committed");
    drop(writing);
    for (setting, value) in [
        ("idle_in_transaction_session_timeout", "15s"),
        ("lock_timeout", "20s"),
        ("tcp_keepalives_idle", "5"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "2"),
    ] {
        assert_eq!(
            journal.setting(&format!("SELECT current_setting('{setting}')")).await,
            value,
            "{setting}"
        );
    }
}

/// Between the journal and its server.
#[derive(Clone, Default)]
struct Between {
    accepted: Arc<AtomicUsize>,
    /// What comes on this many connections, the first ones, goes nowhere.
    silent: Arc<AtomicUsize>,
}

impl Between {
    async fn to(server: u16) -> (Self, u16) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (between, port) = (Self::default(), listener.local_addr().unwrap().port());
        let accepting = between.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let number = accepting.accepted.fetch_add(1, Ordering::SeqCst);
                let server = tokio::net::TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                let (client, server) = (client.into_split(), server.into_split());
                tokio::spawn(accepting.clone().pass(number, client.0, server.1));
                tokio::spawn(accepting.clone().pass(number, server.0, client.1));
            }
        });
        (between, port)
    }

    async fn pass(self, number: usize, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut bytes).await {
            if number >= self.silent.load(Ordering::SeqCst) {
                to.write_all(bytes.get(..length).unwrap()).await.unwrap();
            }
        }
    }

    fn silence(&self) {
        self.silent.store(usize::MAX, Ordering::SeqCst);
    }

    /// Those that are there stay silent.
    fn let_others_talk(&self) {
        self.silent.store(self.accepted.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_any_more_is_left_for_a_new_connection() {
    let folder = tempfile::tempdir().unwrap();
    let Some(Database::Postgres(mut server)) = on_server(&folder) else { return };
    let (between, port) = Between::to(server.options.get_port()).await;
    server.options = server.options.port(port);
    server.answer_max = Duration::from_secs(3);
    let journal = Journal::open(Database::Postgres(server)).await.unwrap();
    let writing = journal.pool.begin_writing().await.unwrap();
    between.silence();
    assert!(matches!(writing.commit().await, Err(JournalError::Unclear(_))));
    assert!(matches!(journal.record_instance(instance(1)).await, Err(JournalError::Server(_))), "not begun");
    between.let_others_talk();
    journal.record_instance(instance(1)).await.unwrap();
    assert_eq!(journal.unfinished_after_silence().await.unwrap().len(), 1, "whatever is under way goes on");
}

#[test]
fn a_schema_that_the_server_could_not_be_asked_for_is_of_no_other_version() {
    use sqlx::migrate::MigrateError;
    let of = |error| JournalError::of_migration(error, JournalError::of_server);
    assert!(matches!(of(MigrateError::Execute(sqlx::Error::PoolTimedOut)), JournalError::Server(_)));
    assert!(matches!(
        of(MigrateError::ExecuteMigration(sqlx::Error::PoolTimedOut, 1)),
        JournalError::Server(_)
    ));
    assert!(matches!(of(MigrateError::VersionMissing(7)), JournalError::Migrate(_)));
}

#[tokio::test]
async fn a_server_that_loses_what_it_acknowledged_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let Some(database) = on_server(&folder) else { return };
    let journal = Journal::open(database.clone()).await.unwrap();
    let Pool::Postgres(pool) = &journal.pool else { panic!() };
    let name: String =
        sqlx::query_scalar("SELECT current_database()::text").fetch_one(pool.connections()).await.unwrap();
    for setting in ["off", "local"] {
        let set = AssertSqlSafe(format!("ALTER DATABASE {name} SET synchronous_commit = {setting}"));
        sqlx::query(set).execute(&mut connection(&database).await).await.unwrap();
        let refused = Journal::open(database.clone()).await.err().unwrap();
        assert!(matches!(refused, JournalError::Setting("synchronous_commit = on")), "{refused}");
        // Set so while a gateway works, as its next connection finds it.
        let unchecked = Journal::open_read_only(database.clone()).await.unwrap();
        let words = unchecked.ran(1).await.err().unwrap().to_string();
        assert!(words.contains("synchronous_commit is off: set it to on"), "{words}");
    }
    journal.ran(1).await.unwrap();
}

#[tokio::test]
async fn what_no_text_of_postgresql_can_hold_is_kept_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let Some(database) = on_server(&folder) else { return };
    let journal = Journal::open(database).await.unwrap();
    let odd = NewInstance { modality: Some("M\0R".into()), ..instance(1) };
    journal.record_instance(odd).await.unwrap();
    let row = sql::query("SELECT modality FROM instance").fetch_one(&journal.pool).await.unwrap();
    assert_eq!(row.get::<&str, _>(0), "M\u{FFFD}R");
}

#[tokio::test]
async fn a_commit_that_changed_something_is_told_of_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let Some(database) = on_server(&folder) else { return };
    let journal = Journal::open(database.clone()).await.unwrap();
    let mut told = changes(&database).await.unwrap();
    let mut listener = {
        let Database::Postgres(server) = &database else { panic!() };
        let pool = sqlx::PgPool::connect_with(server.options.clone()).await.unwrap();
        sqlx::postgres::PgListener::connect_with(&pool).await.unwrap()
    };
    listener.listen(sql::CHANGED).await.unwrap();
    assert!(!journal.cancel_nothing().await, "a statement that met no row");
    journal.record_instance(instance(1)).await.unwrap();
    told.changed().await.unwrap();
    let end = sqlx::query("SELECT pg_notify($1, 'end')").bind(sql::CHANGED);
    end.execute(&mut connection(&database).await).await.unwrap();
    let mut commits = 0;
    while listener.recv().await.unwrap().payload() != "end" {
        commits += 1;
    }
    assert_eq!(commits, 1, "the first one told of nothing");
}

impl Journal {
    async fn setting(&self, sql: &str) -> String {
        let row = sql::query(AssertSqlSafe(sql.to_owned())).fetch_one(&self.pool).await.unwrap();
        row.get::<&str, _>(0).to_owned()
    }

    /// Writes, and changes nothing.
    async fn cancel_nothing(&self) -> bool {
        let done = sql::query("DELETE FROM duty_test WHERE id = 0").execute(&self.pool).await.unwrap();
        done.rows_affected() > 0
    }
}
