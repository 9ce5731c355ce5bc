//! Secrets come back with the right key, and in no other way.

use super::*;
use restway_model::{Code, Explain, MissingSecret, SecretSource};

use crate::testing::{Bench, block_on};
use crate::{KeyOrigin, Store};

const MARKER: &str = "marker-4f1d-never-on-disk";
const KEY_A: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const KEY_B: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

async fn get(store: &Store, text: &str) -> Result<Option<Secret>, StoreError> {
    store.secrets().get(&name(text)).await
}

async fn refusal(store: &Store, text: &str) -> StoreError {
    let refused = get(store, text).await.unwrap_err();
    assert_eq!(refused.code(), Code::SecretUnreadable, "{refused}");
    assert!(!refused.hints().is_empty(), "{refused}");
    let shown = format!("{refused} {refused:?} {:?}", restway_model::chain(&refused));
    assert!(!shown.contains(MARKER) && !shown.contains(KEY_A) && !shown.contains(KEY_B), "{shown}");
    refused
}

#[tokio::test]
async fn a_secret_is_set_replaced_listed_and_removed_across_reopening() {
    let bench = Bench::new();
    let store = bench.open().await;
    assert_eq!(get(&store, "token").await.unwrap(), None);
    bench.set(&store, "token", "first").await;
    bench.clock.turn(std::time::Duration::from_secs(60));
    bench.set(&store, "token", MARKER).await;
    bench.set(&store, "other", "value").await;
    drop(store);

    let store = bench.open().await;
    assert_eq!(get(&store, "token").await.unwrap(), Some(Secret::new(MARKER)));
    let listed = store.secrets().list().await.unwrap();
    let updated_at = bench.clock.now();
    let expected = ["other", "token"].map(|text| SecretInfo { name: name(text), updated_at });
    assert_eq!(listed, expected);

    assert!(store.secrets().remove(&name("token")).await.unwrap());
    assert!(!store.secrets().remove(&name("token")).await.unwrap());
    assert_eq!(get(&store, "token").await.unwrap(), None);
    assert_eq!(get(&store, "other").await.unwrap(), Some(Secret::new("value")));
}

#[tokio::test]
async fn the_value_is_in_no_file_neither_before_nor_after_closing() {
    let bench = Bench::new();
    let store = bench.open().await;
    bench.set(&store, "token", MARKER).await;
    bench.set(&store, "token", &format!("{MARKER} again")).await;
    let contains = |needle: &str| {
        let bytes = bench.bytes_on_disk();
        bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
    };
    assert!(contains("token"), "the search sees the log");
    assert!(!contains(MARKER));
    store.close().await;
    assert!(contains("token"), "the search sees the database");
    assert!(!contains(MARKER));
}

#[tokio::test]
async fn equal_values_are_sealed_differently() {
    let bench = Bench::new();
    let store = bench.open().await;
    bench.set(&store, "a", MARKER).await;
    bench.set(&store, "b", MARKER).await;
    let distinct: i64 = sqlx::query_scalar("select count(distinct sealed) from secret")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(distinct, 2);
}

