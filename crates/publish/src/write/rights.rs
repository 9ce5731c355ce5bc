//! What a caller may write and see of an object.
//!
//! In: the object's grants, a caller and the event. Out: which columns may be written and which
//! are known to the caller, and the rows of each event. What never happens here: a right of one
//! event that is used for another, but to answer what was written, which goes by `filter`.

use restway_model::definition::AppEvent;

use crate::access::{Allowed, Caller};
use crate::plan::{Condition, Published};
use crate::refusal::Refusal;
use crate::source::{Column, Description};

/// The rights of a caller on an object.
pub(super) struct Rights<'a> {
    caller: &'a Caller,
    object: &'a Published,
    filter: Option<Allowed<'a>>,
}

impl<'a> Rights<'a> {
    /// The rights of who may do an event.
    pub(super) fn of(
        object: &'a Published,
        caller: &'a Caller,
        event: &AppEvent,
    ) -> Result<Self, Refusal> {
        let filter = object.grants.allowed(caller, &AppEvent::Filter);
        let rights = Self { caller, object, filter };
        match rights.may(event) {
            true => Ok(rights),
            false if caller.is_known() => Err(Refusal::Forbidden),
            false => Err(Refusal::Closed),
        }
    }

    /// Whether an event is given.
    pub(super) fn may(&self, event: &AppEvent) -> bool {
        self.object.grants.allowed(self.caller, event).is_some()
    }

    /// The rows that an event is given on; nothing for all of them.
    pub(super) fn rows<'d>(
        &self,
        event: &AppEvent,
        description: &'d Description,
    ) -> Result<Option<Condition<'d>>, Refusal> {
        let allowed = self.object.grants.allowed(self.caller, event).ok_or(Refusal::Forbidden)?;
        allowed.condition(&description.columns, self.caller)
    }

    /// The rows that can be read, as `rows`.
    pub(super) fn seen<'d>(
        &self,
        description: &'d Description,
    ) -> Result<Option<Condition<'d>>, Refusal> {
        self.filter
            .as_ref()
            .map_or(Ok(None), |filter| filter.condition(&description.columns, self.caller))
    }

    /// Whether anything can be read.
    pub(super) fn reads(&self) -> bool {
        self.filter.is_some()
    }

    /// Whether a column can be read.
    pub(super) fn sees(&self, column: &Column, key: &[&Column]) -> bool {
        let is_key = key.iter().any(|one| one.name == column.name);
        self.filter.as_ref().is_some_and(|filter| is_key || filter.reads(&column.name, &[]))
    }

    /// Whether the caller may know that there is such a column.
    pub(super) fn knows(&self, column: &Column, key: &[&Column]) -> bool {
        let may_write = |event: &AppEvent| self.writes(event, column);
        self.sees(column, key) || may_write(&AppEvent::Insert) || may_write(&AppEvent::Update)
    }

    /// Whether an event may write a column.
    pub(super) fn writes(&self, event: &AppEvent, column: &Column) -> bool {
        let allowed = self.object.grants.allowed(self.caller, event);
        allowed.is_some_and(|allowed| allowed.writes(&column.name))
    }
}
