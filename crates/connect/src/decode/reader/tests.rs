//! The reader against whole parsing: any document, cut anywhere, gives the same records.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use restway_model::Limits;
use serde_json::{Value, json};

use super::*;

fn bounds() -> Bounds {
    Bounds { keeps_last: true, hashes: true, ..Bounds::new(&Limits::default()) }
}

fn path(text: &str) -> Option<RecordPath> {
    (!text.is_empty()).then(|| text.parse().expect("a path"))
}

/// Reads a text in the given pieces: the records as text, and the end.
fn read_with(
    bounds: Bounds,
    at: &str,
    pieces: &[&[u8]],
) -> Result<(Vec<String>, PageEnd), Failure> {
    let mut reader = PageReader::new(path(at).as_ref(), bounds);
    let mut records = Vec::new();
    let mut take = |batch: &Records| {
        records.extend(batch.iter().map(|text| String::from_utf8_lossy(text).into_owned()));
    };
    for piece in pieces {
        reader.feed(piece)?;
        while let Some(batch) = reader.batches.next() {
            take(&batch);
        }
    }
    let (end, rest) = reader.finish(None, false)?;
    rest.iter().for_each(take);
    Ok((records, end))
}

fn read(at: &str, text: &str) -> Result<(Vec<String>, Value), String> {
    let outcome = read_with(bounds(), at, &[text.as_bytes()]);
    outcome.map(|(records, end)| (records, end.envelope)).map_err(|failure| failure.to_string())
}

#[test]
fn finds_the_records_wherever_the_path_leads() {
    let table = [
        ("", "[{\"a\":1}, 2 ,\"x\",null]", vec!["{\"a\":1}", "2", "\"x\"", "null"], json!([])),
        ("", "[]", vec![], json!([])),
        ("$", " {\"a\": [1]} ", vec!["{\"a\": [1]}"], json!({})),
        (
            "data",
            "{\"n\":1,\"data\":[{},[]],\"t\":\"x\"}",
            vec!["{}", "[]"],
            json!({"n": 1, "data": [], "t": "x"}),
        ),
        (
            "data",
            "{\"data\":{\"id\":7},\"t\":[{}]}",
            vec!["{\"id\":7}"],
            json!({"data": {}, "t": [{}]}),
        ),
        (
            "a.b",
            "{\"b\":[1],\"a\":{\"c\":{\"b\":[2]},\"b\":[3]}}",
            vec!["3"],
            json!({"b": [1], "a": {"c": {"b": [2]}, "b": []}}),
        ),
        (
            "$[1].x[0]",
            "[{\"x\":[[1]]},{\"x\":[[2],[3]]},{\"x\":[[4]]}]",
            vec!["2"],
            json!([{"x": [[1]]}, {"x": [[], [3]]}, {"x": [[4]]}]),
        ),
        ("dätä", "{\"d\\u00e4tä\":[1]}", vec!["1"], json!({"dätä": []})),
        (
            "data",
            "{\"x\":\"\\\"data\\\":[9]\",\"data\":[1]}",
            vec!["1"],
            json!({"x": "\"data\":[9]", "data": []}),
        ),
        ("data", "\u{feff}{\"data\":[1]}", vec!["1"], json!({"data": []})),
    ];
    for (at, text, records, envelope) in table {
        let records: Vec<String> = records.into_iter().map(str::to_owned).collect();
        assert_eq!(read(at, text), Ok((records, envelope)), "{at} in {text}");
    }
}

#[test]
fn a_path_that_finds_nothing_says_what_is_there() {
    let table = [
        (
            "data",
            "{\"dta\":[1],\"total\":2}",
            "there is no `data` in an object",
            Some("dta"),
            vec!["dta", "total"],
        ),
        ("items", "{\"error\":\"nope\"}", "there is no `items` in an object", None, vec!["error"]),
        ("data", "{\"data\":null}", "there is null", None, vec![]),
        ("data", "{\"data\":\"x\"}", "there is a text", None, vec![]),
        ("data.rows", "{\"data\":[]}", "there is no `rows` in a list", None, vec![]),
        (
            "items",
            "{\"r\":{\"list\":[{}]}}",
            "there is no `items` in an object",
            Some("r.list"),
            vec!["r"],
        ),
        ("", "7", "there is a number", None, vec![]),
        ("", "\"x\"", "there is a text", None, vec![]),
        ("$[0]", "{}", "there is no `[0]` in an object", None, vec![]),
    ];
    for (at, text, wanted, suggested, there) in table {
        match read_with(bounds(), at, &[text.as_bytes()]) {
            Err(Failure::RecordsMissing { problem, suggestion, fields, .. }) => {
                assert_eq!(problem, wanted, "{at} in {text}");
                assert_eq!(suggestion.as_deref(), suggested, "{at} in {text}");
                assert_eq!(fields, there, "{at} in {text}");
            }
            other => panic!("{at} in {text}: {other:?}"),
        }
    }
}

