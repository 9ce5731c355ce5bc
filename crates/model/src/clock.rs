//! The clock seam: nothing in Restway reads the time or sleeps except through it.
//!
//! Tests replace it with a clock they turn by hand, so that a retry schedule of ten minutes or a
//! token that lives an hour is tested in no time.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use chrono::{DateTime, Utc};

/// A pause that ends when the clock says so.
pub type Pause<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// The instant to write down: UTC, may jump when the machine's clock is set.
    fn now(&self) -> DateTime<Utc>;

    /// Time since some fixed moment; never goes back. For deadlines and for measuring.
    fn monotonic(&self) -> Duration;

    /// Waits. Callers bound what they ask for.
    fn sleep(&self, duration: Duration) -> Pause<'_>;

    /// A number in `0.0..1.0` to spread retries with; not for secrets.
    fn jitter(&self) -> f64;
}