#[tokio::test]
async fn another_key_is_refused_with_both_ids_and_makes_nothing() {
    let bench = Bench::new();
    let store = bench.open_with(&[("RESTWAY_KEY", KEY_A)]).await.unwrap();
    bench.set(&store, "token", MARKER).await;
    assert!(!bench.state().join("key").exists(), "the variable needs no file");

    let wrong = bench.open_with(&[("RESTWAY_KEY", KEY_B)]).await.unwrap();
    let refused = refusal(&wrong, "token").await;
    let StoreError::KeyWrong { origin, given, expected } = refused else { panic!("{refused:?}") };
    assert_eq!(origin, KeyOrigin::Environment);
    assert!(expected.len() == 1 && expected[0] != given);
    let set = wrong.secrets().set(&name("more"), &Secret::new("x")).await.unwrap_err();
    assert_eq!(set.code(), Code::SecretUnreadable);

    let none = bench.open().await;
    assert!(matches!(refusal(&none, "token").await, StoreError::KeyMissing { .. }));
    let set = none.secrets().set(&name("more"), &Secret::new("x")).await.unwrap_err();
    assert!(matches!(set, StoreError::KeyMissing { .. }));
    assert!(!bench.state().join("key").exists(), "no second key while something is sealed");

    let right = bench.open_with(&[("RESTWAY_KEY", KEY_A)]).await.unwrap();
    assert_eq!(get(&right, "token").await.unwrap(), Some(Secret::new(MARKER)));
    assert_eq!(right.secrets().list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_not_a_key_is_refused_and_not_passed_over() {
    let bench = Bench::new();
    let store = bench.open().await;
    bench.set(&store, "token", MARKER).await;
    for bad in ["", "c2hvcnQ=", "not base64 at all", &KEY_A.repeat(2)] {
        let store = bench.open_with(&[("RESTWAY_KEY", bad)]).await.unwrap();
        let refused = refusal(&store, "token").await;
        assert!(matches!(refused, StoreError::KeyMalformed { .. }), "{bad}: {refused}");
    }
    for bad in [&b""[..], b"short", &[0xff; 44]] {
        fs_err::write(bench.state().join("key"), bad).unwrap();
        let refused = refusal(&store, "token").await;
        assert!(matches!(refused, StoreError::KeyMalformed { .. }), "{refused}");
    }
}

#[tokio::test]
async fn altered_and_exchanged_rows_do_not_open() {
    for (alteration, what) in [
        ("update secret set sealed = zeroblob(length(sealed))", "the secret `token`"),
        ("update secret set nonce = zeroblob(24)", "the secret `token`"),
        ("update secret set nonce = x'00'", "the secret `token`"),
        (
            "update secret set (nonce, sealed) =
                (select nonce, sealed from secret where name = 'other') where name = 'token'",
            "the secret `token`",
        ),
        ("update data_key_wrap set sealed = zeroblob(48)", "the key to the secrets"),
        (
            "pragma foreign_keys = off; update data_key set data_key_id = 'x';
                update data_key_wrap set data_key_id = 'x'; update secret set data_key_id = 'x'",
            "the key to the secrets",
        ),
    ] {
        let bench = Bench::new();
        let store = bench.open().await;
        bench.set(&store, "token", MARKER).await;
        bench.set(&store, "other", "of the same key").await;
        sqlx::raw_sql(alteration).execute(store.pool()).await.unwrap();
        let refused = refusal(&store, "token").await;
        assert_eq!(
            refused.to_string(),
            format!("{what} was altered or damaged, and cannot be opened"),
            "{alteration}"
        );
    }
}

#[tokio::test]
async fn a_key_may_be_wrapped_for_several_masters() {
    let bench = Bench::new();
    let store = bench.open_with(&[("RESTWAY_KEY", KEY_A)]).await.unwrap();
    bench.set(&store, "token", MARKER).await;

    // What rotation does: open with the old master, wrap for the new one, drop the old wrap.
    let secrets = store.secrets();
    let mut connection = store.pool().acquire().await.unwrap();
    let data_key = secrets.data_key_to_seal_with(&mut connection).await.unwrap();
    let variables = [("RESTWAY_KEY".to_owned(), KEY_B.to_owned())];
    let new = MasterSource::new(bench.state().into(), Environment::of(variables));
    let new = new.find().unwrap().unwrap();
    let sealed = data_key.key.seal_with(&new.key, &bound_to_wrap(&data_key.id, &new)).unwrap();
    sqlx::query(sql::WRAP_ADD)
        .bind(&data_key.id)
        .bind(&new.id)
        .bind(&sealed.nonce)
        .bind(&sealed.text)
        .bind(written(bench.clock.now()))
        .execute(&mut *connection)
        .await
        .unwrap();
    drop(connection);

    for key in [KEY_A, KEY_B] {
        let store = bench.open_with(&[("RESTWAY_KEY", key)]).await.unwrap();
        assert_eq!(get(&store, "token").await.unwrap(), Some(Secret::new(MARKER)));
    }
}

#[test]
fn processes_that_set_their_first_secret_at_once_share_one_key() {
    let bench = Bench::new();
    std::thread::scope(|scope| {
        for worker in 0..6 {
            let bench = &bench;
            scope.spawn(move || {
                block_on(async {
                    let store = bench.open().await;
                    bench.set(&store, &format!("secret_{worker}"), MARKER).await;
                    store.close().await;
                });
            });
        }
    });
    block_on(async {
        let store = bench.open().await;
        for worker in 0..6 {
            let value = get(&store, &format!("secret_{worker}")).await.unwrap();
            assert_eq!(value, Some(Secret::new(MARKER)));
        }
        let keys: i64 = sqlx::query_scalar("select count(*) from data_key")
            .fetch_one(store.pool())
            .await
            .unwrap();
        assert_eq!(keys, 1);
    });
}

#[tokio::test]
async fn values_outside_the_bounds_are_refused() {
    let bench = Bench::new();
    let store = bench.open().await;
    for (value, fits) in [
        (String::new(), false),
        ("x".repeat(VALUE_BYTES_MAX), true),
        ("x".repeat(VALUE_BYTES_MAX + 1), false),
    ] {
        let set = store.secrets().set(&name("token"), &Secret::new(value)).await;
        assert_eq!(set.is_ok(), fits, "{set:?}");
    }
}

#[tokio::test]
async fn loaded_secrets_prefer_the_environment_and_teach_the_redactor() {
    let bench = Bench::new();
    let store = bench.open().await;
    bench.set(&store, "token", MARKER).await;
    bench.set(&store, "unused", "never-looked-up").await;
    bench.set(&store, "overridden", "in-the-store").await;
    let variables = [("RESTWAY_SECRET_OVERRIDDEN", "from-outside"), ("RESTWAY_SECRET_EMPTY", "")];
    let store = bench.open_with(&variables).await.unwrap();
    let redactor = Redactor::default();
    let loaded = store.secrets().load(redactor.clone()).await.unwrap();

    assert_eq!(loaded.secret(&name("token")).unwrap().expose(), MARKER);
    assert_eq!(loaded.secret(&name("overridden")).unwrap().expose(), "from-outside");
    let line = format!("{MARKER} from-outside never-looked-up");
    assert_eq!(redactor.redact(&line), "*** *** never-looked-up");

    let problem = |text: &str| loaded.secret(&name(text)).unwrap_err().problem;
    assert_eq!(problem("absent"), "is not set");
    assert_eq!(problem("empty"), "is set to nothing by `RESTWAY_SECRET_EMPTY`");
}

#[tokio::test]
async fn loading_without_the_key_fails_only_for_the_secrets_that_need_it() {
    let bench = Bench::new();
    let store = bench.open_with(&[("RESTWAY_KEY", KEY_A)]).await.unwrap();
    bench.set(&store, "token", MARKER).await;
    let variables = [("RESTWAY_KEY", KEY_B), ("RESTWAY_SECRET_OTHER", "from-outside")];
    let store = bench.open_with(&variables).await.unwrap();
    // On another thread: what the server and the pipeline do with every future of this room.
    let load = async move { store.secrets().load(Redactor::default()).await };
    let loaded = tokio::spawn(load).await.unwrap().unwrap();

    assert_eq!(loaded.secret(&name("other")).unwrap().expose(), "from-outside");
    let MissingSecret { problem, .. } = loaded.secret(&name("token")).unwrap_err();
    assert!(problem.starts_with("cannot be read: the key from `RESTWAY_KEY`"), "{problem}");
}
