//! API keys: made, found, rotated, revoked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use restway_model::Secret;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;

use super::{UserChange, read_json};
use crate::rows::{Columns, written};
use crate::{Store, StoreError, schema, sql};

/// What a key begins with, so that people and scanners of repositories know it for one.
const PREFIX: &str = "rwk_";
/// The random part of a key.
const KEY_BYTES: usize = 32;
/// The random part of a key's id.
const ID_BYTES: usize = 5;
/// The most keys of one user, expired ones too.
const KEYS_MAX: i64 = 100;
/// The most keys that are listed.
const LIST_MAX: i64 = 100_000;
/// To what a key's last use is kept: a write for each request would cost more than the request.
const USE_KEPT_TO: Duration = Duration::from_secs(3_600);

/// A key as it may be listed: everything but the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// By what it is rotated and revoked; it opens nothing.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when on it opens nothing.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the hour.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A key that was made, with the key itself, which nobody can read again.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// What is kept of it.
    pub kept: ApiKey,
    /// The key.
    pub key: Secret,
}

/// Whose key was shown.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyHolder {
    /// The key's id.
    pub key: String,
    /// Whether its last use lies so far back that this one is worth writing down.
    pub is_use_new: bool,
    /// The user.
    pub user: String,
    /// Their groups.
    pub groups: BTreeSet<String>,
    /// Their claims.
    pub claims: BTreeMap<String, Value>,
}

impl Store {
    /// Makes a key for a user, who is made or changed with it.
    ///
    /// # Errors
    /// The user cannot be made or has too many keys, or the database refused.
    pub async fn add_key(
        &self,
        user: &str,
        change: &UserChange,
        lasts: Option<Duration>,
    ) -> Result<NewKey, StoreError> {
        let failed = StoreError::during("make a key");
        let mut transaction = self.pool().begin_with(schema::BEGIN).await.map_err(&failed)?;
        self.changed(&mut transaction, user, change).await?;
        let expires_at = lasts.map(|lasts| self.now() + lasts);
        let new = self.insert_key(&mut transaction, user, expires_at).await?;
        transaction.commit().await.map_err(&failed)?;
        Ok(new)
    }

    /// Makes a successor of a key, which goes on to be good for the overlap and no longer.
    ///
    /// # Errors
    /// There is no such key, or the database refused.
    pub async fn rotate_key(
        &self,
        id: &str,
        overlap: Duration,
        lasts: Option<Duration>,
    ) -> Result<NewKey, StoreError> {
        let failed = StoreError::during("rotate a key");
        let mut transaction = self.pool().begin_with(schema::BEGIN).await.map_err(&failed)?;
        let row = sqlx::query(sql::KEY_GET)
            .bind(id)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(&failed)?;
        let unknown = || StoreError::KeyUnknown { id: id.to_owned() };
        let old = key_of(&Columns(&row.ok_or_else(unknown)?))?;
        let now = self.now();
        if old.expires_at.is_some_and(|end| end <= now) {
            return Err(unknown());
        }
        let end = old.expires_at.map_or(now + overlap, |end| end.min(now + overlap));
        sqlx::query(sql::KEY_EXPIRE)
            .bind(id)
            .bind(written(end))
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        // A key that was to last for some time has a successor that lasts as long.
        let span = old.expires_at.and_then(|end| (end - old.created_at).to_std().ok());
        let expires_at = lasts.or(span).map(|lasts| now + lasts);
        let new = self.insert_key(&mut transaction, &old.user, expires_at).await?;
        transaction.commit().await.map_err(&failed)?;
        Ok(new)
    }

    /// Revokes a key. Tells whether there was one.
    ///
    /// # Errors
    /// The database refused.
    pub async fn remove_key(&self, id: &str) -> Result<bool, StoreError> {
        let removed = sqlx::query(sql::KEY_REMOVE)
            .bind(id)
            .execute(self.pool())
            .await
            .map_err(StoreError::during("revoke a key"))?;
        Ok(removed.rows_affected() > 0)
    }

