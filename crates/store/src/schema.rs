//! The schema of the SQLite database, as the list of steps that lead to it.
//!
//! A step that was released is never edited; a change is a further step. All steps that are
//! missing are applied in one transaction, which also holds off a second process that opens the
//! same database, so nobody ever sees half a schema. A database that a newer version has migrated
//! is refused before anything is written to it.

use sqlx::SqlitePool;

use crate::StoreError;
use crate::sql;

/// Every write that reads first takes the write lock first: a transaction that upgrades later can
/// be refused without waiting.
pub(crate) const BEGIN: &str = "begin immediate";

const VERSIONS: &str = "create table if not exists schema_version (
    version integer primary key,
    applied_at text not null
) strict";

/// Times are RFC 3339 text in UTC with milliseconds, so that their order is that of the text.
const FIRST: &str = "
create table run (
    run_id text primary key,
    kind text not null,
    subject text not null,
    status text not null,
    started_at text not null,
    ended_at text,
    error_code text,
    error_message text,
    requests integer not null default 0,
    retries integer not null default 0,
    pages integer not null default 0,
    records integer not null default 0,
    row_count integer not null default 0,
    bytes integer not null default 0,
    check ((status = 'running') = (ended_at is null))
) strict;
create index run_running on run (kind, started_at) where status = 'running';

create table run_resource (
    run_id text not null references run (run_id),
    resource text not null,
    status text not null,
    started_at text not null,
    ended_at text not null,
    error_code text,
    error_message text,
    requests integer not null,
    retries integer not null,
    pages integer not null,
    records integer not null,
    row_count integer not null,
    bytes integer not null,
    primary key (run_id, resource)
) strict;

create table batch (
    stream text not null,
    sequence integer not null check (sequence >= 1),
    run_id text not null references run (run_id),
    resource text not null,
    row_count integer not null,
    state text,
    body text,
    recorded_at text not null,
    finished_at text,
    primary key (stream, sequence),
    check ((body is null) = (finished_at is not null))
) strict;
create index batch_pending on batch (stream, sequence) where body is not null;

create table data_key (
    data_key_id text primary key,
    created_at text not null
) strict;

create table data_key_wrap (
    data_key_id text not null references data_key (data_key_id),
    master_id text not null,
    nonce blob not null,
    sealed blob not null,
    created_at text not null,
    primary key (data_key_id, master_id)
) strict;

create table secret (
    name text primary key,
    data_key_id text not null references data_key (data_key_id),
    nonce blob not null,
    sealed blob not null,
    updated_at text not null
) strict;
";

/// Tokens that rotate, sealed like secrets.
const TOKENS: &str = "
create table token (
    slot text primary key,
    data_key_id text not null references data_key (data_key_id),
    nonce blob not null,
    sealed blob not null,
    updated_at text not null
) strict;
";

/// Webhooks: who ran one, and its calls. Texts are null when they are not to be kept.
const WEBHOOKS: &str = "
create table webhook_run (
    run_id text primary key references run (run_id),
    person text not null,
    inputs text,
    kept_until text
) strict;
create index webhook_run_kept on webhook_run (kept_until) where kept_until is not null;

create table webhook_call (
    run_id text not null references run (run_id),
    position integer not null,
    call_id text not null,
    method text not null,
    path text not null,
    status integer,
    attempts integer not null,
    milliseconds integer not null,
    error_code text,
    answer text,
    primary key (run_id, position)
) strict;
";

/// The versions of webhooks: each definition that was run, and the runs that ran it.
const WEBHOOK_VERSIONS: &str = "
create table webhook_version (
    webhook text not null,
    version integer not null check (version >= 1),
    definition text not null,
    first_run_at text not null,
    primary key (webhook, version)
) strict;
alter table webhook_run add column version integer;
";

/// What a load refused, and what it removed.
const REJECTS: &str = "
alter table run add column rejected integer not null default 0;
alter table run add column deleted integer not null default 0;
alter table run_resource add column rejected integer not null default 0;
alter table run_resource add column deleted integer not null default 0;
";

/// From where streams go on: a row for each part of a stream, in place of one for each batch; and
/// what each part's was after earlier batches, null where it had none.
/// And what a run did to a resource beside what can be counted, as JSON.
const STATES: &str = "
create table stream_state (
    stream text not null,
    part text not null,
    state text not null,
    updated_at text not null,
    primary key (stream, part)
) strict;
create table state_past (
    stream text not null,
    part text not null,
    sequence integer not null,
    state text,
    primary key (stream, part, sequence)
) strict, without rowid;
alter table batch drop column state;
alter table run_resource add column detail text;
";

/// Answers that a run was not sent again.
const UNCHANGED: &str = "
alter table run add column unchanged integer not null default 0;
alter table run_resource add column unchanged integer not null default 0;
";

/// Who may ask what is published. Groups and claims are JSON.
const ACCOUNTS: &str = "
create table account_user (
    user_name text primary key,
    group_names text not null,
    claims text not null,
    updated_at text not null
) strict;
create table api_key (
    key_id text primary key,
    user_name text not null references account_user (user_name) on delete cascade,
    digest blob not null unique,
    created_at text not null,
    expires_at text,
    last_used_at text
) strict;
create index api_key_user on api_key (user_name);
";

/// Exports: the rows of a query on their way to an api, until they are done, and the runs that sent
/// them. A row's content is null when it is done; its outcome stays until it is in the tables.
const EXPORTS: &str = "
create table export_outbox (
    outbox_id integer primary key,
    export text not null,
    key_types text,
    row_total integer not null default 0,
    forgotten_at text
) strict;

create table export_run (
    run_id text primary key references run (run_id),
    outbox_id integer not null references export_outbox (outbox_id),
    done integer not null default 0,
    refused integer not null default 0,
    ambiguous integer not null default 0,
    waiting integer not null default 0,
    landed_at text
) strict;
create index export_run_outbox on export_run (outbox_id);
create index export_run_open on export_run (run_id) where landed_at is null;

create table export_row (
    outbox_id integer not null references export_outbox (outbox_id),
    position integer not null check (position >= 1),
    row_key text not null,
    idempotency_key text not null,
    state text not null,
    content text,
    attempts integer not null default 0,
    status integer,
    response text,
    error_code text,
    error text,
    sent_at text,
    is_landed integer not null default 0,
    primary key (outbox_id, position)
) strict, without rowid;
";

const STEPS: &[&str] =
    &[FIRST, TOKENS, WEBHOOKS, WEBHOOK_VERSIONS, REJECTS, STATES, UNCHANGED, ACCOUNTS, EXPORTS];

/// Brings the database up to this version's schema.
pub(crate) async fn migrate(pool: &SqlitePool, now: &str) -> Result<(), StoreError> {
    let failed = StoreError::during("prepare the tables");
    let mut transaction = pool.begin_with(BEGIN).await.map_err(&failed)?;
    sqlx::raw_sql(VERSIONS).execute(&mut *transaction).await.map_err(&failed)?;
    let found: i64 = sqlx::query_scalar(sql::SCHEMA_FOUND)
        .fetch_one(&mut *transaction)
        .await
        .map_err(&failed)?;
    let steps = (1_i64..).zip(STEPS);
    let known = steps.clone().count().try_into().unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for (version, step) in steps.filter(|(version, _)| *version > found) {
        sqlx::raw_sql(*step).execute(&mut *transaction).await.map_err(&failed)?;
        sqlx::query(sql::SCHEMA_RECORD)
            .bind(version)
            .bind(now)
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
    }
    transaction.commit().await.map_err(&failed)
}
