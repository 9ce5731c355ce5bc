//! Keys and users, by a clock that is turned by hand.

use std::time::Duration;

use serde_json::json;

use super::UserChange;
use crate::testing::Bench;

const HOUR: Duration = Duration::from_secs(3_600);

fn joins(group: &str) -> UserChange {
    UserChange { join: vec![group.to_owned()], ..UserChange::default() }
}

#[tokio::test]
async fn a_key_is_its_users_until_it_is_revoked_and_is_nowhere_on_the_disk() {
    let bench = Bench::new();
    let store = bench.open().await;
    let new = store.add_key("jo", &joins("clerks"), None).await.unwrap();
    let key = new.key.expose();
    assert!(key.len() >= 4 + 43 && key.starts_with("rwk_"), "256 bits");
    let holder = store.key_holder(key).await.unwrap().unwrap();
    assert_eq!((holder.user.as_str(), holder.key), ("jo", new.kept.id.clone()));
    assert!(holder.groups.contains("clerks"));
    for wrong in ["", "rwk_", &key[..key.len() - 1], &format!("{key}x"), &new.kept.id] {
        assert_eq!(store.key_holder(wrong).await.unwrap(), None);
    }
    let secret = key.strip_prefix("rwk_").unwrap();
    let on_disk = bench.bytes_on_disk();
    assert!(!on_disk.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()));

    assert!(store.remove_key(&new.kept.id).await.unwrap());
    assert!(!store.remove_key(&new.kept.id).await.unwrap());
    assert_eq!(store.key_holder(key).await.unwrap(), None);
}

#[tokio::test]
async fn a_rotated_key_is_good_for_the_overlap_and_its_successor_lasts_as_long_as_it_did() {
    let bench = Bench::new();
    let store = bench.open().await;
    let old = store.add_key("jo", &UserChange::default(), Some(10 * HOUR)).await.unwrap();
    bench.clock.turn(HOUR);
    let new = store.rotate_key(&old.kept.id, 2 * HOUR, None).await.unwrap();
    assert_eq!(new.kept.expires_at, Some(old.kept.created_at + 11 * HOUR));
    let is_good =
        async |key: &super::NewKey| store.key_holder(key.key.expose()).await.unwrap().is_some();
    assert!(is_good(&old).await && is_good(&new).await);
    bench.clock.turn(2 * HOUR);
    assert!(!is_good(&old).await && is_good(&new).await);
    assert!(store.rotate_key(&old.kept.id, HOUR, None).await.is_err());
    bench.clock.turn(10 * HOUR);
    assert!(!is_good(&new).await);
}

#[tokio::test]
async fn the_last_use_is_kept_to_the_hour() {
    let bench = Bench::new();
    let store = bench.open().await;
    let new = store.add_key("jo", &UserChange::default(), None).await.unwrap();
    let is_new = async || {
        let holder = store.key_holder(new.key.expose()).await.unwrap().unwrap();
        if holder.is_use_new {
            store.key_used(&holder.key).await.unwrap();
        }
        holder.is_use_new
    };
    assert_eq!(store.keys().await.unwrap()[0].last_used_at, None);
    assert!(is_new().await && !is_new().await);
    assert!(store.keys().await.unwrap()[0].last_used_at.is_some());
    bench.clock.turn(HOUR / 2);
    assert!(!is_new().await);
    bench.clock.turn(HOUR / 2);
    assert!(is_new().await);
}

#[tokio::test]
async fn a_user_changes_and_takes_all_keys_along() {
    let bench = Bench::new();
    let store = bench.open().await;
    let mut change = joins("clerks");
    change.claims.insert("tenant".to_owned(), json!(7));
    let new = store.add_key("jo", &change, None).await.unwrap();
    let change = UserChange {
        leave: vec!["clerks".to_owned()],
        claims: [("tenant".to_owned(), json!(null)), ("level".to_owned(), json!(["a"]))].into(),
        ..joins("heads")
    };
    store.change_user("jo", &change).await.unwrap();
    let holder = store.key_holder(new.key.expose()).await.unwrap().unwrap();
    assert_eq!(holder.groups.iter().collect::<Vec<_>>(), ["heads"]);
    assert_eq!(holder.claims, [("level".to_owned(), json!(["a"]))].into());
    for bad in ["", " ", "a\nb", &"x".repeat(201)] {
        assert!(store.change_user(bad, &UserChange::default()).await.is_err(), "{bad}");
    }
    assert!(store.change_user("jo", &joins("anonymous")).await.is_err());

    assert!(store.remove_user("jo").await.unwrap());
    assert_eq!(store.key_holder(new.key.expose()).await.unwrap(), None);
    assert_eq!(store.keys().await.unwrap(), []);
    assert!(!store.remove_user("jo").await.unwrap());
}
