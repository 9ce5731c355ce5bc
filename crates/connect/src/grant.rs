//! Token requests: what each OAuth2 grant puts into its form.
//!
//! In: an `auth` of type oauth2, its values, the time, and a refresh token where there is one.
//! Out: one request, complete, made anew for each try, because an assertion is good for one only.
//! Nothing is sent here.

use chrono::{DateTime, Utc};
use restway_model::definition::{Assertion, Auth, ClientAuth, Grant, Method, ScopeIn};
use restway_model::{SafeUrl, Secret, Template, Values};
use serde_json::Value;
use url::Url;

use crate::authorize::basic;
use crate::error::{CallError, Failure};
use crate::jwt::{self, Claimant, Purpose};
use crate::plan::{USER_AGENT, web_url};
use crate::request::{Body, Request};
use crate::values::{Marks, WithEnv};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// A token request with all its values.
pub(crate) struct TokenRequest {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) form: Vec<(String, String)>,
    /// A JSON body in place of the form.
    pub(crate) json: Option<Value>,
    /// What was made from secrets, for the redactor.
    pub(crate) made: Vec<Secret>,
}

/// What a token request is made with, beside the definition.
pub(crate) struct Moment<'a> {
    pub(crate) values: &'a dyn Values,
    /// The same for URLs, which a plan spells out.
    pub(crate) url_values: &'a dyn Values,
    /// The time; None for a plan, which signs nothing.
    pub(crate) now: Option<DateTime<Utc>>,
    /// The refresh token that counts; without one, that of the definition.
    pub(crate) refresh: Option<&'a Secret>,
}

/// The token endpoint's URL: whole, or a path on the domain's origin.
pub(crate) fn token_url(
    template: &Template,
    base: &Url,
    values: &dyn Values,
) -> Result<Url, Failure> {
    let address = template.text(values).map_err(Failure::Value)?;
    if address.starts_with('/') {
        return base.join(&address).map_err(|_| Failure::invalid("`token_url`", "is not a path"));
    }
    web_url(&address, "`token_url`")
        .map_err(|error| Failure::invalid("`auth`", format!("has a wrong URL: {error}")))
}

/// The token request (RFC 6749, sections 4.3.2, 4.4.2 and 6; RFC 7523, section 2).
pub(crate) fn token_request(
    auth: &Auth,
    base: &Url,
    moment: &Moment<'_>,
) -> Result<TokenRequest, Failure> {
    let Auth::Oauth2 {
        grant,
        token_url: address,
        client_id,
        client_secret,
        client_auth,
        assertion,
        refresh_token,
        username,
        password,
        scopes,
        params,
    } = auth
    else {
        return Err(Failure::invalid("`auth`", "asks for no token"));
    };
    let text = |template: &Template| template.text(moment.values).map_err(Failure::Value);
    let needed = |template: &Option<Template>, name: &str| match template {
        Some(template) => text(template),
        None => Err(Failure::invalid("`auth` of type oauth2", format!("needs `{name}`"))),
    };
    let url = token_url(address, base, moment.url_values)?;
    let id = text(client_id)?;
    let client_auth = ClientAuth::or_default(*client_auth, client_secret.is_some());
    let mut request = TokenRequest {
        method: Method::Post,
        headers: vec![
            ("accept".to_owned(), "application/json".to_owned()),
            ("user-agent".to_owned(), USER_AGENT.to_owned()),
        ],
        form: Vec::new(),
        json: None,
        made: Vec::new(),
        url,
    };
    let claimant = |purpose| Claimant { client_id: &id, token_url: "", scopes, purpose };
    match grant {
        Grant::ClientCredentials => request.push("grant_type", "client_credentials"),
        Grant::RefreshToken => {
            request.push("grant_type", "refresh_token");
            let token = match moment.refresh {
                Some(token) => token.expose().to_owned(),
                None => needed(refresh_token, "refresh_token")?,
            };
            request.push("refresh_token", token);
        }
        Grant::Password => {
            request.push("grant_type", "password");
            request.push("username", needed(username, "username")?);
            request.push("password", needed(password, "password")?);
        }
        Grant::JwtBearer => {
            request.push("grant_type", JWT_BEARER);
            request.sign("assertion", assertion.as_deref(), claimant(Purpose::Grant), moment)?;
        }
    }
    if jwt::names_client(assertion.as_deref(), client_auth, *grant) {
        request.push("client_id", id.as_str());
    }
    match client_auth {
        ClientAuth::Post => {
            request.push("client_id", id.as_str());
            request.push("client_secret", needed(client_secret, "client_secret")?);
        }
        ClientAuth::Basic => {
            request.basic(&id, &needed(client_secret, "client_secret")?)?;
        }
        ClientAuth::PrivateKeyJwt => {
            request.push("client_assertion_type", ASSERTION_TYPE);
            let claimant = claimant(Purpose::Client);
            request.sign("client_assertion", assertion.as_deref(), claimant, moment)?;
        }
        ClientAuth::None => {}
    }
    if !scopes.is_empty() && jwt::scope_in(assertion.as_deref()) == ScopeIn::Form {
        request.push("scope", scopes.join(" "));
    }
    for (name, value) in params {
        request.push(name, text(value)?);
    }
    Ok(request)
}

