//! What every command works with, made once from the global arguments.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use restway_connect::{Proxies, SystemClock, Tape};
use restway_model::{Clock, Event, Level, Limits, Observer};
use restway_work::{Settings, Stop, Stopper, Workspace, find_folder};
use serde_json::{Value, json};

use crate::arguments::{Global, TapeArguments};
use crate::log::Log;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::report::{BadArgument, Failure};

/// The printer, the observers, the clock, and where the workspace is looked for.
pub(crate) struct Context {
    pub(crate) printer: Printer,
    pub(crate) progress: Progress,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) warnings: Warnings,
    directory: Option<PathBuf>,
}

/// What a command wants of a workspace.
#[derive(Default)]
pub(crate) struct Wanted<'a> {
    /// Its calls recorded or played.
    pub(crate) tape: Option<&'a TapeArguments>,
    /// Its calls through this proxy.
    pub(crate) proxy: Option<&'a str>,
    /// These apis only, so that the files of others may be broken.
    pub(crate) apis: Option<Vec<String>>,
}

/// What was warned of, for answers in JSON; a bound number of the first.
#[derive(Clone, Default)]
pub(crate) struct Warnings(Arc<Mutex<Vec<(String, String)>>>);

/// Warnings that an answer lists at most.
const WARNINGS_MAX: usize = 1_000;

impl Warnings {
    pub(crate) fn json(&self) -> Vec<Value> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().map(|(about, message)| json!({ "about": about, "message": message })).collect()
    }
}

impl Observer for Warnings {
    fn observe(&self, event: &Event) {
        if let Event::Warned { about, message } = event {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < WARNINGS_MAX {
                kept.push((about.clone(), message.clone()));
            }
        }
    }
}

/// Tells several readers of an event.
struct Observers(Vec<Box<dyn Observer>>);

impl Observer for Observers {
    fn observe(&self, event: &Event) {
        self.0.iter().for_each(|observer| observer.observe(event));
    }
}

impl Context {
    pub(crate) fn new(global: &Global, printer: Printer) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let progress = Progress::new(&printer, global.log.is_some(), Arc::clone(&clock));
        let warnings = Warnings::default();
        let mut readers: Vec<Box<dyn Observer>> = vec![Box::new(warnings.clone())];
        match global.log.map(Level::from) {
            Some(level) => readers.push(Box::new(Log {
                level,
                printer: printer.clone(),
                clock: Arc::clone(&clock),
            })),
            // A log says all that the bars and notes say; both together would say it twice.
            None => readers.push(Box::new(progress.clone())),
        }
        Self {
            printer,
            progress,
            clock,
            observer: Arc::new(Observers(readers)),
            warnings,
            directory: global.directory.clone(),
        }
    }

    /// The folder of the workspace that the arguments mean.
    pub(crate) fn folder(&self) -> Result<PathBuf, Failure> {
        let start = match &self.directory {
            Some(directory) => directory.clone(),
            None => std::env::current_dir().map_err(restway_work::WorkError::File)?,
        };
        Ok(find_folder(&start)?)
    }

    /// What a workspace is opened with, for a person at the command line.
    pub(crate) fn settings(&self) -> Settings {
        self.settings_through(Proxies::of(|name| std::env::var(name).ok()))
    }

    fn settings_through(&self, proxies: Proxies) -> Settings {
        Settings {
            limits: Limits::default(),
            observer: Arc::clone(&self.observer),
            clock: Arc::clone(&self.clock),
            redactor: self.printer.redactor.clone(),
            may_reach_loopback: true,
            proxies,
            tape: None,
            apis: None,
        }
    }

    /// The open workspace, as a command wants it.
    pub(crate) async fn workspace_with(&self, wanted: Wanted<'_>) -> Result<Workspace, Failure> {
        let settings = self.settings_through(proxies(wanted.proxy)?);
        let tape = wanted.tape.map(tape).transpose()?.flatten();
        let settings = Settings { tape, apis: wanted.apis, ..settings };
        Ok(Workspace::open(&self.folder()?, settings).await?)
    }

    /// The open workspace.
    pub(crate) async fn workspace(&self) -> Result<Workspace, Failure> {
        Ok(Workspace::open(&self.folder()?, self.settings()).await?)
    }

    /// A wish to stop that Ctrl-C and SIGTERM raise; the second of them ends the process at once.
    pub(crate) fn stop_on_signal(&self) -> Stop {
        let (stopper, stop) = Stopper::new();
        let printer = self.printer.clone();
        tokio::spawn(async move {
            signal().await;
            printer.aside("stopping; once more ends at once");
            stopper.stop();
            signal().await;
            restway_signal_exit();
        });
        stop
    }
}

/// The recorder or player that the arguments ask for.
pub(crate) fn tape(arguments: &TapeArguments) -> Result<Option<Arc<Tape>>, BadArgument> {
    let (flag, folder, tape) = match (&arguments.record, &arguments.replay) {
        (Some(folder), _) => ("record", folder, Tape::record(folder)),
        (_, Some(folder)) => ("replay", folder, Tape::replay(folder)),
        (None, None) => return Ok(None),
    };
    let tape = tape.map_err(|error| {
        BadArgument::new(format!("`--{flag} {}` cannot be used: {error}", folder.display()))
    })?;
    Ok(Some(Arc::new(tape)))
}

/// Ends when the process is asked to stop.
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

#[expect(
    clippy::exit,
    reason = "the person asked twice; what is staged is swept at the next start"
)]
fn restway_signal_exit() {
    std::process::exit(3);
}

/// The proxies that the environment names, or the one that the person gives.
pub(crate) fn proxies(given: Option<&str>) -> Result<Proxies, BadArgument> {
    let proxies = Proxies::of(|name| std::env::var(name).ok());
    let Some(address) = given else { return Ok(proxies) };
    proxies.through(address).map_err(|problem| {
        BadArgument::new(format!("`--proxy` {problem}")).with_hint(
            "write `http://HOST:PORT` or `socks5://HOST:PORT`; a login is \
             `'http://USER:${secret.NAME}@HOST:PORT'`, or stands in the variable `https_proxy`",
        )
    })
}
