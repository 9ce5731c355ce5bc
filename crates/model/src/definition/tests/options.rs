//! Keys that exclude each other, need each other, or would do nothing.

use super::*;

#[test]
fn a_request_has_one_body_that_its_pages_can_change() {
    let text = "
api: acme
base_url: https://a.example
resources:
  one: { path: /x, method: POST, text: \"a\", json: { a: 1 } }
  two: { path: /x, file: f.txt }
  three: { path: /x, method: POST, text: \"${param.x}\", paginate: { type: token, next: n, body: b } }
  four: { path: /x, method: POST, urlencoded: { password: abc, user: \"${secret.x}\" } }
  five: { path: /x, method: POST, json: { a: [\"${secret.x\"] } }
  six: { path: /x, method: PUT, file: ask.xml }
";
    check::<ApiFile>(
        text,
        expect![[r#"
        5:40+3 a request has one body: `json` or `text`
        6:26+5 a body needs POST, PUT or PATCH -- write `method: POST`
        7:42+12 `${param.x}` has no meaning here -- this place knows env, secret
        7:42+12 pages and cursors go into a body of `json`, not of `text` -- write `json`, or a `param` in place of the path into the body
        8:59+3 `password` looks like a credential that stands in the file -- use `auth`, or store it with `restway secret set NAME` and write `${secret.NAME}`
        9:41+1 `${` without a closing `}`; write `$${` for the two characters themselves
    "#]],
    );
}

#[test]
fn an_option_that_would_do_nothing_is_refused() {
    let text = "
api: acme
base_url: http://127.0.0.1:8080
tls: { verify: false }
retry: { status: [200, 503] }
resources:
  one: { path: /x, safe: true, checkpoint: { pages: 5 } }
  two: { path: /x, method: PUT, safe: true, load: append, checkpoint: { pages: 5 } }
  three: { path: /x, method: POST, safe: true, headers: { Content-Length: \"3\" } }
webhooks:
  hook:
    keep: 3d
    calls: [{ id: a, method: GET, path: /x, safe: true, store: false }]
    outputs: { x: a.id }
";
    check::<ApiFile>(
        text,
        expect![[r#"
            4:6+1 no address of this api is https -- write `https://` in `base_url`, or leave `tls` out
            5:18+1 `200` is success, which is not sent again -- write `fail_when` for an error that comes as success
            7:26+4 GET may be sent again in any case -- leave `safe` out
            7:44+1 a sync that replaces commits once, at its end -- write another `load`, or leave `checkpoint` out
            8:39+4 PUT may be sent again in any case -- leave `safe` out
            9:75+4 the header `Content-Length` is not yours to set -- credentials belong under `auth`; the rest is set by the connection
            12:11+2 nothing is kept that could be removed -- write `history: full`, or leave `keep` out
            13:51+4 GET changes nothing in any case -- leave `safe` out
            14:19+4 the answer of `a` is not shown -- take `store: false` from the call, or leave the output out
        "#]],
    );
    for fine in [
        "base_url: https://a.example\ntls: { verify: false }\n",
        "base_url: \"${env.BASE}\"\ntls: { verify: false }\n",
    ] {
        check::<ApiFile>(&format!("api: acme\n{fine}"), expect![["ok\n"]]);
    }
}

#[test]
fn a_header_that_frames_the_body_is_not_the_persons() {
    let text = "{\"url\": \"https://a.example\", \"headers\": {\"Content-Length\": \"5\",
        \"transfer-encoding\": \"chunked\", \"content-type\": \"a/b\"}}";
    check::<CallInputs>(
        text,
        expect![[r#"
        1:60+3 the header `Content-Length` is not yours to set -- leave it out: it follows from the body
        2:30+9 the header `transfer-encoding` is not yours to set -- leave it out: it follows from the body
    "#]],
    );
}

#[test]
fn a_parameter_that_no_call_uses_is_warned_of() {
    let text = "
api: acme
base_url: https://a.example
webhooks:
  hook:
    params:
      a: { type: string }
      b: { type: attachment }
      c: { type: string }
      d: { type: list }
      e: { type: string }
      f: { type: string }
      gone: { type: string }
    calls:
      - id: x
        method: POST
        safe: true
        path: /x/${param.a}
        multipart: [{ name: f, file: b, filename: \"${param.c}\" }, { name: d, value: \"${param.d}\" }]
      - { id: y, method: PUT, path: /y, json: { deep: [\"${param.e}\"] }, headers: { X: \"${param.f}\" } }
";
    let api: ApiFile = read("apis/acme.yaml", text).expect("it is valid");
    assert_eq!(api.warnings(), ["`gone` of the webhook `hook` is asked for, and no call uses it"]);
}

#[test]
fn a_status_that_means_something_else_cannot_be_skipped_and_no_time_is_no_bound() {
    let text = "
api: acme
base_url: https://a.example
limits: { timeout: 0s }
retry: { status: [503] }
resources:
  teams:
    path: /teams
    on_status: { 200: skip, 401: skip, 404: skip, 429: skip, 503: skip, 9: skip }
";
    check::<ApiFile>(
        text,
        expect![[r#"
        4:20+2 no answer comes in no time -- leave it out for the usual bound
        9:23+4 `200` is success; what it brings is records
        9:34+4 `401` asks for a login, and says nothing about records
        9:56+4 `429` asks to wait, and is sent again
        9:67+4 `503` is one of `status` of `retry`, and is sent again
        9:76+4 `9` is not a status
    "#]],
    );
}

#[test]
fn a_header_of_a_resource_takes_the_place_of_the_default_in_any_case() {
    let text = "
api: acme
base_url: https://a.example
defaults: { headers: { Accept: a/b, X-Team: red } }
resources:
  one: { path: /x, headers: { accept: c/d, X-OTHER: \"1\" } }
";
    let file = read::<ApiFile>("apis/acme.yaml", text).expect("a definition");
    let one = file.resource(&"one".parse().expect("a name")).expect("a resource");
    let names: Vec<&str> = one.headers.keys().map(String::as_str).collect();
    assert_eq!(names, ["X-OTHER", "X-Team", "accept"]);
}
