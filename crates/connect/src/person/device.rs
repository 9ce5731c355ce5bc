//! The login on any device: a short code that a person types in (RFC 8628).
//!
//! In: an `auth` of the grant device. Out: the tokens, once the person is through. Asked is no
//! faster than the server wants, and no longer than the code lives. What never happens here: the
//! device code shown; it is the one that fetches the tokens.

use std::time::Duration;

use restway_model::Secret;
use serde_json::Value;

use super::{PersonTask, at_this_moment};
use crate::Connector;
use crate::error::Failure;
use crate::grant::{Moment, Proof, device_request};
use crate::target::{Site, Target};
use crate::token::{Granted, fetch, post};

/// As RFC 8628, section 3.2, has it where the server says nothing.
const INTERVAL: Duration = Duration::from_secs(5);
/// What `slow_down` adds (section 3.5).
const SLOWER: Duration = Duration::from_secs(5);
const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// No code is waited for longer, whatever the server says.
const PERSON_MAX: Duration = Duration::from_secs(30 * 60);

/// What the server said.
struct Started {
    device_code: Secret,
    task: PersonTask,
    interval: Duration,
    life: Duration,
}

pub(super) async fn log_in(
    connector: &Connector,
    target: &Target,
    site: &Site,
    ask: &(dyn Fn(&PersonTask) + Send + Sync),
) -> Result<Granted, Failure> {
    let clock = connector.clock();
    let begun = clock.monotonic();
    let started = start(connector, target, site).await?;
    ask(&started.task);
    let mut interval = started.interval;
    loop {
        if clock.monotonic().saturating_sub(begun) + interval > started.life {
            return Err(Failure::Timeout { what: "nobody logged in", after: started.life });
        }
        clock.sleep(interval).await;
        let proof = Proof::Device(&started.device_code);
        let failure = match fetch(connector, target, site, &proof, true).await {
            Ok(granted) => return Ok(granted),
            Err(failure) => failure,
        };
        match failure.oauth_error() {
            Some("authorization_pending") => {}
            Some("slow_down") => interval = (interval + SLOWER).min(INTERVAL_MAX),
            Some(_) => return Err(failure),
            None if is_passing(&failure) => interval = (interval * 2).min(INTERVAL_MAX),
            None => return Err(failure),
        }
    }
}

fn is_passing(failure: &Failure) -> bool {
    match failure {
        Failure::Token { failure, .. } => is_passing(failure),
        Failure::Status { status, .. } => *status == 429 || *status >= 500,
        other => other.is_transient(),
    }
}

async fn start(connector: &Connector, target: &Target, site: &Site) -> Result<Started, Failure> {
    let make = |moment: &Moment<'_>| device_request(&site.auth, &site.url, moment);
    let request = at_this_moment(connector, site, Proof::Definition, make).await?;
    let url = restway_model::SafeUrl::new(request.url.clone());
    let wrapped = |failure| Failure::Token { url: url.clone(), failure: Box::new(failure) };
    let posted = post(connector, target, &request, 1).await;
    let posted = posted.map_err(|(failure, _)| wrapped(failure))?;
    let started = read(&posted.body).map_err(wrapped)?;
    connector.learn(&started.device_code);
    posted.learned().map_err(wrapped)?;
    Ok(started)
}

/// The answer of section 3.2.
fn read(body: &[u8]) -> Result<Started, Failure> {
    let value: Value = serde_json::from_slice(body).map_err(|_| {
        Failure::token_refused("the answer is not JSON; is `device_url` the right endpoint?")
    })?;
    let text = |name: &str| {
        let text = value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.filter(|text| !text.contains(char::is_control)).map(str::to_owned)
    };
    let needed = |name: &str| {
        text(name).ok_or_else(|| Failure::token_refused(format!("the answer has no `{name}`")))
    };
    // Some servers still write `verification_url`, as drafts of the standard did.
    let url = text("verification_url").map_or_else(|| needed("verification_uri"), Ok)?;
    let seconds = |name: &str| value.get(name).and_then(Value::as_u64).map(Duration::from_secs);
    Ok(Started {
        device_code: Secret::new(needed("device_code")?),
        task: PersonTask::Enter {
            url,
            code: needed("user_code")?,
            whole: text("verification_uri_complete"),
        },
        interval: seconds("interval")
            .unwrap_or(INTERVAL)
            .clamp(Duration::from_secs(1), INTERVAL_MAX),
        life: seconds("expires_in").unwrap_or(PERSON_MAX).min(PERSON_MAX),
    })
}
