//! The whole room against the demo API: real sockets on free ports, time that does not pass.

mod calls;
mod faults;
mod probes;
mod support;
mod walks;
