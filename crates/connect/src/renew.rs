//! Logins that are kept: refresh tokens that rotate (RFC 6749, section 6; RFC 9700, section 4.14).
//!
//! In: a login whose refresh token lives in the keeper, or for the first time in the definition.
//! Out: an access token. A server that rotates refuses the old refresh token from then on, and
//! some take its second use for a theft and end the whole login. So:
//!
//! - the next refresh token is kept, durably, **before** the new access token is used;
//! - one process at a time refreshes, under the keeper's lease; whoever waited for it uses what
//!   the other kept;
//! - what was kept counts only for the login it was made from: another client, endpoint or first
//!   refresh token begins anew.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use restway_model::definition::{Auth, Grant};
use restway_model::{KeptToken, Lease, Secret, TokenKeeper};

use crate::Connector;
use crate::error::Failure;
use crate::grant::{Proof, token_url};
use crate::target::{Site, Target};
use crate::token::{Granted, Token, fetch};
use crate::values::NoValues;

/// How long another process may hold the lease: longer than a token endpoint takes to answer.
const LEASE_WAIT_MAX: Duration = Duration::from_secs(120);
const LEASE_POLL: Duration = Duration::from_millis(50);
/// A kept token that ends sooner is as good as ended.
const LEFT_MIN: Duration = Duration::from_secs(1);
/// How much of the digest tells one login from another.
const BASIS_BYTES: usize = 16;

/// Whether the login's tokens are kept beyond the process.
pub(crate) const fn is_kept(auth: &Auth) -> bool {
    match auth {
        Auth::Oauth2 { grant, .. } => {
            matches!(grant, Grant::RefreshToken) || grant.is_of_a_person()
        }
        _ => false,
    }
}

/// The token that another process kept, or a new one. `refused` is the header that the api no
/// longer takes.
pub(crate) async fn renew(
    connector: &Connector,
    target: &Target,
    site: &Site,
    refused: Option<&Secret>,
    is_optional: bool,
) -> Result<Token, Failure> {
    let Some(keeper) = connector.keeper() else {
        let problem = "gets tokens that must be kept, and there is no workspace to keep them in";
        return Err(Failure::invalid("`auth`", problem));
    };
    let _lease = leased(connector, keeper, &site.slot).await?;
    let basis = basis(connector, site)?;
    let kept = keeper.kept(&site.slot).await.map_err(Failure::Keeper)?;
    let kept = kept.filter(|kept| kept.basis == basis);
    kept.iter().filter_map(|kept| kept.refresh.as_ref()).for_each(|token| connector.learn(token));
    if let Some(token) = kept.as_ref().and_then(|kept| still_good(connector, kept, refused)) {
        return Ok(token);
    }
    let proof = match kept.as_ref().and_then(|kept| kept.refresh.as_ref()) {
        Some(token) => Proof::Refresh(token),
        None if is_of_a_person(&site.auth) => {
            let problem = match kept {
                None => "nobody is logged in",
                Some(_) => "the login is over, and the server gave nothing to renew it with",
            };
            return stand_in(connector).ok_or_else(|| missing(target, site, problem));
        }
        None => Proof::Definition,
    };
    let granted = fetch(connector, target, site, &proof, is_optional).await;
    let granted = granted.map_err(|failure| match failure.oauth_error() {
        Some("invalid_grant") => missing(target, site, &format!("the login is over: {failure}")),
        _ => failure,
    })?;
    keep(connector, keeper, site, basis, &granted, kept.as_ref()).await?;
    Ok(Token::from(granted))
}

fn is_of_a_person(auth: &Auth) -> bool {
    matches!(auth, Auth::Oauth2 { grant, .. } if grant.is_of_a_person())
}

/// Where a tape is played, no request needs a real token.
fn stand_in(connector: &Connector) -> Option<Token> {
    let is_played = connector.extras().tape.as_ref().is_some_and(|tape| tape.plays());
    let header = Secret::new("Bearer played-token");
    let asked = connector.clock().monotonic();
    is_played.then(|| Token::from(Granted { header, life: None, asked, refresh: None, who: None }))
}

