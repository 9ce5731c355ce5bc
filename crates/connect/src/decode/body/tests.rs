//! Every format, cut anywhere: the same records as the whole; cut short: an error.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use restway_model::Limits;
use serde_json::{Value, json};

use super::*;

fn shape(format: Value) -> BodyShape {
    let bounds = Bounds { keeps_last: true, ..Bounds::new(&Limits::default()) };
    let format = serde_json::from_value(format).expect("a format");
    BodyShape {
        records: None,
        records_optional: false,
        types: BTreeMap::new(),
        fail_when: None,
        format,
        archive: None,
        bounds,
        unpacked_bytes: 1 << 30,
    }
}

fn xml(path: &str, format: Value) -> BodyShape {
    BodyShape { records: Some(path.parse().expect("a path")), ..shape(format) }
}

fn read_pieces<'a>(
    shape: &BodyShape,
    content_type: Option<&str>,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Result<(Vec<Value>, PageEnd), Failure> {
    let mut reader = BodyReader::new(shape, content_type)?;
    let mut records = Vec::new();
    let mut take = |batch: &Records| {
        records.extend(
            batch
                .iter()
                .map(|text| serde_json::from_slice::<Value>(text).expect("a record is JSON")),
        );
    };
    for piece in pieces {
        reader.feed(piece)?;
        while let Some(batch) = reader.batch() {
            take(&batch);
        }
    }
    let (end, rest) = reader.finish()?;
    rest.iter().for_each(take);
    Ok((records, end))
}

