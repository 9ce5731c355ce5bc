//! tmp
use std::sync::Arc;
use restway_model::*;
use restway_tables::*;
struct Quiet;
impl Observer for Quiet { fn observe(&self, _: &Event) {} }
fn recs(lines: &str) -> Records {
    let mut spans = vec![]; let mut start = 0;
    for l in lines.split_inclusive('\n') { let t = l.trim_end(); if !t.is_empty() { spans.push(start..start + t.len()); } start += l.len(); }
    Records::new(lines.to_owned().into(), spans)
}
#[tokio::main]
async fn main() {
    let root = std::path::PathBuf::from(std::env::args().nth(1).unwrap());
    let n: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let lake = Lake::open(LakeSettings { root: root.clone(), limits: Limits::default(), observer: Arc::new(Quiet), spill: root.join("_spill") }).unwrap();
    let landing = |seq, name: &str| Landing { resource: name.parse().unwrap(), stream: name.into(), sequence: seq, run: RunId("r".into()),
        fetched_at: chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap(), mode: LoadMode::Append, types: Default::default(), nest_depth: 3, json: vec![] };
    for (i, l) in ["{\"id\":1,\"n\":null,\"a\":1,\"p\":1.5,\"big\":12345678901234567890,\"at\":\"2024-01-02T03:04:05Z\",\"d\":\"2024-01-02\",\"l\":[{\"x\":1}]}\n{\"id\":2,\"j\":1}\n",
              "{\"id\":3,\"n\":true,\"a\":\"x\",\"j\":{\"k\":[1]},\"l\":[{\"x\":2.5}]}\n"].iter().enumerate() {
        let mut intake = lake.begin(landing(i as u64 + 1, "acme.t")).await.unwrap();
        intake.push(&recs(l), &[]).unwrap();
        lake.commit(&intake.finish().unwrap()).await.unwrap();
    }
    let mut body = String::new();
    for i in 0..n {
        body.push_str(&format!("{{\"id\":{i},\"title\":\"Issue number {i} of the project\",\"state\":\"open\",\"createdAt\":\"2024-01-02T03:04:{:02}Z\",\"score\":{}.25,\"draft\":false,\"closedAt\":null,\"owner\":{{\"id\":{},\"login\":\"user{}\",\"url\":\"https://api.example.com/users/{}\"}},\"labels\":[{{\"name\":\"bug\",\"color\":\"ff0000\"}},{{\"name\":\"p{}\",\"color\":\"00ff00\"}}],\"milestone\":{{\"title\":\"m\\u00e9 {}\",\"due\":\"2024-06-01\"}}}}\n", i % 60, i, i % 1000, i % 1000, i % 1000, i % 5, i % 9));
    }
    let bytes = body.len();
    let r = recs(&body);
    let t = std::time::Instant::now();
    let mut intake = lake.begin(landing(1, "acme.issues")).await.unwrap();
    intake.push(&r, &[]).unwrap();
    let shaped = t.elapsed();
    let b = intake.finish().unwrap();
    let staged = t.elapsed();
    lake.commit(&b).await.unwrap();
    let total = t.elapsed();
    println!("{n} records, {} MB, rows {}: push {shaped:?} staged {staged:?} committed {total:?}; {:.1} MB/s push", bytes / 1_000_000, b.rows(), bytes as f64 / 1e6 / shaped.as_secs_f64());
    let t = std::time::Instant::now();
    let a = lake.query("select state, count(*), avg(score) from acme.issues i join acme.issues__labels l on l._parent_id = i._row_id group by 1", &[]).await.unwrap();
    println!("{:?} {:?}", a.json_rows(5).await.unwrap(), t.elapsed());
    let t = std::time::Instant::now();
    let a = lake.query("select 1", &[]).await.unwrap(); a.json_rows(1).await.unwrap();
    println!("select 1: {:?}", t.elapsed());
}
