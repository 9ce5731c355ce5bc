//! Every argument of every command, with its help.

mod accounts;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use restway_model::Timespan;

pub(crate) use accounts::{KeyCommand, Profile, UserCommand};

/// Call any REST API, land what it answers as tables, query them with SQL, publish them as a REST
/// API.
#[derive(Debug, Parser)]
#[command(
    name = "restway",
    version,
    max_term_width = 100,
    after_help = "Start with `restway demo`, or with `restway init` and `restway probe URL`.\n\
                  Exit codes: 0 done, 1 failed, 2 asked wrongly, 3 partly done and resumable."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Work in this workspace's folder [default: the nearest one with restway.yaml, from here up]
    #[arg(short = 'C', long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) directory: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing that was not asked for: no progress, no notes
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Write what happens to standard error, up to this level
    #[arg(long, global = true, value_name = "LEVEL", env = "RESTWAY_LOG", hide_env_values = true)]
    pub(crate) log: Option<LogLevel>,
}

/// How much the log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    /// Failures
    Error,
    /// And what somebody should know
    Warn,
    /// And the course of each run
    Info,
    /// And each page, batch and token
    Debug,
    /// And each request
    Trace,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole way on a bundled API: sync, query, publish
    #[command(after_help = "Examples:\n  restway demo\n  restway demo --once")]
    Demo(Demo),
    /// Make a workspace
    #[command(after_help = "Examples:\n  restway init\n  restway init shop --name shop")]
    Init(Init),
    /// Look at an API and write a file that syncs it
    #[command(after_help = "Examples:\n  restway probe https://api.acme.example/v2/projects\n  \
        restway probe https://api.acme.example/v2/projects --name acme --dry-run")]
    Probe(Probe),
    /// Write an api file from what somebody else wrote about an API, or land a file as a table
    #[command(after_help = "Examples:\n  restway import openapi openapi.yaml\n  \
        restway import openapi api.json --only /repos/ --set owner=acme --webhooks\n  \
        restway import postman acme.postman_collection.json\n  \
        restway import har acme.har --base-url https://api.acme.example/v2\n  \
        pbpaste | restway import curl -\n  \
        restway import ndjson orders.ndjson --table lake.orders")]
    Import(Import),
    /// Run a webhook, or send one request and print what came back
    #[command(after_help = "Examples:\n  restway call acme.create_account --param name=X\n  \
        echo '{\"name\": \"X\"}' | restway call acme.create_account --params - --dry-run\n  \
        restway call acme.create_account --param name=X --suggest\n  \
        restway call --url https://api.acme.example/v2/teams\n  \
        restway call --api acme --url /teams --query active=true\n  \
        restway call --input call.yaml\n  \
        restway call --url https://api.acme.example/v2/teams --method POST --body '{\"name\": \"x\"}'")]
    Call(Box<Call>),
    /// Read resources into tables
    #[command(after_help = "Examples:\n  restway sync\n  restway sync acme\n  \
        restway sync acme.projects acme.issues --json\n  \
        restway sync acme.orders --replay 01a200bb-b3aa")]
    Sync(Sync),
    /// Send the rows of a query to an API, and keep what became of each
    #[command(after_help = "Examples:\n  restway export acme.rename_accounts --dry-run\n  \
        restway export acme.rename_accounts\n  \
        restway export acme.rename_accounts --resume 01a200bb-b3aa")]
    Export(Export),
    /// Ask the tables with SQL
    #[command(after_help = "Examples:\n  restway query 'select count(*) from acme.projects'\n  \
        restway query --format csv -o teams.csv 'select * from acme.teams'\n  \
        restway query 'select * from acme.teams' --as-of 2026-01-31T12:00:00Z\n  \
        echo 'select 1' | restway query -")]
    Query(Query),
    /// List the tables, show one, keep them small, or bring them back to what they were
    #[command(after_help = "Examples:\n  restway tables\n  restway tables show acme.projects\n  \
        restway tables show acme.projects --profile\n  \
        restway tables vacuum --older-than 1d")]
    Tables(Tables),
    /// List what was done, or show one run
    #[command(after_help = "Examples:\n  restway runs\n  restway runs show 01a200bb-b3aa")]
    Runs(Runs),
    /// Publish the apps of the workspace as REST APIs
    #[command(after_help = "Examples:\n  restway serve\n  restway serve --listen 127.0.0.1:0")]
    Serve(Serve),
    /// Check every definition file and print every problem at once
    #[command(after_help = "Examples:\n  restway check\n  restway -C shop check --json")]
    Check,
    /// Print the requests of a sync, a webhook or an export as curl lines, without sending them or
    /// showing a secret
    #[command(after_help = "Examples:\n  restway plan acme\n  restway plan acme.issues")]
    Plan(Plan),
    /// Keep the credentials of the workspace
    #[command(after_help = "Examples:\n  restway secret set acme_token\n  \
        pass show acme | restway secret set acme_token -\n  restway secret list")]
    Secret(Secret),
    /// Log in to APIs that want a person; users and keys of those who ask what is published
    #[command(after_help = "Examples:\n  restway auth login acme\n  restway auth status\n  \
        restway auth logout acme\n  restway auth key add jo --group clerks\n  \
        restway auth user list")]
    Auth(Auth),
    /// Print the completions of a shell
    #[command(after_help = "Example:\n  restway completions bash > \
        ~/.local/share/bash-completion/completions/restway")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Do everything, fetch what was published, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// Serve on this address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
}

