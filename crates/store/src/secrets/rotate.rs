//! A new master key in the place of the old, with no moment at which nothing opens.
//!
//! The secrets stay as they are: they are sealed with data keys, and only those are wrapped anew.
//! For a key file the steps are, each durable before the next:
//!
//! 1. the new key is written beside the key file;
//! 2. one transaction wraps every data key with it, and the old wraps stay;
//! 3. the new file takes the place of the old;
//! 4. the old wraps go, and the old key opens nothing any more.
//!
//! A process that dies before 3 leaves the old key in force, one that dies after it the new one;
//! wraps left over open for nobody new and go with the next rotation. A key in the environment is
//! not ours to replace: its successor comes as `RESTWAY_KEY_NEXT` (steps 1 and 2), becomes
//! `RESTWAY_KEY`, and a second rotation without a successor does step 4.

use sqlx::SqliteConnection;

use super::master::Master;
use super::{Secrets, WRAPS_MAX, bound_to_wrap};
use crate::rows::{Columns, written};
use crate::{KeyOrigin, StoreError, files, schema, sql};

/// The most data keys; one is made with the first secret.
const DATA_KEYS_MAX: i64 = 1_000;
const LOCK: &str = "key.lock";

/// What a rotation did; ids tell keys apart and give nothing of them away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotated {
    /// The key file holds a new key, and the old one opens nothing.
    Replaced {
        /// The old key.
        old: String,
        /// The new key.
        new: String,
    },
    /// `RESTWAY_KEY_NEXT` opens everything beside `RESTWAY_KEY`.
    Added {
        /// The key in force.
        old: String,
        /// Its successor.
        new: String,
    },
    /// Only `RESTWAY_KEY` opens anything.
    Dropped {
        /// The key in force.
        kept: String,
        /// How many wraps of other keys are gone.
        others: u64,
    },
}

impl Secrets {
    /// Replaces the master key; secrets and tokens open as before, with the new one.
    ///
    /// # Errors
    /// Nothing is sealed yet, the key in force is missing or wrong, or another process rotates.
    pub async fn rotate(&self) -> Result<Rotated, StoreError> {
        let lock = files::try_lock(&self.masters.state().join(LOCK))?;
        let _lock = lock.ok_or(StoreError::RotationBusy)?;
        let Some(old) = self.masters.find()? else {
            return Err(StoreError::NothingSealed);
        };
        if matches!(old.origin, KeyOrigin::Environment) {
            return match self.masters.next_in_environment()? {
                Some(next) => {
                    self.wrap_all(|| Ok(next)).await.map(|new| Rotated::Added { old: old.id, new })
                }
                None => self.drop_others(old.id).await,
            };
        }
        let new = self.wrap_all(|| self.masters.stage_successor()).await?;
        self.masters.install_successor()?;
        self.drop_others(new.clone()).await?;
        Ok(Rotated::Replaced { old: old.id, new })
    }

    /// Wraps every data key with one more master, in one transaction; answers that one's id.
    async fn wrap_all(
        &self,
        master: impl FnOnce() -> Result<Master, StoreError>,
    ) -> Result<String, StoreError> {
        let failed = StoreError::during("wrap the data keys anew");
        let mut transaction = self.pool.begin_with(schema::BEGIN).await.map_err(&failed)?;
        let ids: Vec<String> = sqlx::query_scalar(sql::DATA_KEY_LIST)
            .bind(DATA_KEYS_MAX)
            .fetch_all(&mut *transaction)
            .await
            .map_err(&failed)?;
        if ids.is_empty() {
            return Err(StoreError::NothingSealed);
        }
        let mut keys = Vec::with_capacity(ids.len());
        for id in &ids {
            keys.push(self.open_data_key(&mut transaction, id).await?);
        }
        let master = master()?;
        for key in &keys {
            if is_wrapped(&mut transaction, &key.id, &master.id).await? {
                continue;
            }
            let sealed = key.key.seal_with(&master.key, &bound_to_wrap(&key.id, &master))?;
            sqlx::query(sql::WRAP_ADD)
                .bind(&key.id)
                .bind(&master.id)
                .bind(&sealed.nonce)
                .bind(&sealed.text)
                .bind(written(self.clock.now()))
                .execute(&mut *transaction)
                .await
                .map_err(&failed)?;
        }
        transaction.commit().await.map_err(&failed)?;
        Ok(master.id)
    }

    /// Lets only one master open anything; refuses where it does not open everything.
    async fn drop_others(&self, kept: String) -> Result<Rotated, StoreError> {
        let failed = StoreError::during("drop the wraps of other keys");
        let mut transaction = self.pool.begin_with(schema::BEGIN).await.map_err(&failed)?;
        let ids: Vec<String> = sqlx::query_scalar(sql::DATA_KEY_LIST)
            .bind(DATA_KEYS_MAX)
            .fetch_all(&mut *transaction)
            .await
            .map_err(&failed)?;
        for id in &ids {
            self.open_data_key(&mut transaction, id).await?;
        }
        let dropped = sqlx::query(sql::WRAP_DROP_OTHERS)
            .bind(&kept)
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)?;
        Ok(Rotated::Dropped { kept, others: dropped.rows_affected() })
    }
}

