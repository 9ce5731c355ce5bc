//! The seal of page tokens and the marks of versions: what fills the seam [`Seal`].
//!
//! In: the bytes of a token and the list that it belongs to, or the bytes of a row. Out: nonce and
//! text in one piece, sealed with the newest data key, so that all servers of a workspace read each
//! other's tokens; a mark by the same key. What never happens here: a token in the database;
//! nothing has to be cleaned up.

use std::sync::Arc;

use restway_model::Seal;

use super::cipher::{NONCE_BYTES, Sealed};
use super::{DataKey, Secrets};
use crate::{StoreError, schema};

const FOR_PAGE: &str = "restway page 1";
const FOR_MARK: &str = "restway mark 1";

struct PageSeal(DataKey);

impl Secrets {
    /// What seals the tokens of pages; makes the workspace's key if there is none yet.
    ///
    /// # Errors
    /// The key is missing or wrong.
    pub async fn page_seal(&self) -> Result<Arc<dyn Seal>, StoreError> {
        let failed = StoreError::during("read the key of page tokens");
        let mut transaction = self.pool.begin_with(schema::BEGIN).await.map_err(&failed)?;
        let key = self.data_key_to_seal_with(&mut transaction).await?;
        transaction.commit().await.map_err(&failed)?;
        Ok(Arc::new(PageSeal(key)))
    }
}

impl Seal for PageSeal {
    fn seal(&self, bytes: &[u8], bound_to: &str) -> Option<Vec<u8>> {
        let Sealed { nonce, text } = self.0.key.seal(bytes, &[FOR_PAGE, bound_to]).ok()?;
        Some([nonce, text].concat())
    }

    fn open(&self, sealed: &[u8], bound_to: &str) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_BYTES)?;
        let sealed = Sealed { nonce: nonce.to_vec(), text: text.to_vec() };
        self.0.key.open(&sealed, &[FOR_PAGE, bound_to]).map(|bytes| bytes.to_vec())
    }

    fn mark(&self, bytes: &[u8], purpose: &str) -> [u8; 32] {
        self.0.key.mark(bytes, &[FOR_MARK, purpose])
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[tokio::test]
    async fn a_token_opens_for_its_list_alone_and_after_a_restart() {
        let bench = Bench::new();
        let store = bench.open().await;
        let seal = store.secrets().page_seal().await.unwrap();
        let token = seal.seal(b"marker", "a list").unwrap();
        assert!(!token.windows(6).any(|part| part == b"marker"));
        let mark = seal.mark(b"row", "version");
        assert_ne!(mark, seal.mark(b"other", "version"));
        assert_ne!(mark, seal.mark(b"row", "another purpose"));
        store.close().await;

        let store = bench.open().await;
        let seal = store.secrets().page_seal().await.unwrap();
        assert_eq!(seal.mark(b"row", "version"), mark);
        assert_eq!(seal.open(&token, "a list").as_deref(), Some(&b"marker"[..]));
        assert_eq!(seal.open(&token, "another list"), None);
        assert_eq!(seal.open(&token[1..], "a list"), None);
        assert_eq!(seal.open(b"short", "a list"), None);

        let other = Bench::new().open().await.secrets().page_seal().await.unwrap();
        assert_ne!(other.mark(b"row", "version"), mark, "each workspace has its own key");
    }
}
