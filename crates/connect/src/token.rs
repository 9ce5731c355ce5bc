//! OAuth2 tokens: got once for all callers, renewed early, renewed once when refused.
//!
//! In: an api's `auth` of type oauth2 and, after a 401, the serial of the token that was refused.
//! Out: the header to send. All callers of an api share one cache and queue for it, so that a
//! hundred walks that find the token old ask for one new token. A token is renewed when four
//! fifths of its life are over; while the old one still lives, a token endpoint that is down is no
//! error. One that does not say how long it lives is used until it is refused. What never
//! happens here: the client's credentials sent to where a redirect points. Tokens that must outlive
//! the process are the business of `renew`.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use restway_model::definition::Auth;
use restway_model::{Event, SafeUrl, Secret, Template};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::authorize::Credential;
use crate::error::{Excerpt, Failure};
use crate::excerpt::excerpt;
use crate::grant::{Moment, Proof, TokenRequest, token_request};
use crate::login;
use crate::renew;
use crate::request::Body;
use crate::retry::{Cause, Decision, Schedule, declared_wait};
use crate::target::{Site, Target};
use crate::values::NoValues;
use crate::wire::{Incoming, Outgoing, Route, Shown};
use crate::{Connector, read_all};

/// A token answer is small; more is something else.
const ANSWER_BYTES_MAX: u64 = 256 << 10;
/// So much of a person's name is kept.
const WHO_LENGTH_MAX: usize = 200;

/// The token of one api.
#[derive(Default)]
pub(crate) struct TokenCache {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    serial: u64,
}

/// A token in use.
pub(crate) struct Token {
    header: Secret,
    /// When to ask for the next one.
    renew_at: Option<Duration>,
    /// When the api stops taking it; `None` when it did not say.
    ends_at: Option<Duration>,
}

/// What a token endpoint gave.
pub(crate) struct Granted {
    pub(crate) header: Secret,
    pub(crate) life: Option<Duration>,
    /// When it was asked for.
    pub(crate) asked: Duration,
    pub(crate) refresh: Option<Secret>,
    /// Who logged in, if the answer says.
    pub(crate) who: Option<String>,
}

impl From<Granted> for Token {
    fn from(granted: Granted) -> Self {
        let Granted { header, life, asked, .. } = granted;
        Self {
            header,
            renew_at: life.map(|life| asked + life.saturating_sub(early(life))),
            ends_at: life.map(|life| asked + life),
        }
    }
}

impl TokenCache {
    /// The header to send and the serial of its token. `refused` is the serial of a token that the
    /// api answered with 401: it is not given again.
    pub(crate) async fn credential(
        &self,
        connector: &Connector,
        target: &Target,
        site: &Site,
        refused: Option<u64>,
    ) -> Result<(Credential, u64), Failure> {
        let mut state = self.state.lock().await;
        let now = connector.clock().monotonic();
        let is_refused = refused == Some(state.serial);
        let is_alive = state
            .token
            .as_ref()
            .is_some_and(|token| !is_refused && token.ends_at.is_none_or(|end| now < end));
        let is_fresh = is_alive
            && state
                .token
                .as_ref()
                .is_some_and(|token| token.renew_at.is_none_or(|moment| now < moment));
        if !is_fresh {
            let stale = state.token.as_ref().filter(|_| is_refused).map(|token| &token.header);
            let fetched = if renew::is_kept(&site.auth) {
                renew::renew(connector, target, site, stale, is_alive).await
            } else {
                let granted = fetch(connector, target, site, &Proof::Definition, is_alive).await;
                granted.map(Token::from)
            };
            match fetched {
                Ok(token) => {
                    state.token = Some(token);
                    state.serial += 1;
                }
                Err(failure) if !is_alive => {
                    state.token = None;
                    return Err(failure);
                }
                Err(failure) => {
                    postpone(&mut state, now);
                    connector.observe(&Event::Warned {
                        about: target.name.to_string(),
                        message: format!("the token could not be renewed early: {failure}"),
                    });
                }
            }
        }
        let Some(token) = &state.token else {
            return Err(Failure::token_refused("the token is gone"));
        };
        // Each use counts for the redactor, so that a token in use is never forgotten there.
        let bare = token.header.expose().rsplit(' ').next().unwrap_or_default();
        connector.learn(&Secret::new(bare));
        Ok((login::placed(&site.auth, &token.header), state.serial))
    }
}

