//! A walk over the pages of one resource.
//!
//! In: a resource and its values. Out: its records, page after page, in bounded parts. The loop of
//! this module shows the stages in order: plan the next request, refuse one that was made before,
//! exchange, decode, hand out, ask the pager.
//!
//! **No record twice.** The parts of a page are held back until the page is whole, so that a body
//! that breaks is read again from its start and nobody notices. What is more than
//! `batch_bytes_max * channel_batches_max` bytes (16 MiB) of a page waits in a file (`held.rs`), so
//! memory is flat however large a page is.
//!
//! Where the api tells how many records or pages there are, numbered pages are read side by side
//! (`ahead.rs`); everything here happens in the order of pages all the same.
//!
//! A page that repeats is found in two ways: by its request, over the whole walk, and for numbered
//! pages also by its records, because some servers answer every page past the end with the last.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use restway_model::definition::{ApiFile, ResourceSettings};
use restway_model::{Counts, Event, Records, TableName, Values, exact_json};
use serde_json::Value;

use crate::Connector;
use crate::ahead::{self, Ahead, Outcome};
use crate::decode::{BodyShape, PageEnd};
use crate::error::{CallError, Excerpt, Failure};
use crate::exchange::Exchange;
use crate::held::Held;
use crate::job::{Export, Found};
use crate::open_page::{OpenEnd, OpenPage, PageShape, redacted};
use crate::page::{PageMark, Pager, Seen};
use crate::plan::{RequestValues, homes, resource_request};
use crate::raw::RawKeeper;
use crate::request::{Request, header};
use crate::retry::http_date;
use crate::sent::{Spent, Tally};

/// Names under which apis tell how many records there are in all; for progress, and to warn of a
/// walk that ended early. Decides nothing.
const TOTALS: [&str; 5] = ["total", "total_count", "totalCount", "total_results", "totalResults"];
/// Where those stand, beside the top of the answer.
const TOTAL_PLACES: [&str; 4] = ["meta", "pagination", "paging", "page"];

/// Some records of a page.
#[derive(Debug, Clone)]
pub struct PagePart {
    /// The records; may be none.
    pub records: Records,
    /// The page, from 1.
    pub page: u64,
    /// Whether the page ends with this part. Every page has exactly one such part.
    pub last_of_page: bool,
    /// How many records all pages hold, if the api tells.
    pub total: Option<u64>,
    /// From where another process can go on, with the last part of a page that is not the last.
    pub mark: Option<PageMark>,
}

/// The pages of one resource, read as they are asked for.
pub struct Walk {
    connector: Connector,
    api: Arc<ApiFile>,
    name: TableName,
    resource: Arc<ResourceSettings>,
    values: Arc<dyn Values + Send + Sync>,
    pager: Pager,
    state: State,
    page: u64,
    pages_max: u64,
    made: HashSet<u64>,
    /// The records of the page before, where a server may clamp.
    last_hashes: Vec<u64>,
    /// Records that two neighbouring pages had in common.
    repeated: u64,
    ahead: Ahead,
    total: Option<u64>,
    /// What was sent, pages that were read ahead in vain included.
    tally: Arc<Tally>,
    counts: Counts,
    /// Records in all parts so far, and before the mark that the walk began at.
    handed: u64,
    /// From where it goes on.
    resumed: Option<PageMark>,
    /// The api's own time, as its first answer told.
    api_time: Option<DateTime<Utc>>,
    giving: Option<Giving>,
    /// Where pages are kept as they came, and what is known of them.
    raw: Option<(Arc<RawKeeper>, String)>,
}

/// A whole page whose records are being handed out.
struct Giving {
    exchange: Exchange,
    held: Held,
    /// Records still to come.
    left: u64,
    /// From where another walk may go on after them.
    mark: Option<PageMark>,
}

enum State {
    Start,
    Next(Box<Request>),
    Reading(Box<OpenPage>),
    Ended,
    /// `next` failed, or was dropped while it waited.
    Broken,
}

