//! The room that answers: published data objects, read over HTTP's terms without HTTP's machinery.
//!
//! In: a [`Request`] (method, path below `/rest/v1/`, query string, headers). Out: a [`Response`]
//! (status, headers, body). Between them lie four stages, one module each, shown in their order by
//! [`Publisher::answer`]:
//!
//! 1. `request` reads the text: segments, key parts, parameters. Pure.
//! 2. `plan` decides what will be read, or refuses. Pure: it sees the definitions and the table's
//!    columns, and nothing else.
//! 3. `statement` writes it in the dialect of its source, and `query` reads it: the only stage that
//!    touches what holds the rows, through [`Source`].
//! 4. `respond` writes the envelope that Jitterbit App Builder's callers know. Pure.
//!
//! Rows come from the workspace's own tables, from live resources and saved queries, and from
//! databases (`source`). They are written as JSON where the database's values are decoded, into
//! the buffer that is sent; no stage holds a value of a row. A page is whole before it is sent;
//! rows without an envelope stream through an [`Outlet`].
//!
//! What never happens here: a web framework, a write outside of a transaction. No text of a caller
//! becomes part of a statement: identifiers come from the relation's own list of columns, and every
//! value is bound as a parameter.
//!
//! Before anything is planned, `access` says who asks, and what of it he may see: which rows, as a
//! condition that the plan carries along, and which columns, of which the plan sees no others.
//! Where nothing is given to the caller, the answer is that of something that does not exist.

mod access;
mod apps;
mod beside;
mod columnar;
mod deprecation;
mod export;
mod form;
mod headers;
mod methods;
mod openapi;
mod outlet;
mod plan;
mod publisher;
mod query;
mod refusal;
mod request;
mod respond;
mod source;
mod statement;
mod timing;
mod value;
mod webhooks;
mod write;

#[cfg(test)]
mod tests;

pub use access::{Credential, Identifying, Identities, Nobody, Principal};
pub use apps::{App, PublishError, Saved};
pub use headers::Headers;
pub use outlet::{Answered, Outlet, Sending};
pub use plan::{Comparison, Condition, Place, Quantity, Value};
pub use publisher::{NotReady, OpenObject, Publisher};
pub use request::Request;
pub use respond::Response;
pub use source::{
    Address, Answering, Column, DatabaseSettings, Description, Engine, Engined, Flow, Foreign,
    InvalidAddress, Kind, Page, Relation, Sink, Source, SourceError, Transaction, Unique,
    Violation, open,
};
pub use statement::{Bound, Dialect, Statement};
pub use webhooks::{Argument, Order, Running, Webhooks};