    /// The keys, by user and age; those that have expired too.
    ///
    /// # Errors
    /// The database refused.
    pub async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let rows = sqlx::query(sql::KEY_LIST)
            .bind(LIST_MAX)
            .fetch_all(self.pool())
            .await
            .map_err(StoreError::during("list the keys"))?;
        rows.iter().map(|row| key_of(&Columns(row))).collect()
    }

    /// Whose key this is, if it is one that is good now.
    ///
    /// # Errors
    /// The database refused.
    pub async fn key_holder(&self, key: &str) -> Result<Option<KeyHolder>, StoreError> {
        let failed = StoreError::during("look for a key");
        let now = self.now();
        let row = sqlx::query(sql::KEY_FIND)
            .bind(digest(key))
            .bind(written(now))
            .fetch_optional(self.pool())
            .await
            .map_err(&failed)?;
        let Some(row) = row else { return Ok(None) };
        let columns = Columns(&row);
        let used = columns.instant_if_any("last_used_at")?;
        Ok(Some(KeyHolder {
            key: columns.get("key_id")?,
            is_use_new: used.is_none_or(|used| used + USE_KEPT_TO <= now),
            user: columns.get("user_name")?,
            groups: read_json(&columns, "group_names")?,
            claims: read_json(&columns, "claims")?,
        }))
    }

    /// Writes down that a key is used now. A request need not wait for it.
    ///
    /// # Errors
    /// The database refused.
    pub async fn key_used(&self, id: &str) -> Result<(), StoreError> {
        sqlx::query(sql::KEY_USED)
            .bind(id)
            .bind(written(self.now()))
            .execute(self.pool())
            .await
            .map_err(StoreError::during("write down a key's use"))?;
        Ok(())
    }

    async fn insert_key(
        &self,
        connection: &mut SqliteConnection,
        user: &str,
        expires_at: Option<DateTime<Utc>>,
    ) -> Result<NewKey, StoreError> {
        let failed = StoreError::during("make a key");
        let count: i64 = sqlx::query_scalar(sql::KEY_COUNT)
            .bind(user)
            .fetch_one(&mut *connection)
            .await
            .map_err(&failed)?;
        if count >= KEYS_MAX {
            let count_max = usize::try_from(KEYS_MAX).unwrap_or(usize::MAX);
            return Err(StoreError::AccountFull { what: "keys", count_max });
        }
        let key = Secret::new(format!("{PREFIX}{}", random::<KEY_BYTES>()?));
        let id: String = random::<ID_BYTES>()?;
        let created_at = self.now();
        sqlx::query(sql::KEY_ADD)
            .bind(&id)
            .bind(user)
            .bind(digest(key.expose()))
            .bind(written(created_at))
            .bind(expires_at.map(written))
            .execute(&mut *connection)
            .await
            .map_err(&failed)?;
        let user = user.to_owned();
        let kept = ApiKey { id, user, created_at, expires_at, last_used_at: None };
        Ok(NewKey { kept, key })
    }
}

/// Random bytes of the system as text. One that begins with a hyphen would be an option on a
/// command line, so that is not given out.
fn random<const LENGTH: usize>() -> Result<String, StoreError> {
    let mut bytes = zeroize::Zeroizing::new([0_u8; LENGTH]);
    loop {
        getrandom::fill(&mut *bytes).map_err(StoreError::Randomness)?;
        let text = BASE64_URL_SAFE_NO_PAD.encode(*bytes);
        if !text.starts_with('-') {
            return Ok(text);
        }
    }
}

fn digest(key: &str) -> Vec<u8> {
    Sha256::digest(key.as_bytes()).to_vec()
}

fn key_of(columns: &Columns<'_>) -> Result<ApiKey, StoreError> {
    Ok(ApiKey {
        id: columns.get("key_id")?,
        user: columns.get("user_name")?,
        created_at: columns.instant("created_at")?,
        expires_at: columns.instant_if_any("expires_at")?,
        last_used_at: columns.instant_if_any("last_used_at")?,
    })
}
