//! Logins at a real authorization server, oidc-provider: every proof of a client, tokens that end
//! while a walk goes on, and a person in a browser and on a device.
//!
//! The test is the browser: it follows the addresses with curl, and the server's own page logs ada
//! in. The server moves its own clock, so nobody waits for a token to end.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::peers::Peer;
use crate::support::Workspace;

const ASSERTED: &str = "client_credentials";

fn run(folder: &Path, program: &str, arguments: &str) -> String {
    let done = Command::new(program)
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| panic!("{program} does not run: {error}"));
    assert!(done.status.success(), "{arguments}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("a text")
}

/// An authority, a server, a client, and the keys that assertions are signed with.
fn keys(workspace: &Workspace) {
    let folder = workspace.path();
    let make = |arguments: &str| drop(run(folder, "openssl", arguments));
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    make(&format!("req -x509 {key} -keyout ca.key -out ca.crt -days 9 -subj /CN=acme-ca"));
    workspace.write("server.ext", "subjectAltName=DNS:localhost\n");
    workspace.write("client.ext", "extendedKeyUsage=clientAuth\n");
    for (name, subject) in [("server", "localhost"), ("client", "by-certificate")] {
        make(&format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={subject}"));
        make(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 9 \
             -extfile {name}.ext -out {name}.crt"
        ));
    }
    make("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ES256.pem");
    make("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out RS256.pem");
    for name in ["ES256", "RS256"] {
        let script = "const c=require('node:crypto'),f=require('node:fs'),n=process.argv[1];\
            f.writeFileSync(n+'.json',JSON.stringify({...c.createPublicKey(\
            f.readFileSync(n+'.pem')).export({format:'jwk'}),use:'sig',alg:n,kid:n}))";
        let made = Command::new("node").args(["-e", script, name]).current_dir(folder).status();
        assert!(made.expect("node runs").success());
    }
    make("pkcs8 -topk8 -in client.key -passout pass:open-the-key -out locked.key");
}

fn server(workspace: &Workspace, scheme: &str) -> Peer {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/authorization.mjs");
    let folder = workspace.path().to_string_lossy().into_owned();
    Peer::begin(Path::new("node"), |port| {
        vec![
            script.to_string_lossy().into_owned(),
            scheme.to_owned(),
            port.to_string(),
            folder.clone(),
        ]
    })
}

fn asked(workspace: &Workspace, url: &str, more: &str) -> String {
    run(workspace.path(), "curl", &format!("-sS --max-time 60 {more} {url}"))
}

fn seen(workspace: &Workspace, base: &str) -> Value {
    let text = asked(workspace, &format!("{base}/seen"), "--insecure");
    serde_json::from_str(&text).expect("JSON")
}

const ITEMS: &str = "\
resources:
  items: { path: /items, records: items, paginate: { type: page }, key: id }
";

