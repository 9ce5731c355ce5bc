//! A walk over the pages of one resource.
//!
//! In: a resource and its values. Out: its records, page after page, in bounded parts. The loop of
//! this module shows the stages in order: plan the next request, refuse one that was made before,
//! exchange, decode, hand out, ask the pager.
//!
//! **No record twice.** The parts of a page are held back until the page is whole, so that a body
//! that breaks is read again from its start and nobody notices. A page of more than
//! `batch_bytes_max * channel_batches_max` bytes (32 MiB) is handed out while it is being read; if
//! such a page breaks, the walk fails, because part of it is already downstream. So memory is flat
//! and a failed walk is the only way to see a page in part.
//!
//! Where the api tells how many records or pages there are, numbered pages are read side by side
//! (`ahead.rs`); everything here happens in the order of pages all the same.
//!
//! A page that repeats is found in two ways: by its request, over the whole walk, and for numbered
//! pages also by its records, because some servers answer every page past the end with the last.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use restway_model::definition::{ApiFile, ResourceSettings};
use restway_model::{Counts, Event, Records, TableName, Values, exact_json};
use serde_json::Value;

use crate::Connector;
use crate::ahead::{self, Ahead, Outcome};
use crate::decode::{Bounds, PageEnd};
use crate::error::{CallError, Excerpt, Failure};
use crate::exchange::{Exchange, Tally};
use crate::open_page::{OpenPage, PageShape, Progress, redacted};
use crate::page::{PageMark, Pager, Seen};
use crate::request::{Request, header};
use crate::retry::http_date;

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
    ready: VecDeque<PagePart>,
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
            tally: Arc::default(),
            counts: Counts::default(),
            handed: 0,
            resumed: None,
            api_time: None,
            ready: VecDeque::new(),
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

    /// What time it was at the api when it answered first, if it told (RFC 9110, section 6.6.1).
    pub const fn api_time(&self) -> Option<DateTime<Utc>> {
        self.api_time
    }

    /// The next part; `None` when all pages are read. Not to be called again after an error, nor
    /// after its future was dropped: it then fails, because the place in the page is lost.
    ///
    /// # Errors
    /// What stopped the walk, with its page. Parts handed out before it are whole pages, but for
    /// the last page if that was larger than the bound.
    pub async fn next(&mut self) -> Result<Option<PagePart>, CallError> {
        loop {
            if let Some(part) = self.ready.pop_front() {
                return Ok(Some(part));
            }
            let page = self.page.max(1);
            let state = std::mem::replace(&mut self.state, State::Broken);
            self.state = match state {
                State::Ended => {
                    self.state = State::Ended;
                    return Ok(None);
                }
                State::Broken => {
                    let problem = "was stopped in the middle of a page";
                    return Err(CallError::invalid(
                        format!("the walk of `{}`", self.name),
                        problem,
                    ));
                }
                State::Start => {
                    let page = self.page + 1;
                    let request = self.first_request()?;
                    self.begin(request).await.map_err(|cause| self.failed(page, cause))?
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

    fn failed(&self, page: u64, cause: CallError) -> CallError {
        CallError::Page { resource: self.name.clone(), page, cause: Box::new(cause) }
    }

    fn first_request(&mut self) -> Result<Request, CallError> {
        let values = self.connector.lookup(self.values.as_ref(), false);
        let header_values = self.connector.lookup(self.values.as_ref(), true);
        let homes = crate::plan::homes(&self.api, &values)?;
        let request =
            crate::plan::resource_request(&homes, &self.resource, &values, &header_values)?;
        let first = self.pager.first(request).map_err(crate::plan_failure)?;
        match &self.resumed {
            Some(mark) => self.pager.resume(first, mark).map_err(crate::plan_failure),
            None => Ok(first),
        }
    }

    /// Opens a page, unless it was read before or is one too many.
    async fn begin(&mut self, request: Request) -> Result<State, CallError> {
        let fingerprint = fingerprint(&request);
        let is_repeat = !self.made.insert(fingerprint);
        let exchange = self.exchange(request)?;
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
            Some(Outcome::TooLarge) | None => {
                OpenPage::open(self.connector.clone(), exchange, self.shape()).await.map(Box::new)
            }
        };
        let open = opened?;
        if self.api_time.is_none() {
            let date = header(&open.opened.incoming.headers, "date");
            self.api_time = date.and_then(http_date);
        }
        if open.is_empty_answer() {
            self.end_page(VecDeque::new(), 0, 0);
            return Ok(State::Ended);
        }
        Ok(State::Reading(open))
    }

    fn exchange(&self, request: Request) -> Result<Exchange, CallError> {
        let target = self.connector.target(&self.api)?;
        Ok(Exchange::new(self.connector.clone(), target, request).tallied(&self.tally))
    }

    fn shape(&self) -> PageShape {
        let mut bounds = Bounds::new(self.connector.limits());
        bounds.hashes = self.pager.may_clamp();
        let reads_answer = self.pager.reads_envelope() || self.resource.fail_when.is_some();
        bounds.keeps_last = self.pager.reads_last() || reads_answer;
        PageShape { records: self.resource.records.clone(), bounds }
    }

    fn held_max(&self) -> usize {
        let limits = self.connector.limits();
        limits.batch_bytes_max.saturating_mul(limits.channel_batches_max.max(1))
    }

    /// Reads until the page is whole, or too large to be held.
    async fn read(&mut self, mut open: Box<OpenPage>) -> Result<State, CallError> {
        match open.read(self.held_max()).await? {
            Progress::Whole => self.finish(*open),
            Progress::Full => {
                let parts = open.hand_out();
                self.push(parts);
                Ok(State::Reading(open))
            }
        }
    }

    fn finish(&mut self, open: OpenPage) -> Result<State, CallError> {
        let connector = self.connector.clone();
        let OpenPage { exchange, opened, reader, mut held, .. } = open;
        let failed = |failure| exchange.error(redacted(&connector, failure));
        let fail_when = self.resource.fail_when.as_ref();
        let (mut end, rest) = reader.finish(fail_when).map_err(failed)?;
        held.extend(rest);
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
        let bytes = opened.incoming.bytes();
        let is_cut = self.end_page(held, end.records, bytes);
        let is_full = self.resource.records_max.is_some_and(|most| self.handed >= most);
        if is_cut || (is_full && next.is_some()) {
            self.warn(format!("`max_records` ended it after {}; there are more", self.handed));
            return Ok(State::Ended);
        }
        match next {
            Some(next) => {
                let mark = self.pager.mark(self.page, &next, self.connector.redactor());
                if let Some(last) = self.ready.back_mut() {
                    last.mark = mark;
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
        let held_max = self.held_max() / usize::try_from(window).unwrap_or(1);
        for distance in self.ahead.len() as u64..window {
            let Some(request) = self.pager.guess(next, distance) else { break };
            let fingerprint = fingerprint(&request);
            if self.made.contains(&fingerprint) {
                break;
            }
            let exchange = self.exchange(request)?;
            let connector = self.connector.clone();
            self.ahead.begin(fingerprint, connector, exchange, self.shape(), held_max);
        }
        Ok(())
    }

    /// Hands out what is left of a page, its end marked; says whether records were left out.
    fn end_page(&mut self, held: VecDeque<Records>, records: u64, bytes: u64) -> bool {
        self.counts.pages += 1;
        self.counts.bytes += bytes;
        let is_cut = self.push(held);
        let (page, total) = (self.page, self.total);
        match self.ready.back_mut() {
            Some(last) => last.last_of_page = true,
            None => {
                let (records, mark) = (Records::default(), None);
                self.ready.push_back(PagePart { records, page, last_of_page: true, total, mark });
            }
        }
        let before = self.resumed.as_ref().map_or(0, PageMark::records);
        self.counts.records = self.handed - before;
        let resource = self.name.clone();
        self.connector.observe(&Event::PageRead { resource, page, records, bytes, total });
        is_cut
    }

    /// Makes parts of batches, up to `max_records`; says whether some were left out.
    fn push(&mut self, batches: VecDeque<Records>) -> bool {
        let (page, total) = (self.page, self.total);
        for records in batches {
            let length = records.len() as u64;
            let left = self.resource.records_max.map_or(length, |most| most - self.handed);
            let taken = length.min(left);
            self.handed += taken;
            if taken > 0 {
                let records = records.first(usize::try_from(taken).unwrap_or(usize::MAX));
                let (last_of_page, mark) = (false, None);
                self.ready.push_back(PagePart { records, page, last_of_page, total, mark });
            }
            if taken < length {
                return true;
            }
        }
        false
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
