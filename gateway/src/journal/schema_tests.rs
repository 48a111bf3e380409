//! Both databases have the same schema: tables, columns, keys, indexes, foreign keys, checks and triggers.
#![allow(clippy::unwrap_used)]

use super::Database;
use super::tests::earlier;
use super::tests_postgres::on_server;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions, Row, SqlitePool};
use std::collections::{BTreeMap, BTreeSet};

/// What PostgreSQL alone has: of SQLite's journal the lock of its folder says which gateway works with it.
const OF_POSTGRES: &str = "gateway_start";

/// Partial and unique, and the columns. That of a constraint has another name in each.
fn index(table: &str, name: Option<&str>, unique: bool, partial: bool, columns: &str) -> String {
    format!(
        "index {} on {table} unique {unique} partial {partial} ({columns})",
        name.unwrap_or("of a constraint")
    )
}

fn column(table: &str, name: &str, kind: &str, not_null: bool, default: Option<&str>) -> String {
    format!("column {table}.{name} {kind} not null {not_null} default {default:?}")
}

async fn of_sqlite(pool: &SqlitePool) -> BTreeSet<String> {
    let mut schema = BTreeSet::new();
    let all = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' AND name <> '_sqlx_migrations'";
    for row in sqlx::query(all).fetch_all(pool).await.unwrap() {
        let (kind, name): (&str, &str) = (row.get("type"), row.get("name"));
        match kind {
            "trigger" => drop(schema.insert(format!("trigger {name}"))),
            "table" => {
                schema.insert(format!(
                    "checks {name} {}",
                    row.get::<&str, _>("sql").matches("CHECK (").count()
                ));
                schema.extend(table_of_sqlite(pool, name).await);
            }
            _ => {}
        }
    }
    schema
}

async fn table_of_sqlite(pool: &SqlitePool, table: &str) -> Vec<String> {
    let ask = async |sql: String| sqlx::query(AssertSqlSafe(sql)).fetch_all(pool).await.unwrap();
    let (mut lines, mut key) = (Vec::new(), BTreeMap::new());
    for row in ask(format!("PRAGMA table_info({table})")).await {
        let kind = match row.get("type") {
            "INTEGER" => "bigint",
            "TEXT" => "text C",
            "BLOB" => "bytea",
            other => panic!("{other}"),
        };
        let name: String = row.get("name");
        lines.push(column(table, &name, kind, row.get("notnull"), row.get("dflt_value")));
        key.insert(row.get::<i64, _>("pk"), name);
    }
    key.remove(&0);
    lines.push(format!("key of {table} ({})", key.into_values().collect::<Vec<_>>().join(", ")));
    for row in ask(format!("PRAGMA index_list({table})")).await {
        let (name, origin): (&str, &str) = (row.get("name"), row.get("origin"));
        let columns = ask(format!("PRAGMA index_info({name})")).await;
        let columns = columns.iter().map(|row| row.get::<&str, _>("name")).collect::<Vec<_>>().join(", ");
        if origin != "pk" {
            let name = (origin == "c").then_some(name);
            lines.push(index(table, name, row.get("unique"), row.get("partial"), &columns));
        }
    }
    let mut foreign: BTreeMap<i64, (Vec<String>, String, Vec<String>, String)> = BTreeMap::new();
    for row in ask(format!("PRAGMA foreign_key_list({table})")).await {
        let one = foreign.entry(row.get("id")).or_default();
        (one.1, one.3) = (row.get("table"), row.get("on_delete"));
        one.0.push(row.get("from"));
        one.2.push(row.get("to"));
    }
    for (from, to, columns, on_delete) in foreign.into_values() {
        lines.push(format!("{table} ({}) to {to} ({}) {on_delete}", from.join(", "), columns.join(", ")));
    }
    lines
}