/// Exchanges with apis as files.
#[derive(Debug, Clone, Args)]
pub(crate) struct TapeArguments {
    /// Keep every request and answer as files in this folder, without secrets
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "replay")]
    pub(crate) record: Option<PathBuf>,
    /// Answer requests from such a folder instead of calling; for `sync`, also a run of which
    /// `keep_raw` kept the pages
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) replay: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The folder
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
    /// The name of the workspace [default: the folder's]
    #[arg(long)]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// A list of the API, as a whole URL
    pub(crate) url: String,
    /// The name of the api [default: from the URL's host]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Log in as this api of the workspace does
    #[arg(long, value_name = "API")]
    pub(crate) auth_of: Option<String>,
    /// Print the file instead of writing it
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) tape: TapeArguments,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    #[command(subcommand)]
    pub(crate) what: ImportWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportWhat {
    /// OpenAPI 3.0 and 3.1, and Swagger 2.0, as JSON or YAML: lists become resources
    #[command(after_help = "Example:\n  restway import openapi openapi.yaml --name acme")]
    Openapi {
        #[command(flatten)]
        common: ImportArguments,
        /// Write the operations that change something as webhooks, too
        #[arg(long)]
        webhooks: bool,
        /// A value for a parameter of paths or queries; may be given again
        #[arg(long = "set", value_name = "NAME=VALUE")]
        set: Vec<String>,
    },
    /// A Postman collection, 2.0 or 2.1: GETs become resources, the others webhooks
    #[command(after_help = "Example:\n  restway import postman acme.postman_collection.json")]
    Postman {
        #[command(flatten)]
        common: ImportArguments,
    },
    /// A HAR archive of a browser: requests that were answered with JSON
    #[command(after_help = "Example:\n  restway import har acme.har")]
    Har {
        #[command(flatten)]
        common: ImportArguments,
    },
    /// A curl command line, as a browser copies it for bash
    #[command(after_help = "Example:\n  echo 'curl https://api.acme.example/v2/teams' | \
        restway import curl -")]
    Curl {
        #[command(flatten)]
        common: ImportArguments,
    },
    /// A CSV file whose first row names its fields: texts, but for what --types declares
    #[command(after_help = "Examples:\n  restway import csv orders.csv --table lake.orders\n  \
        restway import csv orders.csv --table lake.orders --types id=int64 --types \
        'price=decimal(18,2)'")]
    Csv {
        #[command(flatten)]
        common: FileArguments,
    },
    /// A file with a JSON object on each line: its records become a table
    #[command(
        after_help = "Examples:\n  restway import ndjson orders.ndjson --table lake.orders\n  \
        zcat orders.gz | restway import ndjson - --table lake.orders --append\n  \
        restway import ndjson prices.ndjson --table lake.prices --types price='decimal(18,4)'"
    )]
    Ndjson {
        #[command(flatten)]
        common: FileArguments,
    },
    /// A Parquet file: its rows become a table, with the types that its columns have
    #[command(after_help = "Example:\n  restway import parquet orders.parquet --table lake.orders")]
    Parquet {
        #[command(flatten)]
        common: FileArguments,
    },
}

/// What every import of records takes.
#[derive(Debug, Args)]
pub(crate) struct FileArguments {
    /// The file; `-` reads standard input, which Parquet cannot
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: String,
    /// The table that the records go to, as `lake.NAME`
    #[arg(long, value_name = "TABLE")]
    pub(crate) table: String,
    /// Keep the rows that are there; without it the new ones take their place
    #[arg(long)]
    pub(crate) append: bool,
    /// The type of a column, such as int64, decimal(18,2), date, timestamp or text; may be given
    /// again
    #[arg(long, value_name = "COLUMN=TYPE")]
    pub(crate) types: Vec<String>,
}

