//! Sealing: XChaCha20-Poly1305, with a random nonce for each writing.
//!
//! In: a key, bytes, and what they are bound to. Out: a nonce and a text that opens only with the
//! same key and the same bindings. The nonce has 192 bits, so that a random one never repeats; no
//! counter has to survive a restored backup.
//!
//! What never happens here: reading a key from anywhere, and keeping an opened value in memory
//! that is not wiped.

use aws_lc_rs::hmac;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::StoreError;

/// A key's length.
pub(super) const KEY_BYTES: usize = 32;
pub(super) const NONCE_BYTES: usize = 24;
/// How much of the tag makes a key's id: enough to tell keys apart, and of no use to find one.
const ID_BYTES: usize = 8;
const FOR_ID: &str = "restway key id 1";
/// The cipher's own bound is 256 GiB.
const SHORT: &str = "what is sealed here is far below the cipher's bound";

/// A key; wiped when it is dropped.
pub(super) struct Key(Zeroizing<[u8; KEY_BYTES]>);

/// What [`Key::seal`] made.
pub(super) struct Sealed {
    pub(super) nonce: Vec<u8>,
    pub(super) text: Vec<u8>,
}

impl Key {
    /// A new key.
    pub(super) fn random() -> Result<Self, StoreError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(&mut *key).map_err(StoreError::Randomness)?;
        Ok(Self(key))
    }

    /// The key made of these bytes, if they are as many as a key has.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if bytes.len() != KEY_BYTES {
            return None;
        }
        key.copy_from_slice(bytes);
        Some(Self(key))
    }

    /// The bytes, for the one place that writes them to the key file.
    pub(super) fn bytes(&self) -> &[u8] {
        &*self.0
    }

    /// What tells this key from others and gives nothing of it away: part of the tag over an empty
    /// text. The nonce is all zeros, which is used for nothing else.
    pub(super) fn id(&self) -> String {
        let payload = Payload { msg: &[], aad: FOR_ID.as_bytes() };
        let tag = self.cipher().encrypt(&XNonce::from([0; NONCE_BYTES]), payload).expect(SHORT);
        tag.iter().take(ID_BYTES).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Seals bytes, so that they open only where they are bound to.
    pub(super) fn seal(&self, bytes: &[u8], bound_to: &[&str]) -> Result<Sealed, StoreError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(StoreError::Randomness)?;
        let aad = bindings(bound_to);
        let payload = Payload { msg: bytes, aad: &aad };
        let text = self.cipher().encrypt(&XNonce::from(nonce), payload).expect(SHORT);
        Ok(Sealed { nonce: nonce.to_vec(), text })
    }

    /// Opens what was sealed with this key and bound to the same; otherwise None.
    pub(super) fn open(&self, sealed: &Sealed, bound_to: &[&str]) -> Option<Zeroizing<Vec<u8>>> {
        let nonce: [u8; NONCE_BYTES] = sealed.nonce.as_slice().try_into().ok()?;
        let aad = bindings(bound_to);
        let payload = Payload { msg: &sealed.text, aad: &aad };
        self.cipher().decrypt(&XNonce::from(nonce), payload).ok().map(Zeroizing::new)
    }

    /// What only this key makes of these bytes for this purpose (HMAC, RFC 2104).
    pub(super) fn mark(&self, bytes: &[u8], purpose: &[&str]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, self.bytes()));
        context.update(&bindings(purpose));
        context.update(b"\0");
        context.update(bytes);
        let mut mark = [0; 32];
        mark.copy_from_slice(context.sign().as_ref());
        mark
    }

    /// Seals this key with another.
    pub(super) fn seal_with(&self, master: &Key, bound_to: &[&str]) -> Result<Sealed, StoreError> {
        master.seal(self.bytes(), bound_to)
    }

    /// Opens a key that was sealed with another.
    pub(super) fn open_with(master: &Key, sealed: &Sealed, bound_to: &[&str]) -> Option<Self> {
        Self::of_bytes(&master.open(sealed, bound_to)?)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }
}

/// The bindings as one text. None of them holds the separator, so no two lists give the same.
fn bindings(bound_to: &[&str]) -> Vec<u8> {
    debug_assert!(bound_to.iter().all(|part| !part.contains('\0')));
    bound_to.join("\0").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_with_the_same_key_nonce_text_and_bindings() {
        let key = Key::random().unwrap();
        let seal = || key.seal(b"value", &["secret", "name"]).unwrap();
        assert_eq!(key.open(&seal(), &["secret", "name"]).unwrap().as_slice(), b"value");

        assert!(Key::random().unwrap().open(&seal(), &["secret", "name"]).is_none());
        assert!(key.open(&seal(), &["secret", "other"]).is_none());
        assert!(key.open(&seal(), &["secretname", ""]).is_none());
        for position in 0..seal().text.len() {
            let mut altered = seal();
            altered.text[position] ^= 1;
            assert!(key.open(&altered, &["secret", "name"]).is_none(), "{position}");
        }
        let other_nonce = Sealed { nonce: seal().nonce, text: seal().text };
        assert!(key.open(&other_nonce, &["secret", "name"]).is_none());
        let short_nonce = Sealed { nonce: vec![0; 12], text: seal().text };
        assert!(key.open(&short_nonce, &["secret", "name"]).is_none());
    }

    #[test]
    fn a_key_has_one_id_and_another_key_another() {
        let key = Key::of_bytes(&[7; KEY_BYTES]).unwrap();
        assert_eq!(key.id(), Key::of_bytes(&[7; KEY_BYTES]).unwrap().id());
        assert_ne!(key.id(), Key::of_bytes(&[8; KEY_BYTES]).unwrap().id());
        assert_eq!(key.id().len(), 2 * ID_BYTES);
        assert!(Key::of_bytes(&[7; KEY_BYTES - 1]).is_none());
    }
}
