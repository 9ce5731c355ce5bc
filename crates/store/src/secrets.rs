//! Secrets: set from outside, looked up inside, never shown.
//!
//! Two layers. Each secret is sealed with the store's *data key*; the data key is sealed
//! ("wrapped") with a *master key* that lies outside the database (see `master`). So a stolen
//! database opens nothing, and a new master key rewraps one small row and leaves the secrets as
//! they are. A data key can have several wraps at once, one for each master that may open it;
//! which master made one is told by the key's id, so a wrong key is a message with two ids and not
//! a failed decryption.
//!
//! What is sealed is bound to its place: a secret to its name and data key, a wrap to its data key
//! and master. A row that was copied over another does not open.
//!
//! What never happens here: a value in a message, in a statement's text or on the disk; a second
//! key made while something is sealed with the first.

mod cipher;
mod loaded;
mod master;
mod pages;
mod rotate;
mod tokens;

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use restway_model::{Clock, Name, Redactor, Secret};
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, SqlitePool};

use crate::rows::{Columns, written};
use crate::{Environment, StoreError, schema, sql};

use cipher::{Key, Sealed};
use master::{Master, MasterSource};

pub use loaded::LoadedSecrets;
pub use rotate::Rotated;

/// The most secrets of a workspace.
const SECRETS_MAX: i64 = 1_000;
/// The most masters that may open one data key.
const WRAPS_MAX: i64 = 100;
/// The largest secret: a certificate with its chain and key, and room to spare.
const VALUE_BYTES_MAX: usize = 64 * 1024;
/// What a sealed text is for, so that one kind never opens as the other.
const FOR_SECRET: &str = "restway secret 1";
const FOR_DATA_KEY: &str = "restway data key 1";

/// A secret as it may be listed: everything but its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretInfo {
    /// The name after `secret.`.
    pub name: Name,
    /// When its value was last set.
    pub updated_at: DateTime<Utc>,
}

/// The secrets of a workspace.
#[derive(Clone)]
pub struct Secrets {
    pool: SqlitePool,
    clock: Arc<dyn Clock>,
    masters: MasterSource,
    environment: Environment,
}

/// A secret's row.
struct SealedSecret {
    name: Name,
    data_key_id: String,
    sealed: Sealed,
}

/// The key that secrets are sealed with; its id tells it from its successors.
struct DataKey {
    id: String,
    key: Key,
}

impl Secrets {
    pub(crate) fn new(
        pool: SqlitePool,
        clock: Arc<dyn Clock>,
        state: Arc<Path>,
        environment: Environment,
    ) -> Self {
        let masters = MasterSource::new(state, environment.clone());
        Self { pool, clock, masters, environment }
    }

