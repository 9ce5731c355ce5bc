//! Token requests: what each OAuth2 grant puts into its form.
//!
//! In: an `auth` of type oauth2, its values, the time, and what a person's login or an earlier
//! refresh brought. Out: one request, complete, made anew for each try, because an assertion is
//! good for one only. Nothing is sent here.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use restway_model::definition::{Auth, ClientAuth, Grant, Method, ScopeIn};
use restway_model::{RecordPath, SafeUrl, Secret, Template, Values};
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
const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

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
    /// Where the answer has its token, if the definition says.
    pub(crate) token: Option<RecordPath>,
}

/// What a token request is made with, beside the definition.
pub(crate) struct Moment<'a> {
    pub(crate) values: &'a dyn Values,
    /// The same for URLs, which a plan spells out.
    pub(crate) url_values: &'a dyn Values,
    /// The time; None for a plan, which signs nothing.
    pub(crate) now: Option<DateTime<Utc>>,
    /// What stands in for the person or the client.
    pub(crate) proof: Proof<'a>,
    /// The assertion's key, when it was encrypted and is open now.
    pub(crate) key: Option<&'a Secret>,
}

/// What a token is asked for with.
#[derive(Clone)]
pub(crate) enum Proof<'a> {
    /// What the definition holds.
    Definition,
    /// A refresh token that was kept.
    Refresh(&'a Secret),
    /// What a browser brought back.
    Code(&'a Brought),
    /// The device code whose user code a person types in.
    Device(&'a Secret),
}

/// What a browser brought back, and what only we know besides (RFC 7636, section 4.1).
pub(crate) struct Brought {
    pub(crate) code: Secret,
    pub(crate) verifier: Secret,
    pub(crate) redirect: String,
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

/// The token request (RFC 6749, sections 4.1.3, 4.3.2, 4.4.2 and 6; RFC 7523, section 2; RFC 8628,
/// section 3.4).
pub(crate) fn token_request(
    auth: &Auth,
    base: &Url,
    moment: &Moment<'_>,
) -> Result<TokenRequest, Failure> {
    let Auth::Oauth2 { grant, token_url: address, scopes, params, assertion, .. } = auth else {
        return Err(Failure::invalid("`auth`", "asks for no token"));
    };
    let mut request = TokenRequest::to(token_url(address, base, moment.url_values)?);
    request.bring(auth, moment)?;
    request.prove(auth, base, moment)?;
    let asks = !grant.is_of_a_person() && jwt::scope_in(assertion.as_deref()) == ScopeIn::Form;
    if asks && !scopes.is_empty() {
        request.push("scope", scopes.join(" "));
    }
    request.add(params, moment)?;
    Ok(request)
}

/// The request for a code that a person types in (RFC 8628, section 3.1).
pub(crate) fn device_request(
    auth: &Auth,
    base: &Url,
    moment: &Moment<'_>,
) -> Result<TokenRequest, Failure> {
    let Auth::Oauth2 { device_url: Some(address), scopes, params, .. } = auth else {
        return Err(Failure::invalid("`auth` of type oauth2", "needs `device_url`"));
    };
    let mut request = TokenRequest::to(token_url(address, base, moment.url_values)?);
    request.prove(auth, base, moment)?;
    if !scopes.is_empty() {
        request.push("scope", scopes.join(" "));
    }
    request.add(params, moment)?;
    Ok(request)
}

/// The request that ends a token (RFC 7009, section 2.1); None where there is no `revoke_url`.
pub(crate) fn revoke_request(
    auth: &Auth,
    base: &Url,
    moment: &Moment<'_>,
    token: &Secret,
    hint: &str,
) -> Result<Option<TokenRequest>, Failure> {
    let Auth::Oauth2 { revoke_url: Some(address), .. } = auth else { return Ok(None) };
    let mut request = TokenRequest::to(token_url(address, base, moment.url_values)?);
    request.push("token", token.expose());
    request.push("token_type_hint", hint);
    request.prove(auth, base, moment)?;
    Ok(Some(request))
}

impl TokenRequest {
    fn to(url: Url) -> Self {
        Self {
            method: Method::Post,
            url,
            headers: vec![
                ("accept".to_owned(), "application/json".to_owned()),
                ("user-agent".to_owned(), USER_AGENT.to_owned()),
            ],
            form: Vec::new(),
            json: None,
            made: Vec::new(),
            token: None,
        }
    }

    /// What the grant brings forward.
    fn bring(&mut self, auth: &Auth, moment: &Moment<'_>) -> Result<(), Failure> {
        let Auth::Oauth2 { grant, refresh_token, username, password, .. } = auth else {
            return Ok(());
        };
        let needed = |template, name| needed(template, name, moment.values);
        match (&moment.proof, grant) {
            (Proof::Refresh(token), _) => self.refresh(token.expose()),
            (Proof::Code(given), _) => {
                self.push("grant_type", "authorization_code");
                self.push("code", given.code.expose());
                self.push("redirect_uri", given.redirect.as_str());
                self.push("code_verifier", given.verifier.expose());
            }
            (Proof::Device(code), _) => {
                self.push("grant_type", DEVICE);
                self.push("device_code", code.expose());
            }
            (Proof::Definition, Grant::ClientCredentials) => {
                self.push("grant_type", "client_credentials");
            }
            (Proof::Definition, Grant::RefreshToken) => {
                self.refresh(&needed(refresh_token, "refresh_token")?);
            }
            (Proof::Definition, Grant::Password) => {
                self.push("grant_type", "password");
                self.push("username", needed(username, "username")?);
                self.push("password", needed(password, "password")?);
            }
            (Proof::Definition, Grant::JwtBearer) => {
                self.push("grant_type", JWT_BEARER);
                self.sign("assertion", auth, Purpose::Grant, self.url.clone().as_str(), moment)?;
            }
            // A plan; what is sent has the token that a person's login brought.
            (Proof::Definition, Grant::AuthorizationCode | Grant::Device) => {
                self.refresh("${refresh token}");
            }
        }
        Ok(())
    }

    fn refresh(&mut self, token: &str) {
        self.push("grant_type", "refresh_token");
        self.push("refresh_token", token);
    }

    /// How the client proves who it is, at any endpoint of the server.
    fn prove(&mut self, auth: &Auth, base: &Url, moment: &Moment<'_>) -> Result<(), Failure> {
        let Auth::Oauth2 {
            grant,
            token_url: address,
            client_id,
            client_secret,
            client_auth,
            assertion,
            ..
        } = auth
        else {
            return Ok(());
        };
        let id = client_id.text(moment.values).map_err(Failure::Value)?;
        let client_auth = ClientAuth::or_default(*client_auth, client_secret.is_some());
        let secret = || needed(client_secret, "client_secret", moment.values);
        if jwt::names_client(assertion.as_deref(), client_auth, *grant) {
            self.push("client_id", id.as_str());
        }
        match client_auth {
            ClientAuth::Post => {
                self.push("client_id", id.as_str());
                self.push("client_secret", secret()?);
            }
            ClientAuth::Basic => self.basic(&id, &secret()?)?,
            ClientAuth::PrivateKeyJwt => {
                self.push("client_assertion_type", ASSERTION_TYPE);
                let audience = token_url(address, base, moment.url_values)?;
                self.sign("client_assertion", auth, Purpose::Client, audience.as_str(), moment)?;
            }
            ClientAuth::None => {}
        }
        Ok(())
    }

    fn add(
        &mut self,
        params: &BTreeMap<String, Template>,
        moment: &Moment<'_>,
    ) -> Result<(), Failure> {
        for (name, value) in params {
            self.push(name, value.text(moment.values).map_err(Failure::Value)?);
        }
        Ok(())
    }

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
        auth: &Auth,
        purpose: Purpose,
        audience: &str,
        moment: &Moment<'_>,
    ) -> Result<(), Failure> {
        let Auth::Oauth2 { client_id, scopes, assertion: Some(assertion), .. } = auth else {
            return Err(Failure::invalid("`auth` of type oauth2", "needs `assertion`"));
        };
        let Some(now) = moment.now else {
            self.push(field, "${assertion}");
            return Ok(());
        };
        let id = client_id.text(moment.values).map_err(Failure::Value)?;
        let claimant = Claimant { client_id: &id, token_url: audience, scopes, purpose };
        let signed = jwt::signed(assertion, &claimant, moment, now)?;
        self.form.push((field.to_owned(), signed.expose().to_owned()));
        self.made.push(signed);
        Ok(())
    }
}

fn needed(template: &Option<Template>, name: &str, values: &dyn Values) -> Result<String, Failure> {
    match template {
        Some(template) => template.text(values).map_err(Failure::Value),
        None => Err(Failure::invalid("`auth` of type oauth2", format!("needs `{name}`"))),
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
    let moment = Moment {
        values: marks,
        url_values: &url_values,
        now: None,
        proof: Proof::Definition,
        key: None,
    };
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
