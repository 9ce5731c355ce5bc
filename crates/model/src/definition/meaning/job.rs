//! What `job` and the keys beside it mean together.

use super::Finder;
use crate::definition::{ApiFile, Format, Method, Paginate, ResourceSettings};
use crate::{Name, Scope};

pub(super) fn check(
    api: &ApiFile,
    finder: &mut Finder<'_>,
    name: &Name,
    resource: &ResourceSettings,
    scopes: &[Scope],
) {
    let Some(job) = &resource.job else { return };
    let at = |key| ["resources", name.as_str(), key];
    let within = |keys: &[&'static str]| [&at("job"), keys].concat();
    let path = within(&["poll", "path"]);
    finder.only(&path, &job.poll.path, &[scopes, &[Scope::Job]].concat());
    api.check_path(finder, &path, &job.poll.path);
    if !job.poll.path.references().any(|(scope, _)| scope == Scope::Job) {
        let hint = "write `${job.id}` where the api wants the id".to_owned();
        finder.report(&path, "the path does not say which job is meant", Some(hint));
    }
    let poll = &job.poll;
    if poll.every.0.is_zero() {
        finder.report(&within(&["poll", "every"]), "there is no wait", None);
    }
    if poll.maximum < poll.every {
        finder.report(&within(&["poll", "maximum"]), "is shorter than `every`", None);
    }
    if poll.timeout < poll.every {
        finder.report(&within(&["poll", "timeout"]), "is shorter than `every`", None);
    }
    if job.failed.as_ref() == Some(&job.done) {
        finder.report(&within(&["failed"]), "is the same as `done`", None);
    }
    if matches!(resource.method, Method::Head | Method::Options) {
        let hint = Some("a job is created by POST, rarely by GET or PUT".to_owned());
        finder.report(&at("method"), "the answer to this method holds no job", hint);
    }
    if !matches!(resource.paginate, Paginate::None {}) {
        let hint = Some("leave `paginate` out: what a job made is one page".to_owned());
        finder.report(&at("paginate"), "what a job made has no further pages", hint);
    }
    let is_plain = matches!(resource.format, Format::Json { .. }) && resource.archive.is_none();
    if job.download.is_none() && !is_plain {
        let message = "the answer about a job is JSON, and without `download` it holds the records";
        let hint = Some("write the path to the file's URL as `job.download`".to_owned());
        finder.report(&at("format"), message, hint);
    }
}
