//! Runs are kept, listed newest first, found by a prefix, and closed when they were abandoned.

use super::*;
use restway_model::{Clock, Explain};

use crate::testing::Bench;

fn counts(requests: u64) -> Counts {
    Counts {
        requests,
        retries: 1,
        pages: 2,
        records: 3,
        rows: 4,
        bytes: 5,
        rejected: 6,
        deleted: 7,
        unchanged: 8,
    }
}

fn failure() -> RunError {
    RunError { code: Code::CallTimeout.as_str().into(), message: "no answer in 10 s".into() }
}

#[tokio::test]
async fn a_run_and_its_resources_survive_reopening() {
    let bench = Bench::new();
    let store = bench.open().await;
    let run = store.start_run(RunKind::Sync, "acme").await.unwrap();
    let started_at = bench.clock.now();
    bench.clock.turn(Duration::from_millis(1_500));
    let outcome = |table: &str, error: Option<RunError>| ResourceOutcome {
        resource: table.parse().unwrap(),
        status: if error.is_some() { RunStatus::Failed } else { RunStatus::Succeeded },
        counts: counts(7),
        started_at,
        ended_at: bench.clock.now(),
        error,
        detail: None,
    };
    let (first, second) = (outcome("acme.a", None), outcome("acme.b", Some(failure())));
    let outdated = ResourceOutcome { error: Some(failure()), ..first.clone() };
    for saved in [&second, &outdated, &first] {
        store.save_resource_outcome(&run, saved).await.unwrap();
    }
    store.end_run(&run, RunStatus::Partly, &counts(9), Some(&failure())).await.unwrap();
    drop(store);

    let detail = bench.open().await.run(&run.0).await.unwrap().unwrap();
    assert_eq!(detail.resources, [first, second]);
    let expected = RunRecord {
        id: run,
        kind: RunKind::Sync,
        subject: "acme".into(),
        status: RunStatus::Partly,
        started_at,
        ended_at: Some(bench.clock.now()),
        counts: counts(9),
        error: Some(failure()),
    };
    assert_eq!(detail.run, expected);
}

#[tokio::test]
async fn a_run_ends_once_and_only_as_ended() {
    let bench = Bench::new();
    let store = bench.open().await;
    let run = store.start_run(RunKind::Call, "acme").await.unwrap();
    let end = |status| {
        let (store, run) = (store.clone(), run.clone());
        async move { store.end_run(&run, status, &Counts::default(), None).await }
    };
    assert!(end(RunStatus::Running).await.is_err());
    end(RunStatus::Succeeded).await.unwrap();
    let again = end(RunStatus::Failed).await;
    assert!(matches!(again, Err(StoreError::RunNotRunning { .. })));
    assert_eq!(store.run(&run.0).await.unwrap().unwrap().run.status, RunStatus::Succeeded);
}

#[tokio::test]
async fn pages_of_the_list_meet_without_gap_also_within_a_millisecond() {
    let bench = Bench::new();
    let store = bench.open().await;
    let mut started = Vec::new();
    for position in 0..25 {
        if position % 10 == 0 {
            bench.clock.turn(Duration::from_secs(1));
        }
        started.push(store.start_run(RunKind::Call, "acme").await.unwrap());
    }
    let mut listed = Vec::new();
    loop {
        let page = store.runs(4, listed.last()).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 4);
        listed.extend(page.into_iter().map(|run| run.id));
    }
    started.reverse();
    assert_eq!(listed, started);
}

