//! Progress: bars on a terminal, plain lines elsewhere, from the events of a sync or an export.
//!
//! In: events. Out: for each resource under way its rows, bytes and rate, what is left where the
//! api tells how many there are, and what it waits for. A terminal shows that in a bar, which needs
//! no line for each wait; elsewhere a line follows every ten seconds.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use restway_model::{Clock, Counts, Event, Name, Observer, RowCounts, RunStatus, TableName};

use crate::printer::{Color, Printer};
use crate::text_table::{bytes, count};

/// How often a spinner moves.
const TICK: Duration = Duration::from_millis(120);

/// How often a line says how far a resource is, where no bar does.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows how far each resource is.
#[derive(Clone)]
pub(crate) struct Progress {
    printer: Printer,
    bars: MultiProgress,
    shows_bars: bool,
    clock: Arc<dyn Clock>,
    resources: Arc<Mutex<BTreeMap<TableName, Shown>>>,
}

struct Shown {
    bar: ProgressBar,
    records: u64,
    bytes: u64,
    total: Option<u64>,
    started: Duration,
    /// When a line was printed last.
    said: Duration,
}

impl Progress {
    pub(crate) fn new(printer: &Printer, logs: bool, clock: Arc<dyn Clock>) -> Self {
        let shows_bars =
            !printer.quiet && !printer.json && !logs && std::io::stderr().is_terminal();
        let target =
            if shows_bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self {
            printer: printer.clone(),
            bars: MultiProgress::with_draw_target(target),
            shows_bars,
            clock,
            resources: Arc::default(),
        }
    }

    /// Takes what is left of the bars off the terminal.
    pub(crate) fn finish(&self) {
        for shown in self.resources().values() {
            shown.bar.finish_and_clear();
        }
        self.resources().clear();
    }

    fn resources(&self) -> MutexGuard<'_, BTreeMap<TableName, Shown>> {
        self.resources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn started(&self, resource: &TableName, total: Option<u64>) {
        let bar = self.bars.add(ProgressBar::no_length());
        bar.set_style(style("{spinner:.cyan} {prefix} {msg}"));
        bar.set_prefix(resource.to_string());
        if self.shows_bars {
            bar.enable_steady_tick(TICK);
        }
        let now = self.clock.monotonic();
        let shown = Shown { bar, records: 0, bytes: 0, total, started: now, said: now };
        self.resources().insert(resource.clone(), shown);
    }

    fn page(&self, resource: &TableName, records: u64, read: u64, total: Option<u64>) {
        let mut resources = self.resources();
        let Some(shown) = resources.get_mut(resource) else { return };
        shown.records += records;
        shown.bytes += read;
        let total = total.or(shown.total);
        if let Some(total) = total.filter(|_| shown.bar.length().is_none()) {
            shown.bar.set_length(total);
            let bar = "{spinner:.cyan} {prefix} {bar:24.cyan} {percent:>3}% {msg} eta {eta}";
            shown.bar.set_style(style(bar));
        }
        shown.total = total;
        shown.bar.set_position(shown.records);
        let now = self.clock.monotonic();
        let text = shown.text(now);
        if !self.shows_bars && now.saturating_sub(shown.said) >= LINE_EVERY {
            shown.said = now;
            self.printer.aside(&format!("{resource}: {text}{}", shown.left(now)));
        }
        shown.bar.set_message(text);
    }

    /// Says in the bars of an api what they wait for, or in a line where there are none.
    fn waits(&self, api: &Name, wait: Duration) {
        let what = format!("waiting {:.0} s for the api's rate limit", wait.as_secs_f64().ceil());
        if !self.shows_bars {
            return self.warned(&format!("{api}: {what}"));
        }
        let now = self.clock.monotonic();
        for (resource, shown) in self.resources().iter() {
            if resource.api == *api {
                shown.bar.set_message(format!("{}  {what}", shown.text(now)));
            }
        }
    }

    fn ended(&self, resource: &TableName, status: RunStatus, counts: &Counts, took: Duration) {
        let (records, pages, read) =
            (count(counts.records), count(counts.pages), bytes(counts.bytes));
        let what = format!("{records} records  {pages} pages  {read}");
        self.is_over(resource, status, &what, took);
    }