impl Walk {
    pub(crate) fn new(
        connector: Connector,
        api: Arc<ApiFile>,
        name: TableName,
        resource: Arc<ResourceSettings>,
        values: Arc<dyn Values + Send + Sync>,
    ) -> Self {
        let pager = Pager::new(&resource.paginate);
        let pages_max = resource.pages_max.unwrap_or(connector.limits().pages_max);
        let tally = Arc::new(Tally::of(name.clone()));
        Self {
            connector,
            api,
            name,
            resource,
            values,
            pager,
            state: State::Start,
            page: 0,
            pages_max,
            made: HashSet::new(),
            last_hashes: Vec::new(),
            repeated: 0,
            ahead: Ahead::default(),
            total: None,
            tally,
            counts: Counts::default(),
            handed: 0,
            resumed: None,
            api_time: None,
            giving: None,
            raw: None,
        }
    }

    /// The walk, begun at a mark of an earlier one of the same definition and values.
    #[must_use]
    pub fn resumed(mut self, mark: PageMark) -> Self {
        self.page = mark.page;
        self.handed = mark.records();
        self.resumed = Some(mark);
        self
    }

    /// The walk, with each page kept as it came, beside what is known `about` them all.
    #[must_use]
    pub fn keeping(mut self, keeper: Arc<RawKeeper>, about: String) -> Self {
        self.raw = Some((keeper, about));
        self
    }

    /// What time it was at the api when it answered first, if it told (RFC 9110, section 6.6.1).
    pub const fn api_time(&self) -> Option<DateTime<Utc>> {
        self.api_time
    }

    /// The next part; `None` when all pages are read. Not to be called again after an error, nor
    /// after its future was dropped: it then fails, because the place in the page is lost.
    ///
    /// # Errors
    /// What stopped the walk, with its page. Parts handed out before it are whole pages.
    pub async fn next(&mut self) -> Result<Option<PagePart>, CallError> {
        loop {
            let page = self.page.max(1);
            if let Some(giving) = self.giving.take() {
                let part = self.part(giving).await.map_err(|cause| self.failed(page, cause))?;
                return Ok(Some(part));
            }
            let state = std::mem::replace(&mut self.state, State::Broken);
            self.state = match state {
                State::Ended => {
                    self.state = State::Ended;
                    return Ok(None);
                }
                State::Broken => return Err(self.broken()),
                State::Start => {
                    let page = self.page + 1;
                    let request = self.first_request()?;
                    self.start(request).await.map_err(|cause| self.failed(page, cause))?
                }
                State::Next(request) => {
                    let page = self.page + 1;
                    self.begin(*request).await.map_err(|cause| self.failed(page, cause))?
                }
                State::Reading(open) => {
                    self.read(open).await.map_err(|cause| self.failed(page, cause))?
                }
            };
        }
    }

    /// What the walk did so far; rows are the tables' to count.
    pub fn counts(&self) -> Counts {
        Counts {
            requests: self.tally.requests(),
            retries: self.tally.retries(),
            unchanged: self.tally.unchanged(),
            ..self.counts
        }
    }

    /// Where the time went so far.
    pub fn spent(&self) -> Spent {
        self.tally.spent()
    }

    fn broken(&self) -> CallError {
        let problem = "was stopped in the middle of a page";
        CallError::invalid(format!("the walk of `{}`", self.name), problem)
    }

    fn failed(&self, page: u64, cause: CallError) -> CallError {
        CallError::Page { resource: self.name.clone(), page, cause: Box::new(cause) }
    }

