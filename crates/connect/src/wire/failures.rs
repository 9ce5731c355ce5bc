//! What the HTTP library's errors mean.
//!
//! In: an error, several wrapped in one another. Out: the failure that a person can do something
//! about; the words of the innermost where there is no better one.

use std::error::Error;
use std::time::Duration;

use crate::egress::Denial;
use crate::error::Failure;
use crate::proxy;
use crate::unpack::{Unpacking, Unreadable};

/// What the client says of an answer whose head has no end, or more than its bounds.
const HEAD_TOO_LARGE: &str = "message head is too large";

pub(super) fn unpack_failure(
    unreadable: Unreadable,
    unpacking: &Unpacking,
    offset: u64,
) -> Failure {
    match &unreadable {
        Unreadable::Error(error) => match find::<reqwest::Error>(error) {
            Some(network) => body_failure(network, offset),
            None => unpacking.failure(&unreadable),
        },
        _ => unpacking.failure(&unreadable),
    }
}

pub(super) fn send_failure(error: reqwest::Error, connect_timeout: Duration) -> Failure {
    let error = error.without_url();
    if let Some(denial) = find::<Denial>(&error) {
        return Failure::Egress(denial.clone());
    }
    if let Some(tls) = find::<rustls::Error>(&error) {
        return tls_failure(tls);
    }
    if let Some(refusal) = proxy::refusal(&restway_model::chain(&error)) {
        return refusal;
    }
    let problem = causes(&error);
    if problem == HEAD_TOO_LARGE {
        let bound = "400 KiB or 100 headers".to_owned();
        return Failure::TooLarge { what: "the head of the answer", bound, hint: None };
    }
    if error.is_dns() {
        Failure::Dns { problem }
    } else if error.is_timeout() && error.is_connect() {
        Failure::Timeout { what: super::NO_CONNECTION, after: connect_timeout }
    } else if error.is_connect() {
        Failure::Connect { problem }
    } else if error.is_builder() {
        Failure::invalid("the request", format!("cannot be sent: {problem}"))
    } else {
        Failure::Interrupted { problem, offset: 0 }
    }
}

fn tls_failure(error: &rustls::Error) -> Failure {
    let problem = match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => {
            other.0.to_string()
        }
        other => other.to_string(),
    };
    Failure::Tls { problem }
}

pub(super) fn body_failure(error: &reqwest::Error, offset: u64) -> Failure {
    Failure::Interrupted { problem: causes(error), offset }
}

/// An error of that type among the causes. An `io::Error` hides what it wraps from `source`.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    const DEPTH_MAX: usize = 16;
    let mut next = Some(error);
    for _ in 0..DEPTH_MAX {
        let current = next?;
        if let Some(found) = current.downcast_ref::<T>() {
            return Some(found);
        }
        let wrapped = current.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => current.source(),
        };
    }
    None
}

/// The innermost cause: the others say in many words that something failed.
pub(super) fn causes(error: &dyn Error) -> String {
    restway_model::chain(error).pop().unwrap_or_else(|| error.to_string())
}
