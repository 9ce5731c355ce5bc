//! Authorize: who sends a request.
//!
//! In: the api's `auth`, at the moment of sending. Out: a header or a query parameter for that one
//! hop. It is asked for after every wait, so a token that ended meanwhile is never sent. Whether a
//! hop may have credentials at all is not decided here but where the hop is sent: only on an
//! origin that the api declares, and only that origin's own. Every value that leaves this module has been told to the redactor.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use restway_model::definition::Auth;
use restway_model::{Redactor, Secret, Template, Values};
use url::Url;

use crate::error::Failure;
use crate::hmac;
use crate::redirect::Hop;
use crate::sigv4::{self, Signing};
use crate::target::Site;

/// What is added to one hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// Nothing.
    None,
    /// A header, in place of one of that name.
    Header(String, Secret),
    /// Several that belong together, in this order.
    Several(Vec<Credential>),
    /// A query parameter.
    Query(String, Secret),
    /// A cookie, in place of one of that name; others stay.
    Cookie(String, Secret),
}

impl Credential {
    /// Adds it to a hop's URL and headers.
    pub(crate) fn apply(self, url: &mut Url, headers: &mut Vec<(String, String)>) {
        match self {
            Self::None => {}
            Self::Header(name, value) => {
                headers.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
                headers.push((name, value.expose().to_owned()));
            }
            Self::Several(all) => all.into_iter().for_each(|one| one.apply(url, headers)),
            Self::Query(name, value) => {
                *url = crate::plan::set_query(url, &name, value.expose());
            }
            Self::Cookie(name, value) => {
                let is_other = |pair: &&str| {
                    let known = pair.split('=').next().unwrap_or_default();
                    !pair.trim().is_empty() && known.trim() != name
                };
                let known = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
                let mut pairs: Vec<String> = known
                    .flat_map(|(_, value)| value.split(';').filter(is_other))
                    .map(|pair| pair.trim().to_owned())
                    .collect();
                pairs.push(format!("{name}={}", value.expose()));
                headers.retain(|(name, _)| !name.eq_ignore_ascii_case("cookie"));
                headers.push(("cookie".into(), pairs.join("; ")));
            }
        }
    }
}

/// The credential of an `auth` that needs no token endpoint; `None` for one that does.
pub(crate) fn fixed(
    auth: &Auth,
    values: &dyn Values,
    redactor: &Redactor,
) -> Result<Option<Credential>, Failure> {
    let text = |template: &Template| template.text(values).map_err(Failure::Value);
    let credential = match auth {
        Auth::None | Auth::Mtls => Credential::None,
        Auth::Basic { username, password } => {
            let pair = basic(&text(username)?, &text(password)?)?;
            redactor.learn(&pair);
            authorization(format!("Basic {}", pair.expose()))
        }
        Auth::Bearer { token, scheme } => {
            let token = text(token)?;
            authorization(if scheme.is_empty() { token } else { format!("{scheme} {token}") })
        }
        Auth::ApiKey { key, header, query, cookie } => {
            let key = Secret::new(text(key)?);
            match (header, query, cookie) {
                (Some(header), None, None) => Credential::Header(header.clone(), key),
                (None, Some(query), None) => Credential::Query(query.clone(), key),
                (None, None, Some(cookie)) => {
                    // A text beyond these characters would end the cookie or add another.
                    if key
                        .expose()
                        .contains(|c: char| !c.is_ascii_graphic() || ";,\"\\".contains(c))
                    {
                        let problem = "holds a character that a cookie cannot carry (RFC 6265)";
                        return Err(Failure::invalid("`key`", problem));
                    }
                    Credential::Cookie(cookie.clone(), key)
                }
                _ => {
                    let problem = "needs one of `header`, `query` and `cookie`";
                    return Err(Failure::invalid("`auth` of type api_key", problem));
                }
            }
        }
        Auth::Oauth2 { .. }
        | Auth::Login { .. }
        | Auth::Digest { .. }
        | Auth::AwsSigv4 { .. }
        | Auth::Hmac { .. } => return Ok(None),
    };
    Ok(Some(credential))
}

/// The credential of an `auth` that signs each request; `None` for one that does not.
pub(crate) fn signed(
    site: &Site,
    hop: &Hop,
    values: &dyn Values,
    now: DateTime<Utc>,
    redactor: &Redactor,
) -> Result<Option<Credential>, Failure> {
    let text = |template: &Template| template.text(values).map_err(Failure::Value);
    match &site.auth {
        Auth::Digest { username, password } => {
            let password = Secret::new(text(password)?);
            let header = site.digests.header(hop, &text(username)?, &password)?;
            Ok(Some(header.map_or(Credential::None, |header| {
                redactor.learn_signature(&header);
                Credential::Header("authorization".into(), header)
            })))
        }
        Auth::AwsSigv4 { access_key, secret_key, session_token, region, service } => {
            let session_token = session_token.as_ref().map(text).transpose()?.map(Secret::new);
            let signing = Signing {
                access_key: text(access_key)?,
                secret_key: Secret::new(text(secret_key)?),
                session_token,
                region: text(region)?,
                service: text(service)?,
            };
            let headers = sigv4::signed(hop, &signing, now);
            let header = |(name, value): (String, Secret)| {
                if name == "authorization" {
                    redactor.learn_signature(&value);
                    let signature = value.expose().rsplit('=').next().unwrap_or_default();
                    redactor.learn_signature(&Secret::new(signature));
                }
                Credential::Header(name, value)
            };
            Ok(Some(Credential::Several(headers.into_iter().map(header).collect())))
        }
        other => hmac::signed(other, hop, values, now, redactor),
    }
}

