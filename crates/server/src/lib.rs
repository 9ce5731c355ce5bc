//! The room that listens: HTTP in front of what the other rooms answer.
//!
//! In: an address and a [`Publisher`](restway_publish::Publisher). Out: answers on sockets, until
//! it is told to stop. One module for each concern:
//!
//! - `listen`: sockets, their bounds, stopping in good order;
//! - `guard`: who may ask at all (names of this machine, sizes, how many at once);
//! - `routes`: which path is answered by whom;
//! - `proxies`: who asks, by the word of proxies that are trusted;
//! - `compress`: answers packed for callers who can unpack them;
//! - `page`: the page at `/`, and the description of the server's own paths;
//! - `metrics`: what was counted.
//!
//! What never happens here: a rule about published objects, a statement, a look into a table.
//! Only this room may name axum.
//!
//! By default it listens to this machine alone, and then answers only requests whose `Host` is a
//! name of this machine: a page of a stranger, open in a browser here, can make the browser
//! connect (DNS rebinding), but cannot make it lie about the name. Beyond this machine it listens
//! only when its caller says so, and then any name is good.

mod compress;
mod error;
mod guard;
mod listen;
mod metrics;
mod paced;
mod page;
mod proxies;
mod routes;
mod rows;

pub use error::ServerError;
pub use listen::{Server, ServerSettings};
pub use proxies::TrustedProxies;
