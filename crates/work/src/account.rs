//! Whose account an api answers for.
//!
//! In: an api whose file says so. Out: nothing, or why nothing may be landed from it or sent to it.
//! Asked once before a sync or an export begins, so that credentials of another account mix no rows
//! of one customer with those of another.

use restway_connect::{Again, CallError, CallParts};
use restway_model::definition::{ApiFile, CallRequest};
use restway_model::{Code, Explain, Name, Scope, Values, exact_json};
use serde_json::Value;

use crate::Workspace;

/// An api that answers for another account than its file says, or does not say for which.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{api}` is not asked for anything: {problem}")]
pub struct OtherAccount {
    api: Name,
    problem: String,
    code: Code,
    hints: Vec<String>,
}

impl Explain for OtherAccount {
    fn code(&self) -> Code {
        self.code
    }

    fn hints(&self) -> Vec<String> {
        self.hints.clone()
    }
}

/// Nothing but the environment is known where an api is asked who asks.
struct Nothing;

impl Values for Nothing {
    fn value(&self, _: Scope, _: &str) -> Result<Value, String> {
        Err("has no value here".into())
    }
}

impl Workspace {
    /// Asks the api whose account it is, if its file says whose it must be.
    ///
    /// # Errors
    /// It is another one, or the api does not say.
    pub(crate) async fn check_account(&self, api: &ApiFile) -> Result<(), OtherAccount> {
        let Some(identity) = &api.identity else { return Ok(()) };
        let refused =
            |problem, code, hints| OtherAccount { api: api.api.clone(), problem, code, hints };
        let unasked = |error: CallError| {
            let problem = self.redactor.redact(&error.to_string()).into_owned();
            refused(problem, error.code(), error.hints())
        };
        let call = CallRequest::get(identity.path.clone());
        let parts = CallParts {
            call: &call,
            idempotency: None,
            again: Again::Always,
            values: &Nothing,
            attachment: &|_| None,
            absent: &|_| false,
            key: String::new(),
        };
        let request = self.connector.compose(api, &parts).map_err(unasked)?;
        let answer = self.connector.call(api, request).await.map_err(unasked)?;
        let found = exact_json(&answer.body).unwrap_or_default();
        if identity.is.holds(&found) {
            return Ok(());
        }
        let hints = vec![
            "look at it with `restway call`; if the account is meant to change, change `identity`"
                .to_owned(),
        ];
        let problem = format!("its `{}` does not say that {}", identity.path, identity.is);
        Err(refused(problem, Code::AccountOther, hints))
    }
}