#[test]
fn what_is_not_json_says_where() {
    let table = [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("<html><title>Log in</title>", "a page titled `Log in`"),
        ("<a/>", "begins with `<`"),
        ("{\"data\":[{:6}]}", "at byte 10 a field name or `}` was expected"),
        ("{\"data\":[1 2]}", "at byte 11 `,`"),
        ("{\"data\":[1,]}", "at byte 11 a value"),
        ("{\"data\":[}", "at byte 9 a value or `]`"),
        ("{\"data\":[1}}", "at byte 10 `,`"),
        ("{\"data\" [1]}", "at byte 8 `:`"),
        ("{data:[1]}", "at byte 1 a field name"),
        ("{\"data\":[1]}{", "at byte 12 nothing more"),
        ("{\"data\":[NaN]}", "at byte 9"),
        ("{\"data\":[1],}", "at byte 12 a field name"),
        ("{\"data\":[1],\"x\":tru}", "outside"),
        ("{\"data\":[1],\"data\":[2]}", "`data` is there twice"),
        ("\u{0}{\u{0}", "UTF-16"),
        ("Service Unavailable", "at byte 0 a value"),
    ];
    for (text, problem) in table {
        let error = read("data", text).expect_err(text);
        assert!(error.contains("not JSON") && error.contains(problem), "{text}: {error}");
    }
    let utf16 = read_with(bounds(), "", &[b"\xff\xfe[\0"]).expect_err("UTF-16");
    assert!(utf16.to_string().contains("UTF-16"));
    let utf8 = read_with(bounds(), "x", &[b"{\"x\":[],\"y\":\"\xff\"}"]).expect_err("not UTF-8");
    assert!(utf8.to_string().contains("outside its records"), "{utf8}");
}

#[test]
fn every_bound_holds() {
    let small = Bounds { record_bytes: 10, envelope_bytes: 30, depth: 4, ..bounds() };
    let read = |text: &str| match read_with(small.clone(), "data", &[text.as_bytes()]) {
        Ok(_) => "well".to_owned(),
        Err(failure) => failure.to_string(),
    };
    assert_eq!(read("{\"data\":[\"12345678\"]}"), "well");
    assert!(read("{\"data\":[\"123456789\"]}").contains("a record is larger"));
    assert!(read("{\"x\":\"123456789 123456789 123456789\"}").contains("outside its records"));
    assert_eq!(read("{\"data\":[[[[[]]]]]}"), "well");
    assert!(read("{\"data\":[[[[[[]]]]]]}").contains("nesting"));
    let deep = "[".repeat(100_000);
    assert!(read(&format!("{{\"data\":[{deep}")).contains("nesting"));
    assert!(read(&format!("{{\"x\":{deep}")).contains("nesting"));
}

