//! TLS with certificates that openssl made, against a server of rustls: what is trusted, what is
//! shown, and what the errors say.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use restway_connect::{Answer, CallError};
use restway_model::Name;
use restway_model::definition::{ApiFile, CallInputs, read};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::support::{Rig, api, canned, code, get};

fn openssl(folder: &Path, arguments: &str) {
    let done = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .expect("openssl runs");
    assert!(done.status.success(), "{arguments}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A self-signed server, an authority with a server and a client of its own, and a stranger.
pub(crate) fn certificates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let make = |arguments: &str| openssl(folder.path(), arguments);
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for (name, subject) in [("self", "localhost"), ("ca", "acme-ca"), ("stranger", "nobody")] {
        make(&format!(
            "req -x509 {key} -keyout {name}.key -out {name}.crt -days 30 -subj /CN={subject} \
             -addext subjectAltName=DNS:localhost"
        ));
    }
    let alt = |name: &str| {
        let text = format!("subjectAltName=DNS:{name}\n");
        fs_err::write(folder.path().join(format!("{name}.ext")), text).expect("a file");
    };
    for (name, host, days) in
        [("srv", "localhost", 30), ("other", "other.example", 30), ("cli", "client", 30)]
    {
        alt(host);
        make(&format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={host}"));
        make(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days {days} \
             -extfile {host}.ext -out {name}.crt"
        ));
    }
    let settings = "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nnew_certs_dir=.\nserial=serial\n\
                    default_md=sha256\npolicy=p\nx509_extensions=e\n[p]\ncommonName=supplied\n[e]\n\
                    subjectAltName=DNS:localhost\n";
    for (name, text) in [("ca.cnf", settings), ("index.txt", ""), ("serial", "01\n")] {
        fs_err::write(folder.path().join(name), text).expect("a file");
    }
    make(&format!("req {key} -keyout old.key -out old.csr -subj /CN=localhost"));
    make(
        "ca -config ca.cnf -batch -notext -cert ca.crt -keyfile ca.key -in old.csr -out old.crt \
         -startdate 20200101000000Z -enddate 20200201000000Z",
    );
    folder
}

pub(crate) fn text(folder: &Path, name: &str) -> String {
    fs_err::read_to_string(folder.join(name)).expect(name)
}

/// The TLS of a server with that certificate.
pub(crate) fn acceptor(
    folder: &Path,
    name: &str,
    client_ca: Option<&str>,
    protocols: &[&[u8]],
) -> TlsAcceptor {
    let chain = CertificateDer::from_pem_file(folder.join(format!("{name}.crt"))).expect(name);
    let key = PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key"))).expect(name);
    // Named, because other libraries of the workspace bring a second one.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            let ca = CertificateDer::from_pem_file(folder.join(ca)).expect("a certificate");
            roots.add(ca).expect("a root");
            let roots = Arc::new(roots);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        }
    };
    let mut config = builder.with_single_cert(vec![chain], key).expect("a configuration");
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// A server with that certificate that answers `{"client": …}`; returns its URL.
pub(crate) async fn server(folder: &Path, name: &str, client_ca: Option<&str>) -> String {
    let acceptor = acceptor(folder, name, client_ca, &[]);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(socket).await else { return };
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let version = format!("{:?}", stream.get_ref().1.protocol_version());
                let has_client = stream.get_ref().1.peer_certificates().is_some();
                let sni = stream.get_ref().1.server_name();
                let body = json!({"client": has_client, "version": version, "sni": sni});
                let body = body.to_string();
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    format!("https://localhost:{port}")
}

async fn call(url: &str, mut inputs: Value) -> Result<Value, CallError> {
    let rig = Rig::new();
    inputs["url"] = url.into();
    let inputs = read::<CallInputs>("inputs", &inputs.to_string()).expect("inputs");
    let prepared = rig.connector.prepare(&inputs, None)?;
    let api = ApiFile::bare(Name::slug("call"), prepared.request.url.expose());
    rig.connector.call(&api, prepared.request).await.map(|answer| body(&answer))
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}

