//! `restway probe`: a first look at an API, and the file that syncs it.

use crate::arguments::Probe;
use crate::context::Context;
use crate::report::{Exit, Failure};

pub(super) async fn run(_context: &Context, _arguments: &Probe) -> Result<Exit, Failure> {
    Ok(Exit::Failed)
}
