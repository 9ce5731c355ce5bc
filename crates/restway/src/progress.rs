//! Progress: bars on a terminal, plain lines elsewhere, from the events of a sync.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use restway_model::{Counts, Event, Observer, RunStatus, TableName};

use crate::printer::{Color, Printer};
use crate::text_table::{bytes, count};

/// How often a spinner moves.
const TICK: Duration = Duration::from_millis(120);

/// Shows how far each resource is.
#[derive(Clone)]
pub(crate) struct Progress {
    printer: Printer,
    bars: MultiProgress,
    shows_bars: bool,
    resources: Arc<Mutex<BTreeMap<TableName, Shown>>>,
}

struct Shown {
    bar: ProgressBar,
    records: u64,
    bytes: u64,
}

impl Progress {
    pub(crate) fn new(printer: &Printer, logs: bool) -> Self {
        let shows_bars =
            !printer.quiet && !printer.json && !logs && std::io::stderr().is_terminal();
        let target =
            if shows_bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self {
            printer: printer.clone(),
            bars: MultiProgress::with_draw_target(target),
            shows_bars,
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

    fn started(&self, resource: &TableName) {
        let bar = self.bars.add(ProgressBar::no_length());
        bar.set_style(style("{spinner:.cyan} {prefix} {msg}"));
        bar.set_prefix(resource.to_string());
        if self.shows_bars {
            bar.enable_steady_tick(TICK);
        }
        self.resources().insert(resource.clone(), Shown { bar, records: 0, bytes: 0 });
    }

    fn page(&self, resource: &TableName, records: u64, read: u64, total: Option<u64>) {
        let mut resources = self.resources();
        let Some(shown) = resources.get_mut(resource) else { return };
        shown.records += records;
        shown.bytes += read;
        if let Some(total) = total.filter(|_| shown.bar.length().is_none()) {
            shown.bar.set_length(total);
            let bar = "{spinner:.cyan} {prefix} {bar:24.cyan} {percent:>3}% {msg} eta {eta}";
            shown.bar.set_style(style(bar));
        }
        shown.bar.set_position(shown.records);
        let seconds = shown.bar.elapsed().as_secs_f64().max(0.001);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rate for people"
        )]
        let rate = (shown.records as f64 / seconds) as u64;
        shown.bar.set_message(format!(
            "{} rows  {}  {}/s",
            count(shown.records),
            bytes(shown.bytes),
            count(rate)
        ));
    }

    fn ended(&self, resource: &TableName, status: RunStatus, counts: &Counts, took: Duration) {
        if let Some(shown) = self.resources().remove(resource) {
            shown.bar.finish_and_clear();
        }
        let mark = match status {
            RunStatus::Succeeded => self.printer.paint(Color::Green, "✓"),
            RunStatus::Partly => self.printer.paint(Color::Yellow, "!"),
            _ => self.printer.paint(Color::Red, "✗"),
        };
        let line = format!(
            "{mark} {resource}  {} records  {} pages  {}  {:.2} s",
            count(counts.records),
            count(counts.pages),
            bytes(counts.bytes),
            took.as_secs_f64()
        );
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

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Observer for Progress {
    fn observe(&self, event: &Event) {
        match event {
            Event::ResourceStarted { resource } => self.started(resource),
            Event::PageRead { resource, records, bytes, total, .. } => {
                self.page(resource, *records, *bytes, *total);
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
            Event::RateWaited { api, wait } => {
                let wait = wait.as_secs_f64();
                self.warned(&format!("{api}: waiting {wait:.1} s to keep to its rate"));
            }
            Event::BatchRecovered { resource, sequence } => {
                self.warned(&format!("{resource}: batch {sequence} of an earlier run is finished"));
            }
            _ => {}
        }
    }
}
