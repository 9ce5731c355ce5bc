//! Logins that a person makes, once: in a browser (RFC 6749, section 4.1) or on any device
//! (RFC 8628).
//!
//! In: an api whose `auth` is of such a grant, and somebody to show the address to. Out: tokens in
//! the keeper, from where calls take and renew them as they do any that rotate; what is known of a
//! login, without its tokens; a login that is over. What never happens here: a browser started, a
//! token shown, a wait without a bound.

mod browser;
mod callback;
mod device;

use chrono::{DateTime, Utc};
use restway_model::definition::{ApiFile, Auth, Grant};
use restway_model::{KeptToken, SafeUrl, Secret, TokenKeeper};

use crate::Connector;
use crate::error::{CallError, Failure};
use crate::grant::{Moment, Proof, revoke_request, token_request};
use crate::renew::{basis, keep, leased};
use crate::target::{Site, Target};
use crate::token::{assertion_key, post};
use crate::values::NoValues;

/// What the person is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PersonTask {
    /// Open the address in a browser on this machine.
    Open {
        /// The address.
        url: String,
    },
    /// Open the address anywhere, and type in the code.
    Enter {
        /// The address.
        url: String,
        /// The code.
        code: String,
        /// The address with the code in it, if the server has one.
        whole: Option<String>,
    },
}

/// What is known of one login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonLogin {
    /// The domain that it is for.
    pub url: SafeUrl,
    /// Whether requests can be sent with it, or with what it can be renewed to.
    pub is_in: bool,
    /// Who logged in, if the server said.
    pub who: Option<String>,
    /// When the present access token ends, if the server said.
    pub ends_at: Option<DateTime<Utc>>,
    /// Whether it is renewed without the person.
    pub renews: bool,
}

/// What became of a login that was to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoggedOut {
    /// There was none.
    Nobody,
    /// It is forgotten here; the server has no `revoke_url` and knows it still.
    Forgotten,
    /// The server has ended it, too.
    Revoked,
    /// It is forgotten here, and the server did not end it.
    NotRevoked {
        /// Why not.
        problem: String,
    },
}

impl Connector {
    /// Has a person log in to each domain of the api that wants it. `ask` shows what there is to
    /// do; it is called once for each domain.
    ///
    /// # Errors
    /// A login that nobody made, or that was refused; an api without such a login.
    pub async fn log_in(
        &self,
        api: &ApiFile,
        ask: &(dyn Fn(&PersonTask) + Send + Sync),
    ) -> Result<Vec<PersonLogin>, CallError> {
        let target = self.target(api)?;
        let mut logins = Vec::new();
        for site in of_persons(&target)? {
            let made = log_in(self, &target, site, ask).await;
            logins.push(made.map_err(|failure| failed(&target, failure))?);
        }
        Ok(logins)
    }

    /// What is known of the api's logins; empty when no person logs in to it.
    ///
    /// # Errors
    /// The keeper cannot be read, or a secret of the definition is missing.
    pub async fn logins(&self, api: &ApiFile) -> Result<Vec<PersonLogin>, CallError> {
        let target = self.target(api)?;
        let mut logins = Vec::new();
        for site in target.sites().iter().filter(|site| is_of_a_person(&site.auth)) {
            let known = known(self, site).await.map_err(|failure| failed(&target, failure))?;
            logins.push(shown(self, site, known.as_ref()));
        }
        Ok(logins)
    }

    /// Ends the api's logins: at the server, if it can be told, and here in any case.
    ///
    /// # Errors
    /// The keeper cannot forget; an api without such a login.
    pub async fn log_out(&self, api: &ApiFile) -> Result<Vec<LoggedOut>, CallError> {
        let target = self.target(api)?;
        let mut ended = Vec::new();
        for site in of_persons(&target)? {
            let out = log_out(self, &target, site).await;
            ended.push(out.map_err(|failure| failed(&target, failure))?);
        }
        Ok(ended)
    }
}

fn is_of_a_person(auth: &Auth) -> bool {
    matches!(auth, Auth::Oauth2 { grant, .. } if grant.is_of_a_person())
}

fn of_persons(target: &Target) -> Result<Vec<&Site>, CallError> {
    let sites: Vec<&Site> =
        target.sites().iter().filter(|site| is_of_a_person(&site.auth)).collect();
    if sites.is_empty() {
        let problem = "has no login that a person makes (`grant: authorization_code` or `device`)";
        return Err(CallError::invalid(format!("`{}`", target.name), problem));
    }
    Ok(sites)
}

fn failed(target: &Target, failure: Failure) -> CallError {
    CallError::Login { api: target.name.clone(), failure: Box::new(failure) }
}