#[tokio::test]
async fn a_self_signed_server_is_trusted_only_by_its_certificate() {
    let folder = certificates();
    let pem = |name: &str| text(folder.path(), name);
    let url = server(folder.path(), "self", None).await;
    let error = call(&url, json!({})).await.expect_err("nobody signed it");
    assert_eq!(code(&error), "call.tls");
    assert!(error.to_string().contains("is for `localhost`, by `localhost`, until 2"), "{error}");
    call(&url, json!({"cacert": pem("self.crt")})).await.expect("it is given");
    call(&url, json!({"server_ca": pem("self.crt")})).await.expect("it is given");
    call(&url, json!({"verify_ssl": false})).await.expect("nothing is verified");
    let error = call(&url, json!({"cacert": pem("stranger.crt")})).await.expect_err("a stranger");
    assert_eq!(code(&error), "call.tls");
    let by_address = url.replace("localhost", "127.0.0.1");
    let given = json!({"cacert": pem("self.crt")});
    let error = call(&by_address, given).await.expect_err("another name");
    assert!(error.to_string().contains("not valid for name"), "{error}");
    let given = json!({"cacert": pem("self.crt"), "check_hostname": false});
    call(&by_address, given).await.expect("the name does not count");
    for bad in [json!({"cacert": "nonsense"}), json!({"cacert": pem("self.key")})] {
        let error = call(&url, bad).await.expect_err("no certificate");
        assert_eq!(code(&error), "definition.invalid");
    }
}

#[tokio::test]
async fn names_and_dates_count_and_the_error_says_which() {
    let folder = certificates();
    let ca = text(folder.path(), "ca.crt");
    let url = server(folder.path(), "srv", None).await;
    call(&url, json!({"cacert": ca})).await.expect("the authority is given");
    let other = server(folder.path(), "other", None).await;
    let error = call(&other, json!({"cacert": ca})).await.expect_err("another name");
    assert!(error.to_string().contains("is for `other.example`, by `acme-ca`"), "{error}");
    call(&other, json!({"cacert": ca, "check_hostname": false})).await.expect("no name");
    let old = server(folder.path(), "old", None).await;
    for given in ["ca.crt", "old.crt"] {
        let given = json!({"cacert": text(folder.path(), given), "check_hostname": false});
        let error = call(&old, given).await.expect_err("it is over");
        assert!(error.to_string().contains("expired"), "{error}");
        assert!(error.to_string().contains("for `localhost`, by `acme-ca`, until 2020-02-01"));
    }
    call(&old, json!({"verify_ssl": false})).await.expect("nothing is verified");
}

#[tokio::test]
async fn an_api_shows_its_client_certificate_at_home_only() {
    let folder = certificates();
    let url = server(folder.path(), "srv", Some("ca.crt")).await;
    let open = server(folder.path(), "srv", None).await;
    let pem = |name: &str| text(folder.path(), name);
    let error = call(&url, json!({"cacert": pem("ca.crt")})).await.expect_err("no certificate");
    assert!(["call.tls", "call.interrupted"].contains(&code(&error)), "{error}");
    let own = json!({"cacert": pem("ca.crt"), "client_cert": pem("cli.crt"),
                     "client_key": pem("cli.key")});
    assert_eq!(call(&url, own).await.expect("it is known")["client"], true);
    let crossed = json!({"cacert": pem("ca.crt"), "client_cert": pem("cli.crt"),
                         "client_key": pem("srv.key")});
    let error = call(&url, crossed).await.expect_err("another's key");
    assert_eq!(code(&error), "definition.invalid");

    let rig = Rig::in_folder(folder.path());
    rig.secret("cli_key", pem("cli.key"));
    let tls = json!({"ca": "ca.crt", "client_cert": "cli.crt",
                     "client_key": "${secret.cli_key}", "min_version": "1.3"});
    let api = api(&url, json!({"auth": {"type": "mtls"}, "tls": tls}));
    let answer = rig.connector.call(&api, get(&format!("{url}/x"))).await.expect("an answer");
    let expected = json!({"client": true, "version": "Some(TLSv1_3)", "sni": "localhost"});
    assert_eq!(body(&answer), expected);
    openssl(folder.path(), "pkcs8 -topk8 -in cli.key -passout pass:open-the-key -out locked.key");
    rig.secret("locked_key", pem("locked.key"));
    rig.secret("key_password", "open-the-key".into());
    let locked = |password: Value| {
        let tls = json!({"ca": "ca.crt", "client_cert": "cli.crt",
            "client_key": "${secret.locked_key}", "client_key_password": password});
        self::api(&url, json!({"auth": {"type": "mtls"}, "tls": tls}))
    };
    let call = async |api: ApiFile| rig.connector.call(&api, get(&format!("{url}/x"))).await;
    let answer = call(locked("${secret.key_password}".into())).await.expect("it opens");
    assert_eq!(body(&answer)["client"], true);
    for (password, problem) in [
        ("${secret.wrong}".into(), "passphrase is wrong"),
        (Value::Null, "`client_key_password` is not given"),
    ] {
        let error = call(locked(password)).await.expect_err(problem);
        assert!(error.to_string().contains(problem), "{error}");
        assert!(!error.to_string().contains("wrong-secret-value"), "{error}");
    }
    // Another origin is judged by the system's authorities alone.
    let away = rig.connector.call(&api, get(&format!("{open}/x"))).await;
    assert_eq!(code(&away.expect_err("nobody signed it")), "call.tls");
}

