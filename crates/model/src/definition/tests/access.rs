//! Who may do what: what `access`, `limits` and `serve` cannot mean.

use expect_test::expect;

use super::check;
use crate::definition::{AppFile, WorkspaceFile};

#[test]
fn access_names_objects_events_and_columns_that_can_be_meant() {
    check::<AppFile>(
        "
app: sales
access:
  anonymous: { customers: { events: [filter], rows: 'owner = ${user}' } }
  authenticated: { custmers: [filter] }
  clerks: { customers: { events: [filter, updat], read: [], write: [name] } }
  heads: { customers: { events: [], rows: 'a = 1' } }
  others: { customers: { events: [filter], read: [id] } }
limits: { rate: 10/s }
objects: { customers: { from: shop.customers, key: [id], default_fields: [name] } }
",
        expect![[r#"
            4:53+18 nobody knows who `anonymous` is -- give the grant to `authenticated` or to a group
            5:30+1 there is no object `custmers` -- did you mean `customers`?
            6:34+1 there is no event `updat` -- did you mean `update`?
            6:57+1 no column is named -- leave it out for all columns, or leave out the event
            6:57+1 none of `default_fields` can be read -- a list shows the key alone then; add one of them to `read`
            7:33+1 a grant without events gives nothing
            8:50+1 none of `default_fields` can be read -- a list shows the key alone then; add one of them to `read`
        "#]],
    );
    check::<AppFile>(
        "
app: sales
access:
  heads: { customers: { events: [filter], rows: 'a == 1', colums: [a] } }
  clerks: { customers: { events: [filter], rows: 'a = ${secret.b}' }, other: some }
limits: { rate: 10/s, groups: { clerks: fast } }
objects: { customers: { from: shop.customers, key: [id] } }
",
        expect![[r#"
            4:49+8 `a == 1` is not a condition: at character 3 `==` is written `=`
            4:59+6 unknown key `colums` -- the keys here are events, rows, read, write
            5:50+18 `a = ${secret.b}` is not a condition: at character 5 `${secret.b}` has no meaning here: write `${user}` or `${claim.NAME}`
            5:78+4 expected `all`, found `some`
            6:41+4 `fast` is not a rate: write a whole number, `/` and s, m, h or d, as in `5000/h`
        "#]],
    );
    check::<WorkspaceFile>(
        "
workspace: w
serve:
  insecure: maybe
  issuers:
    - { issuer: 'http://id.example', audience: '' }
    - { issuer: 'https://id.example', audience: shop, jwks_url: keys, alg: RS256 }
",
        expect![[r#"
            4:13+5 expected true or false, found a text
            7:71+3 unknown key `alg` -- the keys here are issuer, audience, jwks_url, groups, user
        "#]],
    );
    check::<WorkspaceFile>(
        "
workspace: w
serve:
  issuers:
    - { issuer: 'http://id.example', audience: '' }
    - { issuer: 'http://127.0.0.1:9', audience: shop, jwks_url: keys }
    - { issuer: 'http://127.0.0.1:9', audience: shop }
",
        expect![[r#"
            5:17+19 not an address that can be trusted -- write it with `https://`
            5:48+3 an audience is missing -- name the api as the issuer's tokens name it in `aud`
            6:17+20 this issuer is named twice
            6:65+4 not an address that can be trusted -- write it with `https://`
            7:17+20 this issuer is named twice
        "#]],
    );
}