/// A login that only a person can bring back, and how.
fn missing(target: &Target, site: &Site, problem: &str) -> Failure {
    let hint = match &site.auth {
        Auth::Oauth2 { refresh_token: Some(token), .. } => {
            let names: Vec<&str> = token.references().map(|(_, name)| name).collect();
            format!(
                "log in anew at the service, and put its refresh token into {}",
                names.join(", ")
            )
        }
        _ => format!("run `restway auth login {}`", target.name),
    };
    Failure::LoginMissing { problem: problem.to_owned(), hint }
}

/// Keeps what was granted, durably, before anybody uses it. What the server did not say anew
/// stays as it was.
pub(crate) async fn keep(
    connector: &Connector,
    keeper: &dyn TokenKeeper,
    site: &Site,
    basis: String,
    granted: &Granted,
    before: Option<&KeptToken>,
) -> Result<KeptToken, Failure> {
    let now = connector.clock().now();
    let kept = KeptToken {
        basis,
        refresh: granted.refresh.clone().or_else(|| before?.refresh.clone()),
        access: Some(granted.header.clone()),
        expires_at: granted.life.and_then(|life| now.checked_add_signed(life_left(life))),
        who: granted.who.clone().or_else(|| before?.who.clone()),
    };
    keeper.keep(&site.slot, &kept).await.map_err(Failure::Keeper)?;
    Ok(kept)
}

fn life_left(life: Duration) -> chrono::TimeDelta {
    chrono::TimeDelta::from_std(life).unwrap_or(chrono::TimeDelta::MAX)
}

/// The kept access token, unless it ends now or is the one that was refused.
fn still_good(connector: &Connector, kept: &KeptToken, refused: Option<&Secret>) -> Option<Token> {
    let header = kept.access.clone().filter(|access| refused != Some(access))?;
    connector.learn(&header);
    if let Some(bare) = header.expose().split_once(' ') {
        connector.learn(&Secret::new(bare.1));
    }
    let clock = connector.clock();
    let life = match kept.expires_at {
        Some(end) => {
            let left = (end - clock.now()).to_std().ok()?;
            Some(Some(left).filter(|left| *left >= LEFT_MIN)?)
        }
        None => None,
    };
    let asked = clock.monotonic();
    Some(Token::from(Granted { header, life, asked, refresh: None, who: None }))
}

/// Waits for the right to refresh.
pub(crate) async fn leased(
    connector: &Connector,
    keeper: &dyn TokenKeeper,
    slot: &str,
) -> Result<Lease, Failure> {
    let clock = connector.clock();
    let begun = clock.monotonic();
    loop {
        if let Some(lease) = keeper.lease(slot).map_err(Failure::Keeper)? {
            return Ok(lease);
        }
        if clock.monotonic().saturating_sub(begun) >= LEASE_WAIT_MAX {
            let what = "another process did not finish renewing the token";
            return Err(Failure::Timeout { what, after: LEASE_WAIT_MAX });
        }
        clock.sleep(LEASE_POLL).await;
    }
}

/// What tells this login from others, as a digest: endpoint, client, and the first refresh token
/// or, where a person logs in, what they allowed.
pub(crate) fn basis(connector: &Connector, site: &Site) -> Result<String, Failure> {
    let Auth::Oauth2 { token_url: address, client_id, refresh_token, scopes, .. } = &site.auth
    else {
        return Err(Failure::invalid("`auth`", "keeps no token"));
    };
    let lookup = connector.lookup(&NoValues, true);
    let url = token_url(address, &site.url, &lookup)?;
    let id = client_id.text(&lookup).map_err(Failure::Value)?;
    let first = match refresh_token {
        Some(template) => Secret::new(template.text(&lookup).map_err(Failure::Value)?),
        None => Secret::new(scopes.join(" ")),
    };
    let text = Secret::new(format!("{url}\0{id}\0{}", first.expose()));
    let hash = digest(&SHA256, text.expose().as_bytes());
    Ok(hash.as_ref().iter().take(BASIS_BYTES).map(|byte| format!("{byte:02x}")).collect())
}