#[tokio::test]
async fn versions_and_the_sent_name_are_as_the_definition_says() {
    let folder = certificates();
    let rig = Rig::new();
    rig.secret("ca", text(folder.path(), "ca.crt"));
    let url = server(folder.path(), "srv", None).await;
    for (sni, expected) in [(true, json!("localhost")), (false, Value::Null)] {
        let api = api(&url, json!({"tls": {"ca": "${secret.ca}", "sni": sni}}));
        let answer = rig.connector.call(&api, get(&url)).await.expect("an answer");
        assert_eq!(body(&answer)["sni"], expected);
    }
    // An alert of RFC 8446, section 6.2: `protocol_version`, as an old server sends it.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let old = format!("https://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(&[0x15, 3, 1, 0, 2, 2, 70]).await;
        }
    });
    let parts = json!({"retry": {"deadline": "0s"}, "tls": {"min_version": "1.3"}});
    let error = rig.connector.call(&api(&old, parts), get(&old)).await.expect_err("TLS 1.0 only");
    assert_eq!(code(&error), "call.tls", "{error}");
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
}

#[tokio::test]
async fn a_client_certificate_that_has_ended_is_an_error_of_its_own() {
    let folder = certificates();
    let url = server(folder.path(), "srv", Some("ca.crt")).await;
    let rig = Rig::in_folder(folder.path());
    rig.secret("key", text(folder.path(), "old.key"));
    let tls = json!({"ca": "ca.crt", "client_cert": "old.crt", "client_key": "${secret.key}"});
    let error = rig.connector.call(&api(&url, json!({"tls": tls})), get(&url)).await;
    let error = error.expect_err("it has ended");
    assert_eq!(code(&error), "call.certificate_ended", "{error}");
    assert!(error.to_string().contains("has ended on 2020-02-01"), "{error}");
    let inputs = json!({"cacert": text(folder.path(), "ca.crt"),
        "client_cert": text(folder.path(), "old.crt"),
        "client_key": text(folder.path(), "old.key")});
    let error = call(&url, inputs).await.expect_err("it has ended");
    assert_eq!(code(&error), "call.certificate_ended", "{error}");
}

#[tokio::test]
async fn a_certificate_that_is_renewed_in_its_file_counts_from_the_next_request_on() {
    let folder = certificates();
    let url = server(folder.path(), "srv", Some("ca.crt")).await;
    let rig = Rig::in_folder(folder.path());
    rig.secret("key", text(folder.path(), "cli.key"));
    let own = folder.path().join("own.crt");
    let tls = json!({"ca": "ca.crt", "client_cert": "own.crt", "client_key": "${secret.key}"});
    let api = api(&url, json!({"retry": {"deadline": "0s"}, "tls": tls}));
    let call = async || rig.connector.call(&api, get(&url)).await;
    fs_err::copy(folder.path().join("cli.crt"), &own).expect("a file");
    call().await.expect("it is known");
    call().await.expect("it is known still");
    fs_err::write(&own, "a renewal that went wrong").expect("a file");
    assert_eq!(code(&call().await.expect_err("no certificate")), "definition.invalid");
    fs_err::copy(folder.path().join("cli.crt"), &own).expect("a file");
    call().await.expect("it is known again");
    rig.secret("key", text(folder.path(), "srv.key"));
    assert_eq!(code(&call().await.expect_err("another's key")), "definition.invalid");
    fs_err::remove_file(&own).expect("it is removed");
    assert_eq!(code(&call().await.expect_err("no file")), "definition.invalid");
}

