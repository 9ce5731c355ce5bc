//! Each case is a file and what is said of it.

mod access;
mod logins;
mod mutated;
mod options;
mod writing;

use expect_test::{Expect, expect};

use super::*;

fn check<T: Definition>(text: &str, expected: Expect) {
    let said = match read::<T>("apis/acme.yaml", text) {
        Ok(_) => "ok\n".to_owned(),
        Err(problems) => problems
            .iter()
            .map(|problem| {
                let hint =
                    problem.hint.as_ref().map(|hint| format!(" -- {hint}")).unwrap_or_default();
                let place = &problem.place;
                format!("{}:{}+{} {problem}{hint}\n", place.line, place.column, place.width)
            })
            .collect(),
    };
    expected.assert_eq(&said);
}

#[test]
fn the_smallest_api_is_a_few_lines() {
    let text = "api: acme\nbase_url: https://a.example\nresources: { teams: /teams }\n";
    let api: ApiFile = read("apis/acme.yaml", text).expect("it is valid");
    let (name, teams) = api.resources().next().expect("a resource");
    assert_eq!((name.as_str(), teams.path.source()), ("teams", "/teams"));
    assert_eq!((teams.load, teams.paginate), (Load::Replace, Paginate::None {}));
}

#[test]
fn what_may_be_reached_is_read_by_check() {
    let text = "
workspace: it
egress:
  allow: [10.0.0.0/33, 'a.example:70000', '*', '', 'https://a.example', '*.a.example:1']
";
    check::<WorkspaceFile>(
        text,
        expect![[r#"
        4:11+11 `10.0.0.0/33` has more bits after its `/` than an address has; write a host, `*.` and a domain, an address or a network, as in `api.acme.example`, `*.acme.example:8443`, `127.0.0.1:8081` or `10.1.0.0/16`
        4:24+17 `a.example:70000` has no port after its `:`; write a host, `*.` and a domain, an address or a network, as in `api.acme.example`, `*.acme.example:8443`, `127.0.0.1:8081` or `10.1.0.0/16`
        4:43+3 `*` is not a host name; write a host, `*.` and a domain, an address or a network, as in `api.acme.example`, `*.acme.example:8443`, `127.0.0.1:8081` or `10.1.0.0/16`
        4:48+2 `` is not a host name; write a host, `*.` and a domain, an address or a network, as in `api.acme.example`, `*.acme.example:8443`, `127.0.0.1:8081` or `10.1.0.0/16`
        4:52+19 `https://a.example` is a URL; write a host, `*.` and a domain, an address or a network, as in `api.acme.example`, `*.acme.example:8443`, `127.0.0.1:8081` or `10.1.0.0/16`
    "#]],
    );
}

#[test]
fn defaults_reach_every_resource_and_give_way_to_its_own() {
    let text = "
api: acme
base_url: https://a.example
defaults:
  query: { pageSize: 100, lang: en }
  records: data
  paginate: { type: token, next: nextPageToken, param: pageToken }
  key: id
resources:
  teams: /teams
  issues:
    path: /projects/${parent.id}/issues
    for_each: teams
    query: { lang: de, open: true }
    records: $
    paginate: link
    key: [team_id, id]
";
    let api: ApiFile = read("apis/acme.yaml", text).expect("it is valid");
    let resources: Vec<_> = api.resources().collect();
    let (issues, teams) = (&resources[0].1, &resources[1].1);
    assert_eq!(teams.records.as_ref().map(ToString::to_string), Some("data".to_owned()));
    assert!(
        matches!(&teams.paginate, Paginate::Token { param, .. } if param.as_deref() == Some("pageToken"))
    );
    assert_eq!(issues.paginate, Paginate::link());
    assert_eq!(issues.query.len(), 3);
    assert_eq!(issues.key.as_ref().map(Key::columns).map(<[String]>::len), Some(2));
}

#[test]
fn every_problem_of_a_file_is_found_at_once() {
    check::<ApiFile>(
        "
api: Acme
base_url: 7
auth: { type: beerer, token: x }
limits: { rate: [10/s, 5000], concurency: 8 }
retry: { initial: 1 }
resources:
  teams: { pth: /teams, paginate: { type: token, next: a..b } }
  users: [a]
  rooms: { path: '/x/${secrets.y}' }
colour: red
",
        expect![[r#"
            2:6+4 `Acme` is not a name: use lower-case letters, digits and `_`, not starting with a digit, at most 63 characters
            3:11+1 expected a text, found a whole number -- put it in quotes to make it a text
            4:15+6 `beerer` is none of the words that can stand here -- did you mean `bearer`?
            5:24+4 expected a text, found a whole number -- put it in quotes to make it a text
            5:31+10 unknown key `concurency` -- did you mean `concurrency`?
            6:19+1 expected a text, found a whole number -- put it in quotes to make it a text
            8:10+1 the key `path` is missing
            8:12+3 unknown key `pth` -- did you mean `path`?
            8:56+4 `a..b` is not a path to one place (a name is missing; `..` selects many places); write names and indexes, as in `data.items` or `$.result['my list'][0]`
            9:10+1 expected a text or a mapping, found a list
            10:18+18 there is no scope `secrets`; there are secret, env, param, parent, calls, row, window, state, job and request (did you mean `secret`?)
            11:1+6 unknown key `colour` -- the keys here are api, base_url, auth, tls, proxy, identity, domains, aliases, limits, retry, defaults, resources, webhooks, exports
        "#]],
    );
}

#[test]
fn a_file_must_make_sense() {
    check::<ApiFile>(
        "
api: acme
base_url: ftp://a.example
auth: { type: api_key, key: hunter2 }
resources:
  a: { path: '/a/${parent.id}', for_each: bb }
  b: { path: /b, for_each: b, json: { x: 1 } }
  c: { path: '/c/${parent.id}', headers: { Authorization: x } }
",
        expect![[r#"
            3:11+15 not a web address -- write the scheme and the host, as in `https://api.acme.example/v2`
            4:7+1 an api key goes into a header, into the query or into a cookie -- write one of `header: NAME`, `query: NAME` and `cookie: NAME`
            4:29+7 a credential stands in the file -- store it with `restway secret set NAME` and write `${secret.NAME}`
            6:43+2 there is no resource `bb` -- did you mean `b`?
            7:28+1 `for_each` leads back to this resource
            7:37+1 a body needs POST, PUT or PATCH -- write `method: POST`
            8:14+17 `${parent.id}` has no meaning here -- this place knows env, secret
            8:59+1 the header `Authorization` is not yours to set -- credentials belong under `auth`; the rest is set by the connection
        "#]],
    );
}

#[test]
fn numbers_are_kept_as_they_are_written_or_refused() {
    check::<ApiFile>(
        "
api: acme
base_url: https://a.example
resources:
  a: { path: /a, query: { version: 1.10, big: 12345678901234567890123, plain: 0.5, n: -7 } }
  a: /again
  b: { path: /b, method: POST, json: { x: 1e400, y: -0, z: 0x10, w: '1.10' } }
",
        expect![[r#"
            5:36+4 the number `1.10` is not kept as it is written -- write `1.1` for the number, or put it in quotes for the text
            5:47+23 the number `12345678901234567890123` is not kept as it is written -- write `1.2345678901234568e22` for the number, or put it in quotes for the text
            6:3+1 `a` stands here twice; first in line 5
            7:43+5 the number `1e400` is not kept as it is written -- put it in quotes
            7:53+2 the number `-0` is not kept as it is written -- write `0` for the number, or put it in quotes for the text
        "#]],
    );
}

#[test]
fn credentials_do_not_stand_in_the_file() {
    check::<ApiFile>(
        "
api: acme
base_url: https://u:p@a.example?token=abc
defaults: { headers: { X-Api-Key: abc, X-Page-Token: '${secret.t}' } }
resources:
  a: { path: '/a?access_token=abc', query: { api_key: abc, pageToken: x } }
  b: { path: '/../b' }
  c: { path: 'http://other.example/c' }
  d: { path: /d, query: { api_key: '${secret.k}' } }
",
        expect![[r#"
            3:11+31 a credential stands in the address -- leave it out of the address and use `auth`
            4:35+3 `X-Api-Key` looks like a credential that stands in the file -- use `auth`, or store it with `restway secret set NAME` and write `${secret.NAME}`
            6:14+21 `access_token` looks like a credential that stands in the file -- use `auth`, or store it with `restway secret set NAME` and write `${secret.NAME}`
            6:55+3 `api_key` looks like a credential that stands in the file -- use `auth`, or store it with `restway secret set NAME` and write `${secret.NAME}`
            7:14+8 `.` and `..` lead out of the path
            8:14+25 the path is on another origin -- a resource lies on the origin of `base_url` or of one of `domains`
        "#]],
    );
}

#[test]
fn a_login_holds_no_password() {
    check::<ApiFile>(
        "
api: acme
base_url: https://a.example
auth: { type: login, url: /l, json: { user: me, password: hunter2 }, token: t }
domains:
  - { url: https://b.example, auth: { type: login, url: /l, form: { password: p, token: '${secret.t}' }, token: t } }
",
        expect![[r#"
            4:59+7 `password` looks like a credential that stands in the file -- use `auth`, or store it with `restway secret set NAME` and write `${secret.NAME}`
            6:79+1 `password` looks like a credential that stands in the file -- use `auth`, or store it with `restway secret set NAME` and write `${secret.NAME}`
        "#]],
    );
}

#[test]
fn yaml_is_strict() {
    check::<WorkspaceFile>(
        "workspace: a\nworkspace: b\n",
        expect![[r#"
        2:1+9 `workspace` stands here twice; first in line 1
    "#]],
    );
    check::<WorkspaceFile>(
        "workspace: &x a\n",
        expect![[r#"
            1:12+4 anchors (`&…`) are not part of this grammar
        "#]],
    );
    check::<WorkspaceFile>(
        "workspace: a\n---\nworkspace: b\n",
        expect![[r#"
        2:1+3 a file holds one document only
    "#]],
    );
    check::<WorkspaceFile>(
        "workspace: no\n",
        expect![[r#"
        ok
    "#]],
    );
    check::<WorkspaceFile>(
        "workspace: [a\n",
        expect![[r#"
        2:1+1 this is not YAML: while parsing a flow sequence, expected ',' or ']'
    "#]],
    );
    check::<WorkspaceFile>(
        "",
        expect![[r#"
        1:1+1 the key `workspace` is missing
    "#]],
    );
}

#[test]
fn apps_name_tables_and_their_own_objects() {
    check::<AppFile>(
        "
app: sales
access: { anonymous: { custmers: [filter] } }
sources:
  live: { type: mysql, url: 'mysql://root:a-password@db/shop' }
  local: { type: sqlite, path: ../shop.db }
  no_place: { type: postgres }
  other: { type: sqlite, path: x.db, connections: 0, url: 'postgres://db' }
  away: { type: sqlite, url: 'sqlite:/tmp/x.db' }
  opened: { type: sqlite, url: 'sqlite:x.db?mode=rwc' }
  meant: { type: sqlite, url: 'sqlite:/tmp/x.db', outside: true }
  served: { type: postgres, url: '${secret.url}', outside: true }
objects:
  customers: { from: shop, key: [] }
  own: { from: local.customers }
  far: { from: locl.main.customers, key: [id] }
  asked: { from: { source: shop, sql: select 1 }, key: [id] }
  saved: { from: queries/late orders.sql, key: [id] }
  keyless: { from: { sql: select 1 } }
",
        expect![[r#"
            3:34+1 there is no object `custmers` -- did you mean `customers`?
            5:9+1 `live` has a meaning of its own -- call the source something else
            5:29+34 a credential stands in the address -- store the address with `restway secret set NAME` and write `${secret.NAME}`
            6:32+10 `../shop.db` leads out of the workspace -- say `outside: true` if that is meant
            7:21+8 the key `url` is missing
            8:32+4 `url` and `path` both say where it is
            8:51+1 from 1 to 1000
            8:59+16 not an address of this kind of database: write `sqlite:…`
            9:30+19 the file lies outside of the workspace -- say `outside: true` if that is meant
            10:32+23 an address of SQLite is `sqlite:` and a path without `?`, `#` and `%` -- say `outside: true` if that is meant
            12:60+4 only SQLite is a file
            14:22+4 `shop` is not a table -- write `source.table`, `api.resource`, `live.api.resource` or `queries/NAME.sql`
            14:33+1 a key needs a column
            16:16+19 there is no source `locl` -- did you mean `local`?
            17:18+1 there is no source `shop` -- name it in `sources` of this file
            18:18+23 `queries/late orders.sql` is not a table -- write `source.table`, `api.resource`, `live.api.resource` or `queries/NAME.sql`
            19:12+1 a key needs a column
        "#]],
    );
}

#[test]
fn inputs_that_exclude_each_other_are_named_with_their_place() {
    check::<CallInputs>(
        "\
pth: x
method: fetch
",
        expect![[r#"
            1:1+3 unknown key `pth` -- did you mean `path`?
        "#]],
    );
    check::<CallInputs>(
        "\
method: fetch
json: null
text: x
username: u
grant: acme
password: p
client_cert: c
max_redirects: 1000
retry_backoff: { initial: -1, multiplier: 0.5 }
expected_status_code: [200, 20]
headers: { 'X Y': a, Z: 1 }
params: { p: { q: 1 } }
multipart: { boundary: 'ü', parts: [{ name: a, value: b, file: c }, { name: d, value: e, content-type: true }] }
",
        expect![[r#"
            1:1+1 either `url` or `hostname` must be given
            1:9+5 not a method -- use get, head, options, post, put, patch or delete
            3:7+1 `json` and `text` are both a body; only one can be sent
            5:8+4 `grant` and `username` are two logins
            7:14+1 `client_cert` needs a `client_key` -- a PKCS#12 file, which brings its key, needs `client_key_password`
            8:16+4 at most 100
            9:27+2 a number of seconds, from 0 to 86400
            9:43+3 a number from 1 to 1000
            10:23+1 `20` is not a status
            11:19+1 `X Y` cannot be a header's name
            11:25+1 a header is a text or a list of texts -- put it in quotes to make it a text
            12:14+1 a text, a number, true, false, null or a list of these
            13:24+3 a boundary is 1 to 70 letters, digits and `'()+_,-./:=?`
            13:37+1 a part has one of `value` and `file`
            13:69+1 a part's header is a text, or false for none
        "#]],
    );
    check::<CallInputs>(
        "url: https://h\njson: null\n",
        expect![[r#"
        2:7+4 a body needs post, put, patch or delete, not GET -- write `method: post`
    "#]],
    );
    check::<CallInputs>(
        "hostname: h\nmethod: Delete\njson: null\n",
        expect![[r#"
        ok
    "#]],
    );
}

#[test]
fn a_webhook_reads_as_designed() {
    let text = "
api: acme
base_url: https://a.example
webhooks:
  create_account:
    params: { name: { type: string }, plan: { type: string, one_of: [free, pro], default: free } }
    calls:
      - { id: created, method: POST, path: /accounts, json: { name: '${param.name}' } }
      - { id: read, method: GET, path: '/accounts/${calls.created.id}' }
    outputs: { account_id: created.id, whole: { from: read, type: record } }
    timeout: 20s
";
    let api: ApiFile = read("apis/acme.yaml", text).expect("it is valid");
    let webhook = api.webhooks.values().next().expect("a webhook");
    assert_eq!(webhook.calls.len(), 2);
    assert!(webhook.calls[0].writes() && !webhook.calls[0].is_repeatable());
    assert_eq!(webhook.outputs["account_id"].resolve().from.to_string(), "created.id");
}

#[test]
fn a_webhook_must_make_sense() {
    check::<ApiFile>(
        "
api: acme
base_url: https://a.example
webhooks:
  empty: { calls: [], timeout: 4m }
  twice:
    params: { name: { type: string, of: { type: long } }, n: { type: integer, default: x } }
    calls:
      - { id: a, method: POST, path: '/x/${secret.k}', json: { n: '${param.nmae}' } }
      - { id: a, method: GET, path: '/y/${calls.b.id}', text: hello }
      - { id: c, method: PATCH, path: /z, headers: { Authorization: Bearer x } }
    outputs: { id: d.id }
",
        expect![[r#"
            5:19+1 a webhook needs a call
            5:32+2 a webhook may take from 1ms to 3m
            7:41+1 `of` is for a list
            7:88+1 the default must be a whole number of 32 bits, and is another text
            9:26+4 `a` is not the only call here that changes something, and cannot be repeated -- write `safe: true` if it changes nothing, or `idempotency: { header: … }` if the api knows such a key
            9:38+16 `${secret.k}` has no meaning here -- this place knows env, param, calls
            9:67+16 there is no parameter `nmae` -- did you mean `name`?
            10:15+1 there are two calls `a`
            10:37+18 there is no call `b` before this -- did you mean `a`?
            10:63+5 a body needs POST, PUT or PATCH
            11:26+5 `c` is not the only call here that changes something, and cannot be repeated -- write `safe: true` if it changes nothing, or `idempotency: { header: … }` if the api knows such a key
            11:52+1 the header `Authorization` is not yours to set -- credentials belong under `auth`; the rest is set by the connection
            12:20+4 there is no call `d` before this -- did you mean `a`?
        "#]],
    );
}

#[test]
fn what_an_incremental_sync_cannot_do_is_refused() {
    check::<ApiFile>(
        "
api: acme
base_url: https://a.example
resources:
  a: { path: /a, incremental: { cursor: at } }
  b: { path: /b, load: append, incremental: { cursor: at, lookback: 10m, start: soon } }
  c: { path: /c, load: append, incremental: { cursor: id, send: { query: q, header: h, as: int }, settle: 1m } }
  d: { path: /d, load: append, incremental: { cursor: at, send: { as: date }, window: 1h, scope: parent } }
  e: { path: '/e/${window.begin}', load: append, incremental: { cursor: at, send: { json: a.b } } }
  f: { path: '/f/${state.cursor}', load: append, checkpoint: { pages: 0 } }
",
        expect![[r#"
            5:31+1 `load: replace` would remove what did not change -- write `load: merge`, or `append`, which adds what is new
            6:69+3 `load: append` would double what `lookback` reads again -- write `load: merge`, or use `settle`
            6:81+4 does not fit `send.as` -- write it as a record has it, or another `as`
            7:65+1 the cursor has one place -- write one of `query`, `header` and `json`
            7:107+2 needs a cursor that is a time -- write another `send.as`, or leave it out
            8:87+2 is shorter than what `send.as` tells apart -- write a longer one, as `30d`
            8:87+2 `window` needs `start` -- write where the first window begins
            8:98+6 `parent` needs `for_each` -- leave it out
            9:14+20 there is no `window.begin`, but `window.start` and `window.end`
            9:91+3 a body needs POST, PUT or PATCH -- write `method: POST`
            10:14+20 `${state.cursor}` has no meaning here -- this place knows env, secret
            10:62+1 must be at least 1 -- leave out what should not count
        "#]],
    );
}

#[test]
fn an_incremental_sync_reads_as_designed() {
    let text = "
api: acme
base_url: https://a.example
defaults: { load: append, checkpoint: { pages: 10 } }
resources:
  events:
    path: '/events/${window.start}'
    incremental: { cursor: updated_at, send: { query: since, as: '%Y-%m' }, start: 2023-01-01, settle: 1m, window: 60d }
";
    let api: ApiFile = read("apis/acme.yaml", text).expect("it is valid");
    let (_, events) = api.resources().next().expect("a resource");
    assert_eq!((events.checkpoint.pages, events.checkpoint.records), (10, 250_000));
    let incremental = events.incremental.expect("it is there");
    assert_eq!(incremental.first().map(|first| first.to_string()).as_deref(), Some("2023-01-01"));
}

#[test]
fn a_job_is_refused_where_it_makes_no_sense() {
    let said = |job: &str, keys: &str| {
        let job = format!("job: {{ id: id, done: ok, poll: {{ {job} }} }}");
        let text = format!(
            "api: a\nbase_url: https://h\ndefaults: {{ paginate: link }}\n\
             resources:\n  rows: {{ path: /a, {job}{keys} }}\n"
        );
        match read::<ApiFile>("apis/a.yaml", &text) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.into_iter().map(|problem| problem.message).collect(),
        }
    };
    let path = "path: '/j/${job.id}'";
    assert!(said(path, "").is_empty(), "{:?}", said(path, ""));
    for (poll, keys, message) in [
        ("path: /j", "", "the path does not say which job is meant"),
        ("path: 'https://other/${job.id}'", "", "the path is on another origin"),
        ("path: '/j/${job.key}'", "", "there is no `job.key`, but `job.id`"),
        ("path: '/j/${job.id}', every: 0s", "", "there is no wait"),
        ("path: '/j/${job.id}', every: 2m", "", "is shorter than `every`"),
        (path, ", query: { id: '${job.id}' }", "`${job.id}` has no meaning here"),
        (path, ", method: HEAD", "the answer to this method holds no job"),
        (path, ", paginate: link", "what a job made has no further pages"),
        (
            path,
            ", format: csv",
            "the answer about a job is JSON, and without `download` it holds the records",
        ),
    ] {
        assert_eq!(said(poll, keys), [message], "{poll} {keys}");
    }
}

#[test]
fn formats_mean_what_they_can() {
    check::<ApiFile>(
        "\
api: acme
base_url: https://h
resources:
  fine: { path: /a, format: csv, archive: gzip, paginate: link }
  path: { path: /a, format: ndjson, records: data }
  total: { path: /a, format: csv, paginate: { type: offset, limit: 9, total: n } }
  root: { path: /a, format: xml }
  index: { path: /a, format: xml, records: 'a[0]' }
  wide: { path: /a, format: { type: csv, delimiter: ü } }
  same: { path: /a, format: { type: csv, delimiter: '\"' } }
  fails: { path: /a, format: csv, fail_when: error is not null }
",
        expect![[r#"
            5:46+4 this format has no path to its records -- leave it out: every line or row is a record
            6:45+1 this pagination reads the answer around its records, and there is nothing -- what stays is `none`, `link`, `next_header`, and counting records
            7:9+1 XML needs the path to the elements that are records -- write the elements from the root on, as in `records: orders.order`
            8:44+7 XML needs the path to the elements that are records -- write the elements from the root on, as in `records: orders.order`
            9:53+1 must be one ASCII character within a line
            10:29+1 `delimiter` and `quote` are the same
            11:46+17 `fail_when` reads the answer around its records, and there is nothing
        "#]],
    );
}
