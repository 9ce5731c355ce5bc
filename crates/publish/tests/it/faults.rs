//! Databases that are slow or not there.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use restway_model::Secret;
use restway_model::definition::SourceKind;
use restway_publish::{Address, Column, Kind, Page, Source, Statement};

use crate::databases::{self, get, publisher, source};

/// A statement that would run for ever is left; the one connection is free for the next.
async fn stops(source: Arc<dyn Source>, endless: &str, quick: &str) {
    let column = Column::new("n", Kind::Int64);
    let statement = |text: &str| Statement {
        text: text.to_owned(),
        values: Vec::new(),
        arguments: &[],
        columns: vec![&column],
    };
    let (endless, quick) = (statement(endless), statement(quick));
    let mut page = Page::new(Vec::new(), 1);
    source.read(&quick, &mut page).await.expect("a row");
    {
        let mut left = Page::new(Vec::new(), 1);
        let mut running = pin!(source.read(&endless, &mut left));
        // It is on its way after a few turns; what it waits for never comes.
        for _ in 0..100 {
            let polled = std::future::poll_fn(|context| {
                Poll::Ready(running.as_mut().poll(context).is_ready())
            });
            assert!(!polled.await, "it does not end");
            tokio::task::yield_now().await;
        }
    }
    let mut page = Page::new(Vec::new(), 1);
    source.read(&quick, &mut page).await.expect("a row");
    assert_eq!(page.into_bytes(), b"{\"n\":0}");
}

#[tokio::test]
async fn sqlite_stops_what_nobody_waits_for() {
    let endless = "WITH RECURSIVE e(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM e) \
                   SELECT count(*) AS n FROM e";
    stops(databases::sqlite().await.source(1), endless, "SELECT 0 AS n").await;
}

#[tokio::test]
async fn postgres_stops_what_nobody_waits_for() {
    let database = databases::postgres().await;
    let running = "SELECT count(*) AS n FROM pg_stat_activity \
                   WHERE state = 'active' AND query LIKE '%pg_sleep(3600)%' \
                   AND pid <> pg_backend_pid()";
    let endless = "SELECT 1::bigint AS n FROM pg_sleep(3600)";
    stops(database.source(1), endless, running).await;
}

#[tokio::test]
async fn mariadb_stops_what_nobody_waits_for() {
    let database = databases::mariadb().await;
    let running = "SELECT count(*) AS n FROM information_schema.PROCESSLIST \
                   WHERE INFO LIKE '%SLEEP(3600)%' AND ID <> CONNECTION_ID()";
    stops(database.source(1), "SELECT SLEEP(3600) AS n", running).await;
}

#[tokio::test]
async fn a_database_that_is_not_there_is_told_at_once_and_without_its_address() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = closed.local_addr().expect("an address").port();
    drop(closed);
    for (kind, scheme) in [(SourceKind::Postgres, "postgres"), (SourceKind::Mysql, "mysql")] {
        let url = format!("{scheme}://me:a-password@127.0.0.1:{port}/shop");
        let absent = source(kind, Address::Url(Secret::new(url)), 1);
        let statement = Statement {
            text: "SELECT 1".to_owned(),
            values: Vec::new(),
            arguments: &[],
            columns: Vec::new(),
        };
        let failed = absent.read(&statement, &mut Page::new(Vec::new(), 1)).await;
        let failed = failed.expect_err("nobody is there");
        assert!(!format!("{failed:?} {failed}").contains("a-password"), "{failed}");
        let (response, body) = get(&publisher(kind, absent), "customers").await;
        assert_eq!(response.status, 503, "{body}");
        assert!(response.headers.iter().any(|(name, _)| *name == "retry-after"), "{response:?}");
    }
    let nowhere = Address::Url(Secret::new("nonsense"));
    let settings = restway_publish::DatabaseSettings {
        kind: SourceKind::Postgres,
        address: nowhere,
        connections: 1,
        timeout: std::time::Duration::from_secs(1),
        clock: Arc::new(databases::Real::new()),
    };
    assert!(restway_publish::open(&settings).is_err());
}