    fn first_request(&mut self) -> Result<Request, CallError> {
        let in_path = self.connector.lookup(self.values.as_ref(), false);
        let elsewhere = self.connector.lookup(self.values.as_ref(), true);
        let homes = homes(&self.api, &in_path)?;
        let folder = self.connector.folder();
        let values = RequestValues { in_path: &in_path, elsewhere: &elsewhere, folder };
        let request = resource_request(&homes, &self.resource, &values)?;
        let first = self.pager.first(request).map_err(crate::plan_failure)?;
        match &self.resumed {
            Some(mark) => self.pager.resume(first, mark).map_err(crate::plan_failure),
            None => Ok(first),
        }
    }

    /// Opens the first page; where the request creates a job, that is what the job made.
    async fn start(&mut self, request: Request) -> Result<State, CallError> {
        let Some(job) = &self.resource.job else { return self.begin(request).await };
        let export = Export {
            connector: &self.connector,
            api: &self.api,
            table: &self.name,
            resource: &self.resource,
            job,
            values: self.values.as_ref(),
            tally: &self.tally,
            shape: self.shape(1),
        };
        let (found, api_time) = export.made(request).await?;
        // What changed after the job began may not be in what it made.
        self.api_time = api_time;
        match found {
            Found::Nothing => Ok(State::Ended),
            Found::Download(request) => self.begin(*request).await,
            Found::Page(open) => {
                self.page += 1;
                Ok(State::Reading(open))
            }
        }
    }

    /// Opens a page, unless it was read before or is one too many.
    async fn begin(&mut self, request: Request) -> Result<State, CallError> {
        let fingerprint = fingerprint(&request);
        let is_repeat = !self.made.insert(fingerprint);
        let exchange = self.exchange(request, self.page + 1)?;
        if is_repeat {
            let problem = "the request for the next page was made before";
            return Err(exchange.error(Failure::PageLoop { problem }));
        }
        if self.page >= self.pages_max {
            return Err(exchange.error(Failure::PageBound { bound: self.pages_max }));
        }
        self.page += 1;
        let opened = match self.ahead.take(fingerprint).await {
            Some(Outcome::Whole(open)) => Ok(open),
            Some(Outcome::Failed(failed)) => Err(failed),
            None => {
                OpenPage::open(self.connector.clone(), exchange, self.shape(1)).await.map(Box::new)
            }
        };
        let open = opened?;
        if self.api_time.is_none() {
            let date = header(&open.opened.incoming.headers, "date");
            self.api_time = date.and_then(http_date);
        }
        if open.is_empty_answer() {
            self.end_page(open.exchange, open.held, 0, 0);
            return Ok(State::Ended);
        }
        Ok(State::Reading(open))
    }

    fn exchange(&self, request: Request, page: u64) -> Result<Exchange, CallError> {
        let target = self.connector.target(&self.api)?;
        Ok(Exchange::new(self.connector.clone(), target, request).tallied(&self.tally, Some(page)))
    }

    /// How a page is read when so many are read side by side.
    fn shape(&self, pages: u64) -> PageShape {
        let mut body = BodyShape::of(&self.resource, self.connector.limits());
        body.bounds.hashes = self.pager.may_clamp();
        let reads_answer = self.pager.reads_envelope() || self.resource.fail_when.is_some();
        body.bounds.keeps_last = self.pager.reads_last() || reads_answer;
        let memory = self.held_max() / usize::try_from(pages.max(1)).unwrap_or(1);
        let room = self.connector.room(memory);
        let records_max = self.resource.records_max;
        let records_max = records_max.map(|most| most.saturating_sub(self.handed));
        let open_end = match self.resource.drops_absent() {
            _ if self.resource.is_open_ended => OpenEnd::Taken,
            true => OpenEnd::Refused,
            false => OpenEnd::Told,
        };
        PageShape { body, room, records_max, keeps_raw: self.raw.is_some(), open_end }
    }

    fn held_max(&self) -> usize {
        let limits = self.connector.limits();
        limits.batch_bytes_max.saturating_mul(limits.channel_batches_max.max(1))
    }

