//! Certificates, proxies and logins: what of them may stand in a file.

use super::*;

#[test]
fn a_key_needs_its_certificate_and_stands_in_no_file() {
    check::<ApiFile>(
        "\
api: acme
base_url: https://a.example
auth: { type: mtls }
tls: { ca: 'x${secret.ca}', client_key: my-key.pem, min_version: '1.1' }
",
        expect![[r#"
            4:66+6 `1.1` is none of the words that can stand here -- did you mean `1.2`?
        "#]],
    );
    check::<ApiFile>(
        "\
api: acme
base_url: https://a.example
auth: { type: mtls }
tls: { ca: 'x${secret.ca}', client_key: my-key.pem }
",
        expect![[r#"
            3:7+1 mtls shows a client certificate, and there is none -- write `client_cert` with `client_key` or `client_key_password` under `tls`
            4:12+15 a file's name, or one `${…}` and nothing else
            4:41+10 a credential stands in the file -- store it with `restway secret set NAME` and write `${secret.NAME}`
            4:41+10 `client_key` needs a `client_cert`
        "#]],
    );
    check::<ApiFile>(
        "\
api: acme
base_url: https://a.example
auth: { type: mtls }
tls: { ca: certs/ca.pem, client_cert: '${secret.cert}', client_key: '${secret.key}' }
",
        expect![[r#"
            ok
        "#]],
    );
}

#[test]
fn a_proxy_has_an_address_and_its_password_stands_elsewhere() {
    let api = |proxy: &str| format!("api: a\nbase_url: https://h.example\nproxy: {proxy}\n");
    check::<ApiFile>(
        &api("{ url: 'ftp://p:1', password: open-sesame }"),
        expect![[r#"
            3:15+11 not a proxy's address -- write `http://host:port`, `https://host:port` or `socks5://host:port`
            3:38+11 a credential stands in the file -- store it with `restway secret set NAME` and write `${secret.NAME}`
            3:38+11 `password` needs a `username`
        "#]],
    );
    check::<ApiFile>(
        &api("{ url: 'http://u:p@p:1', username: '${param.x}' }"),
        expect![[r#"
            3:15+16 a credential stands in the address -- write `username` and `password` beside `url`
            3:43+13 `${param.x}` has no meaning here -- this place knows secret, env
        "#]],
    );
    let whole = "{ url: 'socks5://p:1', username: u, password: '${secret.p}', no_proxy: [x] }";
    assert!(read::<ApiFile>("apis/a.yaml", &api(whole)).is_ok());
}

#[test]
fn logins_of_persons_and_signatures_must_make_sense() {
    let head = "api: acme\nbase_url: https://a.example\nauth:\n  type: ";
    let text = |rest: &str| format!("{head}{rest}\n");
    check::<ApiFile>(
        &text(
            "oauth2\n  grant: authorization_code\n  token_url: /t\n  client_id: me\n  \
             device_url: /d\n  redirect_port: 0\n  \
             authorize_params: { state: x, a: '${secret.k}' }",
        ),
        expect![[r#"
            4:3+1 the key `authorize_url` is missing, which this grant and client need
            8:15+2 `device_url` means nothing with this grant and `client_auth`
            9:18+1 0 is not a port -- leave it out for a free port
            10:30+1 the parameter `state` is not yours to set here
            10:36+14 `${secret.k}` has no meaning here -- this place knows env
        "#]],
    );
    check::<ApiFile>(
        &text(
            "oauth2\n  grant: device\n  token_url: /t\n  client_id: me\n  device_url: /d\n  \
             issuer: https://a.example",
        ),
        expect![[r#"
            9:11+17 `issuer` means nothing with this grant
        "#]],
    );
    check::<ApiFile>(
        &text(
            "hmac\n  key: ${secret.k}\n  string: '${request.metod}${request.body.sha256.hex}'\n  \
             headers: { X-Key: plain, X-Time: '${request.time.iso}' }",
        ),
        expect![[r#"
            4:3+1 the signature goes nowhere -- write `${request.signature}` into a header or a query parameter
            6:11+44 a request has no `metod` -- there are method, method_lower, host, path, query, target, body, body_length, time.seconds, time.millis, time.iso, time.iso_millis, time.http, nonce, header.NAME and body.HASH.ENCODING (sha256.hex, md5.base64, …)
        "#]],
    );
    check::<ApiFile>(
        &text(
            "login\n  url: /l\n  token: t\n  \
             json: { user: { name: u, password: hunter2 }, all: [{ api_key: abc }] }",
        ),
        expect![[r#"
            7:38+7 `password` looks like a credential that stands in the file -- use `auth`, or store it with `restway secret set NAME` and write `${secret.NAME}`
            7:66+3 `api_key` looks like a credential that stands in the file -- use `auth`, or store it with `restway secret set NAME` and write `${secret.NAME}`
        "#]],
    );
}