/// What every import of a definition takes.
#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// The file; `-` reads standard input
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: String,
    /// The name of the api [default: from its title or host]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Where the api is, over what the file says
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// Only what lies below this path; may be given again
    #[arg(long, value_name = "PATH")]
    pub(crate) only: Vec<String>,
    /// Print the file instead of writing it
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Call {
    #[command(flatten)]
    pub(crate) webhook: WebhookCall,
    /// The URL; with --api, a path below the api's base_url will do
    #[arg(long, required_unless_present_any = ["input", "name"])]
    pub(crate) url: Option<String>,
    /// All inputs of the call by their documented names, as one YAML or JSON object; `-` reads
    /// standard input
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["name", "url", "method", "headers", "query", "body", "expected"],
        value_hint = ValueHint::FilePath
    )]
    pub(crate) input: Option<String>,
    /// Log in, wait and retry as this api of the workspace does
    #[arg(long, value_name = "API")]
    pub(crate) api: Option<String>,
    /// The method
    #[arg(long, short = 'X', default_value = "GET", ignore_case = true)]
    pub(crate) method: String,
    /// A header; may be given again
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// A query parameter; may be given again
    #[arg(long = "query", value_name = "NAME=VALUE")]
    pub(crate) query: Vec<String>,
    /// A JSON body; `-` reads standard input
    #[arg(long, value_name = "JSON")]
    pub(crate) body: Option<String>,
    /// A status that counts as success; may be given again [default: 200 201 202 204]
    #[arg(long = "expect", value_name = "STATUS")]
    pub(crate) expected: Vec<u16>,
    /// Go through this proxy, whatever the api or the environment says: http, https or socks5, with
    /// a login as in `http://USER:${secret.NAME}@HOST:PORT`
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
    #[command(flatten)]
    pub(crate) tape: TapeArguments,
}

/// What `restway call` takes for a webhook.
#[derive(Debug, Args)]
pub(crate) struct WebhookCall {
    /// The webhook, as `api.webhook`
    #[arg(
        id = "name", value_name = "WEBHOOK",
        conflicts_with_all = ["url", "api", "method", "headers", "query", "body", "expected"]
    )]
    pub(crate) name: Option<String>,
    /// A parameter of the webhook; may be given again
    // `requires` alone lets them pass with `--url`, because `name` conflicts with it.
    #[arg(
        long = "param", value_name = "NAME=VALUE", requires = "name",
        conflicts_with_all = ["url", "input"]
    )]
    pub(crate) params: Vec<String>,
    /// A file with the parameters, as one JSON or YAML object; `-` reads standard input
    #[arg(
        long = "params", id = "params_file", value_name = "FILE", requires = "name",
        conflicts_with_all = ["url", "input"]
    )]
    pub(crate) file: Option<String>,
    /// Print the webhook's requests as curl lines, without sending them or showing a secret
    #[arg(long, requires = "name", conflicts_with_all = ["suggest", "url", "input"])]
    pub(crate) dry_run: bool,
    /// Call the api, and print the places in the answers that `outputs` could take
    #[arg(long, requires = "name", conflicts_with_all = ["url", "input"])]
    pub(crate) suggest: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Sync {
    /// Apis (`acme`) and resources (`acme.issues`) [default: all]
    pub(crate) what: Vec<String>,
    /// Read everything anew, and replace what is there once all of it is read
    #[arg(long)]
    pub(crate) full: bool,
    #[command(flatten)]
    pub(crate) tape: TapeArguments,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The export, as `api.export`
    pub(crate) name: String,
    /// Print the first requests as curl lines and count the rows, without sending anything or
    /// showing a secret
    #[arg(long, conflicts_with = "resume")]
    pub(crate) dry_run: bool,
    /// Go on with a run: send the rows of its query that were not sent, and those that were refused
    #[arg(long, value_name = "RUN")]
    pub(crate) resume: Option<String>,
    /// Send the ambiguous rows again, too: only when you have looked that the api did not do them
    #[arg(long, requires = "resume")]
    pub(crate) ambiguous: bool,
    #[command(flatten)]
    pub(crate) tape: TapeArguments,
}

#[derive(Debug, Args)]
pub(crate) struct Query {
    /// One SELECT; `-` reads it from standard input
    pub(crate) sql: String,
    /// How the answer is written [default: table on a terminal, csv elsewhere]
    #[arg(long, short)]
    pub(crate) format: Option<Format>,
    /// Write to this file, which appears when it is whole
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// A value for `$name` in the SQL; may be given again
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub(crate) params: Vec<String>,
    /// Read tables as they were: at an instant (`2026-01-31T12:00:00Z`) or a day's beginning, at a
    /// version of the query's only table (`12`), or one table at either (`acme.teams@12`); may be
    /// given again
    #[arg(long, value_name = "MOMENT")]
    pub(crate) as_of: Vec<String>,
    /// Memory that the query may take before it goes on on the disk [default: 2GiB]
    #[arg(long, value_name = "BYTES")]
    pub(crate) memory: Option<String>,
    /// The most rows of a table on the terminal; other formats have no bound
    #[arg(long, default_value_t = 100, value_name = "ROWS")]
    pub(crate) rows: usize,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns that fit the terminal
    Table,
    /// Comma separated, with a head line (RFC 4180)
    Csv,
    /// One JSON list of objects
    Json,
    /// One JSON object a line
    Ndjson,
    /// Arrow IPC stream
    Arrow,
    /// Parquet file
    Parquet,
}

