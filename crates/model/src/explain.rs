//! Errors that explain themselves: what happened, where, and what to do about it.
//!
//! Every public error of every room implements [`Explain`]; the terminal and the HTTP answer are
//! the only two places that render one. A code is stable, names the stage it comes from, and is
//! listed in `docs/reference/errors.md`, which is generated from [`Code::ALL`].

use std::error::Error;
use std::fmt;

/// Whose move it is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// What was asked could not be done: exit code 1.
    Failed,
    /// It was asked wrongly (a definition, an argument): exit code 2.
    Asked,
    /// Partly done; asking again resumes: exit code 3.
    Partly,
}

/// Where in a person's own file the error lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file as the person would name it, relative to the workspace.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line itself as it may be shown, without its end.
    pub text: String,
    /// How many characters to underline, at least 1.
    pub width: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// An error that says what it is, where it is and what helps.
pub trait Explain: Error + Send + Sync + 'static {
    /// The stable code.
    fn code(&self) -> Code;

    /// What to do, most likely first; each a sentence fragment without a full stop.
    fn hints(&self) -> Vec<String> {
        Vec::new()
    }

    /// The place in a file of the person's, where there is one.
    fn place(&self) -> Option<Place> {
        None
    }
}

/// The causes of an error below itself, outermost first, without repeating a text that the one
/// above already contains. Bounded at 16.
pub fn chain(error: &dyn Error) -> Vec<String> {
    const DEPTH_MAX: usize = 16;
    let mut texts = Vec::new();
    let mut above = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !above.contains(&text) {
            texts.push(text.clone());
        }
        if texts.len() >= DEPTH_MAX {
            break;
        }
        above = text;
        next = cause.source();
    }
    texts
}

macro_rules! codes {
    ($($variant:ident $text:literal $fault:ident $meaning:literal),+ $(,)?) => {
        /// The closed set of error codes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $variant),+
        }

        impl Code {
            /// Every code, in the order of the stages.
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];

            /// The code as it is printed and sent.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text),+ }
            }

            /// What it means, in one line.
            pub const fn meaning(self) -> &'static str {
                match self { $(Code::$variant => $meaning),+ }
            }

            /// Whose move it is.
            pub const fn fault(self) -> Fault {
                match self { $(Code::$variant => Fault::$fault),+ }
            }
        }
    };
}