async fn is_wrapped(
    connection: &mut SqliteConnection,
    data_key_id: &str,
    master_id: &str,
) -> Result<bool, StoreError> {
    let rows = sqlx::query(sql::WRAP_LIST)
        .bind(data_key_id)
        .bind(WRAPS_MAX)
        .fetch_all(connection)
        .await
        .map_err(StoreError::during("read a data key"))?;
    for row in &rows {
        if Columns(row).get::<String>("master_id")? == master_id {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use restway_model::{Code, Explain, Name};

    use super::*;
    use crate::Store;
    use crate::testing::Bench;

    const FIRST: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    const NEXT: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

    async fn value(store: &Store) -> Result<String, StoreError> {
        let name: Name = "token".parse().unwrap();
        let found = store.secrets().get(&name).await?;
        Ok(found.map(|secret| secret.expose().to_owned()).unwrap_or_default())
    }

    #[tokio::test]
    async fn the_new_key_opens_and_the_old_one_does_not() {
        let bench = Bench::new();
        let store = bench.open().await;
        let nothing = store.secrets().rotate().await.unwrap_err();
        assert!(matches!(nothing, StoreError::NothingSealed));
        bench.set(&store, "token", "a value").await;
        let key = bench.state().join("key");
        let old = fs_err::read(&key).unwrap();
        let rotated = store.secrets().rotate().await.unwrap();
        assert!(matches!(rotated, Rotated::Replaced { old, new } if old != new));
        assert_ne!(fs_err::read(&key).unwrap(), old);
        assert_eq!(value(&store).await.unwrap(), "a value");
        assert!(!bench.state().join("key.next").exists());
        fs_err::write(&key, old).unwrap();
        assert_eq!(value(&store).await.unwrap_err().code(), Code::SecretUnreadable);
    }

    #[tokio::test]
    async fn a_rotation_that_dies_at_any_step_leaves_a_key_that_opens() {
        let bench = Bench::new();
        let store = bench.open().await;
        bench.set(&store, "token", "a value").await;
        // Dies after step 1.
        store.secrets().masters.stage_successor().unwrap();
        assert_eq!(value(&store).await.unwrap(), "a value");
        // Dies after step 2.
        let secrets = store.secrets();
        secrets.wrap_all(|| secrets.masters.stage_successor()).await.unwrap();
        assert_eq!(value(&store).await.unwrap(), "a value");
        // Dies after step 3.
        secrets.masters.install_successor().unwrap();
        assert_eq!(value(&store).await.unwrap(), "a value");
        // The next one goes the whole way.
        secrets.rotate().await.unwrap();
        assert_eq!(value(&store).await.unwrap(), "a value");
        let wraps: i64 = sqlx::query_scalar("select count(*) from data_key_wrap")
            .fetch_one(store.pool())
            .await
            .unwrap();
        assert_eq!(wraps, 1);
    }

    #[tokio::test]
    async fn a_key_of_the_environment_is_replaced_in_two_steps() {
        let bench = Bench::new();
        let first = bench.open_with(&[("RESTWAY_KEY", FIRST)]).await.unwrap();
        bench.set(&first, "token", "a value").await;
        let both = [("RESTWAY_KEY", FIRST), ("RESTWAY_KEY_NEXT", NEXT)];
        let both = bench.open_with(&both).await.unwrap();
        for _ in 0..2 {
            assert!(matches!(both.secrets().rotate().await.unwrap(), Rotated::Added { .. }));
        }
        let next = bench.open_with(&[("RESTWAY_KEY", NEXT)]).await.unwrap();
        assert_eq!(value(&first).await.unwrap(), "a value");
        assert_eq!(value(&next).await.unwrap(), "a value");
        let dropped = next.secrets().rotate().await.unwrap();
        assert!(matches!(dropped, Rotated::Dropped { others: 1, .. }));
        assert_eq!(value(&next).await.unwrap(), "a value");
        assert_eq!(value(&first).await.unwrap_err().code(), Code::SecretUnreadable);
    }

    #[tokio::test]
    async fn a_mounted_secret_goes_over_the_store_and_below_the_environment() {
        use restway_model::{Redactor, SecretSource};
        let bench = Bench::new();
        let folder = bench.state().with_extension("mounted");
        fs_err::create_dir(&folder).unwrap();
        let path = folder.to_string_lossy().into_owned();
        let variables = [("RESTWAY_SECRETS_DIR", path.as_str()), ("RESTWAY_SECRET_B", "env-b")];
        let store = bench.open_with(&variables).await.unwrap();
        bench.set(&store, "a", "store-a").await;
        bench.set(&store, "c", "store-c").await;
        for (name, text) in [("a", "file-a\r\n"), ("b", "file-b"), ("empty", "\n")] {
            fs_err::write(folder.join(name), text).unwrap();
        }
        let redactor = Redactor::default();
        let loaded = store.secrets().load(redactor.clone()).await.unwrap();
        let get = |name: &str| loaded.secret(&name.parse().unwrap());
        for (name, expected) in [("a", "file-a"), ("b", "env-b"), ("c", "store-c")] {
            assert_eq!(get(name).unwrap().expose(), expected);
        }
        assert!(get("empty").unwrap_err().problem.contains("is empty"));
        assert_eq!(redactor.redact("x file-a x"), "x *** x");
    }
}