#[tokio::test]
async fn a_prefix_finds_one_run_or_names_the_candidates() {
    let bench = Bench::new();
    let store = bench.open().await;
    let first = store.start_run(RunKind::Sync, "a").await.unwrap();
    bench.clock.turn(Duration::from_hours(1));
    let second = store.start_run(RunKind::Sync, "b").await.unwrap();
    let third = store.start_run(RunKind::Sync, "c").await.unwrap();

    let found = store.run(&first.0[..8].to_uppercase()).await.unwrap();
    assert_eq!(found.unwrap().run.id, first);
    assert_eq!(store.run(&third.0).await.unwrap().unwrap().run.id, third);
    for unknown in ["", "ffff", "%", "_", "z", "0' or 1=1"] {
        assert_eq!(store.run(unknown).await.unwrap(), None, "{unknown}");
    }
    let ambiguous = store.run(&second.0[..8]).await.unwrap_err();
    assert_eq!(ambiguous.code(), Code::ArgumentInvalid);
    let expected = [second, third].map(|run| format!("did you mean `{run}`"));
    assert_eq!(ambiguous.hints(), expected);
}

#[tokio::test]
async fn abandoned_runs_are_closed_and_a_call_under_way_is_not() {
    let bench = Bench::new();
    let store = bench.open().await;
    let old_call = store.start_run(RunKind::Call, "acme").await.unwrap();
    bench.clock.turn(CALL_ABANDONED_AFTER);
    let call = store.start_run(RunKind::Call, "acme").await.unwrap();
    let died = store.start_run(RunKind::Sync, "acme").await.unwrap();
    let ended = store.start_run(RunKind::Sync, "acme").await.unwrap();
    store.end_run(&ended, RunStatus::Succeeded, &Counts::default(), None).await.unwrap();

    let held = store.lock().unwrap();
    assert_eq!(store.close_abandoned_runs(&held).await.unwrap(), 2);
    assert_eq!(store.close_abandoned_runs(&held).await.unwrap(), 0);
    for (run, status) in [
        (old_call, RunStatus::Failed),
        (call, RunStatus::Running),
        (died, RunStatus::Failed),
        (ended, RunStatus::Succeeded),
    ] {
        let run = store.run(&run.0).await.unwrap().unwrap().run;
        assert_eq!(run.status, status);
        assert_eq!(run.error.is_some(), status == RunStatus::Failed);
    }
}

#[tokio::test]
async fn a_long_message_is_cut_between_characters() {
    let bench = Bench::new();
    let store = bench.open().await;
    let run = store.start_run(RunKind::Call, "acme").await.unwrap();
    let error = RunError { message: format!("x{}", "é".repeat(MESSAGE_BYTES_MAX)), ..failure() };
    store.end_run(&run, RunStatus::Failed, &counts(0), Some(&error)).await.unwrap();
    let kept = store.run(&run.0).await.unwrap().unwrap().run.error.unwrap().message;
    assert_eq!(kept.len(), MESSAGE_BYTES_MAX - 1);
    assert!(error.message.starts_with(&kept));
}

#[tokio::test]
async fn what_a_newer_version_wrote_is_refused_by_name() {
    let bench = Bench::new();
    let store = bench.open().await;
    let run = store.start_run(RunKind::Call, "acme").await.unwrap();
    sqlx::raw_sql("update run set kind = 'teleport'").execute(store.pool()).await.unwrap();
    let refused = store.run(&run.0).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the metadata store holds `teleport` as kind, which cannot be read"
    );
}

#[tokio::test]
async fn a_webhook_is_abandoned_when_no_process_is_present() {
    let bench = Bench::new();
    let (store, other) = (bench.open().await, bench.open().await);
    let present = other.be_present().await.unwrap();
    let second = other.be_present().await.unwrap();
    let run = other.start_run(RunKind::Webhook, "acme.create").await.unwrap();
    assert_eq!(store.close_abandoned_webhooks().await.unwrap(), 0);
    drop(present);
    assert_eq!(store.close_abandoned_webhooks().await.unwrap(), 0);
    drop(second);
    assert_eq!(store.close_abandoned_webhooks().await.unwrap(), 1);
    let closed = store.run(&run.0).await.unwrap().unwrap().run;
    assert_eq!(closed.status, RunStatus::Failed);
    assert_eq!(closed.error.unwrap().code, "webhook.interrupted");
    store.be_present().await.unwrap();
}
