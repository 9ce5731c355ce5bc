//! The values of `${…}`.
//!
//! In: the source of secrets, the environment, and the caller's parameters and parent row. Out: a
//! value, and for each secret a word to the redactor before anybody can print it. What never
//! happens here: a secret that is kept; each use looks it up again, so a secret that was replaced
//! counts from the next request on.

use std::cell::RefCell;

use restway_model::{Name, Redactor, Scope, Secret, SecretSource, Values};
use serde_json::Value;

/// No parameter and no parent: for `auth` and `base_url`.
pub(crate) struct NoValues;

impl Values for NoValues {
    fn value(&self, _: Scope, _: &str) -> Result<Value, String> {
        Err("only `${secret.…}` and `${env.…}` have one here".into())
    }
}

/// Real values, for sending.
pub(crate) struct Lookup<'a> {
    pub(crate) secrets: &'a dyn SecretSource,
    pub(crate) redactor: &'a Redactor,
    /// Whether variables of the environment are taken for secrets too.
    pub(crate) learns_env: bool,
    /// Whether a tape is played, which needs no real secret.
    pub(crate) is_played: bool,
    pub(crate) others: &'a dyn Values,
}

impl Values for Lookup<'_> {
    fn value(&self, scope: Scope, name: &str) -> Result<Value, String> {
        match scope {
            Scope::Secret => {
                let name: Name = name.parse().map_err(|error| format!("{error}"))?;
                let secret = match self.secrets.secret(&name) {
                    Ok(secret) => secret,
                    Err(_) if self.is_played => crate::tape::stand_in(&name),
                    Err(missing) => return Err(missing.problem),
                };
                self.redactor.learn(&secret);
                Ok(Value::String(secret.expose().to_owned()))
            }
            Scope::Env => {
                let value = std::env::var(name).map_err(|_| "is not set".to_owned())?;
                if self.learns_env {
                    self.redactor.learn(&Secret::new(value.clone()));
                }
                Ok(Value::String(value))
            }
            _ => self.others.value(scope, name),
        }
    }

    fn json(&self, scope: Scope, name: &str) -> Result<String, String> {
        match scope {
            Scope::Secret | Scope::Env => self.value(scope, name).map(|value| value.to_string()),
            _ => self.others.json(scope, name),
        }
    }
}

/// Marks in place of values, for showing: no secret and no variable is looked up.
pub(crate) struct Marks<'a> {
    others: &'a dyn Values,
    marks: RefCell<Vec<(String, String)>>,
}

/// The same with variables spelled out: for URLs, which would be none without them.
pub(crate) struct WithEnv<'a>(pub(crate) &'a Marks<'a>);

impl<'a> Marks<'a> {
    pub(crate) fn new(others: &'a dyn Values) -> Self {
        Self { others, marks: RefCell::default() }
    }

    /// The text with every mark replaced by the reference it stands for.
    pub(crate) fn unmark(&self, text: &str) -> String {
        let marks = self.marks.borrow();
        marks.iter().fold(text.to_owned(), |text, (mark, shown)| text.replace(mark, shown))
    }

    /// A mark is made of characters that pass through every part of a URL unencoded.
    fn mark(&self, scope: Scope, name: &str) -> Value {
        let plain = name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "_");
        let mark = format!("__{}.{plain}__", scope.as_str());
        let shown = format!("${{{}.{name}}}", scope.as_str());
        let mut marks = self.marks.borrow_mut();
        if !marks.iter().any(|(known, _)| *known == mark) {
            marks.push((mark.clone(), shown));
        }
        Value::String(mark)
    }
}

impl Values for Marks<'_> {
    fn value(&self, scope: Scope, name: &str) -> Result<Value, String> {
        let known = match scope {
            Scope::Secret | Scope::Env => None,
            _ => self.others.value(scope, name).ok(),
        };
        Ok(known.unwrap_or_else(|| self.mark(scope, name)))
    }

    fn json(&self, scope: Scope, name: &str) -> Result<String, String> {
        let known = match scope {
            Scope::Secret | Scope::Env => None,
            _ => self.others.json(scope, name).ok(),
        };
        Ok(known.unwrap_or_else(|| self.mark(scope, name).to_string()))
    }
}

impl Values for WithEnv<'_> {
    fn value(&self, scope: Scope, name: &str) -> Result<Value, String> {
        match std::env::var(name) {
            Ok(value) if scope == Scope::Env => Ok(Value::String(value)),
            _ => self.0.value(scope, name),
        }
    }
}
