//! What an object that is on its way out says in each answer.
//!
//! In: the days of the definition. Out: `Deprecation` (RFC 9745), `Sunset` (RFC 8594), and the
//! page that says more. What never happens here: an answer that is refused for it.

use chrono::{NaiveDate, NaiveTime};
use restway_model::definition::Deprecated;

/// Headers of every answer about the object.
pub(crate) fn headers(deprecated: &Deprecated) -> Vec<(&'static str, String)> {
    let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
    let mut headers = vec![("deprecation", format!("@{}", midnight(deprecated.since).timestamp()))];
    if let Some(until) = deprecated.until {
        let date = midnight(until).format("%a, %d %b %Y %H:%M:%S GMT");
        headers.push(("sunset", date.to_string()));
    }
    if let Some(more) = &deprecated.more {
        headers.push(("link", format!("<{more}>; rel=\"deprecation\"; type=\"text/html\"")));
    }
    headers
}