#[test]
fn every_proof_of_a_client_walks_past_the_end_of_its_tokens() {
    let workspace = Workspace::new();
    keys(&workspace);
    let peer = server(&workspace, "https");
    let base = format!("https://localhost:{}", peer.port);
    let assertion = |name: &str| {
        format!(
            "client_auth: private_key_jwt\n  assertion: {{ key: \"${{env.{name}}}\", \
             algorithm: {name}, key_id: {name}, audience: \"{base}\" }}"
        )
    };
    let clients = [
        ("by_basic", "client_auth: basic\n  client_secret: ${env.BASIC}".to_owned()),
        ("by_post", "client_secret: ${env.POST}".to_owned()),
        ("by_es256", assertion("ES256")),
        ("by_rs256", assertion("RS256")),
        ("by_certificate", "client_auth: none".to_owned()),
    ];
    for (name, proof) in &clients {
        let tls = match *name {
            "by_certificate" => {
                ", client_cert: client.crt, client_key: \"${env.LOCKED}\", \
                 client_key_password: \"${env.LOCK}\""
            }
            _ => "",
        };
        let id = name.replace('_', "-");
        workspace.write(
            &format!("apis/{name}.yaml"),
            &format!(
                "api: {name}\nbase_url: {base}\ntls: {{ ca: ca.crt{tls} }}\nauth:\n  type: oauth2\n  \
                 token_url: /token\n  client_id: {id}\n  scopes: [read]\n  {proof}\n{ITEMS}"
            ),
        );
    }
    let text =
        |name: &str| std::fs::read_to_string(workspace.path().join(name)).expect("it was made");
    let sync = |arguments: &[&str]| {
        let done = workspace
            .command(arguments)
            .env("BASIC", "a+secret of/basic")
            .env("POST", "a+secret of/post")
            .env("ES256", text("ES256.pem"))
            .env("RS256", text("RS256.pem"))
            .env("LOCKED", text("locked.key"))
            .env("LOCK", "open-the-key")
            .output()
            .expect("the binary runs");
        let err = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{arguments:?}: {err}");
    };
    for (name, _) in &clients {
        sync(&["sync", name]);
        let rows = workspace.value(&format!("select count(distinct id) from {name}.items"));
        assert_eq!(rows, json!(120), "{name}");
    }
    let seen = seen(&workspace, &base);
    let granted = seen["granted"][ASSERTED].as_u64().expect("a number");
    assert!(granted >= 5 * 3, "12 pages of a second outlive tokens of 3 s: {seen}");
    assert!(seen["unauthorized"].as_u64().expect("a number") >= 5, "{seen}");
    assert_eq!(seen["refused"], json!([]));
    let used = seen["assertions"].as_array().expect("a list");
    let distinct: std::collections::BTreeSet<&str> =
        used.iter().filter_map(Value::as_str).collect();
    assert!(used.len() > 2 && distinct.len() == used.len(), "no assertion is sent twice");
    let again = asked(&workspace, &format!("{base}/replay"), "--insecure");
    assert_eq!(again, r#"{"status":401}"#, "the server would have noticed");
}

/// A login that runs, and the line of its words that holds a mark.
fn begun(workspace: &Workspace, api: &str, mark: &str) -> (Child, String) {
    let mut child = workspace
        .command(&["auth", "login", api])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(child.stderr.as_mut().expect("a pipe")).lines();
    let line = lines.find_map(|line| line.ok().filter(|line| line.contains(mark)));
    (child, line.unwrap_or_else(|| panic!("nothing with {mark}")))
}

fn ended(mut child: Child) -> (bool, String) {
    let mut text = String::new();
    for pipe in [
        child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read>),
        child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read>),
    ] {
        pipe.expect("a pipe").read_to_string(&mut text).expect("a text");
    }
    (child.wait().expect("it ends").success(), text)
}

fn person_api(workspace: &Workspace, base: &str, api: &str, more: &str) {
    workspace.write(
        &format!("apis/{api}.yaml"),
        &format!(
            "api: {api}\nbase_url: {base}\nauth:\n  type: oauth2\n  token_url: /token\n  \
             revoke_url: /token/revocation\n{more}\n{ITEMS}"
        ),
    );
}

