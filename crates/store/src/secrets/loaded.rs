//! Secrets for a run: read once, opened one by one as they are asked for.
//!
//! Looking up is synchronous, because the definitions' templates are. The environment goes over
//! the store: `RESTWAY_SECRET_NAME` replaces the secret `name`, and so does the file `name` in the
//! folder that `RESTWAY_SECRETS_DIR` names, for pipelines and containers that bring their own. What is not asked for is never opened, and what is asked for is known to the
//! redactor before anyone holds it.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use restway_model::{Code, Explain, MissingSecret, Name, Redactor, Secret, SecretSource};
use zeroize::Zeroizing;

use super::{DataKey, SealedSecret, VALUE_BYTES_MAX};
use crate::environment::Unusable;
use crate::{Environment, StoreError};

const KEY_LOADED: &str = "loading adds the data key of every secret";
const VARIABLE_PREFIX: &str = "RESTWAY_SECRET_";
const FOLDER: &str = "RESTWAY_SECRETS_DIR";

/// All secrets of a workspace as they were when they were loaded.
pub struct LoadedSecrets {
    environment: Environment,
    redactor: Redactor,
    secrets: BTreeMap<Name, SealedSecret>,
    /// Each data key, or why it could not be opened.
    data_keys: BTreeMap<String, Result<DataKey, StoreError>>,
}

impl LoadedSecrets {
    pub(super) fn new(environment: Environment, redactor: Redactor) -> Self {
        let (secrets, data_keys) = (BTreeMap::new(), BTreeMap::new());
        Self { environment, redactor, secrets, data_keys }
    }

    pub(super) fn has_data_key(&self, id: &str) -> bool {
        self.data_keys.contains_key(id)
    }

    /// Keeps a data key, or that it does not open; any other failure is handed back.
    pub(super) fn add_data_key(
        &mut self,
        id: String,
        opened: Result<DataKey, StoreError>,
    ) -> Result<(), StoreError> {
        match opened {
            Err(error) if error.code() != Code::SecretUnreadable => Err(error),
            opened => {
                self.data_keys.insert(id, opened);
                Ok(())
            }
        }
    }

    pub(super) fn add_secret(&mut self, secret: SealedSecret) {
        self.secrets.insert(secret.name.clone(), secret);
    }

    fn in_environment(&self, name: &Name) -> Result<Option<Secret>, String> {
        let variable = format!("{VARIABLE_PREFIX}{}", name.as_str().to_ascii_uppercase());
        self.environment.read(&variable).map_err(|unusable| match unusable {
            Unusable::Empty => format!("is set to nothing by `{variable}`"),
            Unusable::NotText => format!("is set by `{variable}` to what is not text"),
        })
    }

    /// The file of that name in the folder of mounted secrets. One line end at its end is not part
    /// of the secret.
    fn in_folder(&self, name: &Name) -> Result<Option<Secret>, String> {
        let folder = self.environment.read(FOLDER);
        let folder = folder.map_err(|_| format!("is looked for where `{FOLDER}` says nothing"))?;
        let Some(folder) = folder else {
            return Ok(None);
        };
        let path = Path::new(folder.expose()).join(name.as_str());
        let unusable = |problem: &str| format!("lies in `{}`, which {problem}", path.display());
        let file = match fs_err::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(&format!("cannot be opened: {error}"))),
        };
        let mut text = Zeroizing::new(String::new());
        let bound = VALUE_BYTES_MAX as u64 + 1;
        file.take(bound).read_to_string(&mut text).map_err(|_| unusable("is not text"))?;
        if text.len() > VALUE_BYTES_MAX {
            return Err(unusable("is larger than 64 KiB"));
        }
        let value = text.strip_suffix('\n').unwrap_or(&text);
        let value = value.strip_suffix('\r').unwrap_or(value);
        if value.is_empty() {
            return Err(unusable("is empty"));
        }
        Ok(Some(Secret::new(value)))
    }

    fn in_store(&self, name: &Name) -> Result<Option<Secret>, String> {
        let Some(secret) = self.secrets.get(name) else {
            return Ok(None);
        };
        let unreadable = |error: &StoreError| format!("{}{error}", MissingSecret::UNREADABLE);
        let data_key = self.data_keys.get(&secret.data_key_id).expect(KEY_LOADED);
        let data_key = data_key.as_ref().map_err(unreadable)?;
        secret.open(data_key).map(Some).map_err(|error| unreadable(&error))
    }
}

impl SecretSource for LoadedSecrets {
    fn secret(&self, name: &Name) -> Result<Secret, MissingSecret> {
        let missing = |problem: String| MissingSecret { name: name.clone(), problem };
        let value = match self.in_environment(name).map_err(missing)? {
            Some(value) => Some(value),
            None => match self.in_folder(name).map_err(missing)? {
                Some(value) => Some(value),
                None => self.in_store(name).map_err(missing)?,
            },
        };
        let value = value.ok_or_else(|| missing("is not set".to_owned()))?;
        self.redactor.learn(&value);
        Ok(value)
    }
}
