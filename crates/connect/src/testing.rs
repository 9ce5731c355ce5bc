//! What the unit tests of several stages need: a clock that is turned by its own pauses, and keys
//! of openssl.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use restway_model::{Clock, Pause};

/// A clock that stands still but for the pauses it is asked for, which take no time at all.
#[derive(Default)]
pub(crate) struct HandClock {
    elapsed: Mutex<Duration>,
}

impl HandClock {
    pub(crate) fn turn(&self, by: Duration) {
        *self.elapsed.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for HandClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap_or_default() + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        *self.elapsed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep(&self, duration: Duration) -> Pause<'_> {
        self.turn(duration);
        Box::pin(std::future::ready(()))
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}

/// A key that openssl made, in all its forms, with a certificate of it.
pub(crate) struct MadeKey(tempfile::TempDir);

impl MadeKey {
    pub(crate) fn new() -> Self {
        let made = Self(tempfile::tempdir().expect("it was made"));
        made.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out plain.pem");
        made.openssl("ec -in plain.pem -out sec1.pem");
        let topk8 = "pkcs8 -topk8 -in plain.pem -passout pass:open-it";
        made.openssl(&format!("{topk8} -v2 aes-256-cbc -out encrypted-pbkdf2.pem"));
        made.openssl(&format!("{topk8} -scrypt -scrypt_N 1024 -out encrypted-scrypt.pem"));
        made.openssl(&format!("{topk8} -v2 des3 -out encrypted-3des.pem"));
        made.openssl("req -x509 -new -key plain.pem -subj /CN=acme -days 30 -out certificate.pem");
        made
    }

    fn openssl(&self, arguments: &str) -> Vec<u8> {
        let mut openssl = std::process::Command::new("openssl");
        openssl.args(arguments.split_whitespace()).current_dir(self.0.path());
        let done = openssl.output().expect("openssl runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        done.stdout
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs_err::read_to_string(self.0.path().join(name)).expect("it was made")
    }

    /// The point of the public key: the end of its DER.
    pub(crate) fn public(&self) -> Vec<u8> {
        let der = self.openssl("pkey -in plain.pem -pubout -outform DER");
        der[der.len() - 65..].to_vec()
    }

    pub(crate) fn thumbprint(&self, hash: &str) -> String {
        let text = self.openssl(&format!("x509 -in certificate.pem -noout -fingerprint -{hash}"));
        let text = String::from_utf8(text).expect("it was made");
        let pairs = text.trim().rsplit('=').next().expect("it was made").split(':');
        let bytes: Vec<u8> =
            pairs.map(|pair| u8::from_str_radix(pair, 16).expect("it was made")).collect();
        URL_SAFE_NO_PAD.encode(bytes)
    }
}