    /// Sets a secret, in place of the value it had.
    ///
    /// # Errors
    /// The value is empty or too large, or the key is missing or wrong.
    pub async fn set(&self, name: &Name, value: &Secret) -> Result<(), StoreError> {
        let bytes = value.expose().as_bytes();
        check_size(name, bytes.len())?;
        let failed = StoreError::during("set a secret");
        let mut transaction = self.pool.begin_with(schema::BEGIN).await.map_err(&failed)?;
        let others: i64 = sqlx::query_scalar(sql::SECRET_COUNT)
            .bind(name.as_str())
            .fetch_one(&mut *transaction)
            .await
            .map_err(&failed)?;
        if others >= SECRETS_MAX {
            return Err(StoreError::SecretsFull { count_max: SECRETS_MAX });
        }
        let data_key = self.data_key_to_seal_with(&mut transaction).await?;
        let sealed = data_key.key.seal(bytes, &bound_to_secret(name, &data_key.id))?;
        sqlx::query(sql::SECRET_SET)
            .bind(name.as_str())
            .bind(&data_key.id)
            .bind(&sealed.nonce)
            .bind(&sealed.text)
            .bind(written(self.clock.now()))
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)
    }

    /// The names of the secrets and when each was set, by name.
    ///
    /// # Errors
    /// The database refused.
    pub async fn list(&self) -> Result<Vec<SecretInfo>, StoreError> {
        let rows = sqlx::query(sql::SECRET_LIST)
            .bind(SECRETS_MAX)
            .fetch_all(&self.pool)
            .await
            .map_err(StoreError::during("list the secrets"))?;
        let info_of = |row: &SqliteRow| {
            let columns = Columns(row);
            let (name, updated_at) = (columns.parsed("name")?, columns.instant("updated_at")?);
            Ok(SecretInfo { name, updated_at })
        };
        rows.iter().map(info_of).collect()
    }

    /// The value of a secret.
    ///
    /// # Errors
    /// The key is missing or wrong, or the row was altered.
    pub async fn get(&self, name: &Name) -> Result<Option<Secret>, StoreError> {
        let failed = StoreError::during("read a secret");
        let mut connection = self.pool.acquire().await.map_err(&failed)?;
        let row = sqlx::query(sql::SECRET_GET)
            .bind(name.as_str())
            .fetch_optional(&mut *connection)
            .await
            .map_err(&failed)?;
        let Some(row) = row else {
            return Ok(None);
        };
        let secret = secret_of(&row)?;
        let data_key = self.open_data_key(&mut connection, &secret.data_key_id).await?;
        secret.open(&data_key).map(Some)
    }

    /// Removes a secret; answers whether it was there.
    ///
    /// # Errors
    /// The database refused.
    pub async fn remove(&self, name: &Name) -> Result<bool, StoreError> {
        let removed = sqlx::query(sql::SECRET_REMOVE)
            .bind(name.as_str())
            .execute(&self.pool)
            .await
            .map_err(StoreError::during("remove a secret"))?;
        Ok(removed.rows_affected() > 0)
    }

    /// Reads all secrets, still sealed, for looking them up without waiting. What is looked up is
    /// taught to the redactor first.
    ///
    /// A key that is missing or wrong is no error yet: it becomes one for the secret that needs
    /// it, so that a run whose secrets all come from the environment needs no key.
    ///
    /// # Errors
    /// The database refused.
    pub async fn load(&self, redactor: Redactor) -> Result<LoadedSecrets, StoreError> {
        let failed = StoreError::during("read the secrets");
        let mut connection = self.pool.acquire().await.map_err(&failed)?;
        let rows = sqlx::query(sql::SECRET_ALL)
            .bind(SECRETS_MAX)
            .fetch_all(&mut *connection)
            .await
            .map_err(&failed)?;
        let mut loaded = LoadedSecrets::new(self.environment.clone(), redactor);
        for row in &rows {
            let secret = secret_of(row)?;
            if !loaded.has_data_key(&secret.data_key_id) {
                let opened = self.open_data_key(&mut connection, &secret.data_key_id).await;
                loaded.add_data_key(secret.data_key_id.clone(), opened)?;
            }
            loaded.add_secret(secret);
        }
        Ok(loaded)
    }

    /// The newest data key, or the first, which is made here. Runs in the transaction that holds
    /// the write lock, so two processes cannot make one each.
    async fn data_key_to_seal_with(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<DataKey, StoreError> {
        let failed = StoreError::during("read the newest data key");
        let newest: Option<String> = sqlx::query_scalar(sql::DATA_KEY_NEWEST)
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed)?;
        if let Some(id) = newest {
            return self.open_data_key(connection, &id).await;
        }
        let master = self.masters.find_or_make()?;
        let key = Key::random()?;
        let data_key = DataKey { id: key.id(), key };
        let failed = StoreError::during("keep a data key");
        let now = written(self.clock.now());
        let sealed = data_key.key.seal_with(&master.key, &bound_to_wrap(&data_key.id, &master))?;
        sqlx::query(sql::DATA_KEY_ADD)
            .bind(&data_key.id)
            .bind(&now)
            .execute(&mut *connection)
            .await
            .map_err(&failed)?;
        sqlx::query(sql::WRAP_ADD)
            .bind(&data_key.id)
            .bind(&master.id)
            .bind(&sealed.nonce)
            .bind(&sealed.text)
            .bind(&now)
            .execute(&mut *connection)
            .await
            .map_err(&failed)?;
        Ok(data_key)
    }

    /// Opens a data key with the master key that this process was given. Tried twice where the key
    /// does not fit: another process may have rotated it between two looks.
    async fn open_data_key(
        &self,
        connection: &mut SqliteConnection,
        id: &str,
    ) -> Result<DataKey, StoreError> {
        match self.try_to_open_data_key(connection, id).await {
            Err(StoreError::KeyWrong { .. }) => self.try_to_open_data_key(connection, id).await,
            outcome => outcome,
        }
    }

    async fn try_to_open_data_key(
        &self,
        connection: &mut SqliteConnection,
        id: &str,
    ) -> Result<DataKey, StoreError> {
        let rows = sqlx::query(sql::WRAP_LIST)
            .bind(id)
            .bind(WRAPS_MAX)
            .fetch_all(connection)
            .await
            .map_err(StoreError::during("read a data key"))?;
        let mut expected = Vec::with_capacity(rows.len());
        for row in &rows {
            expected.push(Columns(row).get::<String>("master_id")?);
        }
        let Some(master) = self.masters.find()? else {
            return Err(StoreError::KeyMissing { expected });
        };
        let Some(position) = expected.iter().position(|known| *known == master.id) else {
            let (origin, given) = (master.origin, master.id);
            return Err(StoreError::KeyWrong { origin, given, expected });
        };
        let sealed = sealed_of(&Columns(&rows[position]))?;
        let opened = Key::open_with(&master.key, &sealed, &bound_to_wrap(id, &master));
        let key = opened.ok_or(StoreError::DataKeyDamaged)?;
        Ok(DataKey { id: id.to_owned(), key })
    }
}

impl SealedSecret {
    fn open(&self, data_key: &DataKey) -> Result<Secret, StoreError> {
        let damaged = || StoreError::SecretDamaged { name: self.name.clone() };
        let bound_to = bound_to_secret(&self.name, &data_key.id);
        let bytes = data_key.key.open(&self.sealed, &bound_to).ok_or_else(damaged)?;
        std::str::from_utf8(&bytes).map(Secret::new).map_err(|_| damaged())
    }
}

fn bound_to_secret<'id>(name: &'id Name, data_key_id: &'id str) -> [&'id str; 3] {
    [FOR_SECRET, name.as_str(), data_key_id]
}

fn bound_to_wrap<'id>(data_key_id: &'id str, master: &'id Master) -> [&'id str; 3] {
    [FOR_DATA_KEY, data_key_id, &master.id]
}

fn secret_of(row: &SqliteRow) -> Result<SealedSecret, StoreError> {
    let columns = Columns(row);
    Ok(SealedSecret {
        name: columns.parsed("name")?,
        data_key_id: columns.get("data_key_id")?,
        sealed: sealed_of(&columns)?,
    })
}

fn sealed_of(columns: &Columns<'_>) -> Result<Sealed, StoreError> {
    Ok(Sealed { nonce: columns.get("nonce")?, text: columns.get("sealed")? })
}

fn check_size(name: &Name, bytes: usize) -> Result<(), StoreError> {
    if bytes == 0 {
        return Err(StoreError::SecretEmpty { name: name.clone() });
    }
    if bytes > VALUE_BYTES_MAX {
        let (name, bytes_max) = (name.clone(), VALUE_BYTES_MAX);
        return Err(StoreError::SecretTooLarge { name, bytes, bytes_max });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
