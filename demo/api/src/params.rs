//! Query parameters, read strictly.
//!
//! In goes a raw query string and the names an endpoint takes; out come their values, or a 400
//! that names the parameter at fault. A parameter that is unknown, given twice or malformed is an
//! error: a client that misspells `pageSize` should hear of it and not get the default.

use std::ops::RangeInclusive;

use chrono::DateTime;
use url::form_urlencoded;

use crate::answer::Problem;

/// The parameters of one request; at most one value for each allowed name.
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    pub(crate) fn read(query: Option<&str>, allowed: &[&str]) -> Result<Params, Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !allowed.contains(&name.as_ref()) {
                return Err(unknown(&name, allowed));
            }
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(Problem::parameter(&name, format!("`{name}` is given twice")));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Params { pairs })
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.pairs.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    /// A whole number written in digits only, within `range`.
    pub(crate) fn number(
        &self,
        name: &str,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> Result<u64, Problem> {
        let Some(text) = self.text(name) else {
            return Ok(default);
        };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits && range.contains(&number) => Ok(number),
            _ => {
                let (low, high) = (range.start(), range.end());
                let message = format!("`{name}` must be a whole number from {low} to {high}");
                Err(Problem::parameter(name, message))
            }
        }
    }

    /// An RFC 3339 instant as microseconds since 1970.
    pub(crate) fn instant(&self, name: &str) -> Result<Option<i64>, Problem> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match DateTime::parse_from_rfc3339(text) {
            Ok(instant) => Ok(Some(instant.timestamp_micros())),
            Err(_) => {
                let message = format!(
                    "`{name}` must be an RFC 3339 instant such as 2025-01-31T00:00:00Z \
                     (in a query string `+` is written `%2B`)"
                );
                Err(Problem::parameter(name, message))
            }
        }
    }
}

fn unknown(name: &str, allowed: &[&str]) -> Problem {
    let message = if allowed.is_empty() {
        format!("`{name}` is not a parameter here; there are none")
    } else {
        format!("`{name}` is not a parameter here; there are `{}`", allowed.join("`, `"))
    };
    Problem::bad_request("unknown_parameter", message).with("parameter", name.into())
}
