//! One part of a resource, read: its windows, their pages, and where each page leaves it.
//!
//! In: a part with its state. Out: pages for the lander, in order, each with the part's next state
//! where there is one. The state never passes a window that is not whole. Inside a walk the cursor
//! stays where it is, because nothing promises that the api's order is that of the cursor; what is
//! kept there is the place between two pages.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use restway_connect::{PageMark, RawKeeper, Walk};
use restway_model::definition::Incremental;
use restway_model::{Code, Counts, Cursor, Explain, RecordPath, Records, Scope, Values};
use serde_json::Value;
use tokio::sync::mpsc;

use super::Chosen;
use super::files::FileTask;
use super::lander::{Carried, Page, Way};
use super::parents::Parent;
use super::raw::about;
use super::sieve::{BORDER_MAX, Highest, Sieve, Sifted};
use super::state::{HalfWalk, Kept, Leg, PartState, fingerprint};
use crate::stop::Stop;
use crate::{WorkError, Workspace};

/// Windows that one sync of one part walks; the next sync goes on with the others.
const WINDOWS_MAX: usize = 100_000;

/// What is read by itself: the resource, or what one parent's row leads to.
pub(super) struct Part {
    pub(super) name: Arc<str>,
    pub(super) parent: Arc<Parent>,
    pub(super) carried: Carried,
    /// What is fetched for it, where the answer is a file.
    pub(super) file: Option<FileTask>,
}

/// What reading a part came to.
#[derive(Debug, Default)]
pub(super) struct ReadPart {
    pub(super) counts: Counts,
    pub(super) sifted: Sifted,
    pub(super) windows: u64,
    /// Where the part stood before.
    pub(super) before: Option<String>,
    /// Where it stands now.
    pub(super) after: Option<String>,
    /// Whether records of it were handed out that no state covers.
    pub(super) is_open: bool,
}

/// Reads one part.
pub(super) struct Reader<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) chosen: &'a Chosen,
    pub(super) way: Way,
    pub(super) part: Part,
    pub(super) sender: &'a mpsc::Sender<Page>,
    pub(super) stop: Stop,
    pub(super) done: ReadPart,
    /// Where pages are kept as they came.
    pub(super) raw: Option<Arc<RawKeeper>>,
}

/// What `${…}` means in the requests of one leg.
struct LegValues {
    parent: Arc<Parent>,
    from: Value,
    to: Value,
    cursor: Value,
}

impl Values for LegValues {
    fn value(&self, scope: Scope, name: &str) -> Result<Value, String> {
        match (scope, name) {
            (Scope::Window, "start") => Ok(self.from.clone()),
            (Scope::Window, "end") => Ok(self.to.clone()),
            (Scope::State, "cursor") => Ok(self.cursor.clone()),
            _ => self.parent.value(scope, name),
        }
    }
}

