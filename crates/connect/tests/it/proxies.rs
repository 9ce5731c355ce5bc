//! Ways through proxies: an HTTP proxy and a SOCKS5 proxy of a few lines each, which say what they
//! were asked for. The hosts behind them have names that nothing here resolves.

use std::sync::{Arc, Mutex};

use restway_connect::CallError;
use restway_model::definition::ApiFile;
use restway_model::{Explain, Limits};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Rig, api, canned, code, get, json_answer};
use crate::tls::{certificates, server, text};

const HOST: &str = "api.nowhere.invalid";
const PASSWORD: &str = "the-proxy-password";

/// How a proxy behaves.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Asks for `restway` and the password.
    Good,
    Forbids,
    Cuts,
}

/// A proxy whose host names all lead to one port of this machine.
struct Proxy {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn http(kind: Kind, behind: &str) -> Self {
        Self::start("http", behind, move |socket, behind, asked| async move {
            http(socket, &behind, kind, &asked).await
        })
        .await
    }

    async fn socks(kind: Kind, behind: &str) -> Self {
        Self::start("socks5", behind, move |socket, behind, asked| async move {
            socks(socket, &behind, kind, &asked).await
        })
        .await
    }

    async fn start<F, A>(scheme: &str, behind: &str, answer: F) -> Self
    where
        F: Fn(TcpStream, String, Arc<Mutex<Vec<String>>>) -> A + Send + 'static,
        A: Future<Output = Option<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("{scheme}://{}", listener.local_addr().expect("an address"));
        let behind = behind.rsplit_once("//").expect("a URL").1.replace("localhost", "127.0.0.1");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(answer(socket, behind.clone(), Arc::clone(&seen)));
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("what was asked").clone()
    }

    fn api(&self, base_url: &str, password: &str) -> ApiFile {
        let proxy = json!({"url": self.url, "username": "restway", "password": password});
        api(base_url, json!({"proxy": proxy, "retry": {"deadline": "0s"}}))
    }
}

/// CONNECT, or a request with a whole URL, for whoever knows the password.
async fn http(
    mut socket: TcpStream,
    behind: &str,
    kind: Kind,
    asked: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).expect("text");
    asked.lock().expect("what was asked").push(head.lines().next()?.to_owned());
    // `restway:the-proxy-password` in base64.
    let is_known = head.to_lowercase().contains(
        &"proxy-authorization: Basic cmVzdHdheTp0aGUtcHJveHktcGFzc3dvcmQ=".to_lowercase(),
    );
    let refusal = match kind {
        Kind::Good if !is_known => "HTTP/1.1 407 Who?\r\ncontent-length: 0\r\n\r\n",
        Kind::Good => "",
        Kind::Forbids => "HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n",
        Kind::Cuts => return None,
    };
    if !refusal.is_empty() {
        return socket.write_all(refusal.as_bytes()).await.ok();
    }
    let mut host = TcpStream::connect(behind).await.ok()?;
    if head.starts_with("CONNECT ") {
        socket.write_all(b"HTTP/1.1 200 Go\r\n\r\n").await.ok()?;
    } else {
        host.write_all(head.as_bytes()).await.ok()?;
    }
    copy_bidirectional(&mut socket, &mut host).await.ok().map(drop)
}