#[test]
fn a_person_logs_in_in_a_browser_and_out_again() {
    let workspace = Workspace::new();
    let peer = server(&workspace, "http");
    let base = format!("http://localhost:{}", peer.port);
    let shop = |scopes: &str, issuer: &str| {
        let more = format!(
            "  grant: authorization_code\n  authorize_url: /auth\n  client_id: browser\n  \
             scopes: [{scopes}]\n  issuer: {issuer}"
        );
        person_api(&workspace, &base, "shop", &more);
    };
    shop("openid, offline_access", &base);
    let before = workspace.run(&["sync"]);
    assert!(before.err.contains("run `restway auth login shop`"), "{}", before.err);
    assert_eq!(workspace.json(&["auth", "status"])["logins"][0]["logged_in"], json!(false));

    let (child, line) = begun(&workspace, "shop", &base);
    let address = url::Url::parse(line.trim()).expect("an address");
    let get = |name: &str| {
        let found = address.query_pairs().find(|(known, _)| known == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    assert_eq!(get("code_challenge_method"), "S256");
    // Answers that nobody asked for are passed over.
    let forged = format!("{}?code=of-another&state=guessed", get("redirect_uri"));
    assert!(asked(&workspace, &forged, "").contains("does not belong"));
    assert!(
        asked(&workspace, &get("redirect_uri").replace("callback", "x"), "").contains("nothing")
    );
    let page = asked(&workspace, address.as_str(), "-L -c jar -b jar");
    assert!(page.contains("You can close this page"), "{page}");
    let (is_done, said) = ended(child);
    assert!(is_done && said.contains("logged in to shop as ada"), "{said}");

    workspace.ok(&["sync"]);
    assert_eq!(workspace.value("select count(distinct id) from shop.items"), json!(120));
    let status = workspace.json(&["auth", "status", "shop"]);
    assert_eq!(status["logins"][0]["who"], json!("ada"));
    assert_eq!(status["logins"][0]["is_renewed"], json!(true));
    let known = seen(&workspace, &base);
    assert!(known["granted"]["refresh_token"].as_u64().is_some_and(|count| count >= 3), "{known}");

    let out = workspace.json(&["auth", "logout", "shop"]);
    assert_eq!(out["logouts"][0]["outcome"], json!("revoked"));
    assert_eq!(seen(&workspace, &base)["revoked"], json!(1));
    assert_eq!(workspace.run(&["sync"]).code, 2);

    for (scopes, issuer, problem) in [
        ("openid, refuse", base.as_str(), "access_denied"),
        ("openid", "https://id.acme.example", "not from `issuer`"),
    ] {
        shop(scopes, issuer);
        let (child, line) = begun(&workspace, "shop", &base);
        let page = asked(&workspace, line.trim(), "-L -c jar2 -b jar2");
        assert!(page.contains("refused"), "{page}");
        let (is_done, said) = ended(child);
        assert!(!is_done && said.contains(problem), "{said}");
    }
}

#[test]
fn a_person_enters_a_code_on_another_device() {
    let workspace = Workspace::new();
    let peer = server(&workspace, "http");
    let base = format!("http://localhost:{}", peer.port);
    let more = "  grant: device\n  device_url: /device/auth\n  client_id: device\n  \
                scopes: [openid, offline_access]";
    person_api(&workspace, &base, "tv", more);
    let (child, line) = begun(&workspace, "tv", "enter the code");
    let code = line.rsplit(' ').next().expect("a code");
    assert_eq!(asked(&workspace, &format!("{base}/approve?code={code}"), "--fail"), "{}");
    let (is_done, said) = ended(child);
    assert!(is_done, "{said}");
    workspace.ok(&["sync"]);
    assert_eq!(workspace.value("select count(distinct id) from tv.items"), json!(120));
}

#[test]
fn the_address_of_a_login_is_printed_as_it_is_whatever_the_client_is_called_by() {
    let workspace = Workspace::new();
    let file = "api: a\nbase_url: https://api.acme.example\nauth:\n  type: oauth2\n  \
        grant: authorization_code\n  authorize_url: https://id.acme.example/authorize\n  \
        token_url: https://id.acme.example/token\n  client_id: ${env.CLIENT}\n";
    workspace.write("apis/a.yaml", file);
    let mut command = workspace.command(&["auth", "login", "a"]);
    let mut child = command
        .env("CLIENT", "the-id-of-the-client")
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let address = lines.map_while(Result::ok).find(|line| line.contains("://"));
    child.kill().expect("it waits for the person");
    child.wait().expect("it ends");
    let address = address.expect("an address");
    assert!(address.contains("client_id=the-id-of-the-client&"), "{address}");
}
