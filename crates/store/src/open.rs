//! Opening: the state folder, the database in it, its settings and its schema.
//!
//! In: the path of the state folder. Out: a [`Store`], which is cheap to clone. The database runs
//! in WAL mode, so that readers never wait, with `synchronous = full`: what a commit promised is
//! still there after the power fails. Waiting for another process's write is bounded.
//!
//! What never happens here: reading a key. A workspace without secrets needs none, and one whose
//! key is lost can still show its runs.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use restway_model::Clock;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlitePool};
use uuid::ContextV7;

use crate::error::is_busy;
use crate::{Environment, Secrets, StoreError, files, rows, schema};

/// How long a statement waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a caller waits for a connection of the pool; longer than a busy writer may take.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a new database is tried to be switched to WAL mode.
const SWITCH_ATTEMPTS_MAX: u32 = 50;
/// Writers take turns anyway; a few more serve readers.
const CONNECTIONS_MAX: u32 = 4;

/// What this workspace remembers.
#[derive(Clone)]
pub struct Store {
    pool: SqlitePool,
    clock: Arc<dyn Clock>,
    state: Arc<Path>,
    run_ids: Arc<Mutex<ContextV7>>,
    secrets: Secrets,
}

impl Store {
    /// Opens the store in the state folder, creating and migrating it where needed; keys and
    /// overriding secrets come from the environment of this process.
    ///
    /// # Errors
    /// The folder cannot be used, or the database was written by a newer version.
    pub async fn open(state: &Path, clock: Arc<dyn Clock>) -> Result<Store, StoreError> {
        Self::open_in(state, clock, Environment::of_process()).await
    }

    /// As [`Store::open`], with the environment given.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_in(
        state: &Path,
        clock: Arc<dyn Clock>,
        environment: Environment,
    ) -> Result<Store, StoreError> {
        files::prepare(state).await?;
        let pool = connect(state).await.map_err(StoreError::during("open the database"))?;
        if let Err(error) = schema::migrate(&pool, &rows::written(clock.now())).await {
            pool.close().await;
            return Err(error);
        }
        let state: Arc<Path> = state.into();
        let secrets = Secrets::new(pool.clone(), clock.clone(), state.clone(), environment);
        let run_ids = Arc::new(Mutex::new(ContextV7::new()));
        Ok(Store { pool, clock, state, run_ids, secrets })
    }

    /// The secrets of this workspace.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Closes the database for every clone of this store and folds the write-ahead log into it.
    /// Not calling it loses nothing; the next process to open the store does the folding.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    pub(crate) fn run_ids(&self) -> &Mutex<ContextV7> {
        &self.run_ids
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}

async fn connect(state: &Path) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(state.join(files::DATABASE))
        .synchronous(SqliteSynchronous::Full)
        .pragma("fullfsync", "on")
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging();
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await?;
    use_write_ahead_log(&pool).await?;
    Ok(pool)
}

