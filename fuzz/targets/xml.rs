//! Bodies of XML.
#![no_main]

use libfuzzer_sys::fuzz_target;
use restway_fuzz::{Settings, reads_the_same};

static SETTINGS: Settings = Settings::new();

fuzz_target!(|data: &[u8]| reads_the_same(&SETTINGS, "format: { type: xml, lists: [item] }, records: list.row", data));