fn keeper(connector: &Connector) -> Result<&dyn TokenKeeper, Failure> {
    connector.keeper().ok_or_else(|| {
        Failure::invalid("the login", "needs a workspace that keeps it, and there is none")
    })
}

async fn log_in(
    connector: &Connector,
    target: &Target,
    site: &Site,
    ask: &(dyn Fn(&PersonTask) + Send + Sync),
) -> Result<PersonLogin, Failure> {
    let keeper = keeper(connector)?;
    let basis = basis(connector, site)?;
    // A secret that is missing is better missed before the person has done their part.
    rehearse(connector, site).await?;
    let granted = match site.auth {
        Auth::Oauth2 { grant: Grant::Device, .. } => {
            device::log_in(connector, target, site, ask).await?
        }
        _ => browser::log_in(connector, target, site, ask).await?,
    };
    let _lease = leased(connector, keeper, &site.slot).await?;
    let kept = keep(connector, keeper, site, basis, &granted, None).await?;
    Ok(shown(connector, site, Some(&kept)))
}

/// Makes a token request that is not sent.
async fn rehearse(connector: &Connector, site: &Site) -> Result<(), Failure> {
    let nothing = Secret::new("");
    let make = |moment: &Moment<'_>| token_request(&site.auth, &site.url, moment);
    at_this_moment(connector, site, Proof::Refresh(&nothing), make).await.map(drop)
}

/// Makes a request from the secrets and the time as they are now.
async fn at_this_moment<T>(
    connector: &Connector,
    site: &Site,
    proof: Proof<'_>,
    make: impl FnOnce(&Moment<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let key = assertion_key(connector, &site.auth).await?;
    let lookup = connector.lookup(&NoValues, true);
    let now = Some(connector.clock().now());
    make(&Moment { values: &lookup, url_values: &lookup, now, proof, key: key.as_ref() })
}

async fn known(connector: &Connector, site: &Site) -> Result<Option<KeptToken>, Failure> {
    let basis = basis(connector, site)?;
    let kept = keeper(connector)?.kept(&site.slot).await.map_err(Failure::Keeper)?;
    Ok(kept.filter(|kept| kept.basis == basis))
}

fn shown(connector: &Connector, site: &Site, known: Option<&KeptToken>) -> PersonLogin {
    let now = connector.clock().now();
    let renews = known.is_some_and(|kept| kept.refresh.is_some());
    let ends_at = known.and_then(|kept| kept.expires_at);
    let is_alive =
        known.is_some_and(|kept| kept.access.is_some()) && ends_at.is_none_or(|end| now < end);
    let mut url = site.url.clone();
    url.set_path("");
    PersonLogin {
        url: SafeUrl::new(url),
        is_in: renews || is_alive,
        who: known.and_then(|kept| kept.who.clone()),
        ends_at,
        renews,
    }
}

async fn log_out(
    connector: &Connector,
    target: &Target,
    site: &Site,
) -> Result<LoggedOut, Failure> {
    let keeper = keeper(connector)?;
    let _lease = leased(connector, keeper, &site.slot).await?;
    let kept = keeper.kept(&site.slot).await.map_err(Failure::Keeper)?;
    let Some(kept) = kept else { return Ok(LoggedOut::Nobody) };
    let revoked = revoke(connector, target, site, &kept).await;
    keeper.forget(&site.slot).await.map_err(Failure::Keeper)?;
    Ok(match revoked {
        Ok(true) => LoggedOut::Revoked,
        Ok(false) => LoggedOut::Forgotten,
        Err(failure) => LoggedOut::NotRevoked { problem: connector.redacted(&failure.to_string()) },
    })
}

/// Tells the server to end the login. The refresh token takes its access tokens with it
/// (RFC 7009, section 2.1).
async fn revoke(
    connector: &Connector,
    target: &Target,
    site: &Site,
    kept: &KeptToken,
) -> Result<bool, Failure> {
    let bare = |header: &Secret| {
        let text = header.expose();
        Secret::new(text.split_once(' ').map_or(text, |(_, bare)| bare))
    };
    let (token, hint) = match (&kept.refresh, &kept.access) {
        (Some(refresh), _) => (refresh.clone(), "refresh_token"),
        (None, Some(access)) => (bare(access), "access_token"),
        (None, None) => return Ok(false),
    };
    connector.learn(&token);
    let make = |moment: &Moment<'_>| revoke_request(&site.auth, &site.url, moment, &token, hint);
    let request = at_this_moment(connector, site, Proof::Definition, make).await?;
    let Some(request) = request else { return Ok(false) };
    post(connector, target, &request, 1).await.map_err(|(failure, _)| failure)?;
    Ok(true)
}
