//! What can be asked, in which forms it is answered, and what is refused.

use restway_model::{Code, Explain};
use restway_tables::{Answer, Format, Intake, Lake, Landing, LoadMode, StagedBatch, TableError};

use crate::support::{Fixture, param};

async fn fixture() -> Fixture {
    let fixture = Fixture::new();
    let lines = "{\"id\": 9007199254740993, \"name\": \"a,\\\"b\\\"\", \"at\": \"2024-01-02T03:04:05Z\", \"price\": 0.1, \"money\": 0.12345678901234567890}\n\
                 {\"id\": 2, \"name\": \"\", \"day\": \"2024-01-02\", \"price\": 1e21, \"free\": 1}\n\
                 {\"id\": 3, \"name\": null, \"free\": {\"x\": [1, null]}}";
    fixture.land(1, LoadMode::Append, lines).await;
    fixture
}

async fn error(fixture: &Fixture, sql: &str) -> TableError {
    match fixture.lake.query(sql, &[]).await {
        Err(error) => error,
        Ok(_) => panic!("`{sql}` was run"),
    }
}

async fn written(fixture: &Fixture, sql: &str, format: Format) -> (u64, Vec<u8>) {
    let answer = fixture.lake.query(sql, &[]).await.expect("an answer");
    let mut out = Vec::new();
    let rows = answer.write(format, &mut out).await.expect("rows");
    (rows, out)
}

const ALL: &str = "select id, name, at, day, price, money, free from acme.items order by _row_id";

