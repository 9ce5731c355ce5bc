//! One record's bytes, walked once, as cells and child rows.
//!
//! In: the JSON text of a record and the shape so far. Out: a flat tape of rows and typed cells
//! that point into the record, or an error that leaves every table as it was: nothing is appended
//! to a column before the whole record has been read and checked.
//!
//! There is no tree of values and no allocation per value: keys are recognized by the order of the
//! record before, strings without escapes stay where they are, and the tape is used again for the
//! next record. Only an object that repeats a key is read twice: its text is first written out
//! again with the last value of each key.

use jiter::{Jiter, Peek};
use restway_model::{ColumnType, TableName};
use serde_json::value::RawValue;

use crate::error::TableError;
use crate::infer::{Decimal, FLOAT_INTEGER_MAX, Number, Written, decimal, number, written};
use crate::raw::{compact, skip, without_repeats};
use crate::shape::{At, Shape};

/// How much of a value an error shows, in characters.
const SAMPLE_CHARACTERS: usize = 60;

/// Where a text lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Span {
    source: Source,
    start: u32,
    end: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Source {
    Record,
    Unescaped,
    Carried,
}

/// A scalar, with the text that it was read from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64, Span),
    Decimal(Decimal, Span),
    /// A number that is exact only as text.
    Number(Span),
    Date(i32, Span),
    Timestamp(i64, Span),
    Text(Span),
    /// An object or list, or whatever a JSON column takes as it stands.
    Json(Span),
}

impl Cell {
    /// The narrowest column that takes it.
    pub(crate) fn kind(&self) -> ColumnType {
        match self {
            Self::Null => ColumnType::Null,
            Self::Bool(_) => ColumnType::Bool,
            Self::Int(_) => ColumnType::Int64,
            Self::Float(..) => ColumnType::Float64,
            Self::Decimal(Decimal { precision, scale, .. }, _) => {
                ColumnType::Decimal { precision: *precision, scale: *scale }
            }
            Self::Number(_) | Self::Text(_) => ColumnType::Text,
            Self::Date(..) => ColumnType::Date,
            Self::Timestamp(..) => ColumnType::Timestamp,
            Self::Json(_) => ColumnType::Json,
        }
    }

    /// Whether it is an integer that a double would round.
    pub(crate) fn is_wide(&self) -> bool {
        matches!(self, Self::Int(value) if value.unsigned_abs() > FLOAT_INTEGER_MAX)
    }
}

/// A row of the record's own table or of a child table.
#[derive(Debug)]
pub(crate) struct TapeRow {
    pub(crate) table: usize,
    /// The row it belongs to; the first row belongs to itself.
    pub(crate) parent: usize,
    pub(crate) index: i64,
}

/// A value of one row.
#[derive(Debug)]
pub(crate) struct TapeCell {
    pub(crate) row: usize,
    pub(crate) column: usize,
    pub(crate) cell: Cell,
}

/// One record, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    pub(crate) rows: Vec<TapeRow>,
    pub(crate) cells: Vec<TapeCell>,
    unescaped: String,
    buffer: Vec<u8>,
    /// The record once more when it repeated a key.
    rewritten: Vec<u8>,
    is_rewritten: bool,
}

impl Tape {
    /// The text of a span.
    pub(crate) fn text<'a>(&'a self, span: Span, record: &'a [u8], carried: &'a str) -> &'a str {
        let range = span.start as usize..span.end as usize;
        match span.source {
            Source::Record if self.is_rewritten => plain(&self.rewritten[range]),
            Source::Record => plain(&record[range]),
            Source::Unescaped => &self.unescaped[range],
            Source::Carried => &carried[range],
        }
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.cells.clear();
        self.unescaped.clear();
        self.is_rewritten = false;
    }
}

/// Bytes that were checked to be UTF-8 when they were read.
fn plain(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Values that the caller adds to every record, read once for many records.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    pub(crate) text: String,
    pub(crate) cells: Vec<(usize, Cell)>,
}

