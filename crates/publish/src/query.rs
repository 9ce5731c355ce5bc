//! Stage 3: the reading, and the only stage that touches what holds the rows.
//!
//! In: a plan. Out: rows as JSON text in the buffer of the answer, within the time and the number
//! of rows that are allowed. What never happens here: a decision about what may be read.
//!
//! A query that outlasts its time is dropped, which stops it. The total of a list is only counted
//! when it was asked for and the page does not already tell it.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use restway_model::definition::AppEvent;
use restway_model::{Clock, Code, Explain, Seal};
use serde::Deserialize;

use crate::access::Caller;
use crate::beside::Beside;
use crate::export::Export;
use crate::plan::{
    self, Condition, Counts, ItemPlan, ListPlan, Objects, Published, Related, Seek, Way,
};
use crate::refusal::Refusal;
use crate::respond::{self, Count, Listed};
use crate::source::{Answering, Column, Description, Page, SourceError, first, values};
use crate::statement::{self, Statement};
use crate::write::Row;

/// How long rows may stream. PostgreSQL, MySQL and MariaDB have their own bound for a statement.
const EXPORT_MAX: Duration = Duration::from_secs(600);

/// An object and what its relation has.
pub(crate) struct Described<'a> {
    pub(crate) name: &'a str,
    pub(crate) object: &'a Published,
    /// What the caller may see of it.
    pub(crate) description: Arc<Description>,
    whole: Arc<Description>,
    caller: &'a Caller,
    /// Whether the caller may have all rows of a list.
    pub(crate) exports: bool,
    /// Why the relation's columns are not known now.
    pub(crate) untold: Option<Refusal>,
    /// What else the caller may do.
    pub(crate) writes: Vec<AppEvent>,
}

impl Described<'_> {
    /// The columns of the key.
    pub(crate) fn key(&self) -> &[String] {
        plan::key_names(self.object, &self.whole)
    }

    /// The columns that the caller may write in an event; the key of an item that is there names
    /// it, whoever may write it.
    pub(crate) fn writable(&self, event: &AppEvent) -> Vec<Column> {
        let Some(allowed) = self.object.grants.allowed(self.caller, event) else {
            return Vec::new();
        };
        let names = |name: &String| *event != AppEvent::Insert && self.key().contains(name);
        let columns = self.whole.columns.iter().filter(|column| {
            names(&column.name) || !column.is_generated && allowed.writes(&column.name)
        });
        columns.cloned().collect()
    }
}

/// The time that a caller may take.
pub(crate) struct Reading<'a> {
    pub(crate) clock: &'a dyn Clock,
    pub(crate) time_max: Duration,
}

/// The row of a count.
#[derive(Deserialize)]
struct Counted {
    count: u64,
}

/// A list that goes on behind an item that no page can begin behind.
fn no_place(plan: &ListPlan<'_>, is_tied: bool) -> Refusal {
    let why = match is_tied {
        true => "an item that neither its order nor its key tells from the next",
        false => "a value of its order that nothing can be compared with",
    };
    Refusal::Unfit { reason: format!("the list of `{}` goes on behind {why}", plan.relation) }
}

