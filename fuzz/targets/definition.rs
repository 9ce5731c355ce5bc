//! Texts of definitions: each is one, or every problem has a place in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use restway_model::definition::{ApiFile, AppFile, Definition, WorkspaceFile, read};

fuzz_target!(|text: &str| {
    checked::<ApiFile>(text);
    checked::<AppFile>(text);
    checked::<WorkspaceFile>(text);
});

fn checked<T: Definition>(text: &str) {
    let Err(problems) = read::<T>("fuzz.yaml", text) else { return };
    // YAML's lines end with a carriage return too: YAML 1.2, 5.4.
    let lines = text.replace("\r\n", "\n").replace('\r', "\n").lines().count().max(1);
    for problem in problems {
        assert!((1..=lines + 1).contains(&problem.place.line), "{problem:?}");
        assert!(problem.place.column > 0 && problem.place.width > 0, "{problem:?}");
    }
}
