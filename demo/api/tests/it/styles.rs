//! Every other pagination style and way to authorize finds all customers exactly once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use demo_api::{API_KEY, BASIC_PASSWORD, BASIC_USER, DemoApi, Settings};

use crate::client::{get, ids, walk};

async fn start() -> DemoApi {
    DemoApi::start(Settings::default()).await.expect("the demo API starts")
}

fn all() -> Vec<u64> {
    (1..=200).collect()
}

#[tokio::test]
async fn pages_by_number() {
    let api = start().await;
    let mut found = Vec::new();
    for page in 1..=7 {
        let body = get(&api, &format!("/open/page?page={page}&per_page=30"), &[]).await.json();
        assert_eq!((&body["page"], &body["total_pages"]), (&page.into(), &7.into()));
        assert_eq!(body["total"], 200);
        found.extend(ids(&body["items"]));
    }
    assert_eq!(found, all());
    let past = get(&api, "/open/page?page=8&per_page=30", &[]).await.json();
    assert_eq!(ids(&past["items"]), Vec::<u64>::new());
    assert_eq!(get(&api, "/open/page?page=0", &[]).await.error(400), "invalid_parameter");
}

#[tokio::test]
async fn pages_by_offset() {
    let api = start().await;
    let mut found = Vec::new();
    while found.len() < 200 {
        let target = format!("/open/offset?offset={}&limit=60", found.len());
        let body = get(&api, &target, &[]).await.json();
        assert_eq!(body["count"], 200);
        found.extend(ids(&body["results"]));
    }
    assert_eq!(found, all());
    let past = get(&api, "/open/offset?offset=200", &[]).await.json();
    assert_eq!(ids(&past["results"]), Vec::<u64>::new());
}

#[tokio::test]
async fn pages_by_link_header() {
    let api = start().await;
    let mut found = Vec::new();
    let mut next = Some("/open/link".to_owned());
    while let Some(target) = next {
        let reply = get(&api, &target, &[]).await;
        found.extend(ids(&reply.json()));
        let links = reply.header("link").expect("there is a Link header");
        assert!(links.contains("rel=\"last\""), "{links}");
        next = links.split(", ").find(|link| link.ends_with("rel=\"next\"")).map(|link| {
            let url = link.split(['<', '>']).nth(1).expect("a link has a URL");
            url.strip_prefix(&api.url()).expect("the URL is absolute and here").to_owned()
        });
    }
    assert_eq!(found, all());
}

#[tokio::test]
async fn pages_by_next_url() {
    let api = start().await;
    let mut found = Vec::new();
    let mut next = Some("/open/next?limit=99".to_owned());
    while let Some(target) = next {
        let body = get(&api, &target, &[]).await.json();
        found.extend(ids(&body["records"]));
        assert!(body.get("next").is_some(), "null at the end, not absent");
        next = body["next"].as_str().map(|url| {
            url.strip_prefix(&api.url()).expect("the URL is absolute and here").to_owned()
        });
    }
    assert_eq!(found, all());
}

#[tokio::test]
async fn pages_by_key() {
    let api = start().await;
    let mut found: Vec<u64> = Vec::new();
    loop {
        let after = found.last().copied().unwrap_or_default();
        let body = get(&api, &format!("/open/keyset?after={after}&limit=70"), &[]).await.json();
        let rows = ids(&body["rows"]);
        if rows.is_empty() {
            break;
        }
        found.extend(rows);
    }
    assert_eq!(found, all());
}

#[tokio::test]
async fn no_pages_at_all() {
    let api = start().await;
    assert_eq!(ids(&get(&api, "/open/none", &[]).await.json()), all());
    assert_eq!(get(&api, "/open/none?page=1", &[]).await.error(400), "unknown_parameter");
}

#[tokio::test]
async fn basic_and_key_authorize() {
    let api = start().await;
    let basic =
        |password: &str| format!("Basic {}", STANDARD.encode(format!("{BASIC_USER}:{password}")));
    let right = basic(BASIC_PASSWORD);
    assert_eq!(walk(&api, "/auth/basic/customers", &[("authorization", &right)]).await, all());
    let wrong = basic("wrong");
    let reply = get(&api, "/auth/basic/customers", &[("authorization", &wrong)]).await;
    assert_eq!(reply.error(401), "unauthorized");
    assert!(reply.header("www-authenticate").is_some_and(|value| value.starts_with("Basic")));

    assert_eq!(walk(&api, "/auth/key/customers", &[("x-api-key", API_KEY)]).await, all());
    let target = format!("/auth/key/customers?api_key={API_KEY}");
    assert_eq!(walk(&api, &target, &[]).await, all());
    let reply = get(&api, "/auth/key/customers?api_key=wrong", &[]).await;
    assert_eq!(reply.error(401), "unauthorized");
    assert!(reply.header("www-authenticate").is_some());
    let log = format!("{:?}", api.requests());
    assert!(log.contains("api_key=***") && !log.contains(API_KEY) && !log.contains("wrong"));
}