impl Carried {
    /// Finds the columns and types of `values`.
    pub(crate) fn read(
        shape: &mut Shape,
        values: &[(String, Box<RawValue>)],
    ) -> Result<Self, TableError> {
        let mut carried = Self::default();
        for (name, value) in values {
            let column = shape.carried_column(name)?;
            let start = carried.text.len() as u32;
            let json = value.get();
            match serde_json::from_str::<String>(json) {
                Ok(text) => carried.text.push_str(&text),
                Err(_) => carried.text.push_str(json),
            }
            let end = carried.text.len() as u32;
            let span = Span { source: Source::Carried, start, end };
            let text = &carried.text[start as usize..];
            let cell = match json.as_bytes().first() {
                Some(b'n') => Cell::Null,
                Some(b't' | b'f') => Cell::Bool(json == "true"),
                Some(b'"') => text_cell(text, span),
                Some(b'{' | b'[') => Cell::Json(span),
                _ => number_cell(text, span),
            };
            carried.cells.push((column, cell));
        }
        Ok(carried)
    }
}

/// Why a walk ended early.
pub(crate) enum Stop {
    /// An object repeats a key.
    Repeats,
    Failed(TableError),
    Json(jiter::JiterError),
    Utf8,
    TooDeep,
}

impl From<TableError> for Stop {
    fn from(error: TableError) -> Self {
        Self::Failed(error)
    }
}

impl From<jiter::JiterError> for Stop {
    fn from(error: jiter::JiterError) -> Self {
        Self::Json(error)
    }
}

/// Reads one record onto the tape; `ordinal` counts records of the batch from 1.
pub(crate) fn read_record(
    tape: &mut Tape,
    shape: &mut Shape,
    record: &[u8],
    carried: &Carried,
    ordinal: u64,
    depth_max: usize,
    stamp: &mut u64,
) -> Result<(), TableError> {
    let mut outcome = walk(tape, shape, record, carried, ordinal, depth_max, stamp);
    if matches!(outcome, Err(Stop::Repeats)) {
        let mut rewritten = std::mem::take(&mut tape.rewritten);
        rewritten.clear();
        outcome = without_repeats(record, depth_max, &mut rewritten)
            .and_then(|()| walk(tape, shape, &rewritten, carried, ordinal, depth_max, stamp));
        tape.rewritten = rewritten;
        tape.is_rewritten = true;
    }
    let table = || shape.tables[0].name.clone();
    let not_json =
        |problem: String| TableError::NotJson { table: table(), record: ordinal, problem };
    outcome.map_err(|stop| match stop {
        Stop::Failed(error) => error,
        Stop::TooDeep => TableError::TooDeep { table: table(), record: ordinal, depth_max },
        Stop::Json(error) => not_json(format!("{} at byte {}", error.error_type, error.index)),
        Stop::Utf8 => not_json("it is not UTF-8".into()),
        Stop::Repeats => TableError::internal("a rewritten record repeats a key"),
    })
}

fn walk(
    tape: &mut Tape,
    shape: &mut Shape,
    record: &[u8],
    carried: &Carried,
    ordinal: u64,
    depth_max: usize,
    stamp: &mut u64,
) -> Result<(), Stop> {
    tape.clear();
    tape.rows.push(TapeRow { table: 0, parent: 0, index: 0 });
    let mut jiter = Jiter::with_tape(record, std::mem::take(&mut tape.buffer));
    let at = At { group: shape.tables[0].element, member: 0 };
    let mut walker = Walker { tape, shape, record, carried, ordinal, depth_max, stamp };
    for (column, cell) in &carried.cells {
        walker.put(0, 0, *column, *cell)?;
    }
    let walked = jiter.peek().map_err(Stop::from).and_then(|peek| {
        walker.value(&mut jiter, peek, at, 0, 0)?;
        jiter.finish().map_err(Stop::from)
    });
    tape.buffer = jiter.into_tape();
    walked
}

struct Walker<'a> {
    tape: &'a mut Tape,
    shape: &'a mut Shape,
    record: &'a [u8],
    carried: &'a Carried,
    ordinal: u64,
    depth_max: usize,
    stamp: &'a mut u64,
}

