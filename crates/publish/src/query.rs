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
use restway_model::{Clock, Code, Explain};
use serde::Deserialize;

use crate::access::Caller;
use crate::plan::{ItemPlan, ListPlan, Objects, Published};
use crate::refusal::Refusal;
use crate::source::{Answering, Description, Page, SourceError};
use crate::statement::{self, Statement};

/// An object and what its relation has.
pub(crate) struct Described<'a> {
    pub(crate) name: &'a str,
    pub(crate) object: &'a Published,
    pub(crate) description: Arc<Description>,
    /// What else the caller may do.
    pub(crate) writes: Vec<AppEvent>,
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

impl Reading<'_> {
    /// What the relation behind an object has.
    pub(crate) async fn describe(&self, object: &Published) -> Result<Arc<Description>, Refusal> {
        self.within_time(object.source.describe(&object.relation)).await
    }

    /// The objects of an app that the caller may read, each with the columns that he may read; with
    /// none while its table is not there.
    pub(crate) async fn described<'a>(
        &self,
        objects: &'a Objects,
        caller: &Caller,
    ) -> Result<Vec<Described<'a>>, Refusal> {
        let mut described = Vec::new();
        for (name, object) in objects {
            let Some(allowed) = object.grants.allowed(caller, &AppEvent::Filter) else { continue };
            let description = match self.describe(object).await {
                Ok(description) => description,
                Err(Refusal::NotLanded(_)) => Arc::default(),
                Err(refusal) => return Err(refusal),
            };
            let description = allowed.visible(description, &object.key);
            let writes = object.writing.events().into_iter();
            let writes = writes.filter(|event| object.grants.allowed(caller, event).is_some());
            described.push(Described { name, object, description, writes: writes.collect() });
        }
        Ok(described)
    }

    /// The items of a page behind `head`, and the total where it was asked for.
    pub(crate) async fn page(
        &self,
        object: &Published,
        plan: &ListPlan<'_>,
        head: Vec<u8>,
    ) -> Result<(Vec<u8>, Option<u64>), Refusal> {
        let mut page = Page::new(head, usize::try_from(plan.limit).unwrap_or(usize::MAX));
        if plan.limit > 0 {
            let statement = statement::page(object.source.dialect(), plan);
            self.read(object, &statement, &mut page).await?;
        }
        let count = match plan.counts {
            true => Some(self.count(object, plan, page.rows()).await?),
            false => None,
        };
        Ok((page.into_bytes(), count))
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

    /// A page that is not full, and not beyond the end, is the last one: it tells the total.
    async fn count(
        &self,
        object: &Published,
        plan: &ListPlan<'_>,
        items: usize,
    ) -> Result<u64, Refusal> {
        let items = items as u64;
        let is_last = items < plan.limit && (items > 0 || plan.offset == 0);
        if is_last {
            return Ok(plan.offset + items);
        }
        let mut page = Page::new(Vec::new(), 1);
        let statement = statement::count(object.source.dialect(), plan);
        self.read(object, &statement, &mut page).await?;
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
            SourceError::TooLarge { bytes_max } => Refusal::TooLarge { bytes_max },
            error => match error.code() {
                Code::TableMissing => Refusal::NotLanded(Box::new(error)),
                Code::SourceUnavailable => Refusal::Unavailable(error),
                _ => Refusal::Broken(Box::new(error)),
            },
        }
    }
}