impl TokenRequest {
    /// The body, if there is one.
    pub(crate) fn body(&self) -> Option<Body> {
        match &self.json {
            Some(json) => Some(Body::Json(json.clone())),
            None if self.form.is_empty() => None,
            None => Some(Body::Form(self.form.clone())),
        }
    }

    fn push(&mut self, name: &str, value: impl Into<String>) {
        self.form.push((name.to_owned(), value.into()));
    }

    /// Id and secret in the header, each encoded first (RFC 6749, section 2.3.1).
    fn basic(&mut self, id: &str, secret: &str) -> Result<(), Failure> {
        let encode = |text: &str| -> String {
            url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
        };
        let pair = basic(&encode(id), &encode(secret))?;
        self.headers.push(("authorization".into(), format!("Basic {}", pair.expose())));
        self.made.push(pair);
        Ok(())
    }

    fn sign(
        &mut self,
        field: &str,
        assertion: Option<&Assertion>,
        claimant: Claimant<'_>,
        moment: &Moment<'_>,
    ) -> Result<(), Failure> {
        let missing = || Failure::invalid("`auth` of type oauth2", "needs `assertion`");
        let assertion = assertion.ok_or_else(missing)?;
        let Some(now) = moment.now else {
            self.push(field, "${assertion}");
            return Ok(());
        };
        let claimant = Claimant { token_url: self.url.as_str(), ..claimant };
        let signed = jwt::signed(assertion, &claimant, moment.values, now)?;
        self.form.push((field.to_owned(), signed.expose().to_owned()));
        self.made.push(signed);
        Ok(())
    }
}

/// The token request as a plan shows it, if the login makes one. Variables are spelled out where
/// a URL needs them.
pub(crate) fn planned(
    auth: &Auth,
    base: &Url,
    marks: &Marks<'_>,
) -> Result<Option<Request>, CallError> {
    let url_values = WithEnv(marks);
    if let Auth::Login { .. } = auth {
        let asked = crate::login::request(auth, base, marks, &url_values);
        let asked = asked.map_err(crate::plan_failure)?;
        let mut request = Request::new(asked.method, SafeUrl::new(asked.url.clone()));
        request.headers = asked.headers.clone();
        request.body = asked.body();
        return Ok(Some(request));
    }
    let Auth::Oauth2 { client_auth, client_id, client_secret, .. } = auth else {
        return Ok(None);
    };
    let moment = Moment { values: marks, url_values: &url_values, now: None, refresh: None };
    let asked = token_request(auth, base, &moment).map_err(crate::plan_failure)?;
    let mut request = Request::new(Method::Post, SafeUrl::new(asked.url));
    request.headers = asked.headers;
    request.body = Some(Body::Form(asked.form));
    if let (Some(ClientAuth::Basic), Some(client_secret)) = (client_auth, client_secret) {
        request.headers.retain(|(name, _)| name != "authorization");
        let value = format!("Basic ${{base64({client_id}:{client_secret})}}");
        request.headers.push(("authorization".into(), value));
    }
    Ok(Some(request))
}
