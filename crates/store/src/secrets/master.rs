//! The master key: where it is found, and how the first one is made.
//!
//! It lies outside the database: in the environment variable `RESTWAY_KEY`, or else in the key
//! file of the state folder. The variable wins and hides the file; there is no trying of one after
//! the other, so that which key was used can be said. Both hold the base64 of 32 bytes.
//!
//! A key is made in two places only: the first, while nothing is sealed yet, and its successor,
//! which is staged beside the key file and takes its place when everything opens with it too.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use restway_model::Secret;
use zeroize::Zeroizing;

use super::cipher::Key;
use crate::{Environment, KeyOrigin, StoreError, files};

const VARIABLE: &str = "RESTWAY_KEY";
/// The successor of a key in the environment, while it is being introduced.
const VARIABLE_NEXT: &str = "RESTWAY_KEY_NEXT";
/// What the successor's file ends with. Not what `write_private` stages under.
const STAGED: &str = "next";
/// The base64 of a key has 44 characters; a file that is much larger is not a key.
const FILE_BYTES_MAX: u64 = 1024;

/// A master key that was found.
pub(super) struct Master {
    pub(super) id: String,
    pub(super) key: Key,
    pub(super) origin: KeyOrigin,
}

/// Where a master key may be found.
#[derive(Clone)]
pub(super) struct MasterSource {
    state: Arc<Path>,
    environment: Environment,
}

impl MasterSource {
    pub(super) fn new(state: Arc<Path>, environment: Environment) -> Self {
        Self { state, environment }
    }

    /// The master key, if there is one.
    pub(super) fn find(&self) -> Result<Option<Master>, StoreError> {
        let origin = KeyOrigin::Environment;
        match self.environment.read(VARIABLE) {
            Ok(Some(text)) => return read_key(&text, origin).map(Some),
            Ok(None) => {}
            Err(_) => return Err(StoreError::KeyMalformed { origin }),
        }
        let path = self.path();
        match read_file(&path) {
            Ok(text) => read_key(&text, KeyOrigin::File(path)).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(StoreError::KeyMalformed { origin: KeyOrigin::File(path) })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The master key; without one, a new key is made and written to the key file. Only for a
    /// store in which nothing is sealed, and under its write lock.
    pub(super) fn find_or_make(&self) -> Result<Master, StoreError> {
        if let Some(master) = self.find()? {
            return Ok(master);
        }
        Self::make(self.path())
    }

    /// A new key, durable beside the key file and not yet in its place.
    pub(super) fn stage_successor(&self) -> Result<Master, StoreError> {
        let staged = self.path().with_extension(STAGED);
        match fs_err::remove_file(&staged) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Self::make(staged),
        }
    }

    /// Makes the staged key the key file.
    pub(super) fn install_successor(&self) -> Result<(), StoreError> {
        Ok(files::take_place(&self.path().with_extension(STAGED), &self.path())?)
    }

    /// The successor that the environment names, if it names one.
    pub(super) fn next_in_environment(&self) -> Result<Option<Master>, StoreError> {
        let origin = KeyOrigin::Environment;
        match self.environment.read(VARIABLE_NEXT) {
            Ok(Some(text)) => read_key(&text, origin).map(Some),
            Ok(None) => Ok(None),
            Err(_) => Err(StoreError::KeyMalformed { origin }),
        }
    }

    /// The state folder.
    pub(super) fn state(&self) -> &Path {
        &self.state
    }

    fn make(path: PathBuf) -> Result<Master, StoreError> {
        let key = Key::random()?;
        let mut text = Zeroizing::new(STANDARD.encode(key.bytes()));
        text.push('\n');
        files::write_private(&path, text.as_bytes())?;
        Ok(Master { id: key.id(), key, origin: KeyOrigin::File(path) })
    }

    fn path(&self) -> PathBuf {
        self.state.join(files::KEY)
    }
}

fn read_file(path: &Path) -> io::Result<Secret> {
    use std::io::Read;
    let mut text = Zeroizing::new(String::new());
    fs_err::File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(Secret::new(text.as_str()))
}

fn read_key(text: &Secret, origin: KeyOrigin) -> Result<Master, StoreError> {
    let bytes = STANDARD.decode(text.expose().trim()).map(Zeroizing::new).ok();
    let key = bytes.and_then(|bytes| Key::of_bytes(&bytes));
    let Some(key) = key else {
        return Err(StoreError::KeyMalformed { origin });
    };
    Ok(Master { id: key.id(), key, origin })
}