#[tokio::test]
async fn what_a_call_shows_and_passes_over_is_for_its_own_origin() {
    let folder = certificates();
    let other = server(folder.path(), "srv", Some("ca.crt")).await;
    let open = server(folder.path(), "srv", None).await;
    let pem = |name: &str| text(folder.path(), name);
    for (to, inputs) in [
        (
            other,
            json!({"cacert": pem("ca.crt"), "client_cert": pem("cli.crt"),
            "client_key": pem("cli.key")}),
        ),
        (open, json!({"verify_ssl": false})),
    ] {
        call(&to, inputs.clone()).await.expect("there it is for");
        let from = canned(format!("HTTP/1.1 302 X\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"));
        let from = from.await.replace("127.0.0.1", "localhost");
        let error = call(&from, inputs).await.expect_err("another origin of the same host");
        assert_eq!(code(&error), "call.tls", "{error}");
    }
}

#[tokio::test]
async fn a_pkcs12_file_brings_certificate_and_key_behind_one_password() {
    let folder = certificates();
    let pack = |arguments: &str| openssl(folder.path(), &format!("pkcs12 -export {arguments}"));
    let own = "-inkey cli.key -in cli.crt -certfile ca.crt -passout pass:open-the-file";
    pack(&format!("{own} -out new.p12"));
    pack(&format!("{own} -legacy -out old.p12"));
    pack(&format!("{own} -nomac -out nomac.p12"));
    pack("-nokeys -in cli.crt -passout pass:open-the-file -out bare.p12");
    openssl(folder.path(), "x509 -in cli.crt -outform der -out cli.p12");
    let url = server(folder.path(), "srv", Some("ca.crt")).await;
    let rig = Rig::in_folder(folder.path());
    rig.secret("open", "open-the-file".into());
    let bytes = fs_err::read(folder.path().join("new.p12")).expect("a file");
    rig.secret("packed", STANDARD.encode(&bytes));
    rig.secret("key", text(folder.path(), "cli.key"));
    let call = async |mut tls: Value| {
        tls["ca"] = "ca.crt".into();
        let api = api(&url, json!({"auth": {"type": "mtls"}, "tls": tls}));
        rig.connector.call(&api, get(&url)).await
    };
    for file in ["new.p12", "old.p12", "nomac.p12", "${secret.packed}"] {
        let tls = json!({"client_cert": file, "client_key_password": "${secret.open}"});
        assert_eq!(body(&call(tls).await.expect(file))["client"], true, "{file}");
    }
    let (open, wrong) = ("${secret.open}", "${secret.wrong}");
    for (tls, problem) in [
        (json!({"client_cert": "new.p12", "client_key_password": wrong}), "password is wrong"),
        (json!({"client_cert": "old.p12", "client_key_password": wrong}), "password is wrong"),
        (json!({"client_cert": "nomac.p12", "client_key_password": wrong}), "password is wrong"),
        (json!({"client_cert": "bare.p12", "client_key_password": open}), "no private key"),
        (json!({"client_cert": "cli.p12", "client_key_password": open}), "not a whole PKCS#12"),
        (json!({"client_cert": "cli.crt", "client_key_password": open}), "write its `client_key`"),
        (json!({"client_cert": "new.p12"}), "`client_key_password` is not given"),
        (json!({"client_cert": "new.p12", "client_key": "${secret.key}"}), "brings its key"),
    ] {
        let error = call(tls).await.expect_err(problem);
        assert_eq!(code(&error), "definition.invalid", "{error}");
        assert!(error.to_string().contains(problem), "{problem}: {error}");
        assert!(!error.to_string().contains("wrong-secret-value"), "{error}");
    }
    let given = |password: &str| {
        json!({"cacert": text(folder.path(), "ca.crt"), "client_key_password": password,
               "client_cert": STANDARD.encode(&bytes)})
    };
    assert_eq!(self::call(&url, given("open-the-file")).await.expect("an answer")["client"], true);
    let error = self::call(&url, given("not-this-one")).await.expect_err("another password");
    assert!(error.to_string().contains("password is wrong"), "{error}");
}
