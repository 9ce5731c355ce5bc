//! Every statement of this room, by concern.
//!
//! They are written in the SQL that SQLite and PostgreSQL share: `$1` for a parameter, `on
//! conflict`, no function of either. A test prepares each of them on a migrated database, so a
//! renamed column fails there and not with a user. Every list carries its `limit`.

/// Declares the statements, and the list of all of them that the test walks.
macro_rules! statements {
    ($($(#[$note:meta])* $name:ident = $text:literal;)+) => {
        $($(#[$note])* pub(crate) const $name: &str = $text;)+
        #[cfg(test)]
        pub(crate) const ALL: &[&str] = &[$($name),+];
    };
}

statements! {
    // Runs.
    RUN_START = "insert into run (run_id, kind, subject, status, started_at)
        values ($1, $2, $3, 'running', $4)";
    RUN_END = "update run set status = $2, ended_at = $3, error_code = $4, error_message = $5,
            requests = $6, retries = $7, pages = $8, records = $9, row_count = $10, bytes = $11,
            rejected = $12, deleted = $13, unchanged = $14
        where run_id = $1 and status = 'running'";
    RUN_LIST = "select * from run order by run_id desc limit $1";
    RUN_LIST_BEFORE = "select * from run where run_id < $2 order by run_id desc limit $1";
    /// From the prefix up to the first text behind all that begin with it.
    RUN_FIND = "select * from run where run_id >= $1 and run_id < $2 order by run_id limit $3";
    /// The runs of one kind that started before an instant and were never ended.
    RUN_UNDER_WAY = "select count(*) from run where status = 'running' and kind = $1";
    RUN_LEFT = "select exists (select 1 from run where status = 'running'
        and kind in ('sync', 'import', 'tables', 'export'))";
    RUN_ABANDON = "update run set status = 'failed', ended_at = $3, error_code = $4,
            error_message = $5
        where status = 'running' and kind = $1 and started_at < $2";
    OUTCOME_SAVE = "insert into run_resource (run_id, resource, status, started_at, ended_at,
            error_code, error_message, requests, retries, pages, records, row_count, bytes,
            rejected, deleted, unchanged, detail)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
        on conflict (run_id, resource) do update set status = excluded.status,
            started_at = excluded.started_at, ended_at = excluded.ended_at,
            error_code = excluded.error_code, error_message = excluded.error_message,
            requests = excluded.requests, retries = excluded.retries, pages = excluded.pages,
            records = excluded.records, row_count = excluded.row_count, bytes = excluded.bytes,
            rejected = excluded.rejected, deleted = excluded.deleted,
            unchanged = excluded.unchanged, detail = excluded.detail";
    OUTCOME_LIST = "select * from run_resource where run_id = $1 order by resource limit $2";

    // Webhooks.
    WEBHOOK_BEGIN = "insert into webhook_run (run_id, person, inputs, kept_until, version)
        values ($1, $2, $3, $4, $5)";
    WEBHOOK_VERSION_NEWEST = "select version, definition from webhook_version where webhook = $1
        order by version desc limit 1";
    WEBHOOK_VERSION_ADD = "insert into webhook_version (webhook, version, definition, first_run_at)
        values ($1, $2, $3, $4)";
    WEBHOOK_CALL = "insert into webhook_call (run_id, position, call_id, method, path, status,
            attempts, milliseconds, error_code, answer)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    /// What is over its time is not read, also before it is forgotten.
    WEBHOOK_FIND = "select w.person, w.kept_until, w.version, v.definition,
            case when w.kept_until > $2 then w.inputs end as inputs
        from webhook_run w
        join run r on r.run_id = w.run_id
        left join webhook_version v on v.webhook = r.subject and v.version = w.version
        where w.run_id = $1";
    WEBHOOK_CALLS = "select call_id, method, path, status, attempts, milliseconds, error_code,
            case when (select kept_until from webhook_run w where w.run_id = c.run_id) > $2
                then answer end as answer
        from webhook_call c where run_id = $1 order by position limit $3";
    WEBHOOK_FORGET_ANSWERS = "update webhook_call set answer = null
        where answer is not null
            and run_id in (select run_id from webhook_run where kept_until <= $1)";
    WEBHOOK_FORGET_INPUTS = "update webhook_run set inputs = null, kept_until = null
        where kept_until <= $1";

    // Exports.
    OUTBOX_ADD = "insert into export_outbox (export) values ($1) returning outbox_id";
    OUTBOX_FILLED = "update export_outbox set key_types = $2, row_total = $3 where outbox_id = $1";
    EXPORT_BEGIN = "insert into export_run (run_id, outbox_id) values ($1, $2)";
    EXPORT_FIND = "select e.*, o.export, o.key_types, o.row_total, o.forgotten_at
        from export_run e join export_outbox o on o.outbox_id = e.outbox_id
        where e.run_id = $1";
    EXPORT_OPEN = "select e.run_id from export_run e
        join export_outbox o on o.outbox_id = e.outbox_id
        where e.landed_at is null and o.export = $1 order by e.run_id limit $2";
    EXPORT_LANDED = "update export_run set landed_at = $2, done = $3, refused = $4,
            ambiguous = $5, waiting = $6
        where run_id = $1";
    /// Rows that landed with an earlier run and were not sent since are none of this one's.
    ROW_COUNTS = "select state, count(*) as row_count from export_row
        where outbox_id = $1 and is_landed = $2 group by state";
    ROW_ADD = "insert into export_row (outbox_id, position, row_key, idempotency_key, state, content)
        values ($1, $2, $3, $4, 'waiting', $5)";
    ROW_TWICE = "select row_key from export_row where outbox_id = $1
        group by row_key having count(*) > 1 limit 1";
    ROW_NEXT = "select position, row_key, idempotency_key, content, attempts from export_row
        where outbox_id = $1 and position > $2 and state = 'waiting'
        order by position limit $3";
    ROW_SENDING = "update export_row set state = 'sending'
        where outbox_id = $1 and position = $2";
    ROW_SETTLE = "update export_row set state = $3, attempts = attempts + $4, status = $5,
            response = $6, error_code = $7, error = $8, sent_at = $9,
            content = case when $3 = 'done' then null else content end
        where outbox_id = $1 and position = $2";
    ROW_CUT_OFF = "update export_row set state = 'ambiguous', attempts = attempts + 1,
            error_code = $2, error = $3, sent_at = $4
        where outbox_id = $1 and state = 'sending'";
    ROW_AGAIN = "update export_row set state = 'waiting', is_landed = 0, status = null,
            response = null, error_code = null, error = null
        where outbox_id = $1 and (state = 'refused' or (state = 'ambiguous' and $2))";
    ROW_OUTCOMES = "select * from export_row
        where outbox_id = $1 and position > $2 and is_landed = 0
            and state in ('done', 'refused', 'ambiguous')
        order by position limit $3";
    ROW_FORGET_DONE = "delete from export_row where outbox_id = $1 and state = 'done'";
    ROW_LANDED = "update export_row set is_landed = 1
        where outbox_id = $1 and state in ('refused', 'ambiguous')";
    ROW_DROP = "delete from export_row where outbox_id = $1";
    /// The outboxes that nobody has gone on with since then.
    OUTBOX_FORGET = "update export_outbox set forgotten_at = $2
        where forgotten_at is null and outbox_id in (
            select e.outbox_id from export_run e join run r on r.run_id = e.run_id
            group by e.outbox_id having max(r.started_at) < $1)";
    ROW_FORGET_OLD = "delete from export_row where outbox_id in (
        select outbox_id from export_outbox where forgotten_at is not null)";

    // Batches.
    BATCH_OF_RUN = "select count(*) from batch where stream = $1 and run_id = $2";
    BATCH_NEXT = "select coalesce(max(sequence), 0) + 1 from batch where stream = $1";
    BATCH_RECORD = "insert into batch
            (stream, sequence, run_id, resource, row_count, body, recorded_at)
        values ($1, $2, $3, $4, $5, $6, $7)";
    BATCH_PENDING = "select stream, sequence, run_id, resource, row_count, body from batch
        where body is not null order by stream, sequence limit $1";
    BATCH_FIRST_PENDING = "select min(sequence) from batch
        where stream = $1 and body is not null";
    BATCH_KNOWN = "select count(*) from batch where stream = $1 and sequence = $2";
    BATCH_FINISH = "update batch set body = null, finished_at = $3
        where stream = $1 and sequence = $2";

    // From where streams go on.
    STATE_GET = "select state from stream_state where stream = $1 and part = $2";
    STATE_COUNT = "select count(*) from stream_state where stream = $1";
    STATE_SET = "insert into stream_state (stream, part, state, updated_at)
        values ($1, $2, $3, $4)
        on conflict (stream, part) do update set state = excluded.state,
            updated_at = excluded.updated_at";
    STATE_FORGET = "delete from stream_state where stream = $1 and part = $2";
    STATE_RESET = "delete from stream_state where stream = $1";
    STATE_PAST_RESET = "insert or replace into state_past (stream, part, sequence, state)
        select stream, part, $2, null from stream_state where stream = $1";
    STATE_PAST_SET = "insert or replace into state_past (stream, part, sequence, state)
        select $1, $2, $3, $4
        where $4 is not (select state from stream_state where stream = $1 and part = $2)";
    STATE_AFTER = "select part, state from state_past as past
        where stream = $1 and state is not null and sequence = (
            select max(sequence) from state_past as other
            where other.stream = past.stream and other.part = past.part
                and other.sequence <= $2)";
    STATE_PAST_PRUNE = "delete from state_past as past
        where stream = $1 and sequence < $2 and exists (
            select 1 from state_past as other
            where other.stream = past.stream and other.part = past.part
                and other.sequence > past.sequence and other.sequence <= $2)";

    // Secrets.
    SECRET_SET = "insert into secret (name, data_key_id, nonce, sealed, updated_at)
        values ($1, $2, $3, $4, $5)
        on conflict (name) do update set data_key_id = excluded.data_key_id,
            nonce = excluded.nonce, sealed = excluded.sealed, updated_at = excluded.updated_at";
    SECRET_LIST = "select name, updated_at from secret order by name limit $1";
    SECRET_ALL = "select name, data_key_id, nonce, sealed from secret order by name limit $1";
    SECRET_GET = "select name, data_key_id, nonce, sealed from secret where name = $1";
    SECRET_COUNT = "select count(*) from secret where name <> $1";
    SECRET_REMOVE = "delete from secret where name = $1";
    DATA_KEY_NEWEST = "select data_key_id from data_key
        order by created_at desc, data_key_id limit 1";
    DATA_KEY_ADD = "insert into data_key (data_key_id, created_at) values ($1, $2)";
    WRAP_LIST = "select master_id, nonce, sealed from data_key_wrap
        where data_key_id = $1 order by master_id limit $2";
    WRAP_ADD = "insert into data_key_wrap (data_key_id, master_id, nonce, sealed, created_at)
        values ($1, $2, $3, $4, $5)";
    DATA_KEY_LIST = "select data_key_id from data_key order by data_key_id limit $1";
    WRAP_DROP_OTHERS = "delete from data_key_wrap where master_id <> $1";

    // Tokens.
    TOKEN_KEEP = "insert into token (slot, data_key_id, nonce, sealed, updated_at)
        values ($1, $2, $3, $4, $5)
        on conflict (slot) do update set data_key_id = excluded.data_key_id,
            nonce = excluded.nonce, sealed = excluded.sealed, updated_at = excluded.updated_at";
    TOKEN_GET = "select data_key_id, nonce, sealed from token where slot = $1";
    TOKEN_FORGET = "delete from token where slot = $1";

    // Users and keys.
    USER_LIST = "select * from account_user order by user_name limit $1";
    USER_GET = "select * from account_user where user_name = $1";
    USER_COUNT = "select count(*) from account_user";
    USER_SET = "insert into account_user (user_name, group_names, claims, updated_at)
        values ($1, $2, $3, $4)
        on conflict (user_name) do update set group_names = excluded.group_names,
            claims = excluded.claims, updated_at = excluded.updated_at";
    USER_REMOVE = "delete from account_user where user_name = $1";
    KEY_ADD = "insert into api_key (key_id, user_name, digest, created_at, expires_at)
        values ($1, $2, $3, $4, $5)";
    KEY_GET = "select * from api_key where key_id = $1";
    KEY_COUNT = "select count(*) from api_key where user_name = $1";
    KEY_LIST = "select * from api_key order by user_name, created_at, key_id limit $1";
    KEY_EXPIRE = "update api_key set expires_at = $2 where key_id = $1";
    KEY_REMOVE = "delete from api_key where key_id = $1";
    KEY_USED = "update api_key set last_used_at = $2 where key_id = $1";
    KEY_FIND = "select k.key_id, k.user_name, k.last_used_at, u.group_names, u.claims
        from api_key k join account_user u on u.user_name = k.user_name
        where k.digest = $1 and (k.expires_at is null or k.expires_at > $2)";

    // The schema itself.
    SCHEMA_FOUND = "select coalesce(max(version), 0) from schema_version";
    SCHEMA_RECORD = "insert into schema_version (version, applied_at) values ($1, $2)";
}

#[cfg(test)]
mod tests {
    use sqlx::{Executor, SqlSafeStr};

    use crate::testing::Bench;

    #[tokio::test]
    async fn every_statement_prepares_on_a_migrated_database() {
        let bench = Bench::new();
        let store = bench.open().await;
        let mut connection = store.pool().acquire().await.unwrap();
        for statement in super::ALL {
            let prepared = connection.prepare(statement.into_sql_str()).await;
            assert!(prepared.is_ok(), "{statement}: {:?}", prepared.err());
        }
    }
}