    /// Reads until the page is whole.
    async fn read(&mut self, mut open: Box<OpenPage>) -> Result<State, CallError> {
        open.read().await?;
        let body = open.raw.take();
        let content_type = header(&open.opened.incoming.headers, "content-type").map(str::to_owned);
        let state = self.finish(*open)?;
        if let (Some(body), Some((keeper, about)), Some(giving)) = (body, &self.raw, &self.giving) {
            let kept = keeper.keep(about.clone(), content_type, body).await;
            kept.map_err(|failure| giving.exchange.error(failure))?;
        }
        Ok(state)
    }

    fn finish(&mut self, open: OpenPage) -> Result<State, CallError> {
        let connector = self.connector.clone();
        let OpenPage { exchange, opened, held, mut end, .. } = open;
        let failed = |failure| exchange.error(redacted(&connector, failure));
        if end.is_root_record && self.pager.reads_envelope() {
            end.envelope = root_record(&end).map_err(failed)?;
        }
        if self.is_page_before(&end) {
            let problem = "the page has the same records as the one before";
            return Err(exchange.error(Failure::PageLoop { problem }));
        }
        let total = self.pager.total(&end.envelope).or_else(|| likely_total(&end.envelope));
        self.total = total.or(self.total);
        let seen = Seen { url: opened.url.expose(), headers: &opened.incoming.headers, end: &end };
        let next = self.pager.next(exchange.request(), &seen);
        let next = next.map_err(|failure| exchange.error(failure))?;
        // What is not met would go.
        if let Some(gap) = self.pager.gap().filter(|_| self.resource.drops_absent()) {
            return Err(exchange.error(gap));
        }
        let bytes = opened.incoming.bytes();
        let is_cut = self.end_page(exchange, held, end.records, bytes);
        let is_full = self.resource.records_max.is_some_and(|most| self.handed >= most);
        if is_cut || (is_full && next.is_some()) {
            self.warn(format!("`max_records` ended it after {}; there are more", self.handed));
            return Ok(State::Ended);
        }
        match next {
            Some(next) => {
                let mark = self.pager.mark(self.page, &next, self.connector.redactor());
                if let Some(giving) = &mut self.giving {
                    giving.mark = mark;
                }
                self.look_ahead(&next, &end, bytes)?;
                Ok(State::Next(Box::new(next)))
            }
            None => {
                self.warn_of_early_end();
                self.warn_of_repeats();
                Ok(State::Ended)
            }
        }
    }

    /// Whether these are the records of the page before; otherwise remembers them, and counts
    /// those that came again.
    fn is_page_before(&mut self, end: &PageEnd) -> bool {
        if !self.pager.may_clamp() || end.records == 0 {
            return false;
        }
        if self.last_hashes == end.hashes {
            return true;
        }
        let before: HashSet<u64> = self.last_hashes.drain(..).collect();
        let again = end.hashes.iter().filter(|hash| before.contains(hash)).count();
        self.repeated += again as u64;
        self.last_hashes.clone_from(&end.hashes);
        false
    }

    /// Begins to read the pages that follow, side by side, as many as the api may be asked for at
    /// once and the bound on held bytes allows.
    fn look_ahead(&mut self, next: &Request, end: &PageEnd, bytes: u64) -> Result<(), CallError> {
        if self.ahead.was_wrong() || !next.repeatable {
            return Ok(());
        }
        let concurrency = self.connector.target(&self.api)?.gate.places.ceiling();
        let fitting = self.held_max() as u64 / bytes.max(1);
        let mut window = (concurrency.min(ahead::PAGES_MAX) as u64).min(fitting);
        window = window.min(self.pages_max.saturating_sub(self.page));
        if let Some(most) = self.resource.records_max {
            let left = most.saturating_sub(self.handed);
            window = window.min(left.div_ceil(end.records.max(1)));
        }
        if window < 2 {
            return Ok(());
        }
        for distance in self.ahead.len() as u64..window {
            let Some(request) = self.pager.guess(next, distance) else { break };
            let fingerprint = fingerprint(&request);
            if self.made.contains(&fingerprint) {
                break;
            }
            let exchange = self.exchange(request, self.page + 1 + distance)?;
            let connector = self.connector.clone();
            self.ahead.begin(fingerprint, connector, exchange, self.shape(window));
        }
        Ok(())
    }