/// Half of what is left until the next try, so that a dead endpoint is not asked for each request.
fn postpone(state: &mut State, now: Duration) {
    if let Some(token) = &mut state.token
        && let Some(end) = token.ends_at
    {
        token.renew_at = Some(now + end.saturating_sub(now) / 2);
    }
}

/// Asks until there is a token; only once when the old one will do. Each try has a request of its
/// own, because an assertion is good for one.
pub(crate) async fn fetch(
    connector: &Connector,
    target: &Target,
    site: &Site,
    proof: &Proof<'_>,
    is_optional: bool,
) -> Result<Granted, Failure> {
    let key = assertion_key(connector, &site.auth).await?;
    let made = || {
        let lookup = connector.lookup(&NoValues, true);
        if matches!(site.auth, Auth::Login { .. }) {
            return login::request(&site.auth, &site.url, &lookup, &lookup);
        }
        let now = Some(connector.clock().now());
        let (proof, key) = (proof.clone(), key.as_ref());
        let moment = Moment { values: &lookup, url_values: &lookup, now, proof, key };
        token_request(&site.auth, &site.url, &moment)
    };
    let clock = connector.clock();
    let mut schedule = Schedule::new(&target.retry, target.wait_max, clock.monotonic());
    for attempt in 1.. {
        let request = made()?;
        let url = SafeUrl::new(request.url.clone());
        let (failure, cause) = match ask(connector, target, site, &request, attempt).await {
            Ok(token) => return Ok(token),
            Err(refusal) => refusal,
        };
        let wrapped = |failure| Failure::Token { url: url.clone(), failure: Box::new(failure) };
        let Some(cause) = cause.filter(|_| !is_optional) else {
            return Err(wrapped(failure));
        };
        match schedule.after(cause, clock.monotonic(), clock.jitter()) {
            Decision::Again(wait) => {
                connector.observe(&Event::RetryScheduled {
                    api: target.name.clone(),
                    url: url.clone(),
                    reason: connector.redacted(&failure.to_string()),
                    wait,
                    attempt,
                });
                clock.sleep(wait).await;
            }
            Decision::GiveUp => return Err(wrapped(failure)),
            Decision::TooLong(wait) => {
                let (status, bound) = (429, target.wait_max);
                return Err(wrapped(Failure::RateLimited { status, wait, bound }));
            }
        }
    }
    unreachable!("the schedule ends before the numbers do")
}

/// The key of the login's assertion, opened, if it is an encrypted one.
pub(crate) async fn assertion_key(
    connector: &Connector,
    auth: &Auth,
) -> Result<Option<Secret>, Failure> {
    let Auth::Oauth2 { assertion: Some(assertion), .. } = auth else { return Ok(None) };
    let Some(passphrase) = &assertion.passphrase else { return Ok(None) };
    let (key, passphrase) = {
        let lookup = connector.lookup(&NoValues, true);
        let text = |one: &Template| one.text(&lookup).map(Secret::new).map_err(Failure::Value);
        (text(&assertion.key)?, text(passphrase)?)
    };
    let opened = connector.keys().opened(key, passphrase, crate::key::opened).await;
    opened.map(Some).map_err(|problem| Failure::invalid("`key` of `assertion`", problem))
}

