//! The seam for texts that go out and come back: what a caller keeps for us and may not read.
//!
//! In: bytes, and what they belong to. Out: bytes that open only with the same key and for the
//! same purpose, or a mark that only the key makes. The store fills this seam with the workspace's
//! key.

/// Seals and opens.
pub trait Seal: Send + Sync {
    /// The bytes, sealed; none when the system has no randomness.
    fn seal(&self, bytes: &[u8], bound_to: &str) -> Option<Vec<u8>>;

    /// What was sealed for the same purpose; none for anything else.
    fn open(&self, sealed: &[u8], bound_to: &str) -> Option<Vec<u8>>;

    /// The same for the same bytes and purpose; without the key nobody can tell of which bytes.
    fn mark(&self, bytes: &[u8], purpose: &str) -> [u8; 32];
}
