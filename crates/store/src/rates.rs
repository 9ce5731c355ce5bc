//! Rates that all processes of a workspace hold together.
//!
//! In: a call to an api, and the rates that it must keep to. Out: the call is counted, or how long
//! to wait. Each api has a file, locked while it is looked at, that holds for each rate the
//! moments of its last `count` calls, in a ring: the oldest of them must lie outside of the
//! rate's span, so that no span of that length ever holds more calls than declared, whoever makes
//! them. A call reads and writes a few bytes however large the rate is.
//!
//! What never happens here: a wait (the caller does that), or an error that stops a call. Moments
//! are of the machine's clock, which all processes share; one that was set back costs at most one
//! span. The file is not made durable: after a power failure the rates begin anew.

use std::fs::TryLockError;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use restway_model::{Name, Rate, SharedRates};

use crate::{Store, files};

/// Rates with more calls than this are held by each process alone: their rings would be large.
const COUNT_MAX: u32 = 1_000_000;
/// The pause before a file that another process has locked is tried again.
const BUSY_PAUSE: Duration = Duration::from_millis(2);
/// So often; then its holder hangs.
const BUSY_MAX: u32 = 5_000;
const WORD: usize = 8;

/// The files.
#[derive(Debug)]
pub struct FileRates {
    folder: PathBuf,
    busy: AtomicU32,
}

impl Store {
    /// The rates of all processes that work on this state folder.
    pub fn rates(&self) -> FileRates {
        FileRates { folder: self.state().join("rates"), busy: AtomicU32::new(0) }
    }
}

impl SharedRates for FileRates {
    fn take(&self, api: &Name, rates: &[Rate], now: DateTime<Utc>) -> Result<Duration, String> {
        let shared: Vec<Rate> =
            rates.iter().copied().filter(|rate| rate.count <= COUNT_MAX).collect();
        if shared.is_empty() {
            return Ok(Duration::ZERO);
        }
        let taken = self.locked(api, |file| Rings::open(file, &shared)?.take(now));
        taken.map_err(|error| error.to_string())
    }
}

impl FileRates {
    fn locked(
        &self,
        api: &Name,
        take: impl FnOnce(&mut fs_err::File) -> std::io::Result<Duration>,
    ) -> std::io::Result<Duration> {
        if !self.folder.exists() {
            fs_err::create_dir_all(&self.folder)?;
        }
        let mut options = files::private_options();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.folder.join(api.as_str()))?;
        match file.try_lock() {
            Ok(()) => self.busy.store(0, Ordering::Relaxed),
            Err(TryLockError::WouldBlock) => {
                return if self.busy.fetch_add(1, Ordering::Relaxed) < BUSY_MAX {
                    Ok(BUSY_PAUSE)
                } else {
                    Err(std::io::Error::other("another process does not let go of its file"))
                };
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        take(&mut file)
    }
}

/// The file: for each rate its count, its span in milliseconds, the position of its oldest call,
/// and then all rings.
struct Rings<'a> {
    file: &'a mut fs_err::File,
    rates: &'a [Rate],
    oldest: Vec<u64>,
}

impl<'a> Rings<'a> {
    /// Reads the head. A file of other rates begins anew.
    fn open(file: &'a mut fs_err::File, rates: &'a [Rate]) -> std::io::Result<Self> {
        let calls: u64 = rates.iter().map(|rate| u64::from(rate.count)).sum();
        let length = WORD as u64 * (3 * rates.len() as u64 + calls);
        let mut oldest = vec![0; rates.len()];
        let mut is_ours = file.metadata()?.len() == length;
        for (rate, oldest) in rates.iter().zip(&mut oldest) {
            if !is_ours {
                break;
            }
            let [count, per, first] = [word(file)?, word(file)?, word(file)?];
            is_ours = count == u64::from(rate.count) && per == millis(rate) && first < count;
            *oldest = first;
        }
        if !is_ours {
            file.set_len(0)?;
            file.set_len(length)?;
            oldest.fill(0);
        }
        Ok(Self { file, rates, oldest })
    }

