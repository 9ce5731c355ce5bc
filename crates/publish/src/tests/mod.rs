//! The room as a whole, over rows that are not there: what a request becomes, and what a refusal
//! tells. The columns are those of a table of customers; what is asked of them is a table below.

mod answers;
mod requests;

use std::future::pending;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use expect_test::Expect;
use restway_model::definition::{self, AppFile};
use restway_model::{Clock, Code, Event, Explain, Limits, Observer, Pause, Seal};
use serde_json::Value;

use crate::{
    Answering, Bound, Column, Description, Dialect, Flow, Kind, Publisher, Relation, Request,
    Response, Sink, Source, SourceError, Statement, Transaction,
};

const SALES: &str = "
app: sales
access: { anonymous: { customers: [filter], absent: [filter], unfit: [filter] } }
objects:
  customers:
    from: shop.customers
    key: [region, id]
    default_fields: [id, name, not_landed_yet]
  staff: { from: shop.staff, key: [id] }
  absent: { from: shop.absent, key: [id] }
  unfit: { from: shop.customers, key: [nothing] }
";
const CLOSED: &str = "
app: closed
objects: { customers: { from: shop.customers, key: [id] } }
";

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Inside(&'static str, Code);

impl Explain for Inside {
    fn code(&self) -> Code {
        self.1
    }
}

/// What the rows do.
#[derive(Clone, Copy, PartialEq)]
enum Does {
    Answer(&'static [&'static str]),
    Fail,
    Hang,
}

/// A statement and its values.
type Asked = (String, Vec<Bound>);

struct Fake {
    does: Does,
    asked: Mutex<Vec<Asked>>,
}

impl Source for Fake {
    fn dialect(&self) -> Dialect {
        Dialect::Lake
    }

    fn describe<'a>(&'a self, relation: &'a Relation) -> Answering<'a, Arc<Description>> {
        Box::pin(async move {
            if relation.to_string() == "shop.absent" {
                let error = Inside("not there", Code::TableMissing);
                return Err(SourceError::Engine(Box::new(error)));
            }
            let columns = [
                ("id", Kind::Int64),
                ("region", Kind::Text),
                ("name", Kind::Text),
                ("odd \"name\"", Kind::Text),
                ("credit", Kind::Decimal { precision: 6, scale: 2 }),
                ("since", Kind::Instant),
                ("is_open", Kind::Bool),
                ("nothing_yet", Kind::Null),
                ("extra", Kind::Json),
                ("_row_id", Kind::Int64),
            ];
            let columns = columns.map(|(name, kind)| Column::new(name, kind));
            Ok(Arc::new(Description::of_columns(columns.to_vec())))
        })
    }

    fn forget(&self, _: &Relation) {}

    fn read<'a>(
        &'a self,
        statement: &'a Statement<'a>,
        sink: &'a mut dyn Sink,
    ) -> Answering<'a, ()> {
        self.asked.lock().unwrap().push((statement.text.clone(), statement.values.clone()));
        Box::pin(async move {
            let rows: &[&str] = match self.does {
                Does::Answer(_) if statement.text.contains("count(*)") => &["{\"count\":42}"],
                Does::Answer(rows) => rows,
                Does::Fail => {
                    let error = Inside("/var/secret/part-0 is gone", Code::TableDamaged);
                    return Err(SourceError::Engine(Box::new(error)));
                }
                Does::Hang => pending().await,
            };
            for row in rows {
                sink.buffer().extend_from_slice(row.as_bytes());
                if sink.row() == Flow::Enough {
                    break;
                }
            }
            Ok(())
        })
    }

    fn begin(&self) -> Answering<'_, Box<dyn Transaction>> {
        Box::pin(async { Err(SourceError::ReadOnly) })
    }
}

/// A clock on which all waiting is over at once.
struct Still;

impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> Pause<'_> {
        Box::pin(async {})
    }

    fn jitter(&self) -> f64 {
        0.0
    }
}

/// A seal that everybody can open, which shows what is bound to what.
struct Open;

impl Seal for Open {
    fn seal(&self, bytes: &[u8], bound_to: &str) -> Option<Vec<u8>> {
        Some([bytes, b"\0", bound_to.as_bytes()].concat())
    }

    fn open(&self, sealed: &[u8], bound_to: &str) -> Option<Vec<u8>> {
        let rest = sealed.strip_suffix(bound_to.as_bytes())?.strip_suffix(b"\0")?;
        Some(rest.to_vec())
    }

    fn mark(&self, bytes: &[u8], purpose: &str) -> [u8; 32] {
        let mut hasher = DefaultHasher::new();
        (bytes, purpose).hash(&mut hasher);
        let mut mark = [0; 32];
        mark[..8].copy_from_slice(&hasher.finish().to_be_bytes());
        mark
    }
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn observe(&self, event: &Event) {
        if let Event::Warned { about, message } = event {
            self.0.lock().unwrap().push(format!("{about}: {message}"));
        }
    }
}

struct Room {
    publisher: Publisher,
    rows: Arc<Fake>,
    heard: Arc<Heard>,
}

fn room(does: Does) -> Room {
    let read = |text| definition::read::<AppFile>("apps/a.yaml", text).unwrap();
    let rows = Arc::new(Fake { does, asked: Mutex::default() });
    let heard = Arc::new(Heard::default());
    let source: Arc<dyn Source> = rows.clone();
    let publisher = Publisher::new(
        vec![read(SALES).into(), read(CLOSED).into()],
        &source,
        &Limits::default(),
        heard.clone(),
        Arc::new(Still),
    );
    let publisher = publisher.unwrap().with_seal(Arc::new(Open));
    Room { publisher, rows, heard }
}

impl Room {
    fn answer(&self, method: &str, target: &str) -> Response {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        let request = Request { method: method.to_owned(), path, query, ..Request::default() };
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(self.publisher.answer(&request))
    }

    fn asked(&self) -> String {
        let asked = self.rows.asked.lock().unwrap();
        let statements = asked.iter().map(|(sql, values)| {
            let values = values.iter().enumerate();
            let values = values.map(|(at, value)| format!("\n  {} = {value:?}", at + 1));
            format!("{}{}\n", broken(sql), values.collect::<String>())
        });
        statements.collect()
    }
}

/// A statement, a line for each clause and term.
fn broken(sql: &str) -> String {
    [" FROM ", " WHERE ", " AND ", " OR ", " ORDER BY ", " LIMIT "]
        .iter()
        .fold(sql.to_owned(), |text, word| text.replace(word, &format!("\n {word}")))
        .replace("\", t.", "\",\n    t.")
}

/// What the request asks of the rows.
fn asks(target: &str, expected: Expect) {
    let room = room(Does::Answer(&["{}"]));
    let response = room.answer("GET", target);
    assert_eq!(response.status, 200, "{}", text(&response));
    expected.assert_eq(&room.asked());
}

/// What the request is told, one line for each finding.
fn refuses(target: &str, expected: Expect) {
    let room = room(Does::Answer(&["{}"]));
    let response = room.answer("GET", target);
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    let mut text = format!("{} {}\n", response.status, body["detail"].as_str().unwrap());
    for validation in body["validations"].as_array().unwrap() {
        assert_eq!(validation["severity"], "error");
        let member = |name: &str| validation[name].as_str().unwrap().to_owned();
        text.push_str(&format!("{}: {}\n", member("validationId"), member("message")));
    }
    assert_eq!(room.asked(), "", "nothing is read for a request that is refused");
    expected.assert_eq(&text);
}

/// The body of an answer.
fn text(response: &Response) -> &str {
    std::str::from_utf8(&response.body).unwrap()
}
