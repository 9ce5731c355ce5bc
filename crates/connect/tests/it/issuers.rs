//! Tokens of an issuer that is slow, and of one that has gone.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::FutureExt;
use restway_connect::Issuers;
use restway_model::Secret;
use restway_model::definition::{WorkspaceFile, read};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::support::Rig;

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn token(key: &Ed25519KeyPair, issuer: &str, kid: &str) -> Secret {
    let head = json!({ "alg": "EdDSA", "kid": kid });
    let claims = json!({ "iss": issuer, "aud": "shop", "sub": "jo", "exp": 1e12 });
    let message = format!("{}.{}", encoded(head.to_string()), encoded(claims.to_string()));
    Secret::new(format!("{message}.{}", encoded(key.sign(message.as_bytes()))))
}

/// Gives its keys once. Whoever asks again waits for ever, and is told of.
async fn issuer(listener: TcpListener, keys: Value, asked: mpsc::Sender<()>) {
    let mut waiting = Vec::new();
    let body = keys.to_string();
    loop {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut head = [0; 2_048];
        let _ = stream.read(&mut head).await.expect("a request");
        if waiting.is_empty() {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
            let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.expect("it takes it");
        }
        waiting.push(stream);
        asked.send(()).await.expect("somebody listens");
    }
}

#[tokio::test]
async fn nobody_waits_for_an_issuer_whose_key_is_known() {
    let key = Ed25519KeyPair::generate().expect("a key");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let public = encoded(key.public_key());
    let keys = json!({ "keys": [{ "kty": "OKP", "kid": "k", "crv": "Ed25519", "x": public }] });
    let (asked, mut questions) = mpsc::channel(100);
    let running = tokio::spawn(issuer(listener, keys, asked));
    let text = format!(
        "workspace: w\nserve:\n  issuers:\n    - {{ issuer: '{url}', audience: shop, jwks_url: '{url}/jwks' }}\n"
    );
    let file: WorkspaceFile = read("restway.yaml", &text).expect("a workspace");
    let rig = Rig::new();
    let issuers = Arc::new(Issuers::new(rig.connector.clone(), &file.serve.issuers));
    let good = token(&key, &url, "k");
    assert!(issuers.known(&good).await.expect("keys").is_some());
    questions.recv().await.expect("the first question");

    rig.clock.turn(Duration::from_secs(120));
    let strange = token(&key, &url, "nobody");
    let waits = tokio::spawn({
        let (issuers, strange) = (Arc::clone(&issuers), strange.clone());
        async move { issuers.known(&strange).await.map(|known| known.is_some()) }
    });
    questions.recv().await.expect("a question for the strange key");
    for again in 0..3 {
        let known = issuers.known(&good).now_or_never().expect("nobody waits");
        assert!(known.expect("keys").is_some(), "{again}");
    }
    // Those who need the answer wait for it, but only so many.
    let mut others: Vec<_> = (0..20).map(|_| Box::pin(issuers.known(&strange))).collect();
    let told = others.iter_mut().filter_map(|other| other.now_or_never());
    let told: Vec<_> = told.collect();
    assert!(told.len() == 4 && told.iter().all(Result::is_err), "{told:?}");
    drop(others);
    waits.abort();

    running.abort();
    let _ = running.await;
    rig.clock.turn(Duration::from_secs(60 * 60));
    assert!(issuers.known(&good).await.expect("kept keys").is_some(), "an hour without the issuer");
    rig.clock.turn(Duration::from_secs(25 * 60 * 60));
    let error = issuers.known(&good).await.expect_err("a day without the issuer");
    assert!(error.to_string().contains("cannot be read"), "{error}");
}