impl Walker<'_> {
    fn value(
        &mut self,
        jiter: &mut Jiter<'_>,
        peek: Peek,
        at: At,
        row: usize,
        depth: usize,
    ) -> Result<(), Stop> {
        match peek {
            Peek::Object | Peek::Array => self.container(jiter, peek, at, row, depth + 1),
            _ => self.scalar(jiter, peek, at, row),
        }
    }

    fn container(
        &mut self,
        jiter: &mut Jiter<'_>,
        peek: Peek,
        at: At,
        row: usize,
        depth: usize,
    ) -> Result<(), Stop> {
        if depth > self.depth_max {
            return Err(Stop::TooDeep);
        }
        if self.stays_json(at) || (peek == Peek::Array && !self.shape.takes_lists(at)) {
            return self.json(jiter, peek, at, row, depth);
        }
        if peek == Peek::Object {
            return self.object(jiter, at, row, depth);
        }
        let Some(first) = jiter.known_array()? else { return Ok(()) };
        let list = self.shape.list_of(at)?;
        self.list(jiter, first, list, row, depth)
    }

    /// Whether objects and lists at this place are kept as they stand.
    fn stays_json(&mut self, at: At) -> bool {
        let member = self.shape.member_at(at);
        let (apart, column) = (member.group.is_some() || member.list.is_some(), member.column);
        if member.json || (!apart && column.is_none() && self.shape.is_declared(at)) {
            return true;
        }
        let Some(column) = column else { return false };
        let column = self.shape.column(at, column);
        column.declared || (!apart && column.filled)
    }

    fn object(
        &mut self,
        jiter: &mut Jiter<'_>,
        at: At,
        row: usize,
        depth: usize,
    ) -> Result<(), Stop> {
        let Some(key) = jiter.known_object()? else { return Ok(()) };
        // Two borrows of the parser would meet here; the key is looked up before it goes on.
        let group = self.shape.group_of(at);
        self.shape.rewind(group);
        *self.stamp += 1;
        let stamp = *self.stamp;
        let mut member = self.shape.member(group, key);
        loop {
            let at = At { group, member };
            let entry = self.shape.member_mut(at);
            if entry.stamp == stamp {
                return Err(Stop::Repeats);
            }
            entry.stamp = stamp;
            let peek = jiter.peek()?;
            self.value(jiter, peek, at, row, depth)?;
            match jiter.next_key()? {
                Some(key) => member = self.shape.member(group, key),
                None => return Ok(()),
            }
        }
    }

    fn list(
        &mut self,
        jiter: &mut Jiter<'_>,
        first: Peek,
        table: usize,
        parent: usize,
        depth: usize,
    ) -> Result<(), Stop> {
        let at = At { group: self.shape.tables[table].element, member: 0 };
        let mut next = Some(first);
        let mut index = 0;
        while let Some(peek) = next {
            let row = self.tape.rows.len();
            self.tape.rows.push(TapeRow { table, parent, index });
            self.value(jiter, peek, at, row, depth)?;
            index += 1;
            next = jiter.array_step()?;
        }
        Ok(())
    }

    /// Whether `{}` and `[]` are kept at a place: not where they would be the first to make a
    /// column JSON.
    fn takes_empty(&mut self, at: At) -> bool {
        let member = self.shape.member_at(at);
        let Some(column) = member.column.filter(|_| !member.json) else { return true };
        let column = self.shape.column(at, column);
        column.declared || column.def.kind == ColumnType::Json
    }

    /// Keeps a container as its own text, without white space, in the column of its place.
    fn json(
        &mut self,
        jiter: &mut Jiter<'_>,
        peek: Peek,
        at: At,
        row: usize,
        depth: usize,
    ) -> Result<(), Stop> {
        let start = jiter.current_index();
        skip(jiter, peek, depth, self.depth_max)?;
        let text = std::str::from_utf8(jiter.slice_to_current(start)).map_err(|_| Stop::Utf8)?;
        if !self.takes_empty(at) && !text[1..text.len() - 1].contains(|c: char| !c.is_whitespace())
        {
            return Ok(());
        }
        let from = self.tape.unescaped.len() as u32;
        compact(text, &mut self.tape.unescaped);
        let end = self.tape.unescaped.len() as u32;
        let span = Span { source: Source::Unescaped, start: from, end };
        let column = self.shape.column_of(at)?;
        let table = self.shape.groups[at.group].table;
        self.put(row, table, column, Cell::Json(span))
    }

    fn scalar(
        &mut self,
        jiter: &mut Jiter<'_>,
        peek: Peek,
        at: At,
        row: usize,
    ) -> Result<(), Stop> {
        let start = jiter.current_index();
        let cell = match peek {
            Peek::Null => {
                jiter.known_null()?;
                let member = self.shape.member_at(at);
                if member.column.is_none() && (member.group.is_some() || member.list.is_some()) {
                    return Ok(());
                }
                Cell::Null
            }
            Peek::True | Peek::False => Cell::Bool(jiter.known_bool(peek)?),
            Peek::String => {
                let text = jiter.known_str()?;
                let length = text.len();
                // A text without escapes is a part of the record; others lie in the parser's
                // buffer only until the next string.
                let (source, from) = if self.record.as_ptr_range().contains(&text.as_ptr()) {
                    (Source::Record, start + 1)
                } else {
                    let from = self.tape.unescaped.len();
                    self.tape.unescaped.push_str(text);
                    (Source::Unescaped, from)
                };
                let span = Span { source, start: from as u32, end: (from + length) as u32 };
                text_cell(text, span)
            }
            peek => {
                jiter.known_number_bytes(peek)?;
                let end = jiter.current_index();
                let text = plain(&self.record[start..end]);
                let span = Span { source: Source::Record, start: start as u32, end: end as u32 };
                number_cell(text, span)
            }
        };
        let column = self.shape.column_of(at)?;
        let table = self.shape.groups[at.group].table;
        self.put(row, table, column, cell)
    }

    /// Puts a cell on the tape, after the declared type has been checked.
    fn put(&mut self, row: usize, table: usize, column: usize, cell: Cell) -> Result<(), Stop> {
        let target = &self.shape.tables[table].columns[column];
        if target.declared && !fits(target.def.kind, &cell, self) {
            return Err(Stop::Failed(self.mismatch(table, column, &cell)));
        }
        self.shape.tables[table].columns[column].filled |= cell != Cell::Null;
        self.tape.cells.push(TapeCell { row, column, cell });
        Ok(())
    }

    fn text(&self, span: Span) -> &str {
        let range = span.start as usize..span.end as usize;
        match span.source {
            Source::Record => plain(&self.record[range]),
            Source::Unescaped => &self.tape.unescaped[range],
            Source::Carried => &self.carried.text[range],
        }
    }

    fn mismatch(&self, table: usize, column: usize, cell: &Cell) -> TableError {
        let found = match cell {
            Cell::Null => "null".into(),
            Cell::Bool(value) => value.to_string(),
            Cell::Int(value) => value.to_string(),
            Cell::Float(_, span)
            | Cell::Decimal(_, span)
            | Cell::Number(span)
            | Cell::Date(_, span)
            | Cell::Timestamp(_, span)
            | Cell::Text(span)
            | Cell::Json(span) => self.text(*span).chars().take(SAMPLE_CHARACTERS).collect(),
        };
        let target = &self.shape.tables[table];
        let table: TableName = target.name.clone();
        let def = &target.columns[column].def;
        let (column, expected) = (def.name.clone(), def.kind);
        TableError::TypeMismatch { table, column, record: self.ordinal, expected, found }
    }
}