async fn of_postgres(connection: &mut PgConnection) -> BTreeSet<String> {
    const COLUMNS_OF: &str = "(SELECT string_agg(a.attname, ', ' ORDER BY k.n) FROM unnest(KEYS::int2[]) WITH ORDINALITY AS k (number, n)
         JOIN pg_attribute a ON a.attrelid = TABLE_ID AND a.attnum = k.number)";
    let columns_of = |keys: &str, table: &str| COLUMNS_OF.replace("KEYS", keys).replace("TABLE_ID", table);
    let mut schema = BTreeSet::new();
    let columns = "SELECT table_name::text AS tab, column_name::text AS name, data_type::text AS kind, collation_name::text AS collation,
         is_nullable = 'NO' AS not_null, column_default::text AS initial FROM information_schema.columns WHERE table_schema = 'public'";
    for row in sqlx::query(columns).fetch_all(&mut *connection).await.unwrap() {
        let collation: Option<&str> = row.get("collation");
        let kind = [Some(row.get("kind")), collation].into_iter().flatten().collect::<Vec<&str>>().join(" ");
        schema.insert(column(
            row.get("tab"),
            row.get("name"),
            &kind,
            row.get("not_null"),
            row.get("initial"),
        ));
    }
    let indexes = format!(
        "SELECT t.relname::text AS tab, i.relname::text AS name, x.indisunique AS is_unique, x.indisprimary AS is_key, x.indpred IS NOT NULL AS partial,
           EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.oid AND c.contype = 'u') AS of_constraint, {} AS columns
         FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid WHERE t.relnamespace = 'public'::regnamespace",
        columns_of("x.indkey", "t.oid")
    );
    for row in sqlx::query(AssertSqlSafe(indexes)).fetch_all(&mut *connection).await.unwrap() {
        let (table, columns): (&str, &str) = (row.get("tab"), row.get("columns"));
        let name = (!row.get::<bool, _>("of_constraint")).then(|| row.get("name"));
        schema.insert(match row.get("is_key") {
            true => format!("key of {table} ({columns})"),
            false => index(table, name, row.get("is_unique"), row.get("partial"), columns),
        });
    }
    let foreign = format!(
        "SELECT c.conrelid::regclass::text AS tab, {} AS columns, c.confrelid::regclass::text AS other, {} AS others,
           CASE c.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'a' THEN 'NO ACTION' END AS on_delete FROM pg_constraint c WHERE c.contype = 'f'",
        columns_of("c.conkey", "c.conrelid"),
        columns_of("c.confkey", "c.confrelid")
    );
    for row in sqlx::query(AssertSqlSafe(foreign)).fetch_all(&mut *connection).await.unwrap() {
        let word = |column| row.get::<&str, _>(column);
        let (table, other) = (word("tab"), word("other"));
        schema.insert(format!(
            "{table} ({}) to {other} ({}) {}",
            word("columns"),
            word("others"),
            word("on_delete")
        ));
    }
    let checks = "SELECT t.relname::text AS tab, (SELECT count(*) FROM pg_constraint c WHERE c.conrelid = t.oid AND c.contype = 'c') AS checks
         FROM pg_class t WHERE t.relkind = 'r' AND t.relnamespace = 'public'::regnamespace";
    for row in sqlx::query(checks).fetch_all(&mut *connection).await.unwrap() {
        schema.insert(format!("checks {} {}", row.get::<&str, _>("tab"), row.get::<i64, _>("checks")));
    }
    let triggers = "SELECT tgname::text FROM pg_trigger WHERE NOT tgisinternal";
    for row in sqlx::query(triggers).fetch_all(&mut *connection).await.unwrap() {
        schema.insert(format!("trigger {}", row.get::<&str, _>(0)));
    }
    schema.retain(|line| !line.contains(OF_POSTGRES) && !line.contains("_sqlx_migrations"));
    schema
}

#[tokio::test]
async fn both_databases_have_the_same_schema() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let Some(database) = on_server(&folder) else { return };
    let sqlite = of_sqlite(&earlier(&path, 0..i64::MAX).await).await;
    database.open().await.unwrap();
    let Database::Postgres(server) = database else { panic!() };
    let mut connection = server.options.connect().await.unwrap();
    let differ = |postgres: &BTreeSet<String>| -> Vec<String> {
        sqlite.symmetric_difference(postgres).cloned().collect()
    };
    assert_eq!(differ(&of_postgres(&mut connection).await), [""; 0]);
    assert!(sqlite.len() > 300, "{}", sqlite.len());
    // What the comparison sees: of each kind one thing that is missing.
    for change in [
        "ALTER TABLE delivery DROP COLUMN remark",
        "ALTER TABLE instance ALTER COLUMN modality SET NOT NULL",
        "DROP INDEX delivery_residual",
        "ALTER TABLE notice DROP CONSTRAINT notice_delivery_id_doctor_fkey",
        "ALTER TABLE duty_test DROP CONSTRAINT duty_test_kind_check",
        "DROP TRIGGER recipient_opens ON recipient",
    ] {
        let before = of_postgres(&mut connection).await;
        sqlx::query(change).execute(&mut connection).await.unwrap();
        assert_ne!(of_postgres(&mut connection).await, before, "{change}");
    }
}

#[test]
fn migrations_come_in_pairs_since_there_are_two_databases() {
    let later = |migrator: &sqlx::migrate::Migrator| -> Vec<i64> {
        migrator.iter().map(|one| one.version).filter(|version| *version >= 180).collect()
    };
    assert_eq!(later(&super::MIGRATOR), later(&super::sql::MIGRATOR_POSTGRES));
}
