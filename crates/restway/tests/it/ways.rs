//! Ways to an api that none of us wrote: nginx that wants a client certificate, behind tinyproxy
//! and microsocks that want a password.
//!
//! `scripts/peers.sh` installs them from Debian. The certificates are made by openssl.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::peers::Peer;
use crate::support::{Said, Workspace};

const PASSWORD: &str = "a-proxy-password";

fn openssl(folder: &Path, name: &str) {
    let made = Command::new("openssl")
        .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split(' '))
        .args(["-days", "30", "-subj", &format!("/CN={name}")])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.crt")])
        .current_dir(folder)
        .output();
    assert!(made.expect("openssl runs").status.success());
}

/// nginx with TLS, which serves the workspace's `www` to whoever shows `client.crt`.
fn nginx(workspace: &Workspace) -> Peer {
    for name in ["server", "client"] {
        openssl(workspace.path(), name);
    }
    let folder = workspace.path().display().to_string();
    Peer::begin(Path::new("nginx"), |port| {
        let text = format!(
            "\
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off; default_type application/json;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} ssl http2; root {folder}/www; gzip on; gzip_types application/json;
    ssl_certificate {folder}/server.crt; ssl_certificate_key {folder}/server.key;
    ssl_client_certificate {folder}/client.crt; ssl_verify_client on;
  }}
}}
"
        );
        workspace.write("nginx.conf", &text);
        vec!["-c".into(), format!("{folder}/nginx.conf"), "-p".into(), folder.clone()]
    })
}

fn tinyproxy(workspace: &Workspace) -> Peer {
    Peer::begin(Path::new("tinyproxy"), |port| {
        let text = format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 60\nAllow 127.0.0.1\n\
             BasicAuth restway {PASSWORD}\n"
        );
        workspace.write("tinyproxy.conf", &text);
        let file = workspace.path().join("tinyproxy.conf").display().to_string();
        vec!["-d".into(), "-c".into(), file]
    })
}

fn microsocks() -> Peer {
    Peer::begin(Path::new("microsocks"), |port| {
        let port = port.to_string();
        ["-i", "127.0.0.1", "-p", &port, "-u", "restway", "-P", PASSWORD].map(str::to_owned).into()
    })
}

/// A sync with that `tls` and `proxy`, and that password for the proxy.
fn sync(workspace: &Workspace, port: u16, tls: &str, proxy: &str, password: &str) -> Said {
    workspace.write(
        "apis/shop.yaml",
        &format!(
            "\
api: shop
base_url: https://localhost:{port}
tls: {{ ca: server.crt{tls} }}
{proxy}
retry: {{ deadline: 0s }}
resources:
  orders: {{ path: /orders.json, records: data }}
"
        ),
    );
    let key = std::fs::read_to_string(workspace.path().join("client.key")).expect("a key");
    let mut command = workspace.command(&["sync"]);
    command.env("CLIENT_KEY", key).env("PROXY_PASSWORD", password);
    crate::support::said(command.output().expect("the binary runs"))
}

#[test]
fn a_client_certificate_is_shown_to_nginx_directly_and_through_real_proxies() {
    let workspace = Workspace::new();
    let data: Vec<_> = (0..3_000).map(|id| json!({"id": id, "name": format!("n{id}")})).collect();
    workspace.write("www/orders.json", &json!({ "data": data }).to_string());
    let host = nginx(&workspace);
    let http = tinyproxy(&workspace);
    let socks = microsocks();
    let known = ", client_cert: client.crt, client_key: '${env.CLIENT_KEY}'";
    let said = sync(&workspace, host.port, "", "", "");
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("status 400"), "{}", said.err);
    let proxy = |url: &str| {
        format!("proxy: {{ url: '{url}', username: restway, password: '${{env.PROXY_PASSWORD}}' }}")
    };
    let through = [
        String::new(),
        proxy(&format!("http://127.0.0.1:{}", http.port)),
        proxy(&format!("socks5://127.0.0.1:{}", socks.port)),
    ];
    for proxy in &through {
        let said = sync(&workspace, host.port, known, proxy, PASSWORD);
        assert_eq!(said.code, 0, "{proxy}: {}", said.err);
        let rows = workspace.rows("select count(*) as n, max(name) as last from shop.orders");
        assert_eq!(rows, [json!({"n": 3_000, "last": "n999"})], "{proxy}");
    }
    for proxy in &through[1..] {
        let said = sync(&workspace, host.port, known, proxy, "a-wrong-password");
        assert_eq!(said.code, 1, "{proxy}: {}", said.err);
        assert!(said.err.contains("call.proxy") && said.err.contains("via the proxy"));
        assert!(!said.err.contains("wrong-password"), "{}", said.err);
    }
    call_through(&workspace, &[http.port, socks.port]);
}

/// `call --proxy`, with the password in the environment, in a secret, and where it must not be.
fn call_through(workspace: &Workspace, ports: &[u16; 2]) {
    let key = std::fs::read_to_string(workspace.path().join("client.key")).expect("a key");
    let call = |proxy: &str, password: &str| {
        let call = ["call", "--api", "shop", "--url", "/orders.json", "--proxy", proxy];
        let mut command = workspace.command(&call);
        command.env("CLIENT_KEY", &key).env("PROXY_PASSWORD", password);
        crate::support::said(command.output().expect("the binary runs"))
    };
    workspace.feed(&["secret", "set", "proxy"], PASSWORD);
    for (scheme, port) in [("http", ports[0]), ("socks5h", ports[1])] {
        let own = format!("{scheme}://restway:${{env.PROXY_PASSWORD}}@127.0.0.1:{port}");
        let said = call(&own, PASSWORD);
        assert_eq!(said.code, 0, "{}", said.err);
        let said = call(&own, "a-wrong-password");
        assert_eq!(said.code, 1, "{}", said.err);
        assert!(said.err.contains("[call.proxy]"), "{}", said.err);
        let said = call(&own.replace("env.PROXY_PASSWORD", "secret.proxy"), "");
        assert_eq!(said.code, 0, "{}", said.err);
        let said = call(&own.replace("${env.PROXY_PASSWORD}", PASSWORD), "");
        assert_eq!(said.code, 2, "{}", said.err);
        assert!(said.err.contains("holds a password"), "{}", said.err);
        assert!(!format!("{}{}", said.out, said.err).contains(PASSWORD), "{}", said.err);
    }
    let said = call("ftp://127.0.0.1:1", "");
    assert!(said.err.contains("`--proxy` is not the address of a proxy"), "{}", said.err);
}
