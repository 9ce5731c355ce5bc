//! What keeps the server from listening.
//!
//! In: facts about the address. Out: [`ServerError`], with what to do. What never happens here:
//! an error of a single request; those are answers.

use std::io;
use std::net::SocketAddr;

use restway_model::{Code, Explain};

/// Why the server does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is reachable from other machines, and nobody said that it may be.
    #[error("`{listen}` can be reached from other machines")]
    BeyondLoopback {
        /// The address.
        listen: SocketAddr,
    },
    /// The system refused the address.
    #[error("cannot listen on `{listen}`")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The system takes no more connections, time after time.
    #[error("no connection could be accepted, {times} times in a row")]
    Accept {
        /// How often in a row.
        times: u32,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl Explain for ServerError {
    fn code(&self) -> Code {
        Code::ListenFailed
    }

    fn hints(&self) -> Vec<String> {
        let hints: &[&str] = match self {
            Self::BeyondLoopback { .. } => &[
                "listen on 127.0.0.1",
                "say that it shall be reachable from other machines: published objects that are \
                 open to `anonymous` are then open to the network",
            ],
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                &["another process listens there: stop it, or choose another port"]
            }
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                &["choose a port above 1023"]
            }
            Self::Listen { .. } => &["choose an address of this machine"],
            Self::Accept { .. } => &["raise the number of files that the process may open"],
        };
        hints.iter().map(|hint| (*hint).to_owned()).collect()
    }
}
