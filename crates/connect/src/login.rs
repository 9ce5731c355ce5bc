//! Logins that are a request of their own: send it, find the token in the answer, send that along.
//!
//! In: an `auth` of type login and its values. Out: the request; from its answer, the token with
//! its life. How it is fetched once, renewed and repeated after a 401 is the business of `token`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use restway_model::definition::Auth;
use restway_model::{Secret, Values};
use serde_json::Value;
use url::Url;

use crate::authorize::Credential;
use crate::error::Failure;
use crate::grant::{TokenRequest, token_url};
use crate::plan::{USER_AGENT, filled};

/// From here on a number counts seconds since 1970, below it seconds from now.
const EPOCH_MIN: f64 = 1e9;

/// The login's request.
pub(crate) fn request(
    auth: &Auth,
    base: &Url,
    values: &dyn Values,
    url_values: &dyn Values,
) -> Result<TokenRequest, Failure> {
    let Auth::Login { url, method, json, form, token, .. } = auth else {
        return Err(Failure::invalid("`auth`", "asks for no login"));
    };
    let url = token_url(url, base, url_values)?;
    let mut pairs = Vec::with_capacity(form.len());
    for (name, value) in form {
        pairs.push((name.clone(), value.text(values).map_err(Failure::Value)?));
    }
    let json = match json {
        Some(json) => Some(filled(json, values).map_err(|error| match error {
            crate::CallError::Value(error) => Failure::Value(error),
            other => Failure::invalid("`json` of `auth`", format!("cannot be sent: {other}")),
        })?),
        None => None,
    };
    Ok(TokenRequest {
        method: *method,
        url,
        headers: vec![
            ("accept".to_owned(), "application/json".to_owned()),
            ("user-agent".to_owned(), USER_AGENT.to_owned()),
        ],
        form: pairs,
        json,
        made: Vec::new(),
        token: Some(token.clone()),
    })
}

/// The token of the answer, as it is sent, and how long it is good.
pub(crate) fn read(
    auth: &Auth,
    answer: &Value,
    now: DateTime<Utc>,
) -> Result<(Secret, Secret, Option<Duration>), Failure> {
    let Auth::Login { token, scheme, header, query, cookie, lifetime, expires, .. } = auth else {
        return Err(Failure::invalid("`auth`", "asks for no login"));
    };
    let refused = |problem: String| Failure::token_refused(problem);
    let found = match token.find(answer) {
        Some(Value::String(text)) if !text.is_empty() => Secret::new(text.as_str()),
        Some(Value::Number(number)) => Secret::new(number.to_string()),
        _ => return Err(refused(format!("the path `{token}` finds no token in the answer"))),
    };
    let is_plain = header.is_none() && (query.is_some() || cookie.is_some());
    let sent = match scheme.as_str() {
        scheme if is_plain || scheme.is_empty() => found.clone(),
        scheme => Secret::new(format!("{scheme} {}", found.expose())),
    };
    let life = match expires {
        Some(path) => {
            let end = path.find(answer).and_then(|value| life(value, now));
            let end = end.ok_or_else(|| refused(format!("the path `{path}` finds no time")))?;
            // One that is over when it is given says nothing of the token.
            Some(end).filter(|end| !end.is_zero()).or(lifetime.map(|span| span.0))
        }
        None => lifetime.map(|span| span.0),
    };
    Ok((found, sent, life))
}

fn life(value: &Value, now: DateTime<Utc>) -> Option<Duration> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    if let Some(number) = number {
        let begun = if number >= EPOCH_MIN { number - now.timestamp() as f64 } else { number };
        return Duration::try_from_secs_f64(begun.max(0.0)).ok();
    }
    let end: DateTime<Utc> = value.as_str()?.trim().parse().ok()?;
    Some((end - now).to_std().unwrap_or_default())
}

/// Where a token goes: the place that the login names, or the `Authorization` header.
pub(crate) fn placed(auth: &Auth, sent: &Secret) -> Credential {
    match auth {
        Auth::Login { header: Some(name), .. } => Credential::Header(name.clone(), sent.clone()),
        Auth::Login { query: Some(name), .. } => Credential::Query(name.clone(), sent.clone()),
        Auth::Login { cookie: Some(name), .. } => Credential::Cookie(name.clone(), sent.clone()),
        _ => Credential::Header("authorization".into(), sent.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ends_are_read_in_every_form() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).expect("a moment");
        let table = [
            (json!(60), Some(60)),
            (json!("90"), Some(90)),
            (json!(1_700_000_030), Some(30)),
            (json!("2023-11-14T22:13:50Z"), Some(30)),
            (json!("2023-11-14T23:13:50+01:00"), Some(30)),
            (json!(1_600_000_000), Some(0)),
            (json!("soon"), None),
            (json!(null), None),
        ];
        for (value, expected) in table {
            assert_eq!(life(&value, now).map(|life| life.as_secs()), expected, "{value}");
        }
    }
}