#[tokio::test(flavor = "multi_thread")]
async fn text_formats_are_exact() {
    let fixture = fixture().await;
    let objects = [
        "{\"id\":9007199254740993,\"name\":\"a,\\\"b\\\"\",\"at\":\"2024-01-02T03:04:05Z\",\"day\":null,\"price\":0.1,\"money\":0.1234567890123456789,\"free\":null}",
        "{\"id\":2,\"name\":\"\",\"at\":null,\"day\":\"2024-01-02\",\"price\":1e21,\"money\":null,\"free\":1}",
        "{\"id\":3,\"name\":null,\"at\":null,\"day\":null,\"price\":null,\"money\":null,\"free\":{\"x\":[1,null]}}",
    ];
    let text = |(rows, bytes): (u64, Vec<u8>)| (rows, String::from_utf8(bytes).expect("UTF-8"));
    let ndjson = format!("{}\n", objects.join("\n"));
    assert_eq!(text(written(&fixture, ALL, Format::Ndjson).await), (3, ndjson));
    let json = format!("[{}]\n", objects.join(",\n"));
    assert_eq!(text(written(&fixture, ALL, Format::Json).await), (3, json));
    let csv = "id,name,at,day,price,money,free\n\
               9007199254740993,\"a,\"\"b\"\"\",2024-01-02T03:04:05Z,,0.1,0.1234567890123456789,\n\
               2,\"\",,2024-01-02,1e21,,1\n\
               3,,,,,,\"{\"\"x\"\":[1,null]}\"\n";
    assert_eq!(text(written(&fixture, ALL, Format::Csv).await), (3, csv.to_owned()));
    let nothing = "select id from acme.items where false";
    assert_eq!(text(written(&fixture, nothing, Format::Json).await), (0, "[]\n".into()));
    assert_eq!(text(written(&fixture, nothing, Format::Ndjson).await), (0, String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_formats_are_what_they_say() {
    let fixture = fixture().await;
    let (rows, arrow) = written(&fixture, ALL, Format::Arrow).await;
    let reader = arrow::ipc::reader::StreamReader::try_new(&arrow[..], None).expect("a stream");
    assert_eq!(rows, 3);
    assert_eq!(reader.map(|batch| batch.expect("a batch").num_rows()).sum::<usize>(), 3);
    let (rows, parquet) = written(&fixture, ALL, Format::Parquet).await;
    assert_eq!(
        (rows, &parquet[..4], &parquet[parquet.len() - 4..]),
        (3, &b"PAR1"[..], &b"PAR1"[..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_and_cells_are_for_people() {
    let fixture = fixture().await;
    let answer = fixture.lake.query(ALL, &[]).await.expect("an answer");
    let columns: Vec<String> =
        answer.columns().iter().map(|c| format!("{} {}", c.name, c.kind)).collect();
    let expected = [
        "id int64",
        "name text",
        "at timestamp",
        "day date",
        "price float64",
        "money decimal(19,19)",
        "free json",
    ];
    assert_eq!(columns, expected);
    let (rows, more) = answer.cells(2).await.expect("cells");
    assert!(more && rows.len() == 2);
    assert_eq!((rows[0][0].as_deref(), rows[0][3].as_deref()), (Some("9007199254740993"), None));
    let answer = fixture.lake.query(ALL, &[]).await.expect("an answer");
    assert!(!answer.cells(3).await.expect("cells").1);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_values_not_text() {
    let fixture = fixture().await;
    let sql =
        "select id from acme.items where name = $name or at >= $since or id = $id order by id";
    let params =
        [param("name", "' or true --"), param("since", "2024-01-02T03:04:05Z"), param("id", 3)];
    let answer = fixture.lake.query(sql, &params).await.expect("an answer");
    let rows = answer.json_rows(10).await.expect("rows");
    assert_eq!(rows, ["{\"id\":3}", "{\"id\":9007199254740993}"]);
    let missing = error(&fixture, "select $what as x").await;
    assert_eq!(missing.code(), Code::QueryInvalid);
    assert!(missing.to_string().contains("what"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_reading_is_allowed() {
    let fixture = fixture().await;
    let outside = fixture.root().join("acme/items");
    for sql in [
        "create table x as select 1",
        "create external table x stored as parquet location '/tmp/x'",
        "drop table acme.items",
        "insert into acme.items (id) values (1)",
        "delete from acme.items",
        "update acme.items set id = 1",
        "copy acme.items to '/tmp/x.parquet'",
        "set datafusion.execution.batch_size = 1",
        "explain analyze insert into acme.items (id) values (1)",
        "select 1; select 2",
        "selec 1",
        "",
    ] {
        let error = error(&fixture, sql).await;
        assert_eq!(error.code(), Code::QueryInvalid, "{sql}: {error}");
    }
    for sql in
        [format!("select * from '{}'", outside.display()), "select * from '/etc/passwd'".into()]
    {
        let error = error(&fixture, &sql).await;
        assert_eq!(error.code(), Code::TableMissing, "{sql}: {error}");
    }
    assert_eq!(fixture.tables().await, ["acme.items 3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_can_be_asked() {
    let fixture = fixture().await;
    for (sql, part) in [
        ("show tables", "\"table_schema\":\"acme\",\"table_name\":\"items\""),
        ("describe acme.items", "\"column_name\":\"price\""),
        ("select column_name from information_schema.columns where table_name = 'items'", "money"),
        ("explain select * from acme.items", "plan"),
        ("with t as (select id from acme.items) select count(*) as n from t", "3"),
        ("select array_agg(id order by id) as ids from acme.items", "[2,3,9007199254740993]"),
        ("select named_struct('a', id) as s from acme.items where id = 2", "{\"s\":{\"a\":2}}"),
        ("select 1 as one", "1"),
    ] {
        let rows = fixture.rows(sql).await.join("\n");
        assert!(rows.contains(part), "{sql}: {rows}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slips_get_a_hint() {
    let fixture = fixture().await;
    for (sql, code, hint) in [
        ("select * from acme.itmes", Code::TableMissing, "did you mean `acme.items`?"),
        ("select * from items", Code::TableMissing, "did you mean `acme.items`?"),
        ("select pric from acme.items", Code::QueryInvalid, "did you mean the column `price`?"),
    ] {
        let error = error(&fixture, sql).await;
        assert_eq!(error.code(), code, "{sql}: {error}");
        assert_eq!(error.hints(), [hint], "{sql}: {error}");
    }
    let answer = fixture.lake.query("select arrow_cast(name, 'Int64') from acme.items", &[]).await;
    let failed = answer.expect("planned").json_rows(10).await.expect_err("no number");
    assert_eq!(failed.code(), Code::QueryFailed);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_would_be_read_wrongly_are_refused() {
    let fixture = fixture().await;
    let schema = r#"{\"type\":\"struct\",\"fields\":[{\"name\":\"a\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}}]}"#;
    let mapped = r#"{"delta.columnMapping.mode":"name"}"#;
    for (table, versions, partitions, configuration, part) in [
        ("mapped", [2, 5], "[]", mapped, "column mapping"),
        ("parted", [1, 2], "[\"a\"]", "{}", "partitions"),
    ] {
        let log = fixture.root().join("other").join(table).join("_delta_log");
        fs_err::create_dir_all(&log).expect("a folder");
        let [reader, writer] = versions;
        let entry = format!(
            "{{\"protocol\":{{\"minReaderVersion\":{reader},\"minWriterVersion\":{writer}}}}}\n\
             {{\"metaData\":{{\"id\":\"x\",\"format\":{{\"provider\":\"parquet\",\"options\":{{}}}},\
             \"schemaString\":\"{schema}\",\"partitionColumns\":{partitions},\
             \"configuration\":{configuration},\"createdTime\":0}}}}\n"
        );
        fs_err::write(log.join("00000000000000000000.json"), entry).expect("a log");
        let error = error(&fixture, &format!("select * from other.{table}")).await;
        assert_eq!(error.code(), Code::TableDamaged, "{table}: {error:?}");
        assert!(format!("{error:?}").to_lowercase().contains(part), "{table}: {error:?}");
    }
}

#[test]
fn everything_can_move_to_another_thread() {
    fn check<T: Send>(_: T) {}
    fn futures(lake: &Lake, batch: &StagedBatch, landing: Landing, answer: Answer) {
        check(lake.begin(landing));
        check(lake.commit(batch));
        check(lake.discard(batch));
        check(lake.tables());
        check(lake.query("", &[]));
        check(answer.json_rows(1));
    }
    fn kinds<T: Send + 'static>() {}
    kinds::<Intake>();
    kinds::<Answer>();
    kinds::<Lake>();
    let _ = futures;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_columns_of_one_name_are_refused_where_one_would_be_lost() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"id\": 1}").await;
    let sql = "select a.id, b.id from acme.items a, acme.items b";
    for format in [Format::Json, Format::Ndjson, Format::Arrow, Format::Parquet] {
        let answer = fixture.lake.query(sql, &[]).await.expect("an answer");
        let error = answer.write(format, &mut Vec::new()).await.expect_err("refused");
        assert_eq!(error.code(), Code::QueryInvalid, "{format:?}");
    }
    let answer = fixture.lake.query(sql, &[]).await.expect("an answer");
    let mut csv = Vec::new();
    answer.write(Format::Csv, &mut csv).await.expect("written");
    assert_eq!(csv, b"id,id\n1,1\n");
}