/// The credential as a plan shows it. What is derived from secrets is written as a formula.
pub(crate) fn planned(auth: &Auth, marks: &dyn Values) -> Result<Credential, Failure> {
    Ok(match auth {
        Auth::Basic { username, password } => {
            authorization(format!("Basic ${{base64({username}:{password})}}"))
        }
        Auth::Oauth2 { .. } => authorization("Bearer ${token}".into()),
        Auth::Login { scheme, .. } => {
            let word = if scheme.is_empty() { String::new() } else { format!("{scheme} ") };
            crate::login::placed(auth, &Secret::new(format!("{word}${{token}}")))
        }
        Auth::Digest { .. } => authorization("Digest ${answer to the challenge}".into()),
        Auth::AwsSigv4 { .. } => authorization("AWS4-HMAC-SHA256 ${signature}".into()),
        Auth::Hmac { .. } => hmac::planned(auth, marks)?,
        other => fixed(other, marks, &Redactor::default())?.unwrap_or(Credential::None),
    })
}

pub(crate) fn authorization(value: String) -> Credential {
    Credential::Header("authorization".into(), Secret::new(value))
}

/// User name and password as RFC 7617 joins them, in UTF-8.
pub(crate) fn basic(username: &str, password: &str) -> Result<Secret, Failure> {
    if username.contains(':') {
        return Err(Failure::invalid("`username`", "holds a `:`, which would end it"));
    }
    Ok(Secret::new(STANDARD.encode(format!("{username}:{password}"))))
}

#[cfg(test)]
mod tests {
    use restway_model::Scope;
    use serde_json::Value;

    use super::*;

    struct Echo;

    impl Values for Echo {
        fn value(&self, _: Scope, name: &str) -> Result<Value, String> {
            Ok(format!("value-of-{name}").into())
        }
    }

    fn template(text: &str) -> Template {
        text.parse().expect("a template")
    }

    #[test]
    fn each_kind_goes_where_it_belongs_and_basic_is_learned_derived() {
        let redactor = Redactor::default();
        let sent = |auth: &Auth| {
            let mut url = Url::parse("https://h/x?a=1").expect("a URL");
            let mut headers = vec![("Authorization".to_owned(), "old".to_owned())];
            let credential = fixed(auth, &Echo, &redactor).expect("a credential");
            credential.expect("no token is needed").apply(&mut url, &mut headers);
            (url.to_string(), headers)
        };
        let basic = Auth::Basic { username: template("u"), password: template("${secret.p}") };
        let (_, headers) = sent(&basic);
        assert_eq!(headers, [("authorization".into(), "Basic dTp2YWx1ZS1vZi1w".into())]);
        assert_eq!(redactor.redact("got dTp2YWx1ZS1vZi1w back"), "got *** back");
        let bearer = Auth::Bearer { token: template("${secret.t}"), scheme: "Token".into() };
        assert_eq!(sent(&bearer).1, [("authorization".into(), "Token value-of-t".into())]);
        let key = |header: Option<&str>, query: Option<&str>| Auth::ApiKey {
            key: template("${secret.k}"),
            header: header.map(str::to_owned),
            query: query.map(str::to_owned),
            cookie: None,
        };
        assert_eq!(sent(&key(None, Some("k"))).0, "https://h/x?a=1&k=value-of-k");
        assert_eq!(sent(&key(Some("X-Key"), None)).1[1], ("X-Key".into(), "value-of-k".into()));
        assert!(fixed(&key(None, None), &Echo, &redactor).is_err());
    }

    #[test]
    fn a_cookie_takes_the_place_of_one_of_its_name_and_never_becomes_two() {
        let cookie = |key: &str| Auth::ApiKey {
            key: template(key),
            header: None,
            query: None,
            cookie: Some("sid".into()),
        };
        let mut url = Url::parse("https://h/x").expect("a URL");
        let mut headers = vec![("Cookie".to_owned(), "lang=de; sid=old".to_owned())];
        let redactor = Redactor::default();
        let credential = fixed(&cookie("${secret.k}"), &Echo, &redactor).expect("a credential");
        credential.expect("no token is needed").apply(&mut url, &mut headers);
        assert_eq!(headers, [("cookie".into(), "lang=de; sid=value-of-k".into())]);
        for wrong in ["a;b=${secret.k}", "a b ${secret.k}", "${secret.k}\r\nx: y"] {
            let error = fixed(&cookie(wrong), &Echo, &redactor).expect_err(wrong).to_string();
            assert!(error.contains("cookie") && !error.contains("value-of"), "{error}");
        }
    }
}
