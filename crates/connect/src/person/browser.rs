//! The login in a browser: authorization code with PKCE S256 (RFC 6749, section 4.1; RFC 7636;
//! RFC 8252).
//!
//! In: an `auth` of the grant authorization_code. Out: the tokens that the browser's code was
//! traded for. The answer comes back to a port of this machine's loopback that is open for as long
//! as the person takes. What never happens here: a code that came with another `state` used, or
//! any used twice.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use restway_model::definition::Auth;
use restway_model::{Secret, Template};
use tokio::net::TcpListener;
use url::Url;

use super::PersonTask;
use super::callback::{Expected, PATH, received};
use crate::Connector;
use crate::error::Failure;
use crate::grant::{Brought, Proof, token_url};
use crate::target::{Site, Target};
use crate::token::{Granted, fetch};
use crate::values::NoValues;

/// How long a person may take.
const PERSON_MAX: Duration = Duration::from_secs(10 * 60);
/// As many as RFC 7636, section 4.1, recommends.
const VERIFIER_BYTES: usize = 32;
const STATE_BYTES: usize = 16;

pub(super) async fn log_in(
    connector: &Connector,
    target: &Target,
    site: &Site,
    ask: &(dyn Fn(&PersonTask) + Send + Sync),
) -> Result<Granted, Failure> {
    let Auth::Oauth2 { redirect_port, issuer, .. } = &site.auth else {
        return Err(Failure::invalid("`auth`", "has no login in a browser"));
    };
    let port = redirect_port.unwrap_or(0);
    let unusable = |error: std::io::Error| {
        Failure::invalid(format!("port {port} of 127.0.0.1"), format!("cannot be used: {error}"))
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(unusable)?;
    let port = listener.local_addr().map_err(unusable)?.port();
    let redirect = format!("http://127.0.0.1:{port}{PATH}");
    let (verifier, state) = (random(VERIFIER_BYTES)?, random(STATE_BYTES)?);
    let url = address(connector, site, &redirect, &verifier, &state)?;
    let issuer = match issuer {
        Some(issuer) => {
            let lookup = connector.lookup(&NoValues, false);
            Some(issuer.text(&lookup).map_err(Failure::Value)?)
        }
        None => None,
    };
    ask(&PersonTask::Open { url: url.into() });
    let expected = Expected { state, issuer };
    let code = tokio::select! {
        code = received(&listener, &expected, connector) => code?,
        () = connector.clock().sleep(PERSON_MAX) => {
            return Err(Failure::Timeout { what: "nobody logged in", after: PERSON_MAX });
        }
    };
    drop(listener);
    connector.learn(&code);
    connector.learn(&verifier);
    let brought = Brought { code, verifier, redirect };
    // Once: a second use of a code may end what the first one got (RFC 6749, section 4.1.2).
    fetch(connector, target, site, &Proof::Code(&brought), true).await
}

/// Where the person logs in (RFC 6749, section 4.1.1; RFC 7636, section 4.3).
fn address(
    connector: &Connector,
    site: &Site,
    redirect: &str,
    verifier: &Secret,
    state: &Secret,
) -> Result<Url, Failure> {
    let Auth::Oauth2 { authorize_url: Some(start), client_id, scopes, authorize_params, .. } =
        &site.auth
    else {
        return Err(Failure::invalid("`auth` of type oauth2", "needs `authorize_url`"));
    };
    let lookup = connector.lookup(&NoValues, false);
    let text = |template: &Template| template.text(&lookup).map_err(Failure::Value);
    let mut url = token_url(start, &site.url, &lookup)?;
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.expose().as_bytes()));
    let mut pairs = vec![
        ("response_type".to_owned(), "code".to_owned()),
        ("client_id".to_owned(), text(client_id)?),
        ("redirect_uri".to_owned(), redirect.to_owned()),
        ("state".to_owned(), state.expose().to_owned()),
        ("code_challenge".to_owned(), challenge),
        ("code_challenge_method".to_owned(), "S256".to_owned()),
    ];
    if !scopes.is_empty() {
        pairs.push(("scope".to_owned(), scopes.join(" ")));
    }
    for (name, value) in authorize_params {
        pairs.push((name.clone(), text(value)?));
    }
    url.query_pairs_mut().extend_pairs(pairs);
    Ok(url)
}

fn random(length: usize) -> Result<Secret, Failure> {
    let mut bytes = vec![0; length];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Failure::invalid("the login", "needs random bytes, and there are none"))?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
}
