//! A row of either database, read by the names of its columns.

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgRow, PgValueRef};
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Decode, Error, Postgres, Row as _, Sqlite, Type, TypeInfo, ValueRef};

/// A row.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// The value of a column.
    ///
    /// # Panics
    /// Where there is no such column, or its type is another: the query is wrong.
    pub(crate) fn get<'r, T: Field<'r>, I>(&'r self, column: I) -> T
    where
        I: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>,
    {
        self.try_get(column).unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_get<'r, T: Field<'r>, I>(&'r self, column: I) -> Result<T, Error>
    where
        I: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => T::postgres(row.try_get_raw(column)?).map_err(Error::Decode),
        }
    }
}

/// What a column can be read as.
pub(crate) trait Field<'r>: Decode<'r, Sqlite> + Type<Sqlite> + Sized {
    fn postgres(value: PgValueRef<'r>) -> Result<Self, BoxDynError>;
}

impl<'r, T: Field<'r>> Field<'r> for Option<T> {
    fn postgres(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        if value.is_null() { Ok(None) } else { T::postgres(value).map(Some) }
    }
}

/// Whole numbers of whatever width: PostgreSQL gives literals and truth values types of their own.
fn integer(value: PgValueRef<'_>) -> Result<i64, BoxDynError> {
    match value.type_info().name() {
        "INT8" => Decode::<Postgres>::decode(value),
        "INT4" => <i32 as Decode<Postgres>>::decode(value).map(i64::from),
        "BOOL" => <bool as Decode<Postgres>>::decode(value).map(i64::from),
        other => Err(format!("no whole number, but {other}").into()),
    }
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Field<'_> for $type {
            fn postgres(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
                Ok(Self::try_from(integer(value)?)?)
            }
        }
    )*};
}
integers!(i64 i32 u32 u16 u8);

impl Field<'_> for bool {
    fn postgres(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(integer(value)? != 0)
    }
}

macro_rules! as_they_are {
    ($($type:ty)*) => {$(
        impl<'r> Field<'r> for $type {
            fn postgres(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
                if !<Self as Type<Postgres>>::compatible(&value.type_info()) {
                    return Err(format!("not of type {}", value.type_info()).into());
                }
                Decode::<Postgres>::decode(value)
            }
        }
    )*};
}
as_they_are!(String &'r str Vec<u8> &'r [u8]);