impl Reading<'_> {
    /// What the relation behind an object has.
    pub(crate) async fn describe(&self, object: &Published) -> Result<Arc<Description>, Refusal> {
        self.within_time(object.source.describe(&object.relation)).await
    }

    /// The objects of an app that the caller may read, each with the columns that he may read: a
    /// database that does not tell them takes nothing from the other objects.
    pub(crate) async fn described<'a>(
        &self,
        objects: &'a Objects,
        caller: &'a Caller,
    ) -> Vec<Described<'a>> {
        let mut described = Vec::new();
        for (name, object) in objects {
            let Some(allowed) = object.grants.allowed(caller, &AppEvent::Filter) else { continue };
            let (whole, untold) = match self.describe(object).await {
                Ok(description) => (description, None),
                Err(refusal) => (Arc::default(), Some(refusal)),
            };
            let description = allowed.visible(Arc::clone(&whole), &object.key);
            let writes = object.writing.events().into_iter();
            let writes = writes.filter(|event| object.grants.allowed(caller, event).is_some());
            let writes = writes.collect();
            let exports = object.grants.allowed(caller, &AppEvent::Export).is_some();
            described.push(Described {
                name,
                object,
                description,
                whole,
                caller,
                untold,
                exports,
                writes,
            });
        }
        described
    }

    /// The items of a related object that belong to others; none when there are more than `most`.
    pub(crate) async fn belonging(
        &self,
        related: &Related<'_>,
        condition: Condition<'_>,
        most: usize,
    ) -> Result<Option<Vec<Row>>, Refusal> {
        let plan = plan::belonging(related, condition, most as u64)?;
        let statement = statement::page(related.object.source.dialect(), &plan);
        let mut page = Page::new(Vec::new(), most.saturating_add(1));
        self.read(related.object, &statement, &mut page).await?;
        if page.rows() > most {
            return Ok(None);
        }
        let members = plan.fields.len();
        let row = |at| Row::read(first(page.text(at), members).collect::<String>().into_bytes());
        (0..page.rows()).map(row).collect::<Result<_, _>>().map(Some)
    }

    /// The items of a page, with what stands beside them where that is wanted, what the caller wants counted,
    /// and where the pages around it are.
    pub(crate) async fn page(
        &self,
        object: &Published,
        plan: &ListPlan<'_>,
        beside: Option<&Beside<'_>>,
        seal: Option<&dyn Seal>,
    ) -> Result<Listed, Refusal> {
        let limit = usize::try_from(plan.limit).unwrap_or(usize::MAX);
        let mut page = Page::new(respond::list_head(), limit.saturating_add(1));
        let mut columns = Vec::new();
        if limit > 0 {
            let statement = statement::page(object.source.dialect(), plan);
            self.read(object, &statement, &mut page).await?;
            columns = statement.columns;
        }
        let items = page.rows().min(limit);
        let follows = page.rows() > limit;
        let total = self.total(object, plan, items, follows).await?;
        let dialect = object.source.dialect();
        let place = |at| {
            let texts: Vec<&str> = values(page.text(at)).collect();
            statement::place(dialect, plan, &columns, &texts)
        };
        // No place lies between two items that are the same to the order.
        let is_tied = follows && items > 0 && place(items - 1) == place(items);
        let token = |way, at| {
            let Some(seal) = seal else { return Ok(None) };
            let place = place(at).filter(|_| !is_tied || at + 1 != items);
            let token = place.and_then(|place| plan::token(seal, plan, way, dialect, &place));
            match token {
                // Whoever skips items needs no token; whoever goes from one to the next would
                // take a list without one for the end.
                None if plan.seek.leads() == Some(way) => Err(no_place(plan, is_tied)),
                token => Ok(token),
            }
        };
        // Rows before a place come with the nearest first.
        let (last, first) = match plan.seek.is_before() {
            true => (0, items.saturating_sub(1)),
            false => (items.saturating_sub(1), 0),
        };
        let (has_next, has_prev) = match plan.seek {
            Seek::Offset { tells } => (follows, tells && plan.offset > 0),
            Seek::After(_) => (follows, true),
            Seek::Before(_) => (true, follows),
        };
        let next = if has_next && items > 0 { token(Way::After, last)? } else { None };
        let prev = if has_prev && items > 0 { token(Way::Before, first)? } else { None };
        let skips = (seal.is_some() && follows && next.is_none() && !plan.seek.tells())
            .then(|| plan.offset.saturating_add(plan.limit));
        let members = (columns.len() > plan.fields.len()).then_some(plan.fields.len());
        let body = match beside {
            Some(beside) => beside.list(self, &page, items, plan.seek.is_before()).await?,
            None => page.into_list(items, members, plan.seek.is_before()),
        };
        Ok(Listed { body, total, next, skips, prev })
    }

    /// All rows of a list, into an outlet. Says whether it was all when the outlet has had a part.
    ///
    /// # Errors
    /// What happened before anything was sent.
    pub(crate) async fn export(
        &self,
        object: &Published,
        plan: &ListPlan<'_>,
        export: &mut Export<'_>,
    ) -> Result<Option<SourceError>, Refusal> {
        let statement = statement::export(object.source.dialect(), plan);
        let answering = async {
            object.source.read(&statement, export).await?;
            export.finish().await
        };
        let answered = match select(Box::pin(answering), self.clock.sleep(EXPORT_MAX)).await {
            Either::Left((answered, _)) => answered,
            Either::Right(_) => Err(SourceError::Slow),
        };
        match answered {
            Ok(()) => Ok(None),
            Err(error) if export.has_begun() => Ok(Some(error)),
            Err(error) => Err(self.refusal(error)),
        }
    }

    /// An item behind `head`, if there is one.
    pub(crate) async fn item(
        &self,
        object: &Published,
        plan: &ItemPlan<'_>,
        head: Vec<u8>,
    ) -> Result<Vec<u8>, Refusal> {
        let mut page = Page::new(head, 2);
        let statement = statement::item(object.source.dialect(), plan);
        self.read(object, &statement, &mut page).await?;
        match page.rows() {
            0 => Err(Refusal::NoItem),
            1 => Ok(page.into_bytes()),
            _ => {
                let reason = format!("the key of `{}` names more than one row", plan.relation);
                Err(Refusal::Unfit { reason })
            }
        }
    }

    /// How many items there are. The last page tells it by itself.
    async fn total(
        &self,
        object: &Published,
        plan: &ListPlan<'_>,
        items: usize,
        follows: bool,
    ) -> Result<Option<Count>, Refusal> {
        let Some(counts) = plan.counts else { return Ok(None) };
        let is_last = plan.limit > 0 && !follows && (items > 0 || plan.offset == 0);
        let dialect = object.source.dialect();
        let kind = |kind| (counts != Counts::Plainly).then_some(kind);
        if is_last && matches!(plan.seek, Seek::Offset { .. }) {
            return Ok(Some(Count { items: plan.offset + items as u64, kind: kind("exact") }));
        }
        if matches!(counts, Counts::Plainly | Counts::Exactly) {
            let items = self.number(object, &statement::count(dialect, plan)).await?;
            return Ok(Some(Count { items, kind: kind("exact") }));
        }
        let has_no_filter = matches!(&plan.condition, Condition::All(all) if all.is_empty());
        if counts == Counts::Roughly
            && has_no_filter
            && let Some(statement) = statement::estimate(object)
        {
            let items = self.number(object, &statement).await?;
            if items > plan::COUNT_MAX {
                return Ok(Some(Count { items, kind: kind("estimated") }));
            }
        }
        let count_max = match counts {
            Counts::UpTo(count_max) => count_max,
            _ => plan::COUNT_MAX,
        };
        let statement = statement::count_up_to(dialect, plan, count_max);
        let items = self.number(object, &statement).await?;
        let how = if items > count_max { "atLeast" } else { "exact" };
        Ok(Some(Count { items: items.min(count_max), kind: kind(how) }))
    }

    /// The one number that a statement answers; zero without a row.
    async fn number(&self, object: &Published, statement: &Statement<'_>) -> Result<u64, Refusal> {
        let mut page = Page::new(Vec::new(), 1);
        self.read(object, statement, &mut page).await?;
        if page.rows() == 0 {
            return Ok(0);
        }
        let row: Result<Counted, _> = serde_json::from_slice(&page.into_bytes());
        let reason = |_| Refusal::Unfit { reason: "a count answered no number".to_owned() };
        row.map(|row| row.count).map_err(reason)
    }

    async fn read(
        &self,
        object: &Published,
        statement: &Statement<'_>,
        page: &mut Page,
    ) -> Result<(), Refusal> {
        self.within_time(object.source.read(statement, page)).await
    }

    async fn within_time<T>(&self, answering: Answering<'_, T>) -> Result<T, Refusal> {
        match select(answering, self.clock.sleep(self.time_max)).await {
            Either::Left((answer, _)) => answer.map_err(|error| self.refusal(error)),
            Either::Right(_) => Err(Refusal::Slow { seconds: self.time_max.as_secs() }),
        }
    }

    pub(crate) fn refusal(&self, error: SourceError) -> Refusal {
        match error {
            SourceError::Slow => Refusal::Slow { seconds: self.time_max.as_secs() },
            SourceError::Changed { .. } => Refusal::Changed(error),
            SourceError::Contended { .. } => Refusal::Contended(error),
            SourceError::TooLarge { bytes_max } => Refusal::TooLarge { bytes_max },
            error => match error.code() {
                Code::TableMissing => Refusal::NotLanded(Box::new(error)),
                Code::SourceUnavailable => Refusal::Unavailable(error),
                _ => Refusal::Broken(Box::new(error)),
            },
        }
    }
}
