//! The roster, as it is kept.

use super::account::{AccountAct, note};
use super::sql::{self, Row, Transaction};
use super::{Actor, Journal, JournalError};
use crate::roster::{Days, Duty, Roster, When};

/// A change of the roster.
#[derive(Clone, Debug)]
pub enum RosterChange {
    /// Further duties.
    Add(Vec<Duty>),
    /// These duties instead of all others.
    Replace(Vec<Duty>),
    /// No more the duty of this number.
    Remove(i64),
    /// A group's doctors in their order; without any there is no such group.
    Group(String, Vec<String>),
}

impl Journal {
    /// The roster, each duty with its number.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn roster(&self) -> Result<(Roster, Vec<i64>), JournalError> {
        let mut roster = Roster::default();
        for row in sql::query("SELECT name, doctor FROM roster_group ORDER BY name, position")
            .fetch_all(&self.pool)
            .await?
        {
            roster.groups.entry(row.get("name")).or_default().push(row.get("doctor"));
        }
        let rows = sql::query("SELECT * FROM roster_duty ORDER BY from_time IS NOT NULL, from_time, id");
        let rows = rows.fetch_all(&self.pool).await?;
        roster.duties = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok((roster, rows.iter().map(|row| row.get("id")).collect()))
    }

    /// Changes it.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn change_roster(&self, change: &RosterChange, actor: Actor<'_>) -> Result<(), JournalError> {
        let mut transaction = self.pool.begin_writing().await?;
        match change {
            RosterChange::Add(duties) => insert(&mut transaction, duties).await?,
            RosterChange::Replace(duties) => {
                sql::query("DELETE FROM roster_duty").execute(&mut *transaction).await?;
                insert(&mut transaction, duties).await?;
            }
            RosterChange::Remove(id) => {
                sql::query("DELETE FROM roster_duty WHERE id = $1")
                    .bind(*id)
                    .execute(&mut *transaction)
                    .await?;
            }
            RosterChange::Group(name, doctors) => {
                sql::query("DELETE FROM roster_group WHERE name = $1")
                    .bind(name)
                    .execute(&mut *transaction)
                    .await?;
                for (position, doctor) in (0_i64..).zip(doctors) {
                    sql::query("INSERT INTO roster_group (name, position, doctor) VALUES ($1, $2, $3)")
                        .bind(name)
                        .bind(position)
                        .bind(doctor)
                        .execute(&mut *transaction)
                        .await?;
                }
            }
        }
        note(&mut transaction, AccountAct::Roster, "roster", actor).await?;
        transaction.commit().await?;
        Ok(())
    }
}

async fn insert(transaction: &mut Transaction, duties: &[Duty]) -> Result<(), JournalError> {
    for duty in duties {
        let query = sql::query(
            "INSERT INTO roster_duty (who, days, from_minute, to_minute, first_date, last_date, from_time, to_time)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(&duty.who);
        let query = match &duty.when {
            When::Weekly { days, from, to, first, last } => query
                .bind(days.0)
                .bind(*from)
                .bind(*to)
                .bind(first.map(|date| date.to_string()))
                .bind(last.map(|date| date.to_string()))
                .bind(None::<String>)
                .bind(None::<String>),
            When::Once { from, to } => query
                .bind(None::<u8>)
                .bind(None::<u16>)
                .bind(None::<u16>)
                .bind(None::<String>)
                .bind(None::<String>)
                .bind(from.to_string())
                .bind(to.to_string()),
        };
        query.execute(&mut **transaction).await?;
    }
    Ok(())
}

fn read(row: &Row) -> Result<Duty, JournalError> {
    let unknown = |_| JournalError::Unknown("roster_duty");
    let date = |column| {
        let text: Option<String> = row.get(column);
        text.map(|text| text.parse().map_err(unknown)).transpose()
    };
    let when = match row.get::<Option<u8>, _>("days") {
        Some(days) => When::Weekly {
            days: Days(days),
            from: row.get("from_minute"),
            to: row.get("to_minute"),
            first: date("first_date")?,
            last: date("last_date")?,
        },
        None => When::Once {
            from: row.get::<&str, _>("from_time").parse().map_err(unknown)?,
            to: row.get::<&str, _>("to_time").parse().map_err(unknown)?,
        },
    };
    Ok(Duty { who: row.get("who"), when })
}
