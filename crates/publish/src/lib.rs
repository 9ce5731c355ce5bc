//! The room that answers: published data objects, read over HTTP's terms without HTTP's machinery.
//!
//! In: a [`Request`] (method, path below `/rest/v1/`, query string). Out: a [`Response`] (status,
//! headers, body). Between them lie four stages, one module each, shown in their order by
//! [`Publisher::answer`]:
//!
//! 1. `request` reads the text: segments, key parts, parameters. Pure.
//! 2. `plan` decides what will be read, or refuses. Pure: it sees the definitions and the table's
//!    columns, and nothing else.
//! 3. `query` reads it. The only stage that touches the lake, through [`Rows`].
//! 4. `respond` writes the envelope that Jitterbit App Builder's callers know. Pure.
//!
//! What never happens here: a socket, a web framework, a write to a table. No text of a caller
//! becomes part of a statement: identifiers come from the table's own list of columns, and every
//! value is bound as a parameter.
//!
//! Who may read: an object is open when its app grants `filter` (or `all`) to `anonymous`. An app
//! without any open object answers exactly like an app that does not exist. Inside an app that has
//! an open object, a closed one answers 401, because its name is told by the app's own files and
//! a caller with a key will have to know where to use it.

mod lake;
mod openapi;
mod plan;
mod publisher;
mod query;
mod refusal;
mod request;
mod respond;
mod rows;
mod sql;
mod value;

#[cfg(test)]
mod tests;

pub use publisher::{NotReady, OpenObject, PublishError, Publisher};
pub use request::Request;
pub use respond::Response;
pub use rows::{Answering, Column, Rows};
