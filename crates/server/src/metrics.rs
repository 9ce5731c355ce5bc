//! What was counted, in Prometheus' text format.
//!
//! In: one note for each answer. Out: a text. What never happens here: a label from a caller's
//! text. Objects come from the publisher's closed set, and everything else counts as `other`, so
//! the memory is bounded by the definitions.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the histogram, in milliseconds and as they are printed, in seconds.
const BUCKETS: [(u128, &str); 10] = [
    (1, "0.001"),
    (5, "0.005"),
    (10, "0.01"),
    (25, "0.025"),
    (50, "0.05"),
    (100, "0.1"),
    (250, "0.25"),
    (1_000, "1"),
    (5_000, "5"),
    (30_000, "30"),
];

/// The counters of a server.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    /// Answers by object and status class.
    answers: BTreeMap<(String, u16), u64>,
    /// Answers within each bucket and no earlier one; slower ones are only in `total`.
    buckets: [u64; BUCKETS.len()],
    total: u64,
    sum: Duration,
}

impl Metrics {
    /// Counts an answer.
    pub(crate) fn count(&self, object: Option<&str>, status: u16, duration: Duration) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let object = object.unwrap_or("other").to_owned();
        *counted.answers.entry((object, status / 100)).or_default() += 1;
        let within = |(millis, _): &(u128, &str)| duration.as_micros() <= millis * 1_000;
        if let Some(bucket) = BUCKETS.iter().position(within) {
            counted.buckets[bucket] += 1;
        }
        counted.total += 1;
        counted.sum += duration;
    }

    /// All counters as text.
    pub(crate) fn text(&self) -> String {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.written().expect("a String takes any text")
    }
}

impl Counted {
    fn written(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        writeln!(text, "# HELP restway_requests_total Requests answered.")?;
        writeln!(text, "# TYPE restway_requests_total counter")?;
        for ((object, class), count) in &self.answers {
            let labels = format!("object=\"{object}\",status=\"{class}xx\"");
            writeln!(text, "restway_requests_total{{{labels}}} {count}")?;
        }
        let name = "restway_request_duration_seconds";
        writeln!(text, "# HELP {name} Time from a request's head to its answer.")?;
        writeln!(text, "# TYPE {name} histogram")?;
        let mut within = 0;
        for ((_, bound), count) in BUCKETS.iter().zip(self.buckets) {
            within += count;
            writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {within}")?;
        }
        writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {}", self.total)?;
        writeln!(text, "{name}_sum {}", self.sum.as_secs_f64())?;
        writeln!(text, "{name}_count {}", self.total)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_object_and_class_and_buckets_add_up() {
        let metrics = Metrics::default();
        metrics.count(Some("shop/customers"), 200, Duration::from_millis(3));
        metrics.count(Some("shop/customers"), 200, Duration::from_millis(700));
        metrics.count(None, 404, Duration::from_secs(60));
        let text = metrics.text();
        for line in [
            "restway_requests_total{object=\"other\",status=\"4xx\"} 1",
            "restway_requests_total{object=\"shop/customers\",status=\"2xx\"} 2",
            "restway_request_duration_seconds_bucket{le=\"0.001\"} 0",
            "restway_request_duration_seconds_bucket{le=\"0.005\"} 1",
            "restway_request_duration_seconds_bucket{le=\"1\"} 2",
            "restway_request_duration_seconds_bucket{le=\"30\"} 2",
            "restway_request_duration_seconds_bucket{le=\"+Inf\"} 3",
            "restway_request_duration_seconds_sum 60.703",
            "restway_request_duration_seconds_count 3",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
    }
}
