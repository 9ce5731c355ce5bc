//! What the targets of the decoder have in common.
//!
//! In: the format of a resource as its definition says it, and bytes. A body must be read the same
//! however it is cut into pieces, or be refused; never may it panic or grow beyond its bounds.

use std::sync::OnceLock;

use restway_connect::fuzzing::decode;
use restway_model::Limits;
use restway_model::definition::{ApiFile, ResourceSettings, read};

/// Settings that a target makes once.
pub type Settings = OnceLock<ResourceSettings>;

/// Reads a body whole and in pieces, whose size is its first byte.
pub fn reads_the_same(settings: &Settings, keys: &str, data: &[u8]) {
    let settings = settings.get_or_init(|| resource(keys));
    let Some((piece, body)) = data.split_first() else { return };
    let limits = Limits {
        record_bytes_max: 4 << 10,
        json_depth_max: 16,
        body_bytes_max: 1 << 20,
        ..Limits::default()
    };
    let whole = decode(settings, &limits, body, body.len());
    let pieces = decode(settings, &limits, body, usize::from(*piece));
    match (whole, pieces) {
        (Ok(whole), Ok(pieces)) => assert_eq!(whole, pieces),
        (Err(_), Err(_)) => {}
        (whole, pieces) => panic!("whole: {whole:?}, in pieces: {pieces:?}"),
    }
}

fn resource(keys: &str) -> ResourceSettings {
    let text = format!(
        "api: fuzz\nbase_url: https://fuzz.example\nresources:\n  r: {{ path: /r, {keys} }}\n"
    );
    let api: ApiFile = read("fuzz.yaml", &text).expect("the target's definition is valid");
    let name = "r".parse().expect("a name");
    api.resource(&name).expect("it is there")
}
