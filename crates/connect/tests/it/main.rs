//! The whole room against the demo API: real sockets on free ports, and time that does not pass.

mod archives;
mod calls;
mod faults;
mod formats;
mod inputs;
mod jobs;
mod logins;
mod manners;
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
