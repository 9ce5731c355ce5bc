//! One statement on an open connection, the same for every kind of database.
//!
//! In: values to bind, what the library streams back, and how a kind of database writes one value.
//! Out: rows as JSON objects in the sink, and how many rows the statement touched. What never
//! happens here: a value that is read as what its column no longer is, since the first row tells
//! what each is; or a connection that is left in the middle of an answer. What comes beyond a page,
//! a row at most, is read and dropped, so that the next statement finds the connection free.

use futures::{Stream, StreamExt, pin_mut};
use sqlx::error::BoxDynError;
use sqlx::{Arguments, ColumnIndex, Database, Either, Encode, Row, Type, TypeInfo};

use super::{Column, Flow, Kind, Sink, SourceError};
use crate::statement::Bound;

/// How a kind of database tells of its values.
pub(super) struct Values<DB: Database, C> {
    /// Writes a value as JSON.
    pub(super) cell: C,
    /// Whether values of the type are what is known of the column.
    pub(super) fits: fn(&Column, &DB::TypeInfo) -> bool,
    /// What an error of the library means.
    pub(super) failed: fn(sqlx::Error) -> SourceError,
}

/// The rows that a statement answers, into the sink.
pub(super) async fn rows<R, C>(
    stream: impl Stream<Item = Result<Either<u64, R>, sqlx::Error>> + Send,
    columns: &[&Column],
    sink: &mut dyn Sink,
    values: Values<R::Database, C>,
) -> Result<u64, SourceError>
where
    R: Row,
    C: Cell<R::Database>,
    usize: ColumnIndex<R>,
{
    pin_mut!(stream);
    let Values { cell, fits, failed } = values;
    let mut touched = 0;
    let mut is_first = true;
    let mut is_enough = false;
    while let Some(next) = stream.next().await {
        let row = match next.map_err(failed)? {
            Either::Left(rows) => {
                touched += rows;
                continue;
            }
            Either::Right(_) if is_enough => continue,
            Either::Right(row) => row,
        };
        if std::mem::take(&mut is_first) {
            known(&row, columns, fits)?;
        }
        write(sink.buffer(), &row, columns, &cell).map_err(failed)?;
        drop(row);
        match sink.row() {
            Flow::More => {}
            Flow::Full => sink.flush().await?,
            Flow::Enough => is_enough = true,
        }
    }
    Ok(touched)
}

/// A row's types are those of the columns.
fn known<R: Row>(
    row: &R,
    columns: &[&Column],
    fits: fn(&Column, &<R::Database as Database>::TypeInfo) -> bool,
) -> Result<(), SourceError> {
    for (column, found) in columns.iter().zip(row.columns()) {
        let found = sqlx::Column::type_info(found);
        if !fits(column, found) {
            let reason = format!("`{}` is of the type {} now", column.name, found.name());
            return Err(SourceError::Changed { reason });
        }
    }
    Ok(())
}

/// Writes a value as JSON.
pub(super) trait Cell<DB: Database>:
    Fn(&mut Vec<u8>, Kind, DB::ValueRef<'_>) -> Result<(), BoxDynError> + Send + Sync
{
}

impl<DB: Database, F> Cell<DB> for F where
    F: Fn(&mut Vec<u8>, Kind, DB::ValueRef<'_>) -> Result<(), BoxDynError> + Send + Sync
{
}

fn write<R: Row>(
    out: &mut Vec<u8>,
    row: &R,
    columns: &[&Column],
    cell: &impl Cell<R::Database>,
) -> Result<(), sqlx::Error>
where
    usize: ColumnIndex<R>,
{
    out.push(b'{');
    for (at, column) in columns.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&column.label);
        cell(out, column.kind, row.try_get_raw(at)?).map_err(sqlx::Error::Decode)?;
    }
    out.push(b'}');
    Ok(())
}

/// The values of a statement; `texts` binds a list in the way of the database.
pub(super) fn arguments<A: Arguments>(
    values: &[Bound],
    texts: impl Fn(&mut A, &[String]) -> Result<(), BoxDynError>,
) -> Result<A, SourceError>
where
    bool: for<'t> Encode<'t, A::Database> + Type<A::Database>,
    i64: for<'t> Encode<'t, A::Database> + Type<A::Database>,
    f64: for<'t> Encode<'t, A::Database> + Type<A::Database>,
    for<'t> &'t str: Encode<'t, A::Database> + Type<A::Database>,
    for<'t> Option<&'t str>: Encode<'t, A::Database> + Type<A::Database>,
    for<'t> &'t [u8]: Encode<'t, A::Database> + Type<A::Database>,
{
    let mut arguments = A::default();
    for value in values {
        let added = match value {
            Bound::Null => arguments.add(None::<&str>),
            Bound::Bool(value) => arguments.add(*value),
            Bound::Int(value) => arguments.add(*value),
            Bound::Float(value) => arguments.add(*value),
            Bound::Text(value) => arguments.add(value.as_str()),
            Bound::Bytes(value) => arguments.add(value.as_slice()),
            Bound::Texts(values) => texts(&mut arguments, values),
        };
        added.map_err(|error| SourceError::Failed { reason: error.to_string() })?;
    }
    Ok(arguments)
}

/// A list as the text of a JSON array, for databases without lists.
pub(super) fn json_texts<A: Arguments>(
    arguments: &mut A,
    values: &[String],
) -> Result<(), BoxDynError>
where
    String: for<'t> Encode<'t, A::Database> + Type<A::Database>,
{
    arguments.add(serde_json::Value::from(values).to_string())
}