/// Asks once.
async fn ask(
    connector: &Connector,
    target: &Target,
    site: &Site,
    request: &TokenRequest,
    attempt: u32,
) -> Result<Granted, Refusal> {
    let begun = connector.clock().monotonic();
    let posted = post(connector, target, request, attempt).await?;
    let token = read_token(connector, &site.auth, &posted.body, begun);
    let token = token.map_err(|failure| (failure, None))?;
    posted.learned().map_err(|failure| (failure, None))?;
    let lifetime = token.life;
    connector.observe(&Event::TokenReceived { api: target.name.clone(), lifetime });
    Ok(token)
}

/// A failure, and why it may pass, if it may.
pub(crate) type Refusal = (Failure, Option<Cause>);

/// A good answer of the server of tokens.
pub(crate) struct Posted {
    pub(crate) body: Bytes,
    incoming: Incoming,
}

impl Posted {
    /// The redactor knows the tokens in it: where it is recorded, it may be written now.
    pub(crate) fn learned(mut self) -> Result<(), Failure> {
        self.incoming.finish_recording()
    }
}

/// Sends a request to the server of tokens once, and reads the answer if it is a good one.
pub(crate) async fn post(
    connector: &Connector,
    target: &Target,
    request: &TokenRequest,
    attempt: u32,
) -> Result<Posted, Refusal> {
    let clock = connector.clock();
    let begun = clock.monotonic();
    request.made.iter().for_each(|secret| connector.learn(secret));
    let body = request.body();
    let mut headers = request.headers.clone();
    headers.extend(
        body.as_ref().and_then(Body::content_type).map(|kind| ("content-type".into(), kind.into())),
    );
    let url = SafeUrl::new(request.url.clone());
    let method = request.method;
    connector.observe(&Event::RequestSent {
        api: target.name.clone(),
        method,
        url: url.clone(),
        attempt,
    });
    // The definition names the token endpoint, so it is reached as the api is.
    let tls = connector.tls(target).await.map_err(|failure| (failure, None))?;
    let judged = tls.as_ref().map_or(Ok(()), |tls| connector.judge(target, tls));
    judged.map_err(|failure| (failure, None))?;
    let proxy =
        connector.proxy(target.proxy.as_ref(), &request.url).map_err(|failure| (failure, None))?;
    let outgoing = Outgoing {
        method,
        url: request.url.clone(),
        shown: Shown { url: url.clone(), headers: headers.clone() },
        headers,
        body: body.as_ref().map(Body::upload),
        answer_timeout: target.answer_timeout,
        route: Route { tls, connect_timeout: None, proxy, is_led: false },
        read_timeout: None,
        end: None,
    };
    let passing = |failure: Failure| {
        let cause = if failure.is_stubborn() { Cause::Stubborn } else { Cause::Passing };
        let cause = failure.is_transient().then_some(cause);
        (failure, cause)
    };
    let mut incoming = connector.wire().send(outgoing).await.map_err(passing)?;
    connector.observe(&Event::AnswerReceived {
        api: target.name.clone(),
        url,
        status: incoming.status,
        duration: clock.monotonic().saturating_sub(begun),
    });
    incoming.record_late(request.token.clone());
    let body = read_all(&mut incoming, ANSWER_BYTES_MAX, clock).await.map_err(passing)?;
    let status = incoming.status;
    if (200..300).contains(&status) {
        return Ok(Posted { body, incoming });
    }
    let declared = declared_wait(&incoming.headers, clock.now());
    let is_passing = status == 429 || target.retry.status.contains(&status);
    let cause = is_passing.then(|| declared.map_or(Cause::Passing, Cause::Declared));
    Err((refusal(connector, status, &body), cause))
}

/// The error of RFC 6749, section 5.2, or the status.
fn refusal(connector: &Connector, status: u16, body: &[u8]) -> Failure {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    match value.get("error").and_then(Value::as_str) {
        Some(error) if status < 500 => {
            let description = value.get("error_description").and_then(Value::as_str);
            let text = match description {
                Some(description) => format!("{error}: {description}"),
                None => error.to_owned(),
            };
            let Excerpt(problem) = excerpt(text.as_bytes(), connector.redactor());
            let error = Some(error.to_owned());
            Failure::TokenRefused { problem: format!("status {status}, {problem}"), error }
        }
        _ => Failure::Status { status, excerpt: excerpt(body, connector.redactor()) },
    }
}

