//! Zip archives: members in every format as one stream, and each way in which one can be wrong.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use restway_connect::CallError;
use restway_model::Limits;
use serde_json::{Value, json};

use crate::support::{Rig, Walked, api, canned, code};

/// A member as it is to be written, right or wrong.
#[derive(Clone, Copy)]
struct Member<'a> {
    name: &'a str,
    text: &'a [u8],
    is_packed: bool,
    flags: u16,
    method: u16,
    crc_off_by: u32,
}

fn member<'a>(name: &'a str, text: &'a str) -> Member<'a> {
    let (text, is_packed) = (text.as_bytes(), !text.is_empty());
    let method = if is_packed { 8 } else { 0 };
    Member { name, text, is_packed, flags: 1 << 11, method, crc_off_by: 0 }
}

fn u16s(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn u32s(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn zip(members: &[Member<'_>]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for member in members {
        let body = if member.is_packed {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(member.text).expect("memory");
            encoder.finish().expect("memory")
        } else {
            member.text.to_vec()
        };
        let crc = rawzip::crc32(member.text) ^ member.crc_off_by;
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("short");
        let name = member.name.as_bytes();
        let offset = length(&file);
        let sizes = u32s(&[crc, length(&body), length(member.text)]);
        let names = u16s(&[u16::try_from(name.len()).expect("short"), 0]);
        let common = [u16s(&[20, member.flags, member.method, 0, 0]), sizes, names].concat();
        file.extend([b"PK\x03\x04".as_slice(), &common, name, &body].concat());
        let tail = [u16s(&[0, 0, 0]), u32s(&[0, offset])].concat();
        directory.extend([b"PK\x01\x02\x14\0".as_slice(), &common, &tail, name].concat());
    }
    let count = u16::try_from(members.len()).expect("few");
    let place = u32s(&[
        u32::try_from(directory.len()).expect("short"),
        u32::try_from(file.len()).expect("short"),
    ]);
    let end = [b"PK\x05\x06".to_vec(), u16s(&[0, 0, count, count]), place, u16s(&[0])].concat();
    [file, directory, end].concat()
}

async fn walk_with(limits: Limits, body: &[u8], keys: Value) -> Result<Walked, CallError> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/zip\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n"
    );
    let url = canned([head.as_bytes(), body].concat()).await;
    let mut resource = json!({"path": "/", "archive": "zip"});
    for (key, value) in keys.as_object().expect("keys") {
        resource[key] = value.clone();
    }
    let parts = json!({"retry": {"deadline": "0s"}, "resources": {"packed": resource}});
    Rig::with(limits, &[], true).walk(&api(&url, parts), "packed").await
}

async fn walk(body: &[u8], keys: Value) -> Result<Walked, CallError> {
    walk_with(Limits::default(), body, keys).await
}

#[tokio::test]
async fn members_are_one_stream_in_every_format() {
    let stored = Member { is_packed: false, method: 0, ..member("b", "") };
    let cases = [
        ("[{\"id\":1},{\"id\":2}]", "[{\"id\":3}]", json!({"format": "json"})),
        ("{\"id\":1}\n{\"id\":2}", "{\"id\":3}\n", json!({"format": "ndjson"})),
        ("id\n1\n2\n", "id\n3", json!({"format": "csv", "types": {"id": "int64"}})),
        (
            "<r><i><id>1</id></i><i><id>2</id></i></r>",
            "<r><i><id>3</id></i></r>",
            json!({"format": "xml", "records": "r.i"}),
        ),
    ];
    for (first, second, keys) in cases {
        let body = zip(&[
            member("data/", ""),
            member("data/1.x", first),
            Member { name: "data/2.x", text: second.as_bytes(), ..stored },
        ]);
        let walked = walk(&body, keys.clone()).await.expect("an archive");
        let ids: Vec<String> =
            walked.records.iter().map(|record| record["id"].to_string()).collect();
        assert_eq!(ids.join(" ").replace('"', ""), "1 2 3", "{keys}");
    }
}

