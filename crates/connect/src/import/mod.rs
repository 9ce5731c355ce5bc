//! Import: an api file out of what somebody else wrote about an api, or did with it.
//!
//! In: the text of an OpenAPI document, a Postman collection, a HAR archive or a curl line. Out:
//! the text of an api file that `restway check` accepts, with a comment for each guess, and what a
//! person should know. Pure: nothing is called, no file is read. All formats make the same draft
//! (`crate::draft`), which a probe makes too: documents through `openapi`, requests that somebody
//! sent through `sent`.
//!
//! What never happens here: a credential in the text. Logins, cookies and everything that looks
//! like a token (`veil`) becomes the name of a secret that is still to be set, and what still
//! holds the value of one is left out.

mod curl;
mod har;
mod names;
mod oauth;
mod openapi;
mod postman;
mod sent;
mod shell;
mod veil;

use std::collections::BTreeMap;

use restway_model::definition::{self, ApiFile, Paginate, Problem};
use restway_model::{Code, Explain, Name};
use url::Url;

use crate::draft::Draft;

/// The largest file that is written; larger ones could not be read again.
const FILE_BYTES_MAX: usize = 4 << 20;

/// What is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenAPI 3.0 and 3.1 (spec.openapis.org) or Swagger 2.0, as JSON or YAML.
    Openapi,
    /// A Postman collection, 2.0 or 2.1 (schema.getpostman.com).
    Postman,
    /// An HTTP archive, 1.2 (W3C web performance group), as browsers save it.
    Har,
    /// A curl command line.
    Curl,
}

impl Format {
    /// What a text of it is called.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Openapi => "OpenAPI document",
            Self::Postman => "Postman collection",
            Self::Har => "HAR archive",
            Self::Curl => "curl line",
        }
    }
}

/// How it is imported.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// The name of the api; made from its title or host without it.
    pub name: Option<Name>,
    /// Where the api is, over what the text says.
    pub base_url: Option<String>,
    /// Whether operations of a document that change something become webhooks.
    pub webhooks: bool,
    /// Beginnings of paths; others are left out. All without one.
    pub only: Vec<String>,
    /// Values of path and query parameters of a document.
    pub set: BTreeMap<String, String>,
}

/// An api file from somewhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The api.
    pub api: Name,
    /// The file.
    pub yaml: String,
    /// How many resources it has.
    pub resources: usize,
    /// How many of them have pages.
    pub paged: usize,
    /// How many of them have a key.
    pub keyed: usize,
    /// How many webhooks it has.
    pub webhooks: usize,
    /// The secrets that it names.
    pub secrets: Vec<Name>,
    /// What a person should know, each a sentence.
    pub notes: Vec<String>,
}

/// Why a text could not be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The text is something else.
    #[error("this is not {} {}: {problem}", article(.format.as_str()), .format.as_str())]
    Unreadable {
        /// What it should have been.
        format: Format,
        /// Why it is not.
        problem: String,
    },
    /// Nothing says where the api is.
    #[error("the {} does not say where the api is", .format.as_str())]
    NoBaseUrl {
        /// What was read.
        format: Format,
    },
    /// Nothing of it can be called.
    #[error("the {} holds nothing that could become a resource or a webhook", .format.as_str())]
    Nothing {
        /// What was read.
        format: Format,
        /// What there was instead.
        left_out: Vec<String>,
    },
    /// More than fits one api file.
    #[error("the api file would have {bytes} bytes, more than an api file may have")]
    TooLarge {
        /// How many it would have.
        bytes: usize,
    },
    /// What was written is not in the grammar.
    #[error("the api file would be wrong: {0}")]
    Wrong(Problem),
}

const fn article(what: &str) -> &'static str {
    if matches!(what.as_bytes(), [b'O', ..]) { "an" } else { "a" }
}

impl Explain for ImportError {
    fn code(&self) -> Code {
        Code::ImportInvalid
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Unreadable { format: Format::Openapi, problem }
                if problem.starts_with("line ") =>
            {
                let hint = "mend the line; or where another tool reads it, have that write JSON \
                            and import the JSON";
                vec![hint.into()]
            }
            Self::Unreadable { .. } => Vec::new(),
            Self::NoBaseUrl { .. } => vec!["say it with `--base-url https://…`".into()],
            Self::Nothing { left_out, .. } => left_out.iter().take(3).cloned().collect(),
            Self::TooLarge { .. } => {
                vec!["import a part of it with `--only /PATH`, or without `--webhooks`".into()]
            }
            Self::Wrong(problem) => problem.hints(),
        }
    }
}

/// Makes the api file.
///
/// # Errors
/// When the text is not in the format, names nothing that can be called, or too much.
pub fn import(format: Format, text: &str, wishes: &Wishes) -> Result<Imported, ImportError> {
    let unreadable = |problem| ImportError::Unreadable { format, problem };
    let value = || definition::foreign_value(text).map_err(unreadable);
    let mut draft = match format {
        Format::Openapi => openapi::draft(&value()?, wishes)?,
        Format::Postman => {
            let found = postman::requests(&value()?).map_err(unreadable)?;
            sent::draft(format, found, wishes)?
        }
        Format::Har => {
            let found = har::requests(&value()?).map_err(unreadable)?;
            sent::draft(format, found, wishes)?
        }
        Format::Curl => {
            let found = curl::requests(text).map_err(unreadable)?;
            sent::draft(format, found, wishes)?
        }
    };
    if draft.resources.is_empty() && draft.webhooks.is_empty() {
        return Err(ImportError::Nothing { format, left_out: draft.left_out.lines() });
    }
    draft.share();
    written(&draft)
}

/// The text of the draft, read back.
fn written(draft: &Draft) -> Result<Imported, ImportError> {
    let yaml = draft.text();
    if yaml.len() > FILE_BYTES_MAX {
        return Err(ImportError::TooLarge { bytes: yaml.len() });
    }
    let file = format!("apis/{}.yaml", draft.api);
    definition::read::<ApiFile>(&file, &yaml).map_err(|mut problems| {
        // A file that cannot be read has a problem.
        ImportError::Wrong(problems.swap_remove(0))
    })?;
    let is_paged = |paginate: &Paginate| !matches!(paginate, Paginate::None {});
    Ok(Imported {
        api: draft.api.clone(),
        resources: draft.resources.len(),
        paged: draft.resources.iter().filter(|one| is_paged(&one.paginate)).count(),
        keyed: draft.resources.iter().filter(|one| one.key.is_some()).count(),
        webhooks: draft.webhooks.len(),
        secrets: secrets(&yaml),
        notes: draft.notes.clone(),
        yaml,
    })
}

/// The names of all `${secret.…}`, in the order of the file.
fn secrets(yaml: &str) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    for piece in yaml.split("${secret.").skip(1) {
        let name = piece.split('}').next().and_then(|name| name.parse().ok());
        names.extend(name.filter(|name| !names.contains(name)));
    }
    names
}

/// Scheme, host and path of a web address; without user, query, fragment and the last `/`.
fn base_url(text: &str) -> Option<Url> {
    let mut url = Url::parse(text.trim()).ok()?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return None;
    }
    url.set_query(None);
    url.set_fragment(None);
    // Both fail only for URLs without a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Some(url)
}

/// A URL as a base: without the `/` that stands for no path.
fn base_text(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// The address that the person gave.
fn given_base_url(wishes: &Wishes, format: Format) -> Result<Option<Url>, ImportError> {
    let Some(text) = &wishes.base_url else { return Ok(None) };
    base_url(text).map(Some).ok_or(ImportError::NoBaseUrl { format })
}

#[cfg(test)]
mod tests;
