//! The arguments of `restway auth key` and `restway auth user`: who may ask what is published.

use clap::{Args, Subcommand};
use restway_model::Timespan;

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key for a user and print it, once; the user is made if there is none
    #[command(after_help = "Examples:\n  restway auth key add jo --group clerks --expires 90d\n  \
        restway auth key add acme_portal --group partners --claim tenant=7")]
    Add {
        /// The user
        user: String,
        #[command(flatten)]
        profile: Profile,
        /// When the key ends, counted from now, as in `90d` [default: never]
        #[arg(long, value_name = "TIME")]
        expires: Option<Timespan>,
    },
    /// List the keys and when each was last used, to the hour; never a key
    #[command(after_help = "Example:\n  restway auth key list --json")]
    List,
    /// Make a key in place of another one and print it; the old one goes on for a while
    #[command(after_help = "Examples:\n  restway auth key rotate b3Jkaq0\n  \
        restway auth key rotate b3Jkaq0 --overlap 7d")]
    Rotate {
        /// The key's id, as `list` shows it
        id: String,
        /// How long the old key is still good
        #[arg(long, value_name = "TIME", default_value = "24h")]
        overlap: Timespan,
        /// When the new key ends, counted from now [default: as long as the old one lasted]
        #[arg(long, value_name = "TIME")]
        expires: Option<Timespan>,
    },
    /// Revoke a key at once
    #[command(after_help = "Example:\n  restway auth key rm b3Jkaq0")]
    Rm {
        /// The key's id, as `list` shows it
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// List the users with their groups and claims
    #[command(after_help = "Example:\n  restway auth user list --json")]
    List,
    /// Change a user, who is made if there is none; keys go on with what is changed
    #[command(
        after_help = "Examples:\n  restway auth user set jo --group heads --leave clerks\n  \
        restway auth user set jo --claim tenant=7 --claim regions='[\"eu\",\"us\"]'"
    )]
    Set {
        /// The user
        user: String,
        #[command(flatten)]
        profile: Profile,
        /// A group to leave
        #[arg(long, value_name = "GROUP")]
        leave: Vec<String>,
    },
    /// Remove a user and revoke all their keys at once
    #[command(after_help = "Example:\n  restway auth user rm jo")]
    Rm {
        /// The user
        user: String,
    },
}

/// What is known of a user.
#[derive(Debug, Args)]
pub(crate) struct Profile {
    /// A group to join, which an app's `access` names
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Vec<String>,
    /// Something known of the user, for `${claim.NAME}`: a text, or JSON; nothing takes it away
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) claim: Vec<String>,
}
