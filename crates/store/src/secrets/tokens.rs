//! Tokens that rotate, kept sealed: what fills the seam [`TokenKeeper`].
//!
//! In: the name of a login and its tokens. Out: the same, after any crash. Each is sealed like a
//! secret, bound to its login, in one statement that is durable when it returns. The lease is an
//! advisory lock on a file of the state folder, one for each login, so a process that dies with it
//! gives it back.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use restway_model::{KeeperFailed, Keeping, KeptToken, Lease, Secret, TokenKeeper, chain};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Secrets, VALUE_BYTES_MAX, sealed_of};
use crate::rows::{Columns, written};
use crate::{StoreError, files, schema, sql};

const FOR_TOKEN: &str = "restway token 1";

impl Secrets {
    async fn kept_token(&self, slot: &str) -> Result<Option<KeptToken>, StoreError> {
        let failed = StoreError::during("read a token");
        let mut connection = self.pool.acquire().await.map_err(&failed)?;
        let row = sqlx::query(sql::TOKEN_GET)
            .bind(slot)
            .fetch_optional(&mut *connection)
            .await
            .map_err(&failed)?;
        let Some(row) = row else {
            return Ok(None);
        };
        let columns = Columns(&row);
        let data_key_id: String = columns.get("data_key_id")?;
        let data_key = self.open_data_key(&mut connection, &data_key_id).await?;
        let bound_to = [FOR_TOKEN, slot, &data_key.id];
        let damaged = || StoreError::TokenDamaged { slot: slot.to_owned() };
        let bytes = data_key.key.open(&sealed_of(&columns)?, &bound_to).ok_or_else(damaged)?;
        read(&bytes).map(Some).ok_or_else(damaged)
    }

    async fn keep_token(&self, slot: &str, token: &KeptToken) -> Result<(), StoreError> {
        let failed = StoreError::during("keep a token");
        let text = write(token);
        if text.len() > VALUE_BYTES_MAX {
            let (slot, bytes_max) = (slot.to_owned(), VALUE_BYTES_MAX);
            return Err(StoreError::TokenTooLarge { slot, bytes_max });
        }
        let mut transaction = self.pool.begin_with(schema::BEGIN).await.map_err(&failed)?;
        let data_key = self.data_key_to_seal_with(&mut transaction).await?;
        let sealed = data_key.key.seal(text.as_bytes(), &[FOR_TOKEN, slot, &data_key.id])?;
        sqlx::query(sql::TOKEN_KEEP)
            .bind(slot)
            .bind(&data_key.id)
            .bind(&sealed.nonce)
            .bind(&sealed.text)
            .bind(written(self.clock.now()))
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)
    }

    async fn forget_token(&self, slot: &str) -> Result<(), StoreError> {
        let failed = StoreError::during("forget a token");
        let mut transaction = self.pool.begin_with(schema::BEGIN).await.map_err(&failed)?;
        let forget = sqlx::query(sql::TOKEN_FORGET).bind(slot);
        forget.execute(&mut *transaction).await.map_err(&failed)?;
        transaction.commit().await.map_err(&failed)
    }
}

impl TokenKeeper for Secrets {
    fn kept<'a>(&'a self, slot: &'a str) -> Keeping<'a, Option<KeptToken>> {
        Box::pin(async move { self.kept_token(slot).await.map_err(|error| told(&error)) })
    }

    fn keep<'a>(&'a self, slot: &'a str, token: &'a KeptToken) -> Keeping<'a, ()> {
        Box::pin(async move { self.keep_token(slot, token).await.map_err(|error| told(&error)) })
    }

    fn forget<'a>(&'a self, slot: &'a str) -> Keeping<'a, ()> {
        Box::pin(async move { self.forget_token(slot).await.map_err(|error| told(&error)) })
    }

    fn lease(&self, slot: &str) -> Result<Option<Lease>, KeeperFailed> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        if slot.is_empty() || !slot.chars().all(is_plain) {
            return Err(KeeperFailed(format!("`{slot}` cannot be a login's name")));
        }
        let path = self.masters.state().join(format!("token-{slot}.lock"));
        match files::try_lock(&path) {
            Ok(lock) => Ok(lock.map(|file| Box::new(Arc::new(file)) as Lease)),
            Err(error) => Err(KeeperFailed(error.to_string())),
        }
    }
}