/// RFC 1928 with RFC 1929.
async fn socks(
    mut socket: TcpStream,
    behind: &str,
    kind: Kind,
    asked: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut start = [0; 2];
    socket.read_exact(&mut start).await.ok()?;
    let mut methods = vec![0; usize::from(start[1])];
    socket.read_exact(&mut methods).await.ok()?;
    socket.write_all(&[5, 2]).await.ok()?;
    let field = async |socket: &mut TcpStream| {
        let length = socket.read_u8().await.ok()?;
        let mut bytes = vec![0; usize::from(length)];
        socket.read_exact(&mut bytes).await.ok()?;
        String::from_utf8(bytes).ok()
    };
    assert_eq!(socket.read_u8().await.ok()?, 1);
    let login = (field(&mut socket).await?, field(&mut socket).await?);
    let is_known = login == ("restway".to_owned(), PASSWORD.to_owned());
    socket.write_all(&[1, u8::from(!is_known)]).await.ok()?;
    let mut request = [0; 4];
    socket.read_exact(&mut request).await.ok()?;
    assert_eq!(request, [5, 1, 0, 3], "a name, not an address");
    let host = field(&mut socket).await?;
    let port = socket.read_u16().await.ok()?;
    asked.lock().expect("what was asked").push(format!("{host}:{port}"));
    let status = match kind {
        Kind::Good => 0,
        Kind::Forbids => 2,
        Kind::Cuts => return None,
    };
    socket.write_all(&[5, status, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok()?;
    let mut host = TcpStream::connect(behind).await.ok()?;
    copy_bidirectional(&mut socket, &mut host).await.ok().map(drop)
}

fn rig() -> Rig {
    let rig = Rig::with(Limits::default(), &[HOST.to_owned(), "localhost".to_owned()], true);
    rig.secret("proxy", PASSWORD.to_owned());
    rig
}

async fn call(rig: &Rig, api: &ApiFile, url: &str) -> Result<Value, CallError> {
    let answer = rig.connector.call(api, get(url)).await?;
    Ok(serde_json::from_slice(&answer.body).expect("JSON"))
}

#[tokio::test]
async fn http_goes_through_either_kind_by_its_name() {
    let (rig, behind) = (rig(), canned(json_answer("[1]")).await);
    let url = format!("http://{HOST}/v1/x?a=b");
    let proxy = Proxy::http(Kind::Good, &behind).await;
    let api = proxy.api(&url, "${secret.proxy}");
    assert_eq!(call(&rig, &api, &url).await.expect("an answer"), json!([1]));
    assert_eq!(proxy.asked(), [format!("GET {url} HTTP/1.1")]);
    let proxy = Proxy::socks(Kind::Good, &behind).await;
    let api = proxy.api(&url, "${secret.proxy}");
    assert_eq!(call(&rig, &api, &url).await.expect("an answer"), json!([1]));
    assert_eq!(proxy.asked(), [format!("{HOST}:80")]);
}

#[tokio::test]
async fn https_goes_through_a_tunnel_that_sees_no_request() {
    let (rig, folder) = (rig(), certificates());
    let behind = server(folder.path(), "srv", None).await;
    for kind in ["http", "socks5"] {
        let proxy = match kind {
            "http" => Proxy::http(Kind::Good, &behind).await,
            _ => Proxy::socks(Kind::Good, &behind).await,
        };
        let mut api = proxy.api(&behind, "${secret.proxy}");
        rig.secret("ca", text(folder.path(), "ca.crt"));
        api.tls = serde_json::from_value(json!({"ca": "${secret.ca}"})).expect("tls");
        let answer = call(&rig, &api, &behind).await.expect("an answer");
        assert_eq!(answer["client"], false);
        let port = behind.rsplit_once(':').expect("a port").1;
        let asked = proxy.asked();
        assert!(asked[0].contains(&format!("localhost:{port}")), "{kind}: {asked:?}");
    }
}

#[tokio::test]
async fn what_a_proxy_refuses_is_said_with_its_address_and_without_its_password() {
    let rig = rig();
    let behind = canned(json_answer("[]")).await;
    let secure = format!("https://{HOST}/x");
    let plain = format!("http://{HOST}/x");
    let good = Proxy::http(Kind::Good, &behind).await;
    let socks = Proxy::socks(Kind::Good, &behind).await;
    let forbids = Proxy::http(Kind::Forbids, &behind).await;
    let socks_forbids = Proxy::socks(Kind::Forbids, &behind).await;
    let cuts = Proxy::http(Kind::Cuts, &behind).await;
    let table = [
        (&good, &secure, "${secret.wrong}", "call.proxy", "user and password that it knows"),
        (&good, &plain, "${secret.wrong}", "call.proxy", "user and password that it knows"),
        (&socks, &secure, "${secret.wrong}", "call.proxy", "refused the user or the password"),
        (&forbids, &secure, "${secret.proxy}", "call.proxy", "refused to open a tunnel"),
        (&socks_forbids, &secure, "${secret.proxy}", "call.proxy", "connection not allowed"),
        (&cuts, &secure, "${secret.proxy}", "call.proxy", "closed the connection"),
        (&cuts, &plain, "${secret.proxy}", "call.interrupted", "broke off after 0 bytes"),
    ];
    for (proxy, url, password, expected, words) in table {
        let error = call(&rig, &proxy.api(url, password), url).await.expect_err(words);
        let said = error.to_string();
        assert_eq!(code(&error), expected, "{said}");
        assert!(said.contains(words), "{words}: {said}");
        assert!(said.contains(&format!("(via the proxy {}", proxy.url)), "{said}");
        let hints = error.hints().join("\n");
        for secret in [PASSWORD, "wrong-secret-value"] {
            assert!(!said.contains(secret) && !hints.contains(secret), "{said}");
        }
    }
    let mut nobody = good.api(&secure, "${secret.proxy}");
    nobody.proxy.as_mut().expect("a proxy").url = "http://127.0.0.1:1".parse().expect("a template");
    let error = call(&rig, &nobody, &secure).await.expect_err("nobody listens");
    assert_eq!(code(&error), "call.connect", "{error}");
    assert!(error.to_string().contains("(via the proxy http://127.0.0.1:1"), "{error}");
    assert!(error.hints()[0].contains("that the proxy is up"), "{:?}", error.hints());
}

#[tokio::test]
async fn a_refused_login_is_not_tried_again_and_a_closed_way_a_few_times() {
    let (rig, behind) = (rig(), canned(json_answer("[]")).await);
    let url = format!("https://{HOST}/x");
    for (kind, password, asked) in
        [(Kind::Good, "${secret.wrong}", 1), (Kind::Forbids, "${secret.proxy}", 3)]
    {
        let proxy = Proxy::http(kind, &behind).await;
        let mut api = proxy.api(&url, password);
        api.retry = Default::default();
        call(&rig, &api, &url).await.expect_err("a refusal");
        assert_eq!(proxy.asked().len(), asked);
    }
}

#[tokio::test]
async fn what_may_not_be_reached_may_not_be_reached_through_a_proxy() {
    let behind = canned(json_answer("[]")).await;
    let proxy = Proxy::http(Kind::Good, &behind).await;
    let strict = |allow: &[&str], loopback| {
        let allow: Vec<String> = allow.iter().map(|&line| line.to_owned()).collect();
        let rig = Rig::with(Limits::default(), &allow, loopback);
        rig.secret("proxy", PASSWORD.to_owned());
        rig
    };
    let named = format!("http://{HOST}/");
    let table = [
        (strict(&[], true), "http://10.0.0.1/", "a private address"),
        (strict(&[], true), "http://[fd00::1]/", "a private address"),
        (strict(&[], true), named.as_str(), "only the proxy can resolve"),
        (strict(&[HOST], false), named.as_str(), "a loopback address"),
        (strict(&["127.0.0.1"], false), "http://localhost/", ""),
    ];
    for (rig, url, class) in table {
        let result = call(&rig, &proxy.api(url, "${secret.proxy}"), url).await;
        let Some(error) = result.err() else {
            assert_eq!(class, "", "{url}");
            continue;
        };
        assert_eq!(code(&error), "call.egress_denied", "{url}: {error}");
        assert!(error.to_string().contains(class), "{url}: {error}");
    }
    assert!(proxy.asked().iter().all(|line| line.contains("localhost")), "{:?}", proxy.asked());
}

#[tokio::test]
async fn no_proxy_names_what_is_reached_without_it() {
    let (rig, behind) = (rig(), canned(json_answer("[]")).await);
    let proxy = Proxy::http(Kind::Good, &behind).await;
    let host = behind.rsplit_once("//").expect("a URL").1;
    for direct in [vec!["*"], vec!["127.0.0.0/8"], vec!["other.example", host]] {
        let mut api = proxy.api(&behind, "${secret.proxy}");
        api.proxy.as_mut().expect("a proxy").no_proxy = direct.iter().map(|&d| d.into()).collect();
        call(&rig, &api, &behind).await.expect("an answer");
        assert!(proxy.asked().is_empty(), "{direct:?}");
    }
    let mut api = proxy.api(&behind, "${secret.proxy}");
    api.proxy.as_mut().expect("a proxy").no_proxy = vec!["127.0.0.1:1".into()];
    call(&rig, &api, &behind).await.expect("an answer");
    assert_eq!(proxy.asked().len(), 1);
}
