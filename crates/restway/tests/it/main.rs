//! The real binary, against the bundled API and against servers that none of us wrote.
//!
//! One test binary, a module per area, so that DataFusion is linked once. Every test has a folder
//! and ports of its own; nothing sleeps.

#![expect(clippy::disallowed_methods, reason = "a test that cannot read a file may say so badly")]

mod access;
mod apart;
mod arrows;
mod asking;
mod bad_input;
mod bindings;
mod commands;
mod demo;
mod desk;
mod exports;
mod files;
mod formats;
mod httpbin;
mod imports;
mod incremental;
mod kept;
mod live;
mod loads;
mod owners;
mod peers;
mod persons;
mod promises;
mod published;
mod raw;
mod readers;
mod reference;
mod secrets;
mod seen;
mod shapes;
mod sheet;
mod shelf;
mod steady;
mod support;
mod sync;
mod tokens;
mod ways;
mod webhooks;
mod windows;
mod wiremock;
