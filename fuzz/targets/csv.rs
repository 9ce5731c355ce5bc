//! Bodies of CSV whose first row names the fields.
#![no_main]

use libfuzzer_sys::fuzz_target;
use restway_fuzz::{Settings, reads_the_same};

static SETTINGS: Settings = Settings::new();

fuzz_target!(|data: &[u8]| reads_the_same(&SETTINGS, "format: csv, types: { a: int64 }", data));
