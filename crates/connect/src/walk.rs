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
//! A page that repeats is found in two ways: by its request, over the whole walk, and for numbered
//! pages also by its records, because some servers answer every page past the end with the last.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use restway_model::definition::{ApiFile, ResourceSettings};
use restway_model::{Counts, Event, Records, TableName, Values};
use serde_json::Value;

use crate::Connector;
use crate::decode::{Bounds, PageEnd, PageReader};
use crate::error::{CallError, Excerpt, Failure};
use crate::exchange::{Exchange, Opened};
use crate::page::{Pager, Seen};
use crate::request::Request;

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
    last_hash: Option<u64>,
    total: Option<u64>,
    counts: Counts,
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

/// A page that is being read.
struct OpenPage {
    exchange: Exchange,
    opened: Opened,
    reader: PageReader,
    held: VecDeque<Records>,
    held_bytes: usize,
    /// Whether a part of it was handed out, so that it cannot be read again.
    is_out: bool,
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
            last_hash: None,
            total: None,
            counts: Counts::default(),
            ready: VecDeque::new(),
        }
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
                    let request = self.first_request()?;
                    self.begin(request).await.map_err(|cause| self.failed(1, cause))?
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
        let mut counts = self.counts;
        if let State::Reading(open) = &self.state {
            counts.requests += open.exchange.sent();
            counts.retries += open.exchange.retries();
        }
        counts
    }

    fn failed(&self, page: u64, cause: CallError) -> CallError {
        CallError::Page { resource: self.name.clone(), page, cause: Box::new(cause) }
    }

    fn first_request(&self) -> Result<Request, CallError> {
        let values = self.connector.lookup(self.values.as_ref(), false);
        let header_values = self.connector.lookup(self.values.as_ref(), true);
        let homes = crate::plan::homes(&self.api, &values)?;
        let request =
            crate::plan::resource_request(&homes, &self.resource, &values, &header_values)?;
        Ok(self.pager.first(request))
    }

    /// Opens a page, unless it was read before or is one too many.
    async fn begin(&mut self, request: Request) -> Result<State, CallError> {
        let target = self.connector.target(&self.api)?;
        let is_repeat = !self.made.insert(fingerprint(&request));
        let mut exchange = Exchange::new(self.connector.clone(), target, request);
        if is_repeat {
            let problem = "the request for the next page was made before";
            return Err(exchange.error(Failure::PageLoop { problem }));
        }
        if self.page >= self.pages_max {
            return Err(exchange.error(Failure::PageBound { bound: self.pages_max }));
        }
        self.page += 1;
        let outcome = exchange.open().await;
        let opened = match outcome {
            Ok(opened) => opened,
            Err(error) => {
                self.count(&exchange);
                return Err(error);
            }
        };
        // 204 and 205 have no body by definition; other statuses here are to be skipped.
        let status = opened.incoming.status;
        if matches!(status, 204 | 205) || !(200..300).contains(&status) {
            self.count(&exchange);
            self.end_page(VecDeque::new(), 0, 0);
            return Ok(State::Ended);
        }
        let reader = self.reader();
        let (held, held_bytes, is_out) = (VecDeque::new(), 0, false);
        let open = OpenPage { exchange, opened, reader, held, held_bytes, is_out };
        Ok(State::Reading(Box::new(open)))
    }

    fn reader(&self) -> PageReader {
        let mut bounds = Bounds::new(self.connector.limits());
        bounds.hashes = self.pager.may_clamp();
        bounds.keeps_last = self.pager.reads_last() || self.pager.reads_envelope();
        PageReader::new(self.resource.records.as_ref(), bounds)
    }

    /// Reads until the page is whole, or too large to be held.
    async fn read(&mut self, mut open: Box<OpenPage>) -> Result<State, CallError> {
        let limits = self.connector.limits();
        let held_max = limits.batch_bytes_max.saturating_mul(limits.channel_batches_max.max(1));
        loop {
            let failure = match self.read_some(&mut open).await {
                Ok(true) => break,
                Ok(false) if open.held_bytes > held_max => {
                    open.is_out = true;
                    open.held_bytes = 0;
                    let page = self.page;
                    let parts = open.held.drain(..).map(|records| PagePart {
                        records,
                        page,
                        last_of_page: false,
                        total: self.total,
                    });
                    self.ready.extend(parts);
                    return Ok(State::Reading(open));
                }
                Ok(false) => continue,
                Err(failure) => self.redacted(failure),
            };
            if open.is_out {
                self.count(&open.exchange);
                return Err(open.exchange.error(failure));
            }
            if let Err(error) = self.reopen(&mut open, failure).await {
                self.count(&open.exchange);
                return Err(error);
            }
        }
        self.finish(*open)
    }

    /// Reads one chunk; true at the end of the body.
    async fn read_some(&self, open: &mut OpenPage) -> Result<bool, Failure> {
        let Some(chunk) = open.opened.incoming.chunk(self.connector.clock()).await? else {
            // What is missing at the end is found here, while the page can still be read again.
            return open.reader.is_complete(open.opened.incoming.bytes()).map(|()| true);
        };
        let bound = self.connector.limits().body_bytes_max;
        if open.opened.incoming.bytes() > bound {
            let bound = format!("{bound} bytes");
            return Err(Failure::TooLarge { what: "the answer", bound, hint: None });
        }
        open.reader.feed(&chunk)?;
        while let Some(batch) = open.reader.batch() {
            open.held_bytes += batch.bytes();
            open.held.push_back(batch);
        }
        Ok(false)
    }

    /// The page broke before any of it was handed out: waits and begins it again.
    async fn reopen(&self, open: &mut OpenPage, failure: Failure) -> Result<(), CallError> {
        open.held.clear();
        open.held_bytes = 0;
        open.reader = self.reader();
        // The place at the gate is free while this waits.
        open.opened.release();
        open.exchange.broke(failure).await?;
        open.opened = open.exchange.open().await?;
        Ok(())
    }

    fn finish(&mut self, open: OpenPage) -> Result<State, CallError> {
        let OpenPage { exchange, opened, reader, mut held, .. } = open;
        self.count(&exchange);
        let failed = |failure| exchange.error(self.redacted(failure));
        let (mut end, rest) = reader.finish().map_err(failed)?;
        held.extend(rest);
        if end.is_root_record && self.pager.reads_envelope() {
            end.envelope = root_record(&end).map_err(failed)?;
        }
        if self.pager.may_clamp() && end.records > 0 {
            if self.last_hash == Some(end.hash) {
                let problem = "the page has the same records as the one before";
                return Err(exchange.error(Failure::PageLoop { problem }));
            }
            self.last_hash = Some(end.hash);
        }
        let total = self.pager.total(&end.envelope).or_else(|| likely_total(&end.envelope));
        self.total = total.or(self.total);
        let seen = Seen { url: &opened.url, headers: &opened.incoming.headers, end: &end };
        let next = self.pager.next(exchange.request(), &seen);
        let next = next.map_err(|failure| exchange.error(failure))?;
        self.end_page(held, end.records, opened.incoming.bytes());
        Ok(match next {
            Some(next) => State::Next(Box::new(next)),
            None => {
                self.warn_of_early_end();
                State::Ended
            }
        })
    }

    /// Hands out what is left of a page, its end marked.
    fn end_page(&mut self, held: VecDeque<Records>, records: u64, bytes: u64) {
        self.counts.pages += 1;
        self.counts.records += records;
        self.counts.bytes += bytes;
        let (page, total) = (self.page, self.total);
        let part = |records| PagePart { records, page, last_of_page: false, total };
        self.ready.extend(held.into_iter().map(part));
        match self.ready.back_mut() {
            Some(last) => last.last_of_page = true,
            None => {
                let records = Records::default();
                self.ready.push_back(PagePart { records, page, last_of_page: true, total });
            }
        }
        let resource = self.name.clone();
        self.connector.observe(&Event::PageRead { resource, page, records, bytes, total });
    }

    fn count(&mut self, exchange: &Exchange) {
        self.counts.requests += exchange.sent();
        self.counts.retries += exchange.retries();
    }

    /// A `next` that names a field which is never there ends a walk after its first page without
    /// any error; the total is what gives it away.
    fn warn_of_early_end(&self) {
        let Some(total) = self.total.filter(|total| *total > self.counts.records) else {
            return;
        };
        let read = self.counts.records;
        self.connector.observe(&Event::Warned {
            about: self.name.to_string(),
            message: format!("the api says that there are {total} records, and {read} were read"),
        });
    }

    /// Pieces of the answer in an error pass the redactor like everything else.
    fn redacted(&self, failure: Failure) -> Failure {
        match failure {
            Failure::NotJson { problem, excerpt: Excerpt(text) } => Failure::NotJson {
                problem: self.connector.redacted(&problem),
                excerpt: Excerpt(self.connector.redacted(&text)),
            },
            other => other,
        }
    }
}

/// Everything that makes a request the same request.
fn fingerprint(request: &Request) -> u64 {
    let mut hasher = DefaultHasher::new();
    request.method.as_str().hash(&mut hasher);
    request.url.expose().as_str().hash(&mut hasher);
    request.body.as_ref().map(crate::request::Body::bytes).hash(&mut hasher);
    hasher.finish()
}

/// The whole answer is one record, and the pager needs its fields.
fn root_record(end: &PageEnd) -> Result<Value, Failure> {
    let record = end.last.as_deref().unwrap_or(b"{}");
    serde_json::from_slice(record).map_err(|error| Failure::NotJson {
        problem: error.to_string(),
        excerpt: Excerpt::default(),
    })
}

fn likely_total(envelope: &Value) -> Option<u64> {
    let places = TOTAL_PLACES.iter().filter_map(|place| envelope.get(place));
    let mut places = std::iter::once(envelope).chain(places);
    places.find_map(|place| TOTALS.iter().find_map(|name| place.get(name)?.as_u64()))
}
