//! The room from outside: records in, commits, answers out.
//!
//! One binary for all of it, so that the query engine is linked once.

mod commit;
mod json;
mod keep;
mod landing;
mod merge;
mod past;
mod property;
mod query;
mod support;
mod together;
