//! Decode: from the bytes of an answer to its records.
//!
//! In: the body in chunks, cut anywhere, the format it is written in and the path to the records.
//! Out: batches of [`Records`] as soon as they are full, and at the end the envelope: everything
//! else of the answer as one small value, where page tokens and totals are found, whether they
//! stand before or after the list. A body is never held whole in memory, and no value is built for
//! a JSON record: its bytes are copied once, next to those of its neighbours. Records of other
//! formats become JSON here, so that everything behind knows one form.
//!
//! What is checked here is the grammar of JSON down to the last comma, so that a page which breaks
//! in the middle says where, and a body which ends before its document does is an error and never
//! a shorter list. What is not: whether a number or `\u` escape inside a record is well formed;
//! the tables' room parses each record anyway. A path that finds nothing is an error, and so is
//! one that finds null: neither is the same as an empty list.
//!
//! [`Records`]: restway_model::Records

mod batches;
mod body;
mod charset;
mod csv;
mod envelope;
mod glob;
mod grammar;
mod gunzip;
mod lines;
mod reader;
mod unzip;
mod xml;

#[cfg(test)]
mod mutated;

pub(crate) use batches::Bounds;
pub(crate) use body::{BodyReader, BodyShape};
pub(crate) use envelope::PageEnd;
pub(crate) use unzip::unzip;
