//! One transaction's work on the rows of one object.
//!
//! In: checked values, and rows that are locked. Out: rows as the database has them afterwards,
//! with defaults and whatever its triggers did, and what the rules find about them. A row is
//! locked, compared, changed and read again in one transaction, so that no version comes between
//! the comparison and the change. Whoever gets an error undoes the transaction or its part.
//!
//! What never happens here: a commit.

use restway_model::definition::{AppEvent, Piece};

use super::binding::Calls;
use super::body::Item;
use super::conflict;
use super::rights::Rights;
use super::row::{Preconditions, Row};
use super::rules::{Ready, Told, rejected, settled};
use super::values::{self, Known, Place, Taken};
use super::wishes::Wishes;
use crate::plan::{Condition, Published};
use crate::query::Reading;
use crate::refusal::{Findings, Refusal, Validation};
use crate::source::{Column, Description, Kind, Page, SourceError, Transaction};
use crate::statement::change::{self, Assigned, Returns};
use crate::statement::{Dialect, Statement};

/// A row that was written, or removed.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) row: Row,
    pub(super) found: Vec<Validation>,
    pub(super) what: What,
    /// Whether the caller may read it.
    pub(super) is_seen: bool,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Inserted,
    Updated,
    Deleted,
    Kept,
}

/// The rows of an object in a transaction.
pub(super) struct Session<'a, 't> {
    pub(super) transaction: &'t mut dyn Transaction,
    pub(super) reading: &'a Reading<'a>,
    pub(super) object: &'a Published,
    pub(super) description: &'a Description,
    pub(super) key: &'a [&'a Column],
    pub(super) wishes: &'a Wishes,
    pub(super) rights: &'a Rights<'a>,
    pub(super) calls: Calls<'a>,
}

