//! Answers that are not what was asked for: each is an error of its own, and none is zero records.

use restway_model::{Explain, Limits};
use serde_json::json;

use crate::support::{Rig, api, canned, code, demo, json_answer};

#[tokio::test]
async fn every_wrong_answer_has_its_code() {
    let (demo, rig) = (demo().await, Rig::new());
    let table = [
        ("/fault/html", "page.not_json", "a page titled `Sign in`"),
        ("/fault/empty", "page.not_json", "it is empty"),
        ("/fault/not-json", "page.not_json", "a field name or `}` was expected"),
        ("/fault/no-records", "page.records_missing", "there is no `data` in an object"),
        ("/fault/truncated", "call.interrupted", "broke off after"),
        ("/fault/deep/129", "call.body_too_large", "nesting"),
        ("/fault/deep/100000", "call.body_too_large", "nesting"),
        ("/fault/status/500", "call.status", "status 500"),
        ("/fault/status/304", "call.status", "status 304"),
    ];
    for (path, expected, words) in table {
        let file = api(
            &demo.url(),
            json!({
                "retry": {"deadline": "2s"},
                "resources": {"wrong": {"path": path, "records": "data"}},
            }),
        );
        let error = rig.walk(&file, "wrong").await.expect_err(path);
        assert_eq!(code(&error), expected, "{path}: {error}");
        assert!(error.to_string().contains(words), "{path}: {error}");
        assert!(error.to_string().contains("page 1 of `demo.wrong`"), "{path}: {error}");
    }
    assert_eq!(demo.count("/fault/truncated"), 2, "a broken page is worth another try");
    assert_eq!(demo.count("/fault/html"), 2, "and so is a login page");
    assert_eq!(demo.count("/fault/no-records"), 1, "an error that was understood is not");
}

#[tokio::test]
async fn a_wrong_path_names_the_right_one() {
    let (demo, rig) = (demo().await, Rig::new());
    let file = api(
        &demo.url(),
        json!({"resources": {
            "slip": {"path": "/open/page?per_page=1", "records": "itms"},
            "other": {"path": "/open/page?per_page=1", "records": "data.rows"},
        }}),
    );
    for resource in ["slip", "other"] {
        let error = rig.walk(&file, resource).await.expect_err("no records");
        let hints = error.hints();
        assert_eq!(hints[0], "did you mean `records: items`?", "{resource}: {hints:?}");
        assert!(hints[1].contains("items, page, total_pages, total"), "{hints:?}");
    }
}

#[tokio::test]
async fn compressed_answers_are_whole_and_bounded() {
    // `{"data":[{"id":1}]}` as gzip, and one mebibyte of spaces after `[`.
    let small = gzip(b"{\"data\":[{\"id\":1}]}");
    let head = |length: usize| {
        format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n")
    };
    let answer = |body: &[u8]| [head(body.len()).as_bytes(), body].concat();
    let parts = json!({"retry": {"deadline": "0s"},
        "resources": {"zipped": {"path": "/", "records": "data"}}});
    let rig = Rig::with(Limits { body_bytes_max: 100 << 10, ..Limits::default() }, &[], true);
    let walk = async |body: &[u8]| {
        let url = canned(answer(body)).await;
        rig.walk(&api(&url, parts.clone()), "zipped").await
    };
    assert_eq!(walk(&small).await.expect("gzip is decoded").ids(), [1]);
    for cut in [small.len() - 1, small.len() - 8, small.len() / 2] {
        let error = walk(&small[..cut]).await.expect_err("a cut gzip");
        assert_eq!(code(&error), "call.interrupted", "cut at {cut}: {error}");
    }
    let mut wrong = small.clone();
    let at = wrong.len() - 6;
    wrong[at] ^= 0x55;
    let error = walk(&wrong).await.expect_err("a wrong check sum");
    assert_eq!(code(&error), "call.interrupted", "{error}");
    let bomb = gzip_of_spaces();
    assert!(bomb.len() < 16 << 10, "{}", bomb.len());
    let error = walk(&bomb).await.expect_err("a bomb");
    assert_eq!(code(&error), "call.body_too_large", "{error}");
}

/// Gzip with stored blocks (RFC 1951, section 3.2.4): no compressor is needed to write it.
fn gzip(text: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    let length = u16::try_from(text.len()).expect("a short text");
    bytes.extend(length.to_le_bytes());
    bytes.extend((!length).to_le_bytes());
    bytes.extend(text);
    bytes.extend(crc32(text).to_le_bytes());
    bytes.extend(u32::from(length).to_le_bytes());
    bytes
}

fn crc32(text: &[u8]) -> u32 {
    !text.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

/// Gzip of a mebibyte of spaces, by fixed Huffman codes (RFC 1951, section 3.2.6): one space, then
/// copies of 258 bytes from one byte back, of which each takes 13 bits.
fn gzip_of_spaces() -> Vec<u8> {
    let mut bits: Vec<bool> = vec![true, true, false];
    let code = |bits: &mut Vec<bool>, value: u32, length: u32| {
        bits.extend((0..length).rev().map(|bit| value >> bit & 1 == 1));
    };
    code(&mut bits, 0x30 + u32::from(b' '), 8);
    for _ in 0..(1 << 20) / 258 {
        code(&mut bits, 0b1100_0101, 8);
        code(&mut bits, 0, 5);
    }
    code(&mut bits, 0, 7);
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    for chunk in bits.chunks(8) {
        bytes.push(chunk.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit)));
    }
    bytes.extend([0; 8]);
    bytes
}

