//! Names whose addresses are not known for a moment, change, or lead where nobody listens.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use restway_connect::{Found, Names};
use restway_model::Limits;
use serde_json::json;
use url::Url;

use crate::support::{Rig, api, canned, code, get, json_answer};

const HOST: &str = "moves.restway.invalid";

/// What each look-up finds, in turn; the last one again and again. An error is what a resolver
/// says.
struct Turns(Mutex<VecDeque<Result<&'static str, &'static str>>>);

impl Turns {
    fn new(turns: &[Result<&'static str, &'static str>]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(turns.iter().copied().collect())))
    }
}

impl Names for Turns {
    fn look_up<'a>(&'a self, host: &'a str, port: u16) -> Found<'a> {
        assert_eq!(host, HOST);
        let mut turns = self.0.lock().expect("the turns");
        let turn = if turns.len() > 1 { turns.pop_front() } else { turns.front().copied() };
        let found = turn.expect("a turn").map_err(io::Error::other);
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        Box::pin(async move { Ok(vec![SocketAddr::new(address(found?), port)]) })
    }
}

fn at_host(url: &str) -> String {
    let mut url = Url::parse(url).expect("a URL");
    url.set_host(Some(HOST)).expect("a host");
    url.to_string()
}

#[tokio::test]
async fn a_name_server_that_fails_is_asked_again() {
    let url = at_host(&canned(json_answer("[1]")).await);
    let failed = Err("Temporary failure in name resolution");
    let rig = Rig::named(Turns::new(&[failed, failed, Ok("127.0.0.1")]), &[HOST.to_owned()]);
    let answer = rig.connector.call(&api(&url, json!({})), get(&url)).await.expect("an answer");
    let errors: Vec<_> = answer.attempts.iter().filter_map(|one| one.error.as_deref()).collect();
    assert_eq!(errors.len(), 2);
    assert!(errors.iter().all(|error| error.contains("Temporary failure")), "{errors:?}");
    // One that knows no answer ends the run after a few tries, and says so.
    let rig = Rig::named(Turns::new(&[failed]), &[HOST.to_owned()]);
    let error = rig.connector.call(&api(&url, json!({})), get(&url)).await.expect_err("no address");
    assert_eq!(code(&error), "call.dns", "{error}");
    assert!(error.to_string().contains("after 3 attempts"), "{error}");
}

#[tokio::test]
async fn a_host_or_a_proxy_that_moves_is_found_at_its_new_address() {
    let url = canned(json_answer("[1]")).await;
    let moved = at_host(&url);
    // Nobody listens at the old address.
    let rig = Rig::named(Turns::new(&[Ok("127.0.0.3"), Ok("127.0.0.1")]), &[HOST.to_owned()]);
    let answer = rig.connector.call(&api(&moved, json!({})), get(&moved)).await.expect("an answer");
    assert_eq!(answer.attempts.len(), 2);
    // A proxy is looked up once to be checked, and once where the connection opens.
    let old = Ok("127.0.0.3");
    let rig = Rig::named(Turns::new(&[old, old, Ok("127.0.0.1")]), &[HOST.to_owned()]);
    let file = api("http://127.0.0.1:9", json!({"proxy": {"url": moved}}));
    let answer = rig.connector.call(&file, get("http://127.0.0.1:9/")).await.expect("an answer");
    assert_eq!(answer.attempts.len(), 2);
    // An address that may not be reached is none, also when the name had another before.
    let rig = Rig::named(Turns::new(&[Ok("127.0.0.3"), Ok("10.0.0.1")]), &[]);
    let error =
        rig.connector.call(&api(&moved, json!({})), get(&moved)).await.expect_err("private");
    assert_eq!(code(&error), "call.egress_denied", "{error}");
}

/// A resolver that never answers.
struct Silent;

impl Names for Silent {
    fn look_up<'a>(&'a self, _: &'a str, _: u16) -> Found<'a> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_look_up_before_a_proxy_is_given_up() {
    let limits = Limits { connect_timeout: Duration::from_millis(50), ..Limits::default() };
    let rig = Rig::named_with(Arc::new(Silent), &[], limits);
    let parts = json!({"retry": {"deadline": "0s"}, "proxy": {"url": format!("http://{HOST}:9")}});
    let file = api("http://127.0.0.1:9", parts);
    let error = rig.connector.call(&file, get("http://127.0.0.1:9/")).await;
    let error = error.expect_err("nobody says where the proxy is");
    assert_eq!(code(&error), "call.timeout", "{error}");
    assert!(error.to_string().contains("no connection within 50ms"), "{error}");
}
