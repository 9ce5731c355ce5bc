//! JSON at its edges, in the manner of the suites that test parsers: what must be taken, what must
//! be refused, and what RFC 8259 leaves to the implementation, each with what Restway makes of it.

use proptest::prelude::*;
use restway_model::{Code, Explain, Limits, Records};
use restway_tables::LoadMode;

use crate::support::{Fixture, landing};

/// A body that is one record from its first byte to its last.
fn alone(record: &[u8]) -> Records {
    let whole = 0..record.len();
    Records::new(record.to_vec().into(), vec![whole])
}

/// Lands one record, given as bytes, and gives its row or the code of the refusal.
async fn landed(record: &[u8]) -> Result<String, Code> {
    let fixture = Fixture::new();
    let mut intake = fixture.begin(landing(1, LoadMode::Append)).await;
    intake.push(&alone(record), &[]).map_err(|error| error.code())?;
    let batch = intake.finish().map_err(|error| error.code())?;
    fixture.lake.commit(&batch).await.map_err(|error| error.code())?;
    let sql = "select * exclude (_row_id, _run_id, _fetched_at) from acme.items";
    Ok(fixture.rows(sql).await.remove(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_json_is_taken_exactly() {
    for (record, row) in [
        // Numbers: exact whatever their size, and a fraction stays one.
        ("{\"a\": 9007199254740993}", "{\"a\":9007199254740993}"),
        ("{\"a\": -9223372036854775808}", "{\"a\":-9223372036854775808}"),
        ("{\"a\": 9223372036854775808}", "{\"a\":9223372036854775808}"),
        ("{\"a\": 123456789012345678901234567890}", "{\"a\":123456789012345678901234567890}"),
        ("{\"a\": 1.0}", "{\"a\":1.0}"),
        ("{\"a\": 0}", "{\"a\":0}"),
        ("{\"a\": 1E5}", "{\"a\":100000.0}"),
        ("{\"a\": 0.12345678901234567890123}", "{\"a\":0.12345678901234567890123}"),
        // Texts: every escape, every plane, and characters that other systems cannot hold.
        ("{\"a\": \"\\u0000\\u001f\\/\\b\"}", "{\"a\":\"\\u0000\\u001f/\\u0008\"}"),
        ("{\"a\": \"\\ud83d\\ude00\"}", "{\"a\":\"\u{1f600}\"}"),
        ("{\"a\": \"\u{7f}\u{2028}\u{fffe}\"}", "{\"a\":\"\u{7f}\u{2028}\u{fffe}\"}"),
        ("{\"\": 1}", "{\"unnamed\":1}"),
        // White space and repeated keys: the last one counts.
        (" \t\r\n{ \"a\" : 1 }\n", "{\"a\":1}"),
        ("{\"a\": 1, \"a\": \"x\"}", "{\"a\":\"x\"}"),
        ("{\"a\": {\"b\": 1}, \"a\": {\"c\": 2}}", "{\"a__c\":2}"),
    ] {
        assert_eq!(landed(record.as_bytes()).await, Ok(row.to_owned()), "{record}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_too_large_for_any_column_stays_its_text() {
    for number in ["1e400", "-1e400", "1e-400"] {
        let row = landed(format!("{{\"a\": {number}}}").as_bytes()).await.expect("taken");
        assert!(row.contains(number), "{number}: {row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_json_is_refused() {
    let records: [&[u8]; 34] = [
        b"{\"a\": NaN}",
        b"{\"a\": Infinity}",
        b"{\"a\": -Infinity}",
        b"{\"a\": 01}",
        b"{\"a\": +1}",
        b"{\"a\": .5}",
        b"{\"a\": 1.}",
        b"{\"a\": 1e}",
        b"{\"a\": 0x1f}",
        b"{\"a\": -}",
        b"{\"a\": 1_000}",
        b"{\"a\": True}",
        b"{\"a\": nul}",
        b"{\"a\": 'x'}",
        b"{a: 1}",
        b"{\"a\": 1,}",
        b"{\"a\": [1,]}",
        b"{\"a\": [1 2]}",
        b"{\"a\" 1}",
        b"{\"a\": 1} x",
        b"{\"a\": 1",
        b"{\"a\": \"x",
        b"{\"a\": \"\\x41\"}",
        b"{\"a\": \"\\u12\"}",
        b"{\"a\": \"tab\there\"}",
        b"{\"a\": \"line\nhere\"}",
        b"{\"a\": \"\x00\"}",
        b"{\"a\": /* c */ 1}",
        b"{\"a\": \"\xff\"}",
        b"{\"a\": \"\xed\xa0\x80\"}",
        b"{\"a\": \"\xc0\xaf\"}",
        b"{\"a\": \"\\ud800\"}",
        b"{\"a\": \"\\udc00\\ud800\"}",
        b"\xef\xbb\xbf{\"a\": 1}",
    ];
    for record in records {
        let shown = String::from_utf8_lossy(record);
        assert_eq!(landed(record).await, Err(Code::RecordInvalid), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn depth_is_bounded_before_the_stack_is() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [200, 10_000, 100_000] {
            let inside = if open == "[" { "1" } else { "{}" };
            let record = format!("{{\"a\":{}{inside}{}}}", open.repeat(depth), close.repeat(depth));
            let cut = format!("{{\"a\":{}", open.repeat(depth));
            for record in [record, cut] {
                assert_eq!(landed(record.as_bytes()).await, Err(Code::RecordInvalid), "{depth}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_new_columns_are_refused_at_the_bound() {
    let fixture = Fixture::with(Limits { columns_max: 100, ..Limits::default() });
    let wide: Vec<String> = (0..5_000).map(|n| format!("\"c{n}\": {n}")).collect();
    let record = format!("{{{}}}", wide.join(","));
    let error = fixture.stage(landing(1, LoadMode::Append), &record).await.expect_err("refused");
    assert_eq!(error.code(), Code::RecordInvalid);
    assert!(error.hints()[0].contains("json"), "{error:?}");
}

/// JSON with a byte changed, taken out or put in.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let whole = prop::sample::select(vec![
        "{\"a\": 1, \"b\": [true, null, {\"c\": \"x\\u00e9\"}], \"d\": -1.5e10}",
        "{\"a\": {\"b\": {\"a\": 1, \"a\": 2}}, \"l\": [[1], [2, [3]]], \"t\": \"2024-01-02\"}",
        "[1, \"\\ud83d\\ude00\", {\"k\": 123456789012345678901234567890}]",
    ]);
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..3);
    (whole, prop::collection::vec(change, 1..4)).prop_map(|(whole, changes)| {
        let mut bytes = whole.as_bytes().to_vec();
        for (index, byte, kind) in changes {
            let at = index.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
            if bytes.is_empty() {
                bytes.push(byte);
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever comes, it is landed or refused by a code, as a whole parser decides; the record
    /// before it is landed all the same.
    #[test]
    fn any_bytes_are_landed_or_refused(
        record in prop_oneof![nearly_json(), prop::collection::vec(any::<u8>(), 1..200)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let fixture = Fixture::new();
            let mut intake = fixture.begin(landing(1, LoadMode::Append)).await;
            intake.push(&alone(b"{\"id\": 1}"), &[]).expect("plain JSON");
            let is_json = serde_json::from_slice::<Box<serde_json::value::RawValue>>(&record).is_ok();
            match intake.push(&alone(&record), &[]) {
                // What only looks whole without its texts being read is refused too.
                Ok(()) => assert!(is_json, "{:?}", String::from_utf8_lossy(&record)),
                Err(error) => assert_eq!(error.code(), Code::RecordInvalid, "{error}"),
            }
            assert!(intake.finish().expect("staged").rows() >= 1);
        });
    }
}