impl<'a> Session<'a, '_> {
    fn dialect(&self) -> Dialect {
        self.object.source.dialect()
    }

    /// Runs a statement; a constraint that would not hold is a finding at the place.
    pub(super) async fn run(
        &mut self,
        statement: &Statement<'_>,
        place: &Place,
    ) -> Result<Page, Refusal> {
        let mut page = Page::new(Vec::new(), 2);
        let outcome = self.transaction.execute(statement, &mut page).await;
        let knows = |column: &Column| self.rights.knows(column, self.key);
        match outcome.map_err(|error| conflict::refusal(error, self.description, place, &knows)) {
            Ok(_) => Ok(page),
            Err(Ok(refusal)) => Err(refusal),
            Err(Err(error)) => Err(self.reading.refusal(error)),
        }
    }

    fn refused(&self, error: SourceError) -> Refusal {
        self.reading.refusal(error)
    }

    /// The columns as the caller of an event knows them.
    pub(super) fn known<'r>(&'r self, event: &'r AppEvent) -> Known<'a, 'r> {
        let (description, key) = (self.description, self.key);
        Known { description, key, rights: self.rights, event, names: &[] }
    }

    /// The only row of a condition that an event may touch, kept from other writers.
    pub(super) async fn locked(
        &mut self,
        condition: Condition<'_>,
        event: &AppEvent,
    ) -> Result<Option<Row>, Refusal> {
        let rows = self.rights.rows(event, self.description)?;
        self.stored(&condition.and(rows), true).await
    }

    /// A row that was written, if the caller may make such a row.
    async fn made(
        &mut self,
        row: Row,
        event: &AppEvent,
        what: What,
        found: Vec<Validation>,
    ) -> Result<Done, Refusal> {
        let may_make = self.rights.rows(event, self.description)?;
        if what != What::Deleted && may_make.is_some() {
            let key = row.key(self.key)?.and(may_make);
            self.stored(&key, false).await?.ok_or(Refusal::Forbidden)?;
        }
        let is_seen = self.is_seen(&row).await?;
        Ok(Done { row, found, what, is_seen })
    }

    /// A row that is there and stays as it is.
    pub(super) async fn kept(&mut self, row: Row) -> Result<Done, Refusal> {
        let is_seen = self.is_seen(&row).await?;
        Ok(Done { row, found: Vec::new(), what: What::Kept, is_seen })
    }

    /// Whether a request's conditions let a row be changed, or made where none is. Its tag is told
    /// to who may see it.
    pub(super) async fn allow(
        &mut self,
        conditions: &Preconditions,
        row: Option<&Row>,
    ) -> Result<(), Refusal> {
        let version = row.map(|row| row.version(&self.object.writing.versions));
        let outcome = conditions.allow(version.as_deref());
        match (&outcome, row) {
            (Err(_), Some(row)) if !self.is_seen(row).await? => {
                Err(Refusal::Precondition { tag: None })
            }
            _ => outcome,
        }
    }

    /// Whether the caller may read a row.
    pub(super) async fn is_seen(&mut self, row: &Row) -> Result<bool, Refusal> {
        match self.rights.seen(self.description)? {
            None => Ok(self.rights.reads()),
            rows => {
                let key = row.key(self.key)?.and(rows);
                Ok(self.stored(&key, false).await?.is_some())
            }
        }
    }

    fn telling<'r>(
        &self,
        is_seen: bool,
        sent: &'r [Assigned<'a>],
        value: &'r dyn Fn(&str) -> Option<String>,
    ) -> Telling<'r, 'a> {
        let (description, key, rights) = (self.description, self.key, self.rights);
        Telling { description, key, rights, is_seen, sent, value }
    }

    /// The columns that the caller can read.
    pub(super) fn readable(&self) -> Description {
        let columns = self.description.columns.iter();
        let readable = columns.filter(|column| self.rights.sees(column, self.key));
        Description::of_columns(readable.cloned().collect())
    }

    /// What the caller may see of a row.
    pub(super) fn visible(&self, row: &Row) -> Vec<u8> {
        let columns = self.description.columns.iter();
        let visible: Vec<&Column> =
            columns.filter(|column| self.rights.sees(column, self.key)).collect();
        row.only(&visible)
    }

    /// The only row of a condition, whole.
    pub(super) async fn stored(
        &mut self,
        condition: &Condition<'_>,
        locks: bool,
    ) -> Result<Option<Row>, Refusal> {
        let mut rows = self.rows(condition, 2, locks).await?;
        match rows.len() {
            0 | 1 => Ok(rows.pop()),
            _ => {
                let reason = format!("the key of `{}` names more rows", self.object.relation);
                Err(Refusal::Unfit { reason })
            }
        }
    }

    /// Whole rows of a condition, up to a bound.
    pub(super) async fn rows(
        &mut self,
        condition: &Condition<'_>,
        rows_max: usize,
        locks: bool,
    ) -> Result<Vec<Row>, Refusal> {
        let columns: Vec<&Column> = self.description.columns.iter().collect();
        let relation = &self.object.relation;
        let statement =
            change::stored(self.dialect(), relation, &columns, condition, rows_max, locks);
        // One more than there can be, so that no row is left on the connection.
        let mut page = Page::new(vec![b'['], rows_max + 1);
        let read = self.transaction.execute(&statement, &mut page).await;
        read.map_err(|error| self.refused(error))?;
        let mut bytes = page.into_bytes();
        bytes.push(b']');
        let rows: Vec<&serde_json::value::RawValue> = serde_json::from_slice(&bytes)
            .map_err(|error| Refusal::Unfit { reason: format!("rows are no JSON: {error}") })?;
        rows.into_iter().map(|row| Row::read(row.get().as_bytes().to_vec())).collect()
    }

    /// A new row.
    pub(super) async fn insert(
        &mut self,
        mut taken: Taken<'a>,
        place: &Place,
    ) -> Result<Done, Refusal> {
        values::missing(&mut taken, &self.known(&AppEvent::Insert), place);
        self.hold(&mut taken, None, &AppEvent::Insert, place).await?;
        let returns = self.returns(&taken);
        let (dialect, relation) = (self.dialect(), &self.object.relation);
        let statement = change::insert(dialect, relation, &taken.assigned, self.key, returns);
        let page = self.run(&statement, place).await?;
        let key = match (returns, self.key) {
            (Returns::Key, key) => Row::read(page.into_bytes())?.key(key)?,
            (Returns::Nothing, key) => {
                let given = key.iter().map(|column| {
                    let value = taken.value(column)?.value.clone()?;
                    Some(Condition::equals(column, value))
                });
                match given.collect::<Option<Vec<_>>>() {
                    Some(all) => Condition::All(all),
                    None => {
                        let column = key.first().copied().ok_or(Refusal::NoItem)?;
                        let page = self.run(&change::given_number(column), place).await?;
                        Row::read(page.into_bytes())?.key(key)?
                    }
                }
            }
        };
        let Some(row) = self.stored(&key, false).await? else {
            let reason = "a trigger changed the key of a new row".to_owned();
            return Err(Refusal::Unfit { reason });
        };
        self.judge(row, &AppEvent::Insert, What::Inserted, place).await
    }

    /// How a new row's key becomes known. MySQL has no `RETURNING`, MariaDB does; a number that
    /// the database gives is told by both.
    fn returns(&self, taken: &Taken<'_>) -> Returns {
        if self.dialect() != Dialect::Mysql {
            return Returns::Key;
        }
        let is_given =
            |column: &&Column| taken.value(column).is_some_and(|one| one.value.is_some());
        let is_number = matches!(self.key, [one] if matches!(one.kind, Kind::Int64 | Kind::UInt64));
        if self.key.iter().all(is_given) || is_number { Returns::Nothing } else { Returns::Key }
    }

    /// Other values in a row that is locked.
    pub(super) async fn update(
        &mut self,
        old: &Row,
        mut taken: Taken<'a>,
        place: &Place,
    ) -> Result<Done, Refusal> {
        self.keep_key(old, &mut taken, place);
        self.hold(&mut taken, Some(old), &AppEvent::Update, place).await?;
        let key = old.key(self.key)?;
        if !taken.assigned.is_empty() {
            let (dialect, relation) = (self.dialect(), &self.object.relation);
            let statement = change::update(dialect, relation, &taken.assigned, &key);
            self.run(&statement, place).await?;
        }
        let row = self.stored(&key, false).await?.ok_or(Refusal::NoItem)?;
        self.judge(row, &AppEvent::Update, What::Updated, place).await
    }

    /// A row keeps its key: an item that has another one is another item.
    fn keep_key(&self, old: &Row, taken: &mut Taken<'a>, place: &Place) {
        let key = self.key;
        let is_key = |column: &Column| key.iter().any(|one| one.name == column.name);
        let Taken { assigned, found } = taken;
        assigned.retain(|one| {
            if !is_key(one.column) {
                return true;
            }
            if one.value != old.value(one.column) {
                let message = format!("`{}` is of the key, which stays", one.column.name);
                found.push(place.finding("key_changed", &one.column.name, message));
            }
            false
        });
    }

    /// Removes a row that is locked.
    pub(super) async fn delete(&mut self, old: Row, place: &Place) -> Result<Done, Refusal> {
        let done = self.judge(old, &AppEvent::Delete, What::Deleted, place).await?;
        let key = done.row.key(self.key)?;
        let statement = change::delete(self.dialect(), &self.object.relation, &key);
        self.run(&statement, place).await?;
        Ok(done)
    }

    /// An event of the object's own on a row that is locked.
    pub(super) async fn event(
        &mut self,
        old: Row,
        name: &AppEvent,
        pieces: &[Piece],
        item: &Item,
    ) -> Result<Done, Refusal> {
        let place = Place::of(None);
        let given = values::take(item, &self.known(name), &place);
        let mut findings = Findings::default();
        given.found.into_iter().for_each(|found| findings.push(found));
        let mut bound: Vec<Assigned<'_>> = Vec::new();
        for piece in pieces {
            let (name, is_given) = match piece {
                // The definition's check lets no output into an event's own statement.
                Piece::Text(_) | Piece::Caller(_) => continue,
                Piece::Row(name) => (name, false),
                Piece::Item(name) => (name, true),
            };
            let Some(column) = crate::plan::column(&self.description.columns, name) else {
                let reason = format!("an event names the column `{name}`, which is not there");
                return Err(Refusal::Unfit { reason });
            };
            let sent = given.assigned.iter().find(|one| one.column.name == *name);
            match (is_given, sent) {
                (false, _) => bound.push(Assigned { column, value: old.value(column) }),
                (true, Some(one)) => bound.push(one.clone()),
                (true, None) => {
                    let message = format!("`{name}` must be given");
                    findings.push(place.finding("required", name, message));
                }
            }
        }
        let found = findings.into_vec();
        if !found.is_empty() {
            return Err(rejected(400, found, None));
        }
        let statement = change::event(self.dialect(), pieces, &bound);
        self.run(&statement, &place).await?;
        let key = old.key(self.key)?;
        match self.stored(&key, false).await? {
            Some(row) => self.judge(row, name, What::Updated, &place).await,
            None => {
                let (found, is_seen) = (Vec::new(), false);
                Ok(Done { row: old, found, what: What::Deleted, is_seen })
            }
        }
    }

    /// What the rules find about a row as it is now.
    pub(super) async fn judge(
        &mut self,
        row: Row,
        event: &AppEvent,
        what: What,
        place: &Place,
    ) -> Result<Done, Refusal> {
        let rules = self.object.writing.rules(event);
        if rules.is_empty() {
            return self.made(row, event, what, Vec::new()).await;
        }
        let columns = verdict_columns(rules.len());
        let texts: Vec<&str> = rules.iter().map(|rule| rule.sql.as_str()).collect();
        let key = row.key(self.key)?;
        let statement =
            change::judged(self.dialect(), &self.object.relation, &texts, &columns, &key);
        let page = self.run(&statement, place).await?;
        let verdicts = Row::read(page.into_bytes())?;
        let broken = rules
            .iter()
            .zip(&columns)
            .filter(|(_, column)| verdicts.raw(&column.name) == Some("true"));
        let broken: Vec<&Ready> = broken.map(|(rule, _)| *rule).collect();
        let done = self.made(row, event, what, Vec::new()).await?;
        let value = |name: &str| done.row.text_of(name);
        let telling = self.telling(done.is_seen, &[], &value);
        let found = broken.into_iter().map(|rule| rule.finding(&telling, place)).collect();
        let item = done.is_seen.then(|| self.visible(&done.row));
        let found = settled(found, self.wishes, item.as_deref())?;
        Ok(Done { found, ..done })
    }

    /// Values that cannot be written, together with what the rules would find about the row that
    /// they would make.
    async fn hold(
        &mut self,
        taken: &mut Taken<'a>,
        old: Option<&Row>,
        event: &AppEvent,
        place: &Place,
    ) -> Result<(), Refusal> {
        if taken.found.is_empty() {
            return Ok(());
        }
        let mut findings = Findings::default();
        std::mem::take(&mut taken.found).into_iter().for_each(|found| findings.push(found));
        let rules = self.object.writing.rules(event);
        if !rules.is_empty() {
            let row: Vec<Assigned<'_>> = self
                .description
                .columns
                .iter()
                .map(|column| {
                    let stored = || old.and_then(|old| old.value(column));
                    let value = taken.value(column).map_or_else(stored, |one| one.value.clone());
                    Assigned { column, value }
                })
                .collect();
            let columns = verdict_columns(rules.len());
            let texts: Vec<&str> = rules.iter().map(|rule| rule.sql.as_str()).collect();
            let statement = change::imagined(self.dialect(), &row, &texts, &columns);
            let verdicts = Row::read(self.run(&statement, place).await?.into_bytes())?;
            let is_seen = match old {
                Some(old) => self.is_seen(old).await?,
                None => true,
            };
            let value = |name: &str| {
                let one = row.iter().find(|one| one.column.name == name)?;
                Some(one.value.as_ref()?.text().to_owned())
            };
            let telling = self.telling(is_seen, &taken.assigned, &value);
            for (rule, column) in rules.iter().zip(&columns) {
                if verdicts.raw(&column.name) == Some("true") {
                    findings.push(rule.finding(&telling, place));
                }
            }
        }
        Err(rejected(400, findings.into_vec(), None))
    }
}

/// What a rule's message may tell of a row: what the caller sent or may read.
struct Telling<'r, 'a> {
    description: &'a Description,
    key: &'a [&'a Column],
    rights: &'a Rights<'a>,
    is_seen: bool,
    sent: &'r [Assigned<'a>],
    value: &'r dyn Fn(&str) -> Option<String>,
}

impl Told for Telling<'_, '_> {
    fn value(&self, column: &str) -> Option<String> {
        let sees = |name| {
            let column = crate::plan::column(&self.description.columns, name);
            column.is_some_and(|column| self.rights.sees(column, self.key))
        };
        let is_sent = self.sent.iter().any(|one| one.column.name == column);
        let is_told = is_sent || (self.is_seen && sees(column));
        is_told.then(|| (self.value)(column).unwrap_or_default())
    }

    fn names(&self, field: &str) -> bool {
        let column = crate::plan::column(&self.description.columns, field);
        column.is_none_or(|column| self.rights.knows(column, self.key))
    }
}

fn verdict_columns(rules: usize) -> Vec<Column> {
    (0..rules).map(|at| Column::new(&format!("r{at}"), Kind::Bool)).collect()
}