    fn export_ended(
        &self,
        export: &TableName,
        status: RunStatus,
        rows: &RowCounts,
        took: Duration,
    ) {
        let mut what = format!("{} done", count(rows.done));
        for (word, rows) in
            [("refused", rows.refused), ("ambiguous", rows.ambiguous), ("left", rows.waiting)]
        {
            if rows > 0 {
                what.push_str(&format!("  {} {word}", count(rows)));
            }
        }
        self.is_over(export, status, &what, took);
    }

    fn is_over(&self, resource: &TableName, status: RunStatus, what: &str, took: Duration) {
        if let Some(shown) = self.resources().remove(resource) {
            shown.bar.finish_and_clear();
        }
        let mark = match status {
            RunStatus::Succeeded => self.printer.paint(Color::Green, "✓"),
            RunStatus::Partly => self.printer.paint(Color::Yellow, "!"),
            _ => self.printer.paint(Color::Red, "✗"),
        };
        let line = format!("{mark} {resource}  {what}  {:.2} s", took.as_secs_f64());
        if self.shows_bars {
            let _ = self.bars.println(line);
        } else {
            self.printer.aside(&line);
        }
    }

    fn warned(&self, text: &str) {
        let line = format!("{} {text}", self.printer.paint(Color::Yellow, "warning:"));
        let clean = self.printer.redactor.redact(&line).into_owned();
        if self.shows_bars {
            let _ = self.bars.println(clean);
        } else {
            self.printer.note(&clean);
        }
    }
}

impl Shown {
    /// Rows, bytes and the rate so far.
    fn text(&self, now: Duration) -> String {
        let (records, rate) = (count(self.records), count(self.rate(now)));
        match self.bytes {
            0 => format!("{records} rows  {rate}/s"),
            read => format!("{records} rows  {}  {rate}/s", bytes(read)),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rate for people"
    )]
    fn rate(&self, now: Duration) -> u64 {
        let seconds = now.saturating_sub(self.started).as_secs_f64().max(0.001);
        (self.records as f64 / seconds) as u64
    }

    /// How much of all that is, and how long the rest will take, where the api tells how many.
    fn left(&self, now: Duration) -> String {
        let Some(total) = self.total.filter(|total| *total >= self.records) else {
            return String::new();
        };
        match (total - self.records).checked_div(self.rate(now)) {
            Some(seconds) => format!("  of {}, {seconds} s left", count(total)),
            None => format!("  of {}", count(total)),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Observer for Progress {
    fn observe(&self, event: &Event) {
        match event {
            Event::ResourceStarted { resource } => self.started(resource, None),
            Event::PageRead { resource, records, bytes, total, .. } => {
                self.page(resource, *records, *bytes, *total);
            }
            Event::ExportStarted { export, rows } => self.started(export, Some(*rows)),
            Event::RowSettled { export, .. } => self.page(export, 1, 0, None),
            Event::ExportEnded { export, status, rows, duration } => {
                self.export_ended(export, *status, rows, *duration);
            }
            Event::ResourceEnded { resource, status, counts, duration } => {
                self.ended(resource, *status, counts, *duration);
            }
            Event::ResourceGoesOn { resource, plan } => {
                let line = format!("{resource}: {plan}");
                if self.shows_bars {
                    let _ = self.bars.println(line);
                } else {
                    self.printer.aside(&line);
                }
            }
            Event::Warned { about, message } => self.warned(&format!("{about}: {message}")),
            Event::RetryScheduled { url, reason, wait, .. } => {
                let wait = wait.as_secs_f64();
                self.warned(&format!("{url}: {reason}; trying again in {wait:.1} s"));
            }
            Event::RateWaited { api, wait } => self.waits(api, *wait),
            Event::JobWaited { resource, job, wait } => {
                let (job, wait) = (self.printer.redactor.redact(job), wait.as_secs_f64());
                let line = format!("waiting {wait:.1} s for the job `{job}`");
                match self.resources().get(resource).filter(|_| self.shows_bars) {
                    Some(shown) => shown.bar.set_message(line),
                    None => self.printer.aside(&format!("{resource}: {line}")),
                }
            }
            Event::BatchRecovered { resource, sequence } => {
                self.warned(&format!("{resource}: batch {sequence} of an earlier run is finished"));
            }
            _ => {}
        }
    }
}