codes! {
    DefinitionInvalid "definition.invalid" Asked "A definition file does not follow the grammar",
    DefinitionMissing "definition.missing" Asked "A named api, resource, query or app does not exist",
    WorkspaceMissing "workspace.missing" Asked "No `restway.yaml` in the folder or above it",
    WorkspaceExists "workspace.exists" Asked "The file to write is there already",
    WorkspaceBusy "workspace.busy" Failed "Another process holds the workspace",
    ArgumentInvalid "argument.invalid" Asked "An argument or option has a value that cannot be used",
    SecretMissing "secret.missing" Asked "A secret or variable that a definition names is not set",
    SecretUnreadable "secret.unreadable" Failed "The secret store cannot be opened with this key",
    EgressDenied "call.egress_denied" Failed "The address is not one that this workspace may reach",
    CallDns "call.dns" Failed "The host name does not resolve",
    CallConnect "call.connect" Failed "No connection to the host",
    CallTls "call.tls" Failed "The TLS handshake failed",
    CertificateEnded "call.certificate_ended" Failed "The client certificate is no longer valid",
    CallProxy "call.proxy" Failed "The proxy did not open the way to the host",
    CallTimeout "call.timeout" Failed "The api did not answer in time",
    CallInterrupted "call.interrupted" Failed "The answer broke off before its end",
    CallRedirect "call.redirect" Failed "Too many redirects, or one that must not be followed",
    AccountOther "api.other_account" Failed "The credentials lead to another account than the file says",
    CallNotRecorded "call.not_recorded" Failed "A recording is played, and the request is not on it",
    CallUnauthorized "call.unauthorized" Failed "The api refused the credentials (401 or 403)",
    CallRateLimited "call.rate_limited" Partly "The api's rate limit outlasts the time allowed for waiting",
    CallStatus "call.status" Failed "The api answered with an unexpected status",
    TokenRefused "call.token_refused" Failed "The token endpoint gave no token",
    BodyPacked "call.body_packed" Failed "The answer's content coding is not what its head says",
    LoginMissing "call.login_missing" Asked "A person has to log in first, or again",
    BodyTooLarge "call.body_too_large" Failed "The answer is larger than the bound",
    BodyNotJson "page.not_json" Failed "The answer is not JSON",
    AnswerDeclared "page.declared_error" Failed "The answer is an error by the definition's `fail_when`",
    BodyMalformed "page.malformed" Failed "The answer is not in the format that the definition names",
    JobAnswer "job.answer" Failed "The answer about an export job lacks its id or its download",
    JobFailed "job.failed" Failed "The api says that an export job failed",
    JobTimeout "job.timeout" Failed "An export job was not done within its `timeout`",
    RecordsMissing "page.records_missing" Failed "The `records` path finds nothing in the answer",
    WebhookAnswer "webhook.answer" Failed "A webhook's answer has no such value, or one of another type",
    WebhookTimeout "webhook.timeout" Failed "A webhook took longer than its `timeout`",
    WebhookInterrupted "webhook.interrupted" Failed "A webhook was asked to stop before its end, or its process died",
    ExportRows "export.rows" Asked "The rows of an export lack a column that it names, or two have the same key",
    ExportRefused "export.refused" Failed "More rows of an export were not taken than it allows",
    ExportOver "export.nothing_left" Asked "Nothing of that run is left to be sent",
    PageLoop "page.loop" Failed "The api sent a page that was already read",
    PageBound "page.bound" Failed "More pages than the bound allows",
    PageMissing "page.missing" Failed "A page is empty, and the answer says that there are more",
    PageNoEnd "page.no_end" Failed "An answer may be cut without a trace, and rows would go that are not in it",
    PageTarget "page.target" Failed "The next page lies on another origin",
    ReplayRefused "replay.refused" Asked "The pages of a run are not kept, or cannot be landed again",
    FileName "files.name" Failed "A row gives its file no name, or one that another row has given",
    RecordInvalid "table.record_invalid" Failed "A record cannot be landed",
    TooManyRejects "table.too_many_rejects" Failed "More records were rejected than `max_rejects` allows",
    TooManyAbsent "table.too_many_absent" Failed "More rows are absent than `deletes.max_fraction` allows",
    TableMissing "table.missing" Asked "No such table",
    VersionMissing "table.version_missing" Asked "No such version of the table, or its files were removed",
    TableDamaged "table.damaged" Failed "A table's log or a data file cannot be read",
    TableConflict "table.conflict" Failed "The table and the journal disagree, or another writer won",
    DiskFull "disk.full" Failed "No space left on the device",
    FileFailed "file.failed" Failed "A file could not be read or written",
    QueryInvalid "query.invalid" Asked "The SQL is wrong, or not a read-only query",
    QueryMemory "query.memory" Failed "The query needs more memory than it may have",
    LiveBound "query.live_bound" Failed "A live table has more pages or rows, or takes longer, than a query may read",
    LiveRefused "query.live_refused" Asked "The resource cannot be asked live",
    QueryFailed "query.failed" Failed "The query stopped with an error",
    StoreFailed "store.failed" Failed "The metadata store could not be read or written",
    ImportInvalid "import.invalid" Asked "The text to import is not what it should be, or says too little",
    StoreNewer "store.newer" Failed "The metadata store was written by a newer version",
    RequestInvalid "request.invalid" Asked "A published resource was asked for something it does not offer",
    ObjectMissing "object.missing" Asked "No such published app, object or item",
    AccessDenied "request.denied" Asked "The published object is not for this caller, or the host name is not the server's",
    TooManyRequests "request.too_many" Failed "A caller asks more often than the app lets them, or shows too much that is not good",
    IdentityUnknown "request.unidentified" Failed "The keys that say who asks cannot be read",
    SourceUnavailable "source.unavailable" Failed "The database behind a published object does not answer, or has no connection left",
    ServerBusy "server.busy" Failed "The server answers as many requests as it may at once",
    MethodNotAllowed "request.method_not_allowed" Asked "The published object does not take this method",
    ListenFailed "server.listen" Failed "The address to listen on cannot be used",
    RunFailed "run.failed" Failed "None of what was asked could be done",
    Interrupted "run.interrupted" Partly "The run was asked to stop",
    Internal "internal" Failed "A fault in Restway itself",
}

impl serde::Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