#[tokio::test]
async fn only_the_members_that_are_named_are_read() {
    let body = zip(&[
        member("README.txt", "not a list"),
        member("2026/a.json", "[{\"id\":1}]"),
        member("2026/deep/b.json", "[{\"id\":2}]"),
    ]);
    let wanted = |members: &str| json!({"archive": {"type": "zip", "members": members}});
    for (members, ids) in [("*.json", vec![1, 2]), ("2026/*.json", vec![1]), ("**/b.*", vec![2])] {
        assert_eq!(walk(&body, wanted(members)).await.expect(members).ids(), ids, "{members}");
    }
    let error = walk(&body, wanted("*.csv")).await.expect_err("none");
    assert_eq!(code(&error), "page.malformed");
    assert!(error.to_string().contains("no member is `*.csv`; there are: README.txt"), "{error}");
}

#[tokio::test]
async fn what_is_wrong_with_an_archive_is_said() {
    let good = "[{\"id\":1}]";
    let plain = member("a.json", good);
    let cases = [
        (zip(&[Member { flags: 1, ..plain }]), "encrypted"),
        (zip(&[Member { method: 12, ..plain }]), "method 12"),
        (zip(&[Member { crc_off_by: 1, ..plain }]), "does not unpack"),
        (zip(&[Member { name: "../a.json", ..plain }]), "leads out"),
        (zip(&[Member { name: "/a.json", ..plain }]), "leads out"),
        (zip(&[Member { name: "..\\a.json", ..plain }]), "leads out"),
        (zip(&[plain, plain]), "two members of the name"),
        (zip(&[member("a.json", "[{]")]), "member `a.json`"),
        (zip(&[]), "there are: none"),
        (good.as_bytes().to_vec(), "does not begin as zip does"),
    ];
    for (body, said) in cases {
        let error = walk(&body, json!({})).await.expect_err(said);
        assert!(["page.malformed", "page.not_json"].contains(&code(&error)), "{error}");
        assert!(error.to_string().contains(said), "{said}: {error}");
    }
}

#[tokio::test]
async fn a_cut_archive_is_an_error_wherever_it_is_cut() {
    let whole = zip(&[member("a.json", "[{\"id\":1}]"), member("b.json", "[{\"id\":2}]")]);
    for cut in (0..whole.len()).step_by(5) {
        let error = walk(&whole[..cut], json!({})).await.expect_err("it is cut");
        let code = code(&error);
        assert!(["call.interrupted", "page.malformed"].contains(&code), "{cut}: {error}");
    }
}

#[tokio::test]
async fn a_spoiled_archive_is_an_error_or_as_it_was() {
    let whole = zip(&[member("a.json", "[{\"id\":1}]"), member("b.json", "[{\"id\":2}]")]);
    for at in (0..whole.len()).step_by(5) {
        let mut body = whole.clone();
        body[at] ^= 0x41;
        match walk(&body, json!({})).await {
            Ok(walked) => assert_eq!(walked.ids(), [1, 2], "{at}"),
            Err(error) => assert_ne!(code(&error), "internal", "{at}: {error}"),
        }
    }
}

#[tokio::test]
async fn members_that_share_bytes_and_more_than_the_bounds_are_refused() {
    let mut body = zip(&[member("a.json", "[1]"), member("b.json", "[2]")]);
    // The second member's entry leads to the first's bytes.
    let second = body.windows(4).rposition(|it| it == b"PK\x01\x02").expect("an entry");
    body[second + 42..second + 46].copy_from_slice(&[0; 4]);
    let error = walk(&body, json!({})).await.expect_err("they share bytes");
    assert!(error.to_string().contains("share bytes"), "{error}");

    let text = format!("[{}1]", "1,".repeat(50_000));
    let body = zip(&[member("a.json", &text)]);
    let limits = Limits { body_bytes_max: 50_000, ..Limits::default() };
    let error = walk_with(limits, &body, json!({})).await.expect_err("too much");
    assert_eq!(code(&error), "call.body_too_large");
    assert!(error.to_string().contains("what the archive unpacks to"), "{error}");
}
