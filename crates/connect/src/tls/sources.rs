//! What the `tls` of an api is made of: texts, secrets, and files of the workspace.
//!
//! In: the definition with its values. Out: a [`Tls`], made once and used by all requests until a
//! value or a file is another; a file is, when its time or its length is. So a certificate that is
//! renewed counts from the next request on. Files are looked at and read on a thread for work: the
//! folder may be on a slow disk.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use restway_model::definition;
use restway_model::{Secret, Template, Values};

use super::{Identity, Tls, written};
use crate::error::{CallError, Failure};
use crate::files;

/// Bytes of one file at most; the system's own bundle has a quarter of a million.
const PEM_BYTES_MAX: u64 = 4 << 20;

/// The `tls` of an api with its values.
#[derive(Clone)]
pub(crate) struct Sources {
    tls: definition::Tls,
    ca: Option<Given>,
    client_cert: Option<Given>,
    client_key: Option<Secret>,
    pub(crate) password: Option<Secret>,
}

/// A text that is a certificate or names a file with one.
#[derive(Clone, PartialEq)]
struct Given {
    text: Secret,
    is_reference: bool,
}

/// By which what was made is known to be still right: the values, and time and length of the files.
#[derive(Clone, PartialEq)]
pub(crate) struct Stamp {
    values: [Option<Secret>; 4],
    files: [Option<(SystemTime, u64)>; 2],
}

/// What was made last.
#[derive(Default)]
pub(crate) struct MadeTls(Mutex<Option<(Stamp, Arc<Tls>)>>);

impl MadeTls {
    pub(crate) fn last(&self) -> Option<(Stamp, Arc<Tls>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn keep(&self, stamp: Stamp, tls: &Arc<Tls>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((stamp, Arc::clone(tls)));
    }
}

impl Sources {
    /// Looks the values up; `None` when the definition says nothing.
    pub(crate) fn of(tls: &definition::Tls, values: &dyn Values) -> Result<Option<Self>, Failure> {
        if *tls == definition::Tls::default() {
            return Ok(None);
        }
        let text =
            |template: &Template| template.text(values).map(Secret::new).map_err(Failure::Value);
        let given = |template: &Option<Template>| -> Result<Option<Given>, Failure> {
            let Some(template) = template else { return Ok(None) };
            let is_reference = template.references().next().is_some();
            Ok(Some(Given { text: text(template)?, is_reference }))
        };
        Ok(Some(Self {
            ca: given(&tls.ca)?,
            client_cert: given(&tls.client_cert)?,
            client_key: tls.client_key.as_ref().map(text).transpose()?,
            password: tls.client_key_password.as_ref().map(text).transpose()?,
            tls: tls.clone(),
        }))
    }

    /// What it would be made of now.
    pub(crate) fn stamp(&self, folder: Option<&Path>) -> Result<Stamp, Failure> {
        let text = |given: &Option<Given>| given.as_ref().map(|given| given.text.clone());
        let file = |given: &Option<Given>| match given {
            Some(given) => given.stamp(folder),
            None => Ok(None),
        };
        Ok(Stamp {
            values: [
                text(&self.ca),
                text(&self.client_cert),
                self.client_key.clone(),
                self.password.clone(),
            ],
            files: [file(&self.ca)?, file(&self.client_cert)?],
        })
    }

    /// Reads the files.
    pub(crate) fn read(&self, folder: Option<&Path>) -> Result<Tls, Failure> {
        let ca = match &self.ca {
            None => None,
            Some(ca) => Some(String::from_utf8(ca.bytes(folder)?).map_err(|_| {
                Failure::invalid("the authority's certificate", "is not a PEM text")
            })?),
        };
        let identity = match &self.client_cert {
            None => None,
            Some(certificate) => {
                Some(Identity::of(certificate.bytes(folder)?, self.client_key.clone())?)
            }
        };
        let tls = &self.tls;
        Ok(Tls {
            ca,
            identity,
            verify: tls.verify,
            check_hostname: tls.check_hostname,
            sni: tls.sni,
            only_1_3: tls.min_version == definition::TlsVersion::V13,
        })
    }
}

impl Given {
    /// The certificate, where the text is one: PEM, or PKCS#12 in base64.
    fn written(&self) -> Option<Vec<u8>> {
        if self.is_reference { written(self.text.expose()) } else { None }
    }

    fn stamp(&self, folder: Option<&Path>) -> Result<Option<(SystemTime, u64)>, Failure> {
        if self.written().is_some() {
            return Ok(None);
        }
        let (path, length) = self.file(folder)?;
        let changed = fs_err::metadata(path).and_then(|metadata| metadata.modified());
        Ok(Some((changed.map_err(|error| self.unreadable(error))?, length)))
    }

    fn bytes(&self, folder: Option<&Path>) -> Result<Vec<u8>, Failure> {
        if let Some(bytes) = self.written() {
            return Ok(bytes);
        }
        let (path, length) = self.file(folder)?;
        if length > PEM_BYTES_MAX {
            return Err(self.invalid("is too large for certificates".into()));
        }
        fs_err::read(path).map_err(|error| self.unreadable(error))
    }

    fn file(&self, folder: Option<&Path>) -> Result<(PathBuf, u64), Failure> {
        files::readable(folder, self.text.expose()).map_err(|error| match error {
            CallError::Invalid { subject, problem } => Failure::Invalid { subject, problem },
            other => self.invalid(other.to_string()),
        })
    }

    #[expect(clippy::needless_pass_by_value, reason = "it is handed to `map_err`")]
    fn unreadable(&self, error: std::io::Error) -> Failure {
        self.invalid(format!("cannot be read: {error}"))
    }

    fn invalid(&self, problem: String) -> Failure {
        Failure::invalid(format!("the file `{}`", self.text.expose()), problem)
    }
}
