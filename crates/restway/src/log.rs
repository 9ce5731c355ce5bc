//! The log: events as lines on standard error, for people and for grep.
//!
//! `2026-01-31T12:00:00.000Z DEBUG page_read resource=acme.teams page=1 records=50`. The fields
//! are the event's own, so that a line can be searched by name; nothing else is logged, so the
//! libraries below cannot print what they should not.

use std::sync::Arc;

use restway_model::{Clock, Event, Level, Observer};
use serde_json::Value;

use crate::arguments::LogLevel;
use crate::printer::Printer;

/// Writes the events up to a level.
pub(crate) struct Log {
    pub(crate) level: Level,
    pub(crate) printer: Printer,
    pub(crate) clock: Arc<dyn Clock>,
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::Error,
            LogLevel::Warn => Self::Warn,
            LogLevel::Info => Self::Info,
            LogLevel::Debug => Self::Debug,
            LogLevel::Trace => Self::Trace,
        }
    }
}

impl Observer for Log {
    fn observe(&self, event: &Event) {
        let level = event.level();
        if level > self.level {
            return;
        }
        let now = self.clock.now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let word = format!("{level:?}").to_uppercase();
        let fields = serde_json::to_value(event).unwrap_or(Value::Null);
        let name = fields["event"].as_str().unwrap_or("event").to_owned();
        let mut line = format!("{now} {word:<5} {name}");
        for (key, value) in fields.as_object().into_iter().flatten() {
            if key != "event" {
                line.push_str(&format!(" {key}={}", shown(value)));
            }
        }
        self.printer.note(&line);
    }
}

/// A field's value on one line: names bare, texts with spaces quoted, durations in seconds.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.contains([' ', '"', '\n', '\t']) => value.to_string(),
        Value::String(text) => text.clone(),
        Value::Object(members) => match (members.get("secs"), members.get("nanos")) {
            (Some(seconds), Some(nanos)) => {
                let seconds = seconds.as_f64().unwrap_or(0.0);
                format!("{:.3}s", seconds + nanos.as_f64().unwrap_or(0.0) / 1e9)
            }
            _ => match (members.get("api"), members.get("table")) {
                (Some(Value::String(api)), Some(Value::String(table))) => format!("{api}.{table}"),
                _ => value.to_string(),
            },
        },
        other => other.to_string(),
    }
}
