//! What records become: names, types, child tables, and how columns widen.

use restway_model::{Code, Explain, Limits};
use restway_tables::{Landing, LoadMode};

use crate::support::{Fixture, carried, json_at, landing, records, typed};

/// Lands each batch after the other and compares columns and values of the first column.
async fn check(batches: &[&str], columns: &[&str], rows: &[&str]) {
    let fixture = Fixture::new();
    for (index, batch) in batches.iter().enumerate() {
        fixture.land(index as u64 + 1, LoadMode::Append, batch).await;
    }
    assert_eq!(fixture.columns("acme.items").await, columns, "{batches:?}");
    let names: Vec<&str> = columns.iter().filter_map(|column| column.split(' ').next()).collect();
    let sql = format!("select {} from acme.items order by _row_id", names.join(", "));
    assert_eq!(fixture.rows(&sql).await, rows, "{batches:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_take_the_narrowest_exact_type() {
    check(
        &[r#"{"userId": 9007199254740993, "ok": true, "at": "2024-01-02T03:04:05.5+01:00",
            "day": "2024-02-29", "price": 1.5, "exact": 0.12345678901234567890,
            "big": 12345678901234567890, "note": "x\ny", "none": null, "Owner": {"Name": "ö"}}"#
            .replace('\n', " ")
            .as_str()],
        &[
            "user_id int64",
            "ok bool",
            "at timestamp",
            "day date",
            "price float64",
            "exact decimal(19,19)",
            "big decimal(20,0)",
            "note text",
            "none null",
            "owner__name text",
        ],
        &[r#"{"user_id":9007199254740993,"ok":true,"at":"2024-01-02T02:04:05.500Z","day":"2024-02-29","price":1.5,"exact":0.1234567890123456789,"big":12345678901234567890,"note":"x\ny","none":null,"owner__name":"ö"}"#],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn types_drift_without_losing_a_value() {
    let cases: [(&str, &str, &str, [&str; 2]); 14] = [
        ("1", "\"x\"", "text", ["\"1\"", "\"x\""]),
        ("1", "2.5", "float64", ["1.0", "2.5"]),
        ("9007199254740993", "2.5", "text", ["\"9007199254740993\"", "\"2.5\""]),
        ("2.5", "9007199254740993", "text", ["\"2.5\"", "\"9007199254740993\""]),
        ("1", "12345678901234567890", "decimal(20,0)", ["1", "12345678901234567890"]),
        ("null", "7", "int64", ["null", "7"]),
        ("7", "null", "int64", ["7", "null"]),
        ("true", "1", "text", ["\"true\"", "\"1\""]),
        ("1", "{\"b\": 2}", "json", ["1", "{\"b\":2}"]),
        ("\"x\"", "[1, 2]", "json", ["\"x\"", "[1,2]"]),
        (
            "\"2024-01-02\"",
            "\"2024-01-02T00:00:01Z\"",
            "timestamp",
            ["\"2024-01-02T00:00:00Z\"", "\"2024-01-02T00:00:01Z\""],
        ),
        ("\"2024-01-02T00:00:01+01:00\"", "\"x\"", "text", ["\"2024-01-01T23:00:01Z\"", "\"x\""]),
        ("1.50", "\"x\"", "text", ["\"1.5\"", "\"x\""]),
        ("\"x\"", "1.50", "text", ["\"x\"", "\"1.50\""]),
    ];
    for (first, second, kind, values) in cases {
        let lines = [first, second].map(|value| format!("{{\"a\": {value}}}"));
        let rows = values.map(|value| format!("{{\"a\":{value}}}"));
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let column = format!("a {kind}");
        // In one batch, and with the second value in a later one.
        check(&[&lines.join("\n")], &[&column], &rows).await;
        check(&[&lines[0], &lines[1]], &[&column], &rows).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_an_object_keeps_its_columns() {
    check(
        &["{\"a\": {\"b\": 1}}", "{\"a\": \"x\"}\n{\"a\": {\"b\": 2}}\n{\"a\": null}"],
        &["a__b int64", "a json"],
        &[
            "{\"a__b\":1,\"a\":null}",
            "{\"a__b\":null,\"a\":\"x\"}",
            "{\"a__b\":2,\"a\":null}",
            "{\"a__b\":null,\"a\":null}",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_collide_stay_apart_across_batches() {
    check(
        &["{\"userId\": 1, \"user_id\": 2}", "{\"user_id\": 3, \"_row_id\": 4, \"userId\": 5}"],
        &["user_id int64", "user_id_2 int64", "_row_id_2 int64"],
        &[
            "{\"user_id\":1,\"user_id_2\":2,\"_row_id_2\":null}",
            "{\"user_id\":5,\"user_id_2\":3,\"_row_id_2\":4}",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_repeated_keys_wins() {
    check(
        &["{\"a\": 1, \"b\": {\"x\": 1}, \"b\": {\"y\": [ ]}, \"a\": 2.50, \"c\": {\"d\": \"\\u0041\", \"d\": \"é\\n\"}}"],
        &["a float64", "c__d text"],
        &["{\"a\":2.5,\"c__d\":\"é\\n\"}"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_become_child_tables() {
    let fixture = Fixture::new();
    let lines = "{\"id\": 1, \"lines\": [{\"sku\": \"a\", \"tags\": [\"x\", \"y\"]}, {\"sku\": \"b\"}], \"empty\": []}\n\
                 {\"id\": 2, \"owner\": {\"pets\": [null, [2], {\"a\": 1}]}}";
    let batch = fixture.land(1, LoadMode::Append, lines).await;
    assert_eq!(batch.rows(), 10);
    let tables = [
        "acme.items 2",
        "acme.items__lines 2",
        "acme.items__lines__tags 2",
        "acme.items__owner__pets 3",
        "acme.items__owner__pets__value 1",
    ];
    assert_eq!(fixture.tables().await, tables);
    let joined = fixture
        .rows(
            "select i.id, l.sku, t.value, t._idx, t._root_id = i._row_id as rooted \
             from acme.items i join acme.items__lines l on l._parent_id = i._row_id \
             left join acme.items__lines__tags t on t._parent_id = l._row_id order by l.sku, t._idx",
        )
        .await;
    assert_eq!(
        joined,
        [
            "{\"id\":1,\"sku\":\"a\",\"value\":\"x\",\"_idx\":0,\"rooted\":true}",
            "{\"id\":1,\"sku\":\"a\",\"value\":\"y\",\"_idx\":1,\"rooted\":true}",
            "{\"id\":1,\"sku\":\"b\",\"value\":null,\"_idx\":null,\"rooted\":null}",
        ]
    );
    let ids = fixture.rows("select _row_id, _run_id, _fetched_at from acme.items").await;
    let first = (1u64 << 40).to_string();
    assert!(ids[0].contains(&first) && ids[0].contains("run-1"), "{ids:?}");
    assert!(ids[0].contains("\"_fetched_at\":\"2023-11-14T22:13:20Z\""), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn depth_and_paths_keep_json() {
    let fixture = Fixture::new();
    let lines = "{\"l\": [{\"m\": [ {\"a\" : 1 } ]}], \"free\": {\"x\": [1, {\"y\": 2}]}}";
    let settings = Landing { nest_depth: 1, ..json_at(1, &["free"]) };
    let batch = fixture.stage(settings, lines).await.expect("staged");
    fixture.lake.commit(&batch).await.expect("committed");
    assert_eq!(fixture.columns("acme.items").await, ["free json"]);
    assert_eq!(
        fixture.rows("select free from acme.items").await,
        ["{\"free\":{\"x\":[1,{\"y\":2}]}}"]
    );
    assert_eq!(fixture.rows("select m from acme.items__l").await, ["{\"m\":[{\"a\":1}]}"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn declared_types_are_enforced() {
    let types =
        [("budget", "decimal(18,2)"), ("zip", "text"), ("raw", "json"), ("ratio", "float64")];
    let fixture = Fixture::new();
    let lines = "{\"budget\": 12, \"zip\": 0.10, \"raw\": {\"a\": 1}, \"ratio\": 3}\n\
                 {\"budget\": 1.05, \"zip\": \"x\", \"raw\": 1.50, \"ratio\": null}";
    let batch = fixture.stage(typed(1, &types), lines).await.expect("staged");
    fixture.lake.commit(&batch).await.expect("committed");
    assert_eq!(
        fixture.rows("select budget, zip, raw, ratio from acme.items order by _row_id").await,
        [
            "{\"budget\":12.00,\"zip\":\"0.10\",\"raw\":{\"a\":1},\"ratio\":3.0}",
            "{\"budget\":1.05,\"zip\":\"x\",\"raw\":1.50,\"ratio\":null}",
        ]
    );
    for (line, column) in [
        ("{\"budget\": 1.005}", "`budget` is declared decimal(18,2), found `1.005`"),
        ("{\"budget\": \"1\"}", "`budget` is declared decimal(18,2), found `1`"),
        ("{\"zip\": {\"a\": 1}}", "`zip` is declared text, found `{\"a\":1}`"),
        ("{\"ratio\": 9007199254740993}", "`ratio` is declared float64"),
    ] {
        let error =
            fixture.stage(typed(2, &types), &format!("{{}}\n{line}")).await.expect_err(line);
        assert_eq!(error.code(), Code::RecordInvalid);
        let text = error.to_string();
        assert!(text.contains(column) && text.contains("record 2 of `acme.items`"), "{text}");
    }
    let error = fixture.stage(typed(2, &[("zip", "int64")]), "{}").await.expect_err("narrower");
    assert_eq!(error.code(), Code::DefinitionInvalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_record_leaves_nothing_behind() {
    let fixture = Fixture::with(Limits { json_depth_max: 4, columns_max: 5, ..Limits::default() });
    let mut intake = fixture.begin(landing(1, LoadMode::Append)).await;
    intake.push(&records("{\"a\": 1}"), &[]).expect("taken");
    for (bad, code) in [
        ("{\"b\": 1, \"l\": [1], \"c\": ", "is not JSON"),
        ("{\"b\": 1, \"c\": [[[[1]]]]}", "nests deeper than 4 levels"),
        ("{\"b\": \"\\ud800\"}", "is not JSON"),
        ("{\"b\": 01}", "is not JSON"),
        ("{} {}", "is not JSON"),
    ] {
        let error = intake.push(&records(bad), &[]).expect_err(bad);
        assert_eq!(error.code(), Code::RecordInvalid);
        assert!(error.to_string().contains(code), "{error}");
    }
    let batch = intake.finish().expect("staged");
    fixture.lake.commit(&batch).await.expect("committed");
    assert_eq!(fixture.columns("acme.items").await, ["a int64"]);
    assert_eq!(fixture.tables().await, ["acme.items 1"]);
    let wide = "{\"p\":1,\"q\":1,\"r\":1,\"s\":1,\"t\":1,\"u\":1}";
    let error = fixture.stage(landing(2, LoadMode::Append), wide).await.expect_err("too wide");
    assert!(error.to_string().contains("more than 5 columns"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn carried_values_and_scalars_are_columns() {
    let fixture = Fixture::new();
    for sequence in 1..=2 {
        let mut intake = fixture.begin(landing(sequence, LoadMode::Append)).await;
        let carried = [
            carried("projectId", "7"),
            carried("since", "\"2024-01-01\""),
            carried("serial", "123456789012345678901"),
        ];
        intake.push(&records("{\"project_id\": \"x\"}\n5"), &carried).expect("taken");
        let batch = intake.finish().expect("staged");
        fixture.lake.commit(&batch).await.expect("committed");
    }
    let columns = [
        "project_id int64",
        "since date",
        "serial decimal(21,0)",
        "project_id_2 text",
        "value json",
    ];
    assert_eq!(fixture.columns("acme.items").await, columns);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_widen_after_a_file_was_begun_are_written_again() {
    let fixture = Fixture::with(Limits { row_group_rows_max: 2, ..Limits::default() });
    let lines: Vec<String> = (0..7).map(|n| format!("{{\"a\": {n}, \"b{n}\": null}}")).collect();
    let lines = format!("{}\n{{\"a\": \"end\", \"b0\": 1}}", lines.join("\n"));
    fixture.land(1, LoadMode::Append, &lines).await;
    let rows = fixture.rows("select a, b0 from acme.items order by _row_id").await;
    assert_eq!(rows.len(), 8);
    assert_eq!(rows[0], "{\"a\":\"0\",\"b0\":null}");
    assert_eq!(rows[7], "{\"a\":\"end\",\"b0\":1}");
    let parquet = fixture
        .files()
        .iter()
        .filter(|file| file.extension().is_some_and(|e| e == "parquet"))
        .count();
    let tables = fixture.lake.tables().await.expect("tables");
    assert_eq!(
        parquet as u64,
        tables[0].1.as_ref().expect("a whole table").files,
        "no file is left over"
    );
}

/// Limits under which an object shows four keys at most.
fn four_keys() -> Limits {
    Limits { map_keys_max: 4, map_nested_keys_max: 2, ..Limits::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_whose_keys_are_data_are_one_column_whatever_came_first() {
    let lines = [
        r#"{"id":1,"prices":{"2024-01-01":1.50,"2024-01-02":2}}"#,
        r#"{"id":2,"prices":{"2024-01-03":3,"2024-01-04":null}}"#,
        r#"{"id":3,"prices":{"2024-01-05":"2024-01-01"}}"#,
        r#"{"id":4,"prices":{}}"#,
    ];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
        let fixture = Fixture::with(four_keys());
        let batch = order.map(|line| lines[line]).join("\n");
        fixture.land(1, LoadMode::Append, &batch).await;
        let mut columns = fixture.columns("acme.items").await;
        columns.sort();
        assert_eq!(columns, ["id int64", "prices json"]);
        assert_eq!(
            fixture.rows("select prices from acme.items order by id").await,
            [
                r#"{"prices":{"2024-01-01":1.50,"2024-01-02":2}}"#,
                r#"{"prices":{"2024-01-03":3,"2024-01-04":null}}"#,
                r#"{"prices":{"2024-01-05":"2024-01-01"}}"#,
                r#"{"prices":{}}"#,
            ]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_of_earlier_batches_keep_their_values_when_an_object_becomes_a_map() {
    let fixture = Fixture::with(four_keys());
    fixture.land(1, LoadMode::Append, r#"{"m":{"a":1,"b":2,"c":3}}"#).await;
    fixture.land(2, LoadMode::Append, r#"{"m":{"d":4}}"#).await;
    fixture.land(3, LoadMode::Append, r#"{"m":{"a":5,"b":6,"c":7,"d":8}}"#).await;
    fixture.land(4, LoadMode::Append, "{\"m\":{\"a\":9}}\n{\"m\":{\"e\":5}}").await;
    // Decided: also an object with known keys is JSON from now on, in another process too.
    fixture.land(5, LoadMode::Append, r#"{"m":{"a":10}}"#).await;
    let expected = ["m__a int64", "m__b int64", "m__c int64", "m__d int64", "m json"];
    assert_eq!(fixture.columns("acme.items").await, expected);
    assert_eq!(
        fixture.rows("select m__a, m__d, m from acme.items order by _row_id").await,
        [
            r#"{"m__a":1,"m__d":null,"m":null}"#,
            r#"{"m__a":null,"m__d":4,"m":null}"#,
            r#"{"m__a":5,"m__d":8,"m":null}"#,
            r#"{"m__a":null,"m__d":null,"m":{"a":9}}"#,
            r#"{"m__a":null,"m__d":null,"m":{"e":5}}"#,
            r#"{"m__a":null,"m__d":null,"m":{"a":10}}"#,
        ]
    );
    let columns = vec!["m".parse().expect("a path")];
    let forced = Landing { columns, ..landing(6, LoadMode::Append) };
    let batch = fixture.stage(forced, r#"{"m":{"a":11,"f":1}}"#).await.expect("staged");
    fixture.lake.commit(&batch).await.expect("committed");
    assert_eq!(
        fixture.rows("select m__a, m__f, m from acme.items where m__f = 1").await,
        [r#"{"m__a":11,"m__f":1,"m":null}"#]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn maps_of_lists_and_objects_make_no_tables_and_records_are_never_maps() {
    let fixture = Fixture::with(four_keys());
    let lines = [
        r#"{"a":1,"b":2,"c":3,"d":4,"e":5,"x":{"tags":{"k1":[1],"k2":[2]}}}"#,
        r#"{"x":{"tags":{"k3":[3]}},"l":[{"p":1,"q":2,"r":3},{"s":1,"t":1}]}"#,
    ];
    fixture.land(1, LoadMode::Append, &lines.join("\n")).await;
    assert_eq!(fixture.tables().await, ["acme.items 2", "acme.items__l 2"]);
    let rows = fixture.rows("select x__tags from acme.items order by _row_id").await;
    assert_eq!(rows, [r#"{"x__tags":{"k1":[1],"k2":[2]}}"#, r#"{"x__tags":{"k3":[3]}}"#]);
}