#[derive(Debug, Args)]
pub(crate) struct Tables {
    #[command(subcommand)]
    pub(crate) command: Option<TablesCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TablesCommand {
    /// Show the columns of a table, what they hold, and the versions of the table
    #[command(after_help = "Examples:\n  restway tables show acme.projects\n  \
        restway tables show acme.projects --profile --json")]
    Show {
        /// The table, as `api.resource`
        table: String,
        /// Read all rows: nulls, different values, least, greatest and most frequent values
        #[arg(long)]
        profile: bool,
        /// The most versions to list
        #[arg(long, default_value_t = 10, value_name = "VERSIONS")]
        versions: usize,
    },
    /// Make few large files of many small ones; the rows stay the same
    #[command(after_help = "Example:\n  restway tables optimize acme.projects")]
    Optimize {
        /// Tables, as `api.resource` [default: all]
        tables: Vec<String>,
    },
    /// Bring a resource's table and its child tables back to what they were; the next sync goes on
    /// from there
    #[command(after_help = "Examples:\n  restway tables restore acme.projects --to 12\n  \
        restway tables restore acme.projects --to 2026-01-31T12:00:00Z")]
    Restore {
        /// The resource's table, as `api.resource`
        table: String,
        /// The version, an instant, or a day's beginning
        #[arg(long, value_name = "MOMENT")]
        to: String,
    },
    /// Remove a resource's table and its child tables, with all versions; the next sync lands
    /// everything anew
    #[command(after_help = "Example:\n  restway tables drop acme.projects --yes")]
    Drop {
        /// The resource's table, as `api.resource`
        table: String,
        /// Do it; without this, only say what would go
        #[arg(long)]
        yes: bool,
    },
    /// Remove the files that only old versions of the tables need
    #[command(after_help = "Example:\n  restway tables vacuum acme.projects --older-than 1d")]
    Vacuum {
        /// Tables, as `api.resource` [default: all]
        tables: Vec<String>,
        /// Keep what the versions since then need
        #[arg(long, value_name = "AGE", default_value = "7d")]
        older_than: Timespan,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Runs {
    #[command(subcommand)]
    pub(crate) command: Option<RunsCommand>,
    /// The most runs to list
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// Show a run with its resources
    #[command(after_help = "Example:\n  restway runs show 01a200bb-b3aa")]
    Show {
        /// The run's id, or the beginning of it
        run: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The address; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7878")]
    pub(crate) listen: SocketAddr,
    /// Listen beyond loopback, in clear text: only behind something that speaks TLS
    #[arg(long)]
    pub(crate) insecure_listen: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// Apis (`acme`), resources (`acme.issues`), webhooks (`acme.create`) and exports
    #[arg(required = true)]
    pub(crate) what: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Auth {
    #[command(subcommand)]
    pub(crate) command: AuthCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuthCommand {
    /// Show the address where a person logs in, wait for them, and keep the tokens, sealed
    #[command(after_help = "Example:\n  restway auth login acme")]
    Login {
        /// The api, whose `grant` is authorization_code or device
        api: String,
    },
    /// List who is logged in, and until when; never a token
    #[command(after_help = "Examples:\n  restway auth status\n  restway auth status acme --json")]
    Status {
        /// The api [default: all where a person logs in]
        api: Option<String>,
    },
    /// Forget the tokens, and have the server revoke them where there is a `revoke_url`
    #[command(after_help = "Example:\n  restway auth logout acme")]
    Logout {
        /// The api
        api: String,
    },
    /// The keys of those who ask what is published: make, list, rotate, revoke
    #[command(subcommand)]
    Key(KeyCommand),
    /// Those who ask what is published: their groups and what is known of them
    #[command(subcommand)]
    User(UserCommand),
}

#[derive(Debug, Args)]
pub(crate) struct Secret {
    #[command(subcommand)]
    pub(crate) command: SecretCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Keep a secret: asks for it on a terminal, reads standard input elsewhere
    #[command(after_help = "Examples:\n  restway secret set acme_token\n  \
        pass show acme | restway secret set acme_token -")]
    Set {
        /// The name, for `${secret.NAME}`
        name: String,
        /// `-` reads standard input; a secret itself is never an argument
        #[arg(value_parser = ["-"])]
        source: Option<String>,
    },
    /// List the names of the secrets, never a value
    #[command(after_help = "Example:\n  restway secret list --json")]
    List,
    /// Remove a secret
    Rm {
        /// The name
        name: String,
    },
    /// Put a new master key in the place of the old one; secrets stay as they are
    Rotate,
}
