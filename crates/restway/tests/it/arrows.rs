//! The arrows between the rooms point one way, and each heavy library has one owner.

use std::collections::BTreeMap;
use std::path::Path;

/// Which rooms each room may know.
const ARROWS: [(&str, &[&str]); 9] = [
    ("model", &[]),
    ("connect", &["model"]),
    ("tables", &["model"]),
    ("store", &["model"]),
    ("publish", &["model", "tables"]),
    ("work", &["model", "connect", "tables", "store", "publish"]),
    ("server", &["model", "publish", "work"]),
    ("restway", &["model", "connect", "tables", "store", "publish", "work", "server", "demo-api"]),
    ("demo-api", &[]),
];

/// Which rooms may name a library.
const OWNERS: [(&str, &[&str]); 10] = [
    ("reqwest", &["connect"]),
    ("rustls", &["connect"]),
    ("arrow", &["tables"]),
    ("parquet", &["tables"]),
    ("datafusion", &["tables"]),
    ("deltalake-core", &["tables"]),
    ("object_store", &["tables"]),
    ("sqlx", &["store", "publish"]),
    ("axum", &["server", "demo-api"]),
    ("clap", &["restway"]),
];

#[test]
fn rooms_know_only_the_rooms_below_them() {
    for (room, dependencies) in rooms() {
        let (_, allowed) = ARROWS.iter().find(|(name, _)| *name == room).expect("a known room");
        for dependency in &dependencies {
            let other = dependency.strip_prefix("restway-").unwrap_or(dependency);
            let is_room = ARROWS.iter().any(|(name, _)| *name == other);
            assert!(!is_room || allowed.contains(&other), "{room} must not know {other}");
        }
        for (library, owners) in OWNERS {
            let names_it = dependencies.iter().any(|dependency| dependency == library);
            assert!(!names_it || owners.contains(&room.as_str()), "{room} must not name {library}");
        }
    }
}

/// The dependencies of each room, tests' own left out.
fn rooms() -> BTreeMap<String, Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut rooms = BTreeMap::new();
    let folders = std::fs::read_dir(root.join("crates")).expect("the rooms");
    let folders = folders.map(|entry| entry.expect("a room").path());
    for folder in folders.chain([root.join("demo/api")]) {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
        let name = manifest
            .lines()
            .find_map(|line| line.strip_prefix("name = \""))
            .map(|name| name.trim_end_matches('"').trim_start_matches("restway-").to_owned())
            .expect("a name");
        let dependencies = manifest
            .lines()
            .skip_while(|line| *line != "[dependencies]")
            .skip(1)
            .take_while(|line| !line.starts_with('['))
            .filter_map(|line| line.split(['.', ' ', '=']).next())
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        rooms.insert(name, dependencies);
    }
    assert_eq!(rooms.len(), ARROWS.len(), "every room is listed here: {:?}", rooms.keys());
    rooms
}

#[test]
fn every_module_opens_with_what_it_is_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders = vec![root.join("crates"), root.join("demo")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).expect("a module");
                assert!(text.starts_with("//!"), "{} does not say what it is for", path.display());
                assert!(text.lines().count() <= 800, "{} is too long", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 50, "only {seen} modules were found");
}