/// Whether a value fits a declared type: integers fit decimals and doubles that hold them, dates
/// fit instants, every scalar fits text, everything fits JSON.
fn fits(declared: ColumnType, cell: &Cell, walker: &Walker<'_>) -> bool {
    match (declared, cell) {
        (_, Cell::Null) | (ColumnType::Json, _) => true,
        (ColumnType::Text, cell) => !matches!(cell, Cell::Json(_)),
        (ColumnType::Bool, Cell::Bool(_)) | (ColumnType::Int64, Cell::Int(_)) => true,
        (ColumnType::Float64, Cell::Int(_)) => !cell.is_wide(),
        (ColumnType::Float64, Cell::Float(..)) | (ColumnType::Date, Cell::Date(..)) => true,
        (ColumnType::Timestamp, Cell::Date(..) | Cell::Timestamp(..)) => true,
        (ColumnType::Decimal { precision, scale }, cell) => exact(cell, |span| walker.text(span))
            .is_some_and(|value| value.rescale(precision, scale).is_some()),
        _ => false,
    }
}

/// A number as a decimal.
pub(crate) fn exact<'a>(cell: &Cell, text: impl Fn(Span) -> &'a str) -> Option<Decimal> {
    match cell {
        Cell::Int(value) => Some(Decimal::from(*value)),
        Cell::Decimal(value, _) => Some(*value),
        Cell::Float(_, span) => decimal(text(*span)),
        _ => None,
    }
}

fn number_cell(text: &str, span: Span) -> Cell {
    match number(text) {
        Number::Int(value) => Cell::Int(value),
        Number::Float(value) => Cell::Float(value, span),
        Number::Decimal(value) => Cell::Decimal(value, span),
        Number::Text => Cell::Number(span),
    }
}

fn text_cell(text: &str, span: Span) -> Cell {
    match written(text) {
        Written::Date(days) => Cell::Date(days, span),
        Written::Timestamp(micros) => Cell::Timestamp(micros, span),
        Written::Text => Cell::Text(span),
    }
}
