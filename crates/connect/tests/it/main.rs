//! The whole room against the demo API: real sockets on free ports, and time that does not pass.

mod archives;
mod bodies;
mod calls;
mod faults;
mod formats;
mod inputs;
mod issuers;
mod jobs;
mod logins;
mod manners;
mod names;
mod packed;
mod paging;
mod persons;
mod probes;
mod proxies;
mod support;
mod tapes;
mod tls;
mod transport;
mod walks;