    /// Begins to hand out a page, up to `max_records`; says whether records are left out.
    fn end_page(&mut self, exchange: Exchange, held: Held, records: u64, bytes: u64) -> bool {
        let left =
            self.resource.records_max.map_or(records, |most| most.saturating_sub(self.handed));
        let left = left.min(records);
        self.giving = Some(Giving { exchange, held, left, mark: None });
        self.handed += left;
        self.counts.pages += 1;
        self.counts.bytes += bytes;
        let before = self.resumed.as_ref().map_or(0, PageMark::records);
        self.counts.records = self.handed - before;
        let (resource, page, total) = (self.name.clone(), self.page, self.total);
        self.connector.observe(&Event::PageRead { resource, page, records, bytes, total });
        left < records
    }

    /// The next part of a whole page.
    async fn part(&mut self, mut giving: Giving) -> Result<PagePart, CallError> {
        let mut part = PagePart {
            records: Records::default(),
            page: self.page,
            last_of_page: true,
            total: self.total,
            mark: None,
        };
        if giving.left > 0 {
            let state = std::mem::replace(&mut self.state, State::Broken);
            let batch = giving.held.next().await;
            let batch = batch.map_err(|failure| giving.exchange.error(failure))?;
            let batch = batch.ok_or_else(|| self.broken())?;
            self.state = state;
            let taken = giving.left.min(batch.len() as u64);
            giving.left -= taken;
            part.records = batch.first(usize::try_from(taken).unwrap_or(usize::MAX));
            if giving.left > 0 {
                part.last_of_page = false;
                self.giving = Some(giving);
                return Ok(part);
            }
        }
        part.mark = giving.mark;
        Ok(part)
    }

    /// A `next` that names a field which is never there ends a walk after its first page without
    /// any error; the total is what gives it away.
    fn warn_of_early_end(&self) {
        let Some(total) = self.total.filter(|total| *total > self.handed) else {
            return;
        };
        let read = self.handed;
        self.warn(format!("the api says that there are {total} records, and {read} were read"));
    }

    /// Rows that are added or removed while pages are counted off move others from page to page:
    /// some come twice, and others never.
    fn warn_of_repeats(&self) {
        if self.repeated > 0 {
            self.warn(format!(
                "{} records came on two pages: rows moved while they were read, so others may be \
                 missing; an order that does not change, or `keyset`, reads every row",
                self.repeated
            ));
        }
    }

    fn warn(&self, message: String) {
        self.connector.observe(&Event::Warned { about: self.name.to_string(), message });
    }
}

/// Everything that makes a request the same request.
fn fingerprint(request: &Request) -> u64 {
    let mut hasher = DefaultHasher::new();
    request.method.as_str().hash(&mut hasher);
    request.url.expose().as_str().hash(&mut hasher);
    request.headers.hash(&mut hasher);
    request.body.as_ref().map(|body| body.upload().shown()).hash(&mut hasher);
    hasher.finish()
}

/// The whole answer is one record, and the pager needs its fields.
fn root_record(end: &PageEnd) -> Result<Value, Failure> {
    let record = end.last.as_deref().unwrap_or(b"{}");
    exact_json(record).map_err(|error| Failure::NotJson {
        problem: error.to_string(),
        excerpt: Excerpt::default(),
    })
}

fn likely_total(envelope: &Value) -> Option<u64> {
    let places = TOTAL_PLACES.iter().filter_map(|place| envelope.get(place));
    let mut places = std::iter::once(envelope).chain(places);
    places.find_map(|place| TOTALS.iter().find_map(|name| place.get(name)?.as_u64()))
}