impl Reader<'_> {
    /// Reads what is new, leg by leg.
    pub(super) async fn read(&mut self, state: PartState) -> Result<(), WorkError> {
        if let Some(task) = self.part.file.take() {
            return self.file(task).await;
        }
        let Some(incremental) = self.chosen.settings.incremental.as_ref() else {
            let half = state.walk.filter(|half| self.is_current(half));
            self.whole(half).await?;
            return Ok(());
        };
        let format = &incremental.send.format;
        let unreadable = |kept: &Kept| WorkError::CursorUnreadable {
            resource: self.chosen.table.clone(),
            cursor: kept.cursor.clone().unwrap_or_default(),
            format: format.to_string(),
        };
        let of = format!("{} as {format}", incremental.cursor);
        if let Some(before) = state.of.filter(|before| *before != of) {
            let resource = self.chosen.table.clone();
            return Err(WorkError::CursorChanged { resource, before, now: of });
        }
        let mut reached = state.reached.read(format).ok_or_else(|| unreadable(&state.reached))?;
        self.done.before = state.reached.cursor.clone();
        self.done.after.clone_from(&self.done.before);
        if reached.cursor.is_none() {
            reached.cursor = incremental.first();
        }
        let mut half = state.walk.filter(|half| self.is_current(half));
        for _ in 0..WINDOWS_MAX {
            let is_first = self.done.windows == 0;
            let now = self.workspace.clock.now();
            let next = || Leg::next(incremental, reached.cursor.as_ref(), is_first, now);
            let Some(leg) = half.as_ref().map(|half| half.leg.clone()).or_else(next) else {
                return Ok(());
            };
            let walked = self.leg(incremental, leg, reached, half.take()).await?;
            reached = walked.0;
            self.done.windows += 1;
            self.done.after = reached.cursor.as_ref().map(Cursor::to_string);
            if walked.1 {
                return Ok(());
            }
        }
        Err(WorkError::TooManyWindows { resource: self.chosen.table.clone(), limit: WINDOWS_MAX })
    }

    /// Where the key stands in a record, but for what a record gets from its parent: that is the
    /// same for the whole part.
    fn key(&self) -> Vec<RecordPath> {
        let settings = &self.chosen.settings;
        let columns = settings.key.iter().flat_map(|key| key.columns());
        let own = columns.filter(|column| !settings.carry.contains_key(*column));
        own.map(|column| column.parse()).collect::<Result<_, _>>().unwrap_or_default()
    }

    fn is_current(&self, half: &HalfWalk) -> bool {
        let is_same = half.definition == fingerprint(&self.chosen.settings);
        if !is_same {
            let message = "its definition changed while a walk was in its middle; the walk begins \
                           again, and rows that it had landed stay";
            self.workspace.warn_about(&self.chosen.table, message.to_owned());
        }
        is_same
    }

    /// Everything, where there is no cursor.
    async fn whole(&mut self, half: Option<HalfWalk>) -> Result<(), WorkError> {
        let course = Course {
            sieve: None,
            leg: Leg::whole(),
            reached: Kept::default(),
            definition: fingerprint(&self.chosen.settings),
            is_begun: true,
            of: None,
        };
        let parent = Arc::clone(&self.part.parent);
        self.pages(parent, half.map(|half| half.mark), course).await?;
        let is_done = self.chosen.settings.for_each.is_some();
        self.send(Vec::new(), Some(PartState { is_done, ..PartState::default() })).await
    }

    /// One leg, to its end; answers with where everything has landed, and whether it is the last.
    async fn leg(
        &mut self,
        incremental: &Incremental,
        leg: Leg,
        reached: Highest,
        half: Option<HalfWalk>,
    ) -> Result<(Highest, bool), WorkError> {
        let format = &incremental.send.format;
        let written = |cursor: Option<&Cursor>| cursor.map_or(Value::Null, |it| format.write(it));
        let from = leg.from.as_deref().and_then(|text| format.read(text));
        let values = LegValues {
            parent: Arc::clone(&self.part.parent),
            from: written(from.as_ref()),
            to: written(leg.to.map(Cursor::Instant).as_ref()),
            cursor: written(reached.cursor.as_ref()),
        };
        let kept = Kept::of(&reached);
        let key = self.key();
        let mut sieve = Sieve::new(incremental, key, self.way.adds(), reached, leg.bound());
        if let Some(half) = &half {
            sieve.highest = half.highest.read(format).unwrap_or_default();
        }
        let course = Course {
            sieve: Some(sieve),
            leg,
            reached: kept,
            definition: fingerprint(&self.chosen.settings),
            is_begun: half.is_some(),
            of: Some(format!("{} as {format}", incremental.cursor)),
        };
        let course = self.pages(Arc::new(values), half.map(|half| half.mark), course).await?;
        let Some(sieve) = course.sieve else { return Ok((Highest::default(), true)) };
        self.done.sifted.add(sieve.sifted);
        let reached = sieve.reached();
        if reached.is_full {
            return Err(WorkError::BorderFull {
                resource: self.chosen.table.clone(),
                cursor: reached.cursor.as_ref().map(Cursor::to_string).unwrap_or_default(),
                limit: BORDER_MAX,
            });
        }
        let (reached_to, of) = (Kept::of(&reached), course.of);
        let state = PartState { reached: reached_to, of, ..PartState::default() };
        self.send(Vec::new(), Some(state)).await?;
        Ok((reached, course.leg.is_last))
    }

    /// The pages of one walk, sifted, to the lander.
    async fn pages<'course>(
        &mut self,
        values: Arc<dyn Values + Send + Sync>,
        mark: Option<PageMark>,
        mut course: Course<'course>,
    ) -> Result<Course<'course>, WorkError> {
        let chosen = self.chosen;
        let mut walk = self.workspace.connector.walk(
            Arc::clone(&chosen.api),
            chosen.table.clone(),
            Arc::clone(&chosen.settings),
            values,
        );
        if let Some(raw) = &self.raw {
            walk = walk.keeping(Arc::clone(raw), about(&self.part.carried));
        }
        let resumed = mark.as_ref().map(|mark| mark.page);
        if let Some(mark) = mark {
            walk = walk.resumed(mark);
        }
        let read = self.parts(&mut walk, &mut course).await;
        let counts = walk.counts();
        self.done.counts.add(&counts);
        match (read, resumed) {
            (Ok(()), _) => Ok(course),
            // The api does not know the page any more.
            (Err(error), Some(page)) if counts.pages == 0 && error.code() == Code::CallStatus => {
                let resource = chosen.table.clone();
                Err(WorkError::ResumeRefused { resource, page, source: Box::new(error) })
            }
            (Err(error), _) => Err(error),
        }
    }

    async fn parts(&mut self, walk: &mut Walk, course: &mut Course<'_>) -> Result<(), WorkError> {
        let held_max = self.workspace.limits.batch_bytes_max;
        let (mut held, mut bytes) = (Vec::new(), 0);
        let mut stop = self.stop.clone();
        loop {
            let part = tokio::select! {
                biased;
                () = stop.raised() => return Err(WorkError::Stopped),
                part = walk.next() => part?,
            };
            let Some(mut part) = part else { break };
            course.sift(&mut part.records, walk.api_time());
            bytes += part.records.bytes();
            held.push(part.records);
            let state = part.mark.and_then(|mark| course.state_after(mark));
            if state.is_some() || bytes > held_max {
                bytes = 0;
                self.send(std::mem::take(&mut held), state).await?;
            }
        }
        // The part's end is a state of its own, which covers these.
        self.send(held, None).await
    }

    pub(super) async fn send(
        &mut self,
        records: Vec<Records>,
        state: Option<PartState>,
    ) -> Result<(), WorkError> {
        let is_empty = records.iter().all(Records::is_empty);
        if is_empty && state.is_none() {
            return Ok(());
        }
        self.done.is_open = state.is_none();
        let part = Arc::clone(&self.part.name);
        let carried = Arc::clone(&self.part.carried);
        let page = Page { part, records, carried, state };
        self.sender.send(page).await.map_err(|_| WorkError::ShaperEnded)
    }
}

