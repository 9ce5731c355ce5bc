//! The server itself: its log, its end, what it says of itself, sameness between two of them.

use std::time::Duration;

use demo_api::{Credential, DemoApi, Settings};
use tokio::net::TcpStream;

use crate::client::{bearer, get, send, send_to};

async fn start() -> DemoApi {
    DemoApi::start(Settings::default()).await.expect("the demo API starts")
}

#[tokio::test]
async fn the_log_tells_what_was_asked_and_no_secret() {
    let api = start().await;
    let token = bearer(&api).await;
    let headers = [("authorization", token.as_str()), ("user-agent", "test/1")];
    get(&api, "/v1/orders?pageSize=1", &headers).await;
    get(&api, "/v1/orders", &[("authorization", "Bearer unknown-token")]).await;
    get(&api, "/v1/orders", &[("authorization", "Negotiate abc")]).await;
    let log = api.requests();
    assert_eq!(log.len(), 4);
    assert_eq!((log[0].method.as_str(), log[0].status), ("POST", Some(200)));
    assert_eq!(log[0].path_and_query, "/oauth/token");
    assert_eq!(log[1].path_and_query, "/v1/orders?pageSize=1");
    assert_eq!(log[1].user_agent.as_deref(), Some("test/1"));
    assert_eq!((&log[1].credential, log[1].status), (&Credential::Bearer(Some(1)), Some(200)));
    assert_eq!((&log[2].credential, log[2].status), (&Credential::Bearer(None), Some(401)));
    assert_eq!((&log[3].credential, log[3].serial), (&Credential::Other, 4));
    assert_eq!((api.count("/v1/orders"), api.count("/v1/customers"), api.count("/")), (3, 0, 4));
    let text = format!("{log:?}");
    assert!(!text.contains(&token["Bearer ".len()..]) && !text.contains("unknown-token"));
    assert!(!text.contains(api.client_secret()) && !text.contains("abc"));
}

#[tokio::test]
async fn shutting_down_finishes_what_is_under_way_and_frees_the_port() {
    let api = start().await;
    let address = api.address();
    let client = tokio::spawn(send_to(address, "GET", "/fault/slow/80", &[], ""));
    while api.count("/fault/slow") == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(api.requests()[0].status, None, "under way");
    api.shutdown().await;
    assert_eq!(client.await.expect("the client does not panic").status, 200);
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn it_says_what_it_is() {
    let api = start().await;
    let welcome = get(&api, "/", &[]).await;
    assert_eq!(welcome.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(welcome.text().contains("/openapi.json"));
    let document = get(&api, "/openapi.json", &[]).await.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(get(&api, "/nothing", &[]).await.error(404), "not_found");
    assert_eq!(send(&api, "GET", "/oauth/token", &[], "").await.error(405), "method_not_allowed");
}

/// Each documented path answers, and with a status that is documented for it.
#[tokio::test]
async fn the_openapi_document_is_honest_about_paths_and_statuses() {
    let api = start().await;
    let token = bearer(&api).await;
    let document = get(&api, "/openapi.json", &[]).await.json();
    let paths = document["paths"].as_object().expect("paths are an object");
    for (path, operations) in paths {
        let target = path.replace("{id}", "1").replace("{issue}", "1");
        let operations = operations.as_object().expect("operations are an object");
        for (method, operation) in operations {
            let method = method.to_uppercase();
            for query in ["", "?unknown=1"] {
                let target = format!("{target}{query}");
                for headers in [vec![("authorization", token.as_str())], vec![]] {
                    let reply = send(&api, &method, &target, &headers, "").await;
                    let documented = &operation["responses"][reply.status.to_string()];
                    assert!(documented.is_object(), "{method} {target}: {}", reply.status);
                }
            }
        }
    }
}

#[tokio::test]
async fn two_servers_answer_alike_and_another_seed_does_not() {
    let (one, two) = (start().await, start().await);
    let settings = Settings { seed: 1, token_lifetime: Duration::ZERO, ..Settings::default() };
    let other = DemoApi::start(settings).await.expect("the demo API starts");
    let body = get(&one, "/open/none", &[]).await.body;
    assert_eq!(body, get(&two, "/open/none", &[]).await.body);
    assert_ne!(body, get(&other, "/open/none", &[]).await.body);
}