/// Switches a new database to WAL mode, which it keeps; on any other this does nothing.
///
/// The switch needs the database for itself, and SQLite does not wait for that. So whoever is
/// refused asks for the same in a way that does wait, up to the busy timeout, and tries again: by
/// then another process has most likely done it.
async fn use_write_ahead_log(pool: &SqlitePool) -> Result<(), sqlx::Error> {
    let mut attempt = 1;
    loop {
        match sqlx::raw_sql("pragma journal_mode = wal").execute(pool).await {
            Err(error) if is_busy(&error) && attempt < SWITCH_ATTEMPTS_MAX => {
                pool.begin_with("begin exclusive").await?.rollback().await?;
                attempt += 1;
            }
            switched => return switched.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use restway_model::{Code, Explain};

    use super::*;
    use crate::testing::{Bench, block_on};

    #[tokio::test]
    async fn a_newer_schema_is_refused_and_left_alone() {
        let bench = Bench::new();
        let store = bench.open().await;
        let newer = "insert into schema_version (version, applied_at) values (99, 'later')";
        sqlx::raw_sql(newer).execute(store.pool()).await.unwrap();
        store.close().await;

        let refused = bench.try_open().await.err().unwrap();
        assert_eq!(refused.code(), Code::StoreNewer);
        assert!(matches!(refused, StoreError::Newer { found: 99, known: 9 }), "{refused}");
    }

    #[tokio::test]
    async fn a_migration_that_ends_in_its_middle_leaves_the_schema_before_and_is_done_again() {
        let bench = Bench::new();
        let store = bench.open().await;
        let older = "drop table api_key; drop table account_user;
            alter table run drop column unchanged; alter table run_resource drop column unchanged;
            delete from schema_version where version > 6";
        let (all, names) = ("select count(*) from sqlite_schema", "select name from sqlite_schema");
        let complete: i64 = sqlx::query_scalar(all).fetch_one(store.pool()).await.unwrap();
        sqlx::raw_sql(older).execute(store.pool()).await.unwrap();
        bench.set(&store, "token", "a value").await;
        // The last step cannot be written down: as when the process ends just before.
        let ends = "create trigger ends before insert on schema_version when new.version = 8
            begin select raise(abort, 'it ends'); end";
        sqlx::raw_sql(ends).execute(store.pool()).await.unwrap();
        let before: Vec<String> = sqlx::query_scalar(names).fetch_all(store.pool()).await.unwrap();
        assert!(bench.try_open().await.is_err());
        let after: Vec<String> = sqlx::query_scalar(names).fetch_all(store.pool()).await.unwrap();
        assert_eq!(after, before, "no step of it is there");
        sqlx::raw_sql("drop trigger ends").execute(store.pool()).await.unwrap();
        store.close().await;
        let store = bench.open().await;
        let found: i64 = sqlx::query_scalar(all).fetch_one(store.pool()).await.unwrap();
        assert_eq!(found, complete);
        assert_eq!(store.secrets().list().await.unwrap().len(), 1, "and nothing is lost");
    }

    #[tokio::test]
    async fn the_database_is_durable_and_checks_its_references() {
        let bench = Bench::new();
        let store = bench.open().await;
        for (pragma, expected) in [
            ("pragma synchronous", "2"),
            ("pragma journal_mode", "wal"),
            ("pragma foreign_keys", "1"),
            ("pragma busy_timeout", "10000"),
        ] {
            use sqlx::Row;
            let row = sqlx::query(pragma).fetch_one(store.pool()).await.unwrap();
            let found = row
                .try_get::<i64, _>(0)
                .map(|number| number.to_string())
                .or_else(|_| row.try_get::<String, _>(0));
            assert_eq!(found.unwrap(), expected, "{pragma}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_the_owner_may_read_what_is_created() {
        use std::os::unix::fs::PermissionsExt;
        use std::path::Path;
        let bench = Bench::new();
        let store = bench.open().await;
        bench.set(&store, "token", "a value").await;
        let _lock = store.lock().unwrap();
        let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(bench.state()), 0o700);
        for name in ["restway.db", "restway.db-wal", "key", "lock"] {
            assert_eq!(mode(&bench.state().join(name)), 0o600, "{name}");
        }
    }

    #[test]
    fn many_processes_may_open_a_new_workspace_at_once() {
        for _ in 0..10 {
            let bench = Bench::new();
            let start = std::sync::Barrier::new(8);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        start.wait();
                        block_on(async { bench.open().await.close().await });
                    });
                }
            });
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_new_database_that_another_process_writes_is_waited_for() {
        use sqlx::{ConnectOptions, Connection};
        let bench = Bench::new();
        crate::files::prepare(bench.state()).await.unwrap();
        let path = bench.state().join(files::DATABASE);
        let mut writer = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
        sqlx::raw_sql(schema::BEGIN).execute(&mut writer).await.unwrap();

        let (state, clock) = (bench.state().to_owned(), bench.clock.clone());
        let opening = tokio::spawn(async move { Store::open(&state, clock).await });
        // Long enough for an opening that does not wait to be refused, which ends the loop.
        for _ in 0..1_000 {
            if opening.is_finished() {
                break;
            }
            sqlx::raw_sql("select * from sqlite_schema").execute(&mut writer).await.unwrap();
        }
        writer.close().await.unwrap();
        opening.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_full_disk_is_named() {
        let bench = Bench::new();
        let store = bench.open().await;
        let mut connections = Vec::new();
        for _ in 0..super::CONNECTIONS_MAX {
            let mut connection = store.pool().acquire().await.unwrap();
            sqlx::raw_sql("pragma max_page_count = 1").execute(&mut *connection).await.unwrap();
            connections.push(connection);
        }
        drop(connections);
        let full = store.start_run(restway_model::RunKind::Sync, &"x".repeat(100_000)).await;
        let full = full.unwrap_err();
        assert_eq!(full.code(), Code::DiskFull, "{:?}", restway_model::chain(&full));
    }
}