/// A walk under way.
struct Course<'a> {
    sieve: Option<Sieve<'a>>,
    leg: Leg,
    reached: Kept,
    definition: String,
    /// Whether the bound is fixed: by the first answer, or by the process that began the walk.
    is_begun: bool,
    /// What the cursor is, as the state keeps it.
    of: Option<String>,
}

impl Course<'_> {
    fn sift(&mut self, records: &mut Records, api_time: Option<DateTime<Utc>>) {
        let Some(sieve) = &mut self.sieve else { return };
        if !std::mem::replace(&mut self.is_begun, true)
            && let Some(time) = api_time
        {
            self.leg = std::mem::take(&mut self.leg).until(sieve.incremental(), time);
            sieve.bound = self.leg.bound();
        }
        records.retain(|record| sieve.takes(record));
    }

    /// The state between two pages; none while more rows than are remembered stand at the border.
    fn state_after(&self, mark: PageMark) -> Option<PartState> {
        let highest = self.sieve.as_ref().map(|sieve| &sieve.highest);
        if highest.is_some_and(|highest| highest.is_full) {
            return None;
        }
        let walk = HalfWalk {
            definition: self.definition.clone(),
            mark,
            leg: self.leg.clone(),
            highest: highest.map(Kept::of).unwrap_or_default(),
        };
        let (reached, of) = (self.reached.clone(), self.of.clone());
        Some(PartState { reached, of, walk: Some(walk), is_done: false })
    }
}