#[test]
fn batches_are_cut_at_records() {
    let text = format!("[{}]", (0..100).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
    let table = [(40, 1 << 20, vec![40, 40, 20]), (200, 60, vec![35, 30, 30, 5])];
    for (batch_records, batch_bytes, sizes) in table {
        let bounds = Bounds { batch_records, batch_bytes, ..bounds() };
        let mut reader = PageReader::new(None, bounds);
        reader.feed(text.as_bytes()).expect("JSON");
        let mut found = Vec::new();
        while let Some(batch) = reader.batches.next() {
            found.push(batch.len());
        }
        let (end, rest) = reader.finish(None, false).expect("whole");
        found.extend(rest.iter().map(Records::len));
        assert_eq!((found, end.records), (sizes, 100));
        assert_eq!(end.last.as_deref(), Some(b"99".as_slice()));
    }
}

#[test]
fn hashes_tell_pages_apart_and_not_their_envelopes() {
    let hash = |text: &str| {
        read_with(bounds(), "d", &[text.as_bytes()]).map(|(_, end)| end.hashes).expect("a page")
    };
    assert_eq!(hash("{\"d\":[1,2],\"page\":8}"), hash("{\"page\":9,\"d\":[1, 2]}"));
    assert_ne!(hash("{\"d\":[1,2]}"), hash("{\"d\":[1,3]}"));
}

/// Any JSON value, with the characters that a reader may stumble over.
fn any_json() -> impl Strategy<Value = Value> {
    let text = "[a-z\"\\\\/\\[\\]{}:, \n\u{e4}\u{1f600}\u{0}]{0,8}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Quarters are exact in every parser of floats.
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 4.0)),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(text, inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A page: records somewhere among other fields, before and after.
fn any_page() -> impl Strategy<Value = (Value, Vec<Value>)> {
    let other = || btree_map("[a-c]{1,2}", any_json(), 0..3);
    (other(), vec(any_json(), 0..8), other()).prop_map(|(before, records, after)| {
        let mut members: Vec<(String, Value)> = before.into_iter().collect();
        members.push(("data".into(), Value::Array(records.clone())));
        members.extend(after.into_iter().map(|(name, value)| (format!("z{name}"), value)));
        (Value::Object(members.into_iter().collect()), records)
    })
}

fn text_of(page: &Value, is_pretty: bool) -> String {
    let text =
        if is_pretty { serde_json::to_string_pretty(page) } else { serde_json::to_string(page) };
    text.expect("a text")
}

/// The text in pieces that end at the given places.
fn cut<'a>(text: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = places.iter().map(|place| place.index(text.len() + 1)).collect();
    ends.extend([0, text.len()]);
    ends.sort_unstable();
    ends.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_of_any_page_gives_the_records_of_the_whole(
        (page, records) in any_page(),
        is_pretty: bool,
        places in vec(any::<prop::sample::Index>(), 0..12),
        batch_records in 1_usize..5,
    ) {
        let text = text_of(&page, is_pretty);
        let bounds = Bounds { batch_records, ..bounds() };
        let (found, end) = read_with(bounds, "data", &cut(text.as_bytes(), &places))
            .map_err(|failure| TestCaseError::fail(failure.to_string()))?;
        let values: Vec<Value> = found
            .iter()
            .map(|text| serde_json::from_str(text).expect("a record is JSON"))
            .collect();
        prop_assert_eq!(&values, &records);
        let mut envelope = page.clone();
        envelope["data"] = json!([]);
        prop_assert_eq!(end.envelope, envelope);
        prop_assert_eq!(end.records, records.len() as u64);
    }

    #[test]
    fn any_list_and_any_object_are_read_without_a_path(value in any_json(), is_pretty: bool) {
        let text = text_of(&value, is_pretty);
        let outcome = read_with(bounds(), "", &[text.as_bytes()]);
        let parse = |text: &String| serde_json::from_str::<Value>(text).expect("JSON");
        let found = outcome.map(|(found, _)| found.iter().map(parse).collect::<Vec<_>>());
        match value {
            Value::Array(items) => prop_assert_eq!(found.ok(), Some(items)),
            Value::Object(_) => prop_assert_eq!(found.ok(), Some(vec![value])),
            _ => prop_assert!(found.is_err()),
        }
    }

    #[test]
    fn a_page_cut_short_anywhere_is_an_error(
        (page, _) in any_page(),
        is_pretty: bool,
        place: prop::sample::Index,
    ) {
        let text = text_of(&page, is_pretty);
        let short = &text.as_bytes()[..place.index(text.len())];
        prop_assert!(read_with(bounds(), "data", &[short]).is_err());
    }

    #[test]
    fn a_page_with_one_wrong_byte_never_gives_other_records_than_the_whole_text_says(
        (page, _) in any_page(),
        place: prop::sample::Index,
        byte in prop::sample::select(b"{}[]\",:\\x0<".to_vec()),
    ) {
        let mut text = text_of(&page, false).into_bytes();
        let at = place.index(text.len());
        text[at] = byte;
        let whole: Option<Value> = serde_json::from_slice(&text).ok();
        let wanted = whole.as_ref().and_then(|whole| whole["data"].as_array());
        if let (Ok((found, _)), Some(wanted)) = (read_with(bounds(), "data", &[&text]), wanted) {
            let values: Vec<Value> =
                found.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect();
            prop_assert_eq!(&values, wanted);
        } else if let Some(wanted) = wanted {
            // Two fields of one name are JSON to some; here the second list is refused.
            let twice = String::from_utf8_lossy(&text).matches("\"data\"").count() > 1;
            prop_assert!(twice, "refused {:?}", wanted);
        }
    }
}
