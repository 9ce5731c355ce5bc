//! What a caller may choose: where to listen, how much there is, how long tokens live, what fails.
//!
//! In go plain values, out comes nothing but them; every size is honoured as given because records
//! are computed when asked for. Nothing here is read from the environment or from a file: two
//! servers with equal settings answer equally.

use std::time::Duration;

/// How a demo API is started. The default is small enough for a test and large enough for pages.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The port on 127.0.0.1; 0 (the default) takes any free one.
    pub port: u16,
    /// What all records are made from; the default is 20240229.
    pub seed: u64,
    /// How long an access token lives; the default is 60 s, zero means expired when issued.
    pub token_lifetime: Duration,
    /// How many projects there are; the default is 40.
    pub projects: u32,
    /// The most issues a project has; the default is 40. Project 1 has as many, project 2 none,
    /// every other a number in between.
    pub issues_per_project: u32,
    /// How many customers there are at the start; the default is 200.
    pub customers: u32,
    /// How many orders there are; the default is 1,000.
    pub orders: u32,
    /// Planned faults, tried in this order; the first that applies to a request is the only one.
    pub faults: Vec<Fault>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            port: 0,
            seed: 20_240_229,
            token_lifetime: Duration::from_secs(60),
            projects: 40,
            issues_per_project: 40,
            customers: 200,
            orders: 1_000,
            faults: Vec::new(),
        }
    }
}

/// A fault planned for requests to ordinary paths: the third page of `/v1/orders` fails, say.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Which requests it is for: those whose path starts with this.
    pub path: String,
    /// How many such requests are let through first.
    pub after: u32,
    /// How many such requests are then hit.
    pub times: u32,
    /// What happens to them.
    pub effect: Effect,
}

/// What a planned [`Fault`] does to a request.
#[derive(Debug, Clone)]
pub enum Effect {
    /// The request is not carried out; it is answered with this status.
    Answer {
        /// The status, from 200 to 599; any other becomes 500.
        status: u16,
        /// The seconds of a `Retry-After` header, if there is to be one.
        retry_after: Option<u64>,
    },
    /// The request is carried out after this wait.
    Wait(Duration),
    /// The request is carried out, and its answer breaks off in the middle of the body.
    Truncate,
}
