//! Spoiled bodies: whatever a server sends, a reader answers or refuses, and never panics.
//!
//! Good bodies of every format are changed at random, by a seed that does not change: bytes turned,
//! cut, doubled and moved. What a reader makes of one must not depend on how it was cut into
//! chunks.

use std::io::{Seek, Write};

use restway_model::{Limits, Records};
use serde_json::{Value, json};

use super::*;

/// Spoiled bodies of each kind.
const ROUNDS: usize = 1_500;
/// Bytes that mean something in one format or another.
const SIGNS: &[u8] = b"{}[]\",:\\<>&;'\n\r\0\xff#!-";
/// Spoiled archives; each is a file.
const ARCHIVES: usize = 600;

/// Numbers that look random and are the same in every run (xorshift, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound.max(1) as u64).expect("it is below")
    }

    fn spoil(&mut self, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(body.len());
            let end = (at + self.below(12)).min(body.len());
            match self.below(6) {
                0 if !body.is_empty() => body[at] ^= 1 << self.below(8),
                1 => body.truncate(at),
                2 => drop(body.drain(at..end)),
                3 => {
                    let part = body[at..end].to_vec();
                    let to = self.below(body.len());
                    body.splice(to..to, part);
                }
                4 => body.insert(at, SIGNS[self.below(SIGNS.len())]),
                _ if !body.is_empty() => body[at] = [0, 0xff, 0x7f, 0x80][self.below(4)],
                _ => {}
            }
        }
        body
    }
}

fn shape(format: Value, records: Option<&str>) -> BodyShape {
    let limits = Limits { record_bytes_max: 4 << 10, json_depth_max: 16, ..Limits::default() };
    BodyShape {
        records: records.map(|path| path.parse().expect("a path")),
        records_optional: false,
        format: serde_json::from_value(format).expect("a format"),
        archive: None,
        types: std::collections::BTreeMap::new(),
        fail_when: None,
        bounds: Bounds::new(&limits),
        unpacked_bytes: 1 << 20,
    }
}

/// The records' bytes, or nothing for a body that is refused.
fn read(shape: &BodyShape, body: &[u8], chunk: usize) -> Option<Vec<Vec<u8>>> {
    let mut reader = BodyReader::new(shape, None).expect("a reader");
    let mut batches = Vec::new();
    for piece in body.chunks(chunk.max(1)) {
        reader.feed(piece).ok()?;
        batches.extend(std::iter::from_fn(|| reader.batch()));
    }
    let (end, rest) = reader.finish().ok()?;
    batches.extend(rest);
    let whole = batches.iter().flat_map(|batch| batch.iter().map(<[u8]>::to_vec));
    let refused = batches.iter().flat_map(Records::refused);
    let refused = refused.map(|refused| format!("{refused:?}").into_bytes());
    let records: Vec<Vec<u8>> = whole.chain(refused).collect();
    assert_eq!(end.records, records.len() as u64);
    Some(records)
}

#[test]
fn spoiled_bodies_are_read_the_same_however_they_are_cut_or_refused() {
    let json =
        r#"{"next":"a","data":[{"id":1,"n":-1.5e3,"t":"ü\u00fc\"\\"},{"id":2,"l":[[],{}]}]}"#;
    let xml = "<?xml version=\"1.0\"?><r><i a='1'><id>1</id>x<![CDATA[<]]></i>\
               <i><id>2</id>&amp;&#65;</i><!-- c --></r>";
    let cases = [
        (shape(json!({"type": "json"}), Some("data")), json.to_owned()),
        (shape(json!({"type": "json"}), None), "[1,\"a\",null,{\"a\":[true]}] ".to_owned()),
        (shape(json!({"type": "ndjson"}), None), "{\"a\":1}\n\n{\"a\":\"\u{fc}\"}\r\n[2]".into()),
        (shape(json!({"type": "csv"}), None), "a,b\n1,\"x\"\"\n y\"\r\n,\n3,4".to_owned()),
        (shape(json!({"type": "xml"}), Some("r.i")), xml.to_owned()),
    ];
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for (shape, body) in &cases {
        assert!(read(shape, body.as_bytes(), 7).is_some_and(|records| records.len() > 1));
        for _ in 0..ROUNDS {
            let spoiled = dice.spoil(body.as_bytes());
            let whole = read(shape, &spoiled, spoiled.len());
            let cut = read(shape, &spoiled, 1 + dice.below(9));
            let shown = || spoiled.escape_ascii().to_string();
            assert_eq!(whole, cut, "{:?}: {}", shape.format, shown());
        }
    }
}

fn archive() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut archive = rawzip::ZipArchiveWriter::new(&mut bytes);
    for (name, text) in [("a.json", "[{\"id\":1}]"), ("d/b.json", "[{\"id\":2},{\"id\":3}]")] {
        let file = archive.new_file(name).compression_method(rawzip::CompressionMethod::Deflate);
        let (mut entry, config) = file.start().expect("an entry");
        let encoder =
            flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::default());
        let mut writer = config.wrap(encoder);
        writer.write_all(text.as_bytes()).expect("memory");
        let (encoder, descriptor) = writer.finish().expect("memory");
        encoder.finish().expect("memory");
        entry.finish(descriptor).expect("memory");
    }
    archive.finish().expect("memory");
    bytes
}

#[test]
fn spoiled_archives_are_refused_or_hold_what_they_held() {
    let shape = shape(json!({"type": "json"}), None);
    let unpack = |bytes: &[u8]| {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("room");
        file.rewind().expect("a place");
        let mut records = Vec::new();
        let end = unzip(file, &shape, None, &mut |batch| {
            records.extend(batch.iter().map(<[u8]>::to_vec));
            Ok(())
        });
        end.ok().map(|_| records)
    };
    let whole = archive();
    let records = unpack(&whole).expect("an archive");
    assert_eq!(records.len(), 3);
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    for _ in 0..ARCHIVES {
        let spoiled = dice.spoil(&whole);
        if let Some(found) = unpack(&spoiled) {
            assert_eq!(found, records, "{}", spoiled.escape_ascii());
        }
    }
}