/// A successful answer (RFC 6749, section 5.1), read with patience: `expires_in` may be a text.
fn read_token(
    connector: &Connector,
    auth: &Auth,
    body: &[u8],
    asked: Duration,
) -> Result<Granted, Failure> {
    let refused = |problem: &str| Failure::token_refused(problem);
    let value: Value = serde_json::from_slice(body)
        .map_err(|_| refused("the answer is not JSON; is `token_url` the token endpoint?"))?;
    if matches!(auth, Auth::Login { .. }) {
        let (token, header, life) = login::read(auth, &value, connector.clock().now())?;
        connector.learn(&token);
        return Ok(Granted { header, life, asked, refresh: None, who: None });
    }
    let token = value.get("access_token").and_then(Value::as_str).unwrap_or_default();
    if token.is_empty() {
        return Err(refused("the answer has no `access_token`"));
    }
    connector.learn(&Secret::new(token));
    let kind = value.get("token_type").and_then(Value::as_str).unwrap_or("Bearer");
    let kind = if kind.eq_ignore_ascii_case("bearer") || kind.is_empty() { "Bearer" } else { kind };
    let life = value.get("expires_in").and_then(life);
    let refresh = value.get("refresh_token").and_then(Value::as_str).map(Secret::new);
    let refresh = refresh.filter(|token| !token.expose().is_empty());
    refresh.iter().for_each(|token| connector.learn(token));
    let id_token = value.get("id_token").and_then(Value::as_str).map(Secret::new);
    id_token.iter().for_each(|token| connector.learn(token));
    let who = id_token.as_ref().and_then(who);
    Ok(Granted { header: Secret::new(format!("{kind} {token}")), life, asked, refresh, who })
}

/// Who logged in, for showing, by an ID token (OpenID Connect Core 1.0, section 2). It came from
/// the token endpoint itself, so its signature says nothing more (section 3.1.3.7).
fn who(id_token: &Secret) -> Option<String> {
    let claims = id_token.expose().split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let claim = |name: &&str| claims.get(*name).and_then(Value::as_str);
    let who = ["preferred_username", "email", "sub"].iter().find_map(claim)?;
    Some(who.chars().filter(|c| !c.is_control()).take(WHO_LENGTH_MAX).collect())
}

/// How long a token lives: a number of seconds, also as a text. Nothing, less than nothing and what
/// is no number do not say it: the token is used until the api refuses it.
fn life(expires_in: &Value) -> Option<Duration> {
    let seconds = match expires_in {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let life = Duration::try_from_secs_f64(seconds?).ok();
    life.filter(|life| !life.is_zero())
}

/// How long before its end a token is renewed.
fn early(life: Duration) -> Duration {
    life / 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lives_keep_most_of_their_life() {
        let table = [(1_000, 200), (2_000, 400), (60_000, 12_000), (3_600_000, 720_000)];
        for (life, expected) in table {
            assert_eq!(early(Duration::from_millis(life)), Duration::from_millis(expected));
        }
    }

    #[test]
    fn a_life_of_nothing_is_one_that_was_not_said() {
        let table = [
            (serde_json::json!(3600), Some(3600)),
            (serde_json::json!(" 90 "), Some(90)),
            (serde_json::json!(1e300), None),
            (serde_json::json!(0), None),
            (serde_json::json!("0"), None),
            (serde_json::json!(-5), None),
            (serde_json::json!("soon"), None),
            (serde_json::json!("NaN"), None),
            (serde_json::json!(null), None),
            (serde_json::json!([60]), None),
        ];
        for (said, expected) in table {
            assert_eq!(life(&said).map(|life| life.as_secs()), expected, "{said}");
        }
    }
}