    fn take(self, now: DateTime<Utc>) -> std::io::Result<Duration> {
        let now = u64::try_from(now.timestamp_millis()).unwrap_or_default();
        let mut wait = 0;
        for at in 0..self.rates.len() {
            let place = self.place(at);
            self.file.seek(SeekFrom::Start(place))?;
            let free = word(self.file)?;
            let span = millis(&self.rates[at]);
            let free = if free == 0 { 0 } else { free.saturating_add(span) };
            // A moment that lies ahead is of a clock that was set back since.
            wait = wait.max(free.saturating_sub(now).min(span));
        }
        if wait > 0 {
            return Ok(Duration::from_millis(wait));
        }
        for at in 0..self.rates.len() {
            let place = self.place(at);
            self.file.seek(SeekFrom::Start(place))?;
            self.file.write_all(&now.to_le_bytes())?;
        }
        self.file.rewind()?;
        for (rate, oldest) in self.rates.iter().zip(&self.oldest) {
            let count = u64::from(rate.count);
            for word in [count, millis(rate), (oldest + 1) % count] {
                self.file.write_all(&word.to_le_bytes())?;
            }
        }
        Ok(Duration::ZERO)
    }

    /// Where the oldest call of a rate stands.
    fn place(&self, at: usize) -> u64 {
        let before: u64 = self.rates[..at].iter().map(|rate| u64::from(rate.count)).sum();
        WORD as u64 * (3 * self.rates.len() as u64 + before + self.oldest[at])
    }
}

fn millis(rate: &Rate) -> u64 {
    u64::try_from(rate.window().as_millis()).unwrap_or(u64::MAX)
}

fn word(file: &mut fs_err::File) -> std::io::Result<u64> {
    let mut bytes = [0; WORD];
    file.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::testing::Bench;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    fn rates(texts: &[&str]) -> Vec<Rate> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn two_processes_hold_all_rates_together() {
        let bench = Bench::new();
        let (first, second) = (bench.open().await.rates(), bench.open().await.rates());
        let (api, rates) = ("acme".parse().unwrap(), rates(&["2/s", "5/m"]));
        let mut now = 0;
        let mut moments = Vec::new();
        for turn in 0..8 {
            let process = if turn % 2 == 0 { &first } else { &second };
            loop {
                let moment = at(0) + TimeDelta::milliseconds(now);
                let wait = process.take(&api, &rates, moment).unwrap();
                if wait.is_zero() {
                    break;
                }
                now += i64::try_from(wait.as_millis()).unwrap();
            }
            moments.push(now);
        }
        assert_eq!(moments, [0, 0, 1_020, 1_020, 2_040, 61_000, 61_000, 62_020]);
    }

    #[tokio::test]
    async fn other_rates_begin_anew_and_broken_files_and_clocks_cost_one_span() {
        let bench = Bench::new();
        let shared = bench.open().await.rates();
        let api = "acme".parse().unwrap();
        let take =
            |texts: &[&str], now| shared.take(&api, &rates(texts), at(now)).unwrap().as_secs();
        assert_eq!((take(&["1/m"], 0), take(&["1/m"], 0), take(&["1/m"], 59)), (0, 61, 2));
        assert_eq!(take(&["1/m"], -4_000), 61);
        assert_eq!((take(&["1/h"], 1), take(&["1/h"], 2)), (0, 3_600));
        let file = shared.folder.join("acme");
        fs_err::write(&file, "torn").unwrap();
        assert_eq!((take(&["1/h"], 3), take(&["1/h"], 4)), (0, 3_600));
        assert_eq!(take(&["2000000/s"], 4), 0);
    }

    #[tokio::test]
    async fn who_finds_the_file_locked_asks_again() {
        let bench = Bench::new();
        let shared = bench.open().await.rates();
        let (api, rates) = ("acme".parse().unwrap(), rates(&["9/s"]));
        assert!(shared.take(&api, &rates, at(0)).unwrap().is_zero());
        let held = fs_err::File::open(shared.folder.join("acme")).unwrap();
        held.lock().unwrap();
        assert_eq!(shared.take(&api, &rates, at(0)).unwrap(), BUSY_PAUSE);
        drop(held);
        assert!(shared.take(&api, &rates, at(0)).unwrap().is_zero());
    }
}
