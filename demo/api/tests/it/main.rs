//! The demo API over real HTTP, as its users meet it.

mod client;
mod faults;
mod oauth;
mod server;
mod styles;
mod v1;
