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
