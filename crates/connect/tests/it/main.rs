//! The whole room against the demo API: real sockets on free ports, and time that does not pass.

mod calls;
mod faults;
mod logins;
mod probes;
mod support;
mod walks;