#[tokio::test]
async fn a_body_without_a_length_must_end_where_its_json_does() {
    let rig = Rig::new();
    let parts = json!({"retry": {"deadline": "0s"},
        "resources": {"unframed": {"path": "/", "records": "data"}}});
    let head = "HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n";
    let whole = canned(format!("{head}{{\"data\":[{{\"id\":1}}]}}")).await;
    let walked = rig.walk(&api(&whole, parts.clone()), "unframed").await;
    assert_eq!(walked.expect("it is whole").ids(), [1]);
    for short in ["{\"data\":[{\"id\":1}]", "{\"data\":[{\"id\":1}", "{\"data\":[", "{"] {
        let url = canned(format!("{head}{short}")).await;
        let error = rig.walk(&api(&url, parts.clone()), "unframed").await.expect_err(short);
        assert_eq!(code(&error), "call.interrupted", "{short}: {error}");
    }
}

#[tokio::test]
async fn json_with_the_wrong_label_is_still_json() {
    let rig = Rig::new();
    let answer = json_answer("[{\"id\":1}]").replace("application/json", "text/html");
    let file = api(&canned(answer).await, json!({"resources": {"mislabelled": "/"}}));
    assert_eq!(rig.walk(&file, "mislabelled").await.expect("records").ids(), [1]);
}

#[tokio::test]
async fn rows_without_an_end_of_their_own_need_a_body_with_one() {
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n";
    let bodies = [("csv", "id,name\r\n1,a\r\n2,b\r\n"), ("ndjson", "{\"id\":1}\n{\"id\":2}\n")];
    for (format, body) in bodies {
        let walk = async |answer: String, more: serde_json::Value| {
            let mut resource = json!({"path": "/", "format": format, "key": "id"});
            for (name, value) in more.as_object().expect("an object") {
                resource[name] = value.clone();
            }
            let file = api(
                &canned(answer).await,
                json!({"retry": {"deadline": "0s"}, "resources": {"rows": resource}}),
            );
            let rig = Rig::new();
            let walked = rig.walk(&file, "rows").await;
            (walked.map(|walked| walked.records.len()), rig.warnings())
        };
        let cut = || format!("{head}\r\n{body}");
        for more in [json!({}), json!({"load": "merge", "deletes": {"absent": true}})] {
            let (walked, _) = walk(cut(), more).await;
            let error = walked.expect_err("rows would go");
            assert_eq!(code(&error), "page.no_end", "{error}");
            assert!(error.hints()[0].contains("open_ended: true"), "{:?}", error.hints());
        }
        let (walked, warnings) = walk(cut(), json!({"load": "append"})).await;
        assert_eq!(walked.expect("what came"), 2);
        assert!(warnings.iter().any(|one| one.contains("without an end")), "{warnings:?}");
        let (walked, warnings) = walk(cut(), json!({"open_ended": true})).await;
        assert_eq!((walked.expect("what came"), warnings), (2, Vec::<String>::new()));
        let length = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        let chunked = format!(
            "{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        );
        for whole in [length, chunked] {
            let (walked, warnings) = walk(whole, json!({})).await;
            assert_eq!((walked.expect("all rows"), warnings), (2, Vec::<String>::new()));
        }
    }
}

#[tokio::test]
async fn an_empty_list_that_is_left_out_is_one_where_the_definition_says_so() {
    let resource = |more: serde_json::Value| {
        let mut resource = json!({"path": "/", "records": "d.rows"});
        for (name, value) in more.as_object().expect("an object") {
            resource[name] = value.clone();
        }
        resource
    };
    let walk = async |body: &str, more: serde_json::Value| {
        let url = canned(json_answer(body)).await;
        let file = api(
            &url,
            json!({"retry": {"deadline": "0s"},
            "resources": {"rows": resource(more)}}),
        );
        Rig::new().walk(&file, "rows").await.map(|walked| walked.records.len())
    };
    let optional = || json!({"records_optional": true});
    for empty in ["{}", "{\"d\":{}}", "{\"d\":null}", "{\"d\":{\"rows\":null}}"] {
        assert_eq!(walk(empty, optional()).await.expect(empty), 0, "{empty}");
        let error = walk(empty, json!({})).await.expect_err(empty);
        assert_eq!(code(&error), "page.records_missing", "{error}");
    }
    assert_eq!(walk("{\"d\":{\"rows\":[{}]}}", optional()).await.expect("a row"), 1);
    for other in ["{\"d\":{\"rows\":7}}", "{\"d\":\"rows\"}", "[]"] {
        let error = walk(other, optional()).await.expect_err(other);
        assert_eq!(code(&error), "page.records_missing", "{error}");
    }
    let failing = json!({"records_optional": true, "fail_when": "error is not null"});
    let error = walk("{\"error\":\"no\"}", failing).await.expect_err("an error");
    assert_eq!(code(&error), "page.declared_error", "{error}");
    let xml = json!({"records_optional": true, "format": "xml"});
    assert_eq!(walk("<d><n>0</n></d>", xml).await.expect("nothing"), 0);
}
