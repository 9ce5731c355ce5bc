//! Pages by place: behind the last item of one page begins the next, however far it is.
//!
//! In: the order of a list and a token of a caller. Out: the values behind which (or before which)
//! the page lies; and tokens for the pages around it. A token is the values of the order's columns
//! as the database's own exact texts, sealed, so that it tells nothing; it belongs to one object,
//! one condition, one order and one direction, and opens for no other. It lets nobody in.
//!
//! What never happens here: a count, or a number of items to skip.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use restway_model::Seal;
use serde_json::value::RawValue;

use super::{Condition, ListPlan, Order, Value};
use crate::source::Kind;
use crate::statement::Dialect;

/// Where a page lies.
#[derive(Debug)]
pub(crate) enum Seek {
    /// Where `$offset` says; whether the caller wants `next` and `prev` in the envelope.
    Offset { tells: bool },
    /// Behind these values of the order; null as none.
    After(Vec<Option<Value>>),
    /// Before them: the order of the plan is turned, and the rows that come are turned back.
    Before(Vec<Option<Value>>),
}

impl Seek {
    /// The values behind which the plan's order goes on.
    pub(crate) fn place(&self) -> Option<&[Option<Value>]> {
        match self {
            Self::Offset { .. } => None,
            Self::After(values) | Self::Before(values) => Some(values),
        }
    }

    pub(crate) fn is_before(&self) -> bool {
        matches!(self, Self::Before(_))
    }

    /// The way that the caller goes from token to token; none for one who skips items.
    pub(crate) fn leads(&self) -> Option<Way> {
        match self {
            Self::Offset { tells: false } => None,
            Self::Offset { tells: true } | Self::After(_) => Some(Way::After),
            Self::Before(_) => Some(Way::Before),
        }
    }

    /// Whether the envelope tells where the pages around are.
    pub(crate) fn tells(&self) -> bool {
        !matches!(self, Self::Offset { tells: false })
    }
}

/// The way that a token leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    After,
    Before,
}

/// A token's text, read.
pub(super) fn open(
    seal: &dyn Seal,
    belongs: &str,
    way: Way,
    dialect: Dialect,
    order: &[Order<'_>],
    token: &str,
) -> Option<Vec<Option<Value>>> {
    let sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
    let bytes = seal.open(&sealed, &format!("{way:?} {belongs}"))?;
    let texts: Vec<&RawValue> = serde_json::from_slice(&bytes).ok()?;
    if texts.len() != order.len() {
        return None;
    }
    let of = |(order, text): (&Order<'_>, &&RawValue)| value(dialect, order, text.get());
    order.iter().zip(&texts).map(of).collect()
}

/// A token for the page beyond a row, whose values of the order are JSON texts; none when one of
/// them is no value that could be compared.
pub(crate) fn token(
    seal: &dyn Seal,
    plan: &ListPlan<'_>,
    way: Way,
    dialect: Dialect,
    texts: &[&str],
) -> Option<String> {
    for (order, text) in plan.order.iter().zip(texts) {
        value(dialect, order, text)?;
    }
    let list = format!("[{}]", texts.join(","));
    let sealed = seal.seal(list.as_bytes(), &format!("{way:?} {}", plan.belongs))?;
    Some(URL_SAFE_NO_PAD.encode(sealed))
}

/// What a token belongs to.
pub(super) fn belongs(
    relation: &crate::source::Relation,
    arguments: &[(String, serde_json::Value)],
    condition: &Condition<'_>,
    order: &[Order<'_>],
) -> String {
    let mut text = format!("{relation:?} {arguments:?}");
    if !matches!(condition, Condition::All(all) if all.is_empty()) {
        text.push_str(&format!(" {condition:?}"));
    }
    for order in order {
        let Order { column, descends, nulls_first } = order;
        text.push_str(&format!(" {:?} {:?} {descends} {nulls_first}", column.name, column.kind));
    }
    text
}

/// A JSON text as a value of an order's column: null as none within.
#[expect(clippy::option_option, reason = "no value at all, null, and a value are three things")]
fn value(dialect: Dialect, order: &Order<'_>, text: &str) -> Option<Option<Value>> {
    if text == "null" {
        return Some(None);
    }
    let quoted: Option<String> =
        if text.starts_with('"') { Some(serde_json::from_str(text).ok()?) } else { None };
    let kind = order.column.kind;
    if dialect == Dialect::Sqlite {
        return stored(text, quoted.as_deref()).map(Some);
    }
    if let Some(word) = quoted.as_deref().filter(|word| is_extreme(dialect, kind, word)) {
        return Some(Some(Value { text: word.to_owned(), kind }));
    }
    let text = match kind {
        Kind::Json => text,
        _ => quoted.as_deref().unwrap_or(text),
    };
    Value::of(kind, text).map(Some)
}

/// A value of SQLite as what it is, whatever its column was declared as: a text begins with `t`
/// and the digits of bytes with `b`; numbers stand as they are, and the infinite ones in quotes.
fn stored(text: &str, quoted: Option<&str>) -> Option<Value> {
    let of = |kind, text: &str| Some(Value { text: text.to_owned(), kind });
    match (quoted, quoted.and_then(|quoted| quoted.split_at_checked(1))) {
        // What was no text to us was not written as it is.
        (_, Some(("t", text))) if text.contains(char::REPLACEMENT_CHARACTER) => None,
        (_, Some(("t", text))) => of(Kind::Text, text),
        (_, Some(("b", digits))) => of(Kind::Bytes, &STANDARD.encode(unhexed(digits)?)),
        (Some(word @ ("Infinity" | "-Infinity")), _) => of(Kind::Float64, word),
        (None, _) if matches!(text, "true" | "false") => of(Kind::Bool, text),
        (None, _) if text.parse::<i64>().is_ok() => of(Kind::Int64, text),
        (None, _) if text.parse::<f64>().is_ok() => of(Kind::Float64, text),
        _ => None,
    }
}

fn unhexed(digits: &str) -> Option<Vec<u8>> {
    let pair = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(pair).collect()
}

/// Values that a database has and no caller can write: they are read, sorted and compared.
fn is_extreme(dialect: Dialect, kind: Kind, word: &str) -> bool {
    match (dialect, kind) {
        (Dialect::Postgres, Kind::Date | Kind::DateTime | Kind::Instant) => {
            matches!(word, "infinity" | "-infinity")
        }
        (
            Dialect::Postgres,
            Kind::Float32 | Kind::Float64 | Kind::Decimal { .. } | Kind::Number,
        ) => matches!(word, "NaN" | "Infinity" | "-Infinity"),
        // A time of MySQL has up to 838 hours, before and after midnight.
        (Dialect::Mysql, Kind::Time) => {
            word.bytes().all(|byte| byte.is_ascii_digit() || b"-:.".contains(&byte))
        }
        _ => false,
    }
}
