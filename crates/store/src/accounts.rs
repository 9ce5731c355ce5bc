//! Who may ask what is published: users with their groups and claims, and their API keys.
//!
//! In: names, groups, and wishes for keys. Out: a key, once, when it is made; from then on only
//! who it belongs to. A key is 256 random bits and is kept as its SHA-256: a slow hash is for
//! passwords, which can be guessed; nobody guesses 256 bits, and a slow hash for every request
//! would be a way to stop the server. It is found by that hash, so how long looking takes tells
//! nothing about any key.
//!
//! A key that is unknown, removed or expired is the same: it is not found. What never happens
//! here: a decision about what a user may do, or a key in a message, a statement or on the disk.

mod keys;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::SqliteConnection;

use crate::rows::{Columns, written};
use crate::{Store, StoreError, schema, sql};

pub use keys::{ApiKey, KeyHolder, NewKey};

/// The most users of a workspace.
const USERS_MAX: i64 = 10_000;
/// The longest name of a user or a group, in bytes.
const NAME_BYTES_MAX: usize = 200;
/// The most groups of one user.
const GROUPS_MAX: usize = 100;
/// The largest claims of one user, as JSON.
const CLAIMS_BYTES_MAX: usize = 16 * 1024;

/// A user: who asks, and what is known of them.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The groups, which an app's `access` names.
    pub groups: BTreeSet<String>,
    /// What else is known, which an app's `rows` reads as `${claim.name}`.
    pub claims: BTreeMap<String, Value>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A change to a user.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// Groups to add.
    pub join: Vec<String>,
    /// Groups to leave.
    pub leave: Vec<String>,
    /// Claims to set; a null takes one away.
    pub claims: BTreeMap<String, Value>,
}

impl Store {
    /// The users, by name.
    ///
    /// # Errors
    /// The database refused.
    pub async fn users(&self) -> Result<Vec<User>, StoreError> {
        let rows = sqlx::query(sql::USER_LIST)
            .bind(USERS_MAX)
            .fetch_all(self.pool())
            .await
            .map_err(StoreError::during("list the users"))?;
        rows.iter().map(|row| user_of(&Columns(row))).collect()
    }

    /// Changes a user, who is made if there is none of this name.
    ///
    /// # Errors
    /// A name that cannot be one, too much of something, or the database refused.
    pub async fn change_user(&self, name: &str, change: &UserChange) -> Result<User, StoreError> {
        let failed = StoreError::during("change a user");
        let mut transaction = self.pool().begin_with(schema::BEGIN).await.map_err(&failed)?;
        let user = self.changed(&mut transaction, name, change).await?;
        transaction.commit().await.map_err(&failed)?;
        Ok(user)
    }

    /// Removes a user and all keys of theirs. Tells whether there was one.
    ///
    /// # Errors
    /// The database refused.
    pub async fn remove_user(&self, name: &str) -> Result<bool, StoreError> {
        let removed = sqlx::query(sql::USER_REMOVE)
            .bind(name)
            .execute(self.pool())
            .await
            .map_err(StoreError::during("remove a user"))?;
        Ok(removed.rows_affected() > 0)
    }

    async fn changed(
        &self,
        connection: &mut SqliteConnection,
        name: &str,
        change: &UserChange,
    ) -> Result<User, StoreError> {
        let failed = StoreError::during("change a user");
        check_name("user", name)?;
        for group in &change.join {
            check_name("group", group)?;
        }
        let found = sqlx::query(sql::USER_GET)
            .bind(name)
            .fetch_optional(&mut *connection)
            .await
            .map_err(&failed)?;
        let mut user = match &found {
            Some(row) => user_of(&Columns(row))?,
            None => {
                self.check_room(connection).await?;
                let (groups, claims) = (BTreeSet::new(), BTreeMap::new());
                User { name: name.to_owned(), groups, claims, updated_at: self.now() }
            }
        };
        user.groups.extend(change.join.iter().cloned());
        user.groups.retain(|group| !change.leave.contains(group));
        user.claims.extend(change.claims.clone());
        user.claims.retain(|_, value| !value.is_null());
        user.updated_at = self.now();
        if user.groups.len() > GROUPS_MAX {
            return Err(StoreError::AccountFull { what: "groups", count_max: GROUPS_MAX });
        }
        let (groups, claims) = (json(&user.groups), json(&user.claims));
        if claims.len() > CLAIMS_BYTES_MAX {
            let (what, count_max) = ("bytes of claims", CLAIMS_BYTES_MAX);
            return Err(StoreError::AccountFull { what, count_max });
        }
        sqlx::query(sql::USER_SET)
            .bind(name)
            .bind(groups)
            .bind(claims)
            .bind(written(user.updated_at))
            .execute(&mut *connection)
            .await
            .map_err(&failed)?;
        Ok(user)
    }

    async fn check_room(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let users: i64 = sqlx::query_scalar(sql::USER_COUNT)
            .fetch_one(connection)
            .await
            .map_err(StoreError::during("count the users"))?;
        if users >= USERS_MAX {
            let count_max = usize::try_from(USERS_MAX).unwrap_or(usize::MAX);
            return Err(StoreError::AccountFull { what: "users", count_max });
        }
        Ok(())
    }
}

/// Names of users and groups are those of other systems too, so they may be nearly anything.
fn check_name(what: &'static str, name: &str) -> Result<(), StoreError> {
    let is_plain = !name.trim().is_empty() && !name.chars().any(char::is_control);
    let is_kept = what == "group" && matches!(name, "anonymous" | "authenticated");
    if is_plain && name.len() <= NAME_BYTES_MAX && !is_kept {
        return Ok(());
    }
    Err(StoreError::AccountName { what, name: name.chars().take(NAME_BYTES_MAX).collect() })
}

/// Keys of text and values of JSON are always JSON.
fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("texts and JSON values are always JSON")
}

fn user_of(columns: &Columns<'_>) -> Result<User, StoreError> {
    Ok(User {
        name: columns.get("user_name")?,
        groups: read_json(columns, "group_names")?,
        claims: read_json(columns, "claims")?,
        updated_at: columns.instant("updated_at")?,
    })
}

fn read_json<T: serde::de::DeserializeOwned>(
    columns: &Columns<'_>,
    column: &'static str,
) -> Result<T, StoreError> {
    let text: String = columns.get(column)?;
    serde_json::from_str(&text).map_err(|_| StoreError::Unreadable { what: column, value: text })
}
