//! The whole room against the demo API: real sockets on free ports, and time that does not pass.

mod calls;
mod faults;
mod formats;
mod inputs;
mod logins;
mod manners;
mod paging;
mod probes;
mod support;
mod tapes;
mod tls;
mod walks;