/// Reads it whole and in pieces of every small size, which must not differ.
fn read_as(
    shape: &BodyShape,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<(Vec<Value>, PageEnd), String> {
    let whole = read_pieces(shape, content_type, std::iter::once(body));
    let whole = whole.map_err(|failure| failure.to_string());
    for size in [1, 2, 3, 7, 64] {
        let cut = read_pieces(shape, content_type, body.chunks(size));
        match (&whole, cut.map_err(|failure| failure.to_string())) {
            (Ok(whole), Ok(cut)) => assert_eq!(whole, &cut, "in pieces of {size}"),
            (Err(_), Err(_)) => {}
            (whole, cut) => panic!("in pieces of {size}: {cut:?}, not {whole:?}"),
        }
    }
    whole
}

fn read(shape: &BodyShape, body: &[u8]) -> Result<Vec<Value>, String> {
    read_as(shape, None, body).map(|(records, _)| records)
}

fn problem(shape: &BodyShape, body: &[u8]) -> String {
    read(shape, body).expect_err("an error")
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(body).expect("memory");
    packed.finish().expect("memory")
}

#[test]
fn csv_fields_stay_texts() {
    let csv = shape(json!({"type": "csv"}));
    let rows = json!([
        {"id": "007", "note": "a \"b\",\nc"},
        {"id": "8", "note": null},
        {"id": "1e5", "note": "ü"},
    ]);
    for end in ["", "\n", "\r\n", "\n\n"] {
        let text = format!("id,note\r\n007,\"a \"\"b\"\",\nc\"\r\n8,\n1e5,ü{end}");
        assert_eq!(Value::from(read(&csv, text.as_bytes()).expect(&text)), rows);
        let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
        assert_eq!(Value::from(read(&csv, &marked).expect(&text)), rows);
    }
    assert_eq!(read(&csv, b"a,b\n"), Ok(Vec::new()));
    assert_eq!(read(&csv, b"a,\n1,2"), Ok(vec![json!({"a": "1", "column_2": "2"})]));
    let odd = shape(json!({"type": "csv", "delimiter": ";", "quote": "'", "null": ["NA"],
        "header": ["x", "y"]}));
    assert_eq!(
        read(&odd, b"'1;2';NA\n;3"),
        Ok(vec![json!({"x": "1;2", "y": null}), json!({"x": "", "y": "3"}),])
    );
    let bare = shape(json!({"type": "csv", "header": false}));
    assert_eq!(read(&bare, b"1,2"), Ok(vec![json!({"column_1": "1", "column_2": "2"})]));
}

#[test]
fn csv_fields_of_a_declared_type_are_written_as_they_stand() {
    let mut csv = shape(json!({"type": "csv"}));
    csv.types = [("unit_price", ColumnType::Float64), ("ok", ColumnType::Bool)]
        .map(|(name, kind)| (name.to_owned(), kind))
        .into();
    let mut reader = BodyReader::new(&csv, None).expect("a reader");
    reader.feed(b"Unit Price,ok,n\n1.50,true,2\n007,no,3\n").expect("CSV");
    let (_, rest) = reader.finish().expect("whole");
    let found: Vec<_> = rest[0].iter().map(String::from_utf8_lossy).collect();
    assert_eq!(
        found,
        [
            "{\"Unit Price\":1.50,\"ok\":true,\"n\":\"2\"}",
            "{\"Unit Price\":\"007\",\"ok\":\"no\",\"n\":\"3\"}",
        ]
    );
}

#[test]
fn rows_of_csv_that_fit_no_names_are_refused_with_their_text() {
    let csv = shape(json!({"type": "csv"}));
    let body = b"a,b\r\n1,2\r\n\r\n3\r\n\"4\n\",5,\"x\"\"y\"\r\n6,7\r\n8,9,10";
    let few = (4, "line 4 has 1 fields, and there are 2 names", "3");
    let many = (5, "line 5 has 3 fields, and there are 2 names", "\"4\n\",5,\"x\"\"y\"");
    // What was cut has too few fields, not too many.
    let last = (8, "line 8 has 3 fields, and there are 2 names", "8,9,10");
    for chunk in 1..body.len() {
        let mut reader = BodyReader::new(&csv, None).expect("a reader");
        for piece in body.chunks(chunk) {
            reader.feed(piece).expect("CSV");
        }
        let (end, rest) = reader.finish().expect("whole");
        let refused = rest.iter().flat_map(|batch| batch.refused());
        let refused: Vec<_> = refused
            .map(|refused| (refused.line, refused.problem.as_str(), refused.text.as_str()))
            .collect();
        assert_eq!(refused, [few, many, last], "{chunk}");
        let records: usize = rest.iter().map(|batch| batch.iter().count()).sum();
        assert_eq!((records, end.records), (2, 5), "a page is as full with them");
    }
}

#[test]
fn csv_that_is_none_is_an_error() {
    let csv = shape(json!({"type": "csv"}));
    let table: [(&[u8], &str); 8] = [
        (b"", "a header was expected"),
        (b"a,b\n1,2,3\n3", "cut"),
        (b"a,a\n1,2\n", "names `a` twice"),
        (b"a,b\n1,2\n3", "cut"),
        (b"a,b\n1,\"2\n3,4\n", "the quote that opens on line 2 is not closed"),
        (b"a,b\n1,\xff\n", "line 2 is not UTF-8"),
        (b"a,b\n\xda,\x81\n", "line 2 is not UTF-8"),
        (b"<!DOCTYPE html><title>Sign in</title><p>please</p>", "a page titled `Sign in`"),
    ];
    for (body, wanted) in table {
        let problem = problem(&csv, body);
        assert!(problem.contains(wanted), "{wanted}: {problem}");
    }
    let json = BodyReader::new(&csv, Some("application/problem+json; charset=utf-8"));
    assert!(json.is_err_and(|failure| failure.to_string().contains("problem+json")));
    let mut small = shape(json!({"type": "csv"}));
    small.bounds.record_bytes = 8 << 10;
    let cell = [b"a\n".as_slice(), &vec![b'x'; 20 << 10]].concat();
    assert!(problem(&small, &cell).contains("a record is larger"));
    assert!(problem(&csv, &vec![b','; 70_000]).contains("65536 fields"));
}

#[test]
fn lines_are_values() {
    let lines = shape(json!({"type": "ndjson"}));
    let values = vec![json!({"a": 1.5}), json!([2]), json!({"b": "\n"})];
    for end in ["", "\n", "\r\n\n "] {
        let text = format!("{{\"a\":1.50}}\n\n [2]\r\n{{\"b\":\"\\n\"}}{end}");
        assert_eq!(read(&lines, text.as_bytes()), Ok(values.clone()));
    }
    assert_eq!(read(&lines, b""), Ok(Vec::new()));
    assert!(problem(&lines, b"{}\n{\"a\":\n}").contains("line 2 is no JSON"));
    assert!(problem(&lines, b"{}\n{\"a\":").contains("cut"));
    let plain = shape(json!({"type": "json"}));
    let said = read_as(&plain, Some("application/x-ndjson; charset=utf-8"), b"{}\n{}");
    assert_eq!(said.expect("two lines").0.len(), 2);
    assert!(problem(&plain, b"{}\n{}").contains("not JSON"), "it did not say so");
}

#[test]
fn xml_becomes_json() {
    let text = "<?xml version='1.0'?><!-- c --><o:orders xmlns:o='u' total='3' next='a&amp;b'>\
        <order id='1&lt;2'><!--x--><name>A &amp; B&#33;</name><tag>x</tag><tag>y</tag><no/></order>\
        <order id=\"2>1\"><tag>z</tag><p>text <b>bold</b> end</p></order>\
        <other/><order><![CDATA[<raw> & ]]></order>\n</o:orders>\n";
    let records = vec![
        json!({"@id": "1<2", "name": "A & B!", "tag": ["x", "y"], "no": null}),
        json!({"@id": "2>1", "tag": "z", "p": {"b": "bold", "#text": "text  end"}}),
        json!("<raw> & "),
    ];
    let shape = xml("orders.order", json!({"type": "xml"}));
    let (found, end) = read_as(&shape, None, text.as_bytes()).expect("XML");
    assert_eq!(found, records);
    let around = json!({"orders": {"@total": "3", "@next": "a&b", "other": null}});
    assert_eq!((end.envelope, end.records), (around, 3));
    let lists = xml("orders.order", json!({"type": "xml", "lists": ["tag"]}));
    assert_eq!(read(&lists, text.as_bytes()).expect("XML")[1]["tag"], json!(["z"]));
    let root = xml("order", json!({"type": "xml"}));
    assert_eq!(read(&root, b"<order><a>1</a></order>"), Ok(vec![json!({"a": "1"})]));
    assert_eq!(read(&shape, b"<orders/>"), Ok(Vec::new()));
}

#[test]
fn xml_that_is_cut_or_a_bomb_is_an_error() {
    let shape = xml("l.r", json!({"type": "xml"}));
    let whole = "<l><r a='1'>x</r><!--c--><r><![CDATA[y]]></r></l>";
    assert!(read(&shape, whole.as_bytes()).is_ok());
    for end in 0..whole.len() {
        let problem = problem(&shape, &whole.as_bytes()[..end]);
        assert!(problem.contains("cut") || end == 0, "{end}: {problem}");
    }
    let deep = "<l>".repeat(1_000);
    let many: String = (0..300).map(|n| format!(" a{n}='1'")).collect();
    let many = format!("<l{many}></l>");
    let table = [
        ("<!DOCTYPE l [<!ENTITY a 'b'>]><l/>", "document type"),
        (
            "<!DOCTYPE html><title>Sign in</title><br><p>please log in to go on</p>",
            "titled `Sign in`",
        ),
        ("<l><r>&a;</r></l>", "XML"),
        ("<l><r></l></r>", "`</l>` ends what did not begin"),
        ("<l/><l/>", "two root elements"),
        ("x<l/>", "text outside"),
        ("<l/>x", "text outside"),
        ("<l a='1' a='2'/>", "duplicate"),
        ("<error>no</error>", "finds no records"),
        (&deep, "nesting of elements is larger"),
        (&many, "256 attributes"),
    ];
    for (text, wanted) in table {
        let problem = problem(&shape, text.as_bytes());
        assert!(problem.contains(wanted), "{wanted}: {problem}");
    }
    let mut small = xml("l.r", json!({"type": "xml"}));
    small.bounds.record_bytes = 100;
    let long = format!("<l><r>{}</r></l>", "<a>b</a>".repeat(20));
    assert!(problem(&small, long.as_bytes()).contains("a record is larger"));
}

#[test]
fn charsets_are_those_that_are_said() {
    let csv = shape(json!({"type": "csv"}));
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let row = vec![json!({"a": "ü€"})];
    let utf16 = wide("a\nü€");
    assert_eq!(read_as(&csv, Some("text/csv; charset=utf-16le"), &utf16).expect("it").0, row);
    assert_eq!(read(&csv, &[b"\xff\xfe".as_slice(), &utf16].concat()), Ok(row.clone()));
    let latin = b"a\n\xfc";
    let said = read_as(&csv, Some("text/csv; charset=ISO-8859-1"), latin);
    assert_eq!(said.expect("it").0, [json!({"a": "ü"})]);
    let named = shape(json!({"type": "csv", "encoding": "latin1"}));
    assert_eq!(read(&named, latin), Ok(vec![json!({"a": "ü"})]));
    let json = shape(json!({"type": "json"}));
    let utf8 = "[{\"a\":\"ü€\"}]";
    let wrong = read_as(&json, Some("application/json; charset=ISO-8859-1"), utf8.as_bytes());
    assert_eq!(wrong.expect("it").0, row);
    let said = read_as(&json, Some("application/json; charset=utf-16le"), &wide(utf8));
    assert_eq!(said.expect("it").0, row);
    let document = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><l><r>\xfc</r></l>";
    assert_eq!(read(&xml("l.r", json!({"type": "xml"})), document), Ok(vec![json!("ü")]));
    let broken =
        problem(&shape(json!({"type": "csv", "encoding": "utf-16le"})), b"a\0\n\0\x00\xd8b\0");
    assert!(broken.contains("no UTF-16LE"), "{broken}");
}

#[test]
fn gzip_files_are_unpacked_within_bounds() {
    let packed = |format| BodyShape { archive: Some(Archive::Gzip {}), ..shape(format) };
    let csv = packed(json!({"type": "csv"}));
    let body = gzip(b"a\n1\n2\n");
    assert_eq!(read(&csv, &body), Ok(vec![json!({"a": "1"}), json!({"a": "2"})]));
    let two = [gzip(b"a\n1\n"), gzip(b"2\n")].concat();
    assert_eq!(read(&csv, &two).expect("two members").len(), 2);
    for end in 1..body.len() {
        assert!(problem(&csv, &body[..end]).contains("cut"), "{end}");
    }
    assert!(problem(&csv, b"a\n1\n2\n3\n4\n5\n").contains("leave out `archive`"));
    let mut wrong = body.clone();
    let crc = wrong.len() - 5;
    wrong[crc] ^= 1;
    assert!(read(&csv, &wrong).is_err());
    let mut small = packed(json!({"type": "csv"}));
    small.unpacked_bytes = 1_000;
    let bomb = gzip(&b"a\n".repeat(1_000));
    assert!(problem(&small, &bomb).contains("unpacks to is larger than the bound of 1000 bytes"));
}