/// The error with its causes; none of them holds a value.
fn told(error: &StoreError) -> KeeperFailed {
    let mut text = error.to_string();
    for cause in chain(error) {
        text.push_str(": ");
        text.push_str(&cause);
    }
    KeeperFailed(text)
}

fn write(token: &KeptToken) -> Zeroizing<String> {
    let shown = |secret: &Option<Secret>| secret.as_ref().map(|one| one.expose().to_owned());
    Zeroizing::new(
        json!({
            "basis": token.basis,
            "refresh": shown(&token.refresh),
            "access": shown(&token.access),
            "expires_at": token.expires_at.map(written),
            "who": token.who,
        })
        .to_string(),
    )
}

fn read(bytes: &[u8]) -> Option<KeptToken> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let secret = |name: &str| value.get(name).and_then(Value::as_str).map(Secret::new);
    let expires_at = match value.get("expires_at").and_then(Value::as_str) {
        Some(text) => Some(text.parse::<DateTime<Utc>>().ok()?),
        None => None,
    };
    Some(KeptToken {
        basis: value.get("basis")?.as_str()?.to_owned(),
        refresh: secret("refresh"),
        access: secret("access"),
        expires_at,
        who: value.get("who").and_then(Value::as_str).map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    fn token(refresh: &str) -> KeptToken {
        KeptToken {
            basis: "b".into(),
            refresh: Some(Secret::new(refresh)),
            access: Some(Secret::new("Bearer access-marker")),
            expires_at: Some("2026-03-01T11:00:00.500Z".parse().unwrap()),
            who: Some("ada".into()),
        }
    }

    #[tokio::test]
    async fn the_last_token_outlives_the_process_and_never_lies_open() {
        let bench = Bench::new();
        let store = bench.open().await;
        assert_eq!(store.secrets().kept("acme.0").await, Ok(None));
        for refresh in ["first-marker", "second-marker"] {
            store.secrets().keep("acme.0", &token(refresh)).await.unwrap();
        }
        store.close().await;

        let store = bench.open().await;
        let kept = store.secrets().kept("acme.0").await.unwrap();
        assert_eq!(kept, Some(token("second-marker")));
        assert_eq!(store.secrets().kept("acme.1").await, Ok(None));
        store.secrets().keep("acme.1", &token("third-marker")).await.unwrap();
        store.secrets().forget("acme.1").await.unwrap();
        assert_eq!(store.secrets().kept("acme.1").await, Ok(None));
        assert_eq!(store.secrets().kept("acme.0").await.unwrap(), Some(token("second-marker")));
        let disk = String::from_utf8_lossy(&bench.bytes_on_disk()).into_owned();
        assert!(!disk.contains("marker"));
    }

    #[tokio::test]
    async fn a_token_copied_to_another_login_does_not_open() {
        let bench = Bench::new();
        let store = bench.open().await;
        store.secrets().keep("acme.0", &token("r")).await.unwrap();
        let copy = "insert into token select 'other.0', data_key_id, nonce, sealed, updated_at \
                    from token";
        sqlx::raw_sql(copy).execute(store.pool()).await.unwrap();
        let refused = store.secrets().kept("other.0").await.unwrap_err();
        assert!(refused.to_string().contains("other.0"), "{refused}");
    }

    #[tokio::test]
    async fn one_holder_at_a_time_and_logins_do_not_wait_for_each_other() {
        let bench = Bench::new();
        let (first, second) = (bench.open().await, bench.open().await);
        let held = first.secrets().lease("acme.0").unwrap();
        assert!(held.is_some());
        assert!(second.secrets().lease("acme.0").unwrap().is_none());
        assert!(second.secrets().lease("acme.1").unwrap().is_some());
        drop(held);
        assert!(second.secrets().lease("acme.0").unwrap().is_some());
        assert!(second.secrets().lease("../x").is_err());
    }
}
