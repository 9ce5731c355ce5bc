//! Pages by place: behind the last item of one page begins the next, however far it is.
//!
//! In: the order of a list and a token of a caller. Out: the values behind which (or before which)
//! the page lies; and tokens for the pages around it. A token is the values of the order's columns
//! as the database's own exact texts, sealed, so that it tells nothing; it belongs to one object,
//! one condition, one order and one direction, and opens for no other. It lets nobody in.
//!
//! What never happens here: a count, or a number of items to skip.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
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
        let Order { column, descends, nulls_first, .. } = order;
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
    let declared = order.column.kind;
    let kind = match (dialect, &quoted) {
        // A column of SQLite holds what was put in: its values are compared as what they are.
        (Dialect::Sqlite, Some(_)) if declared != Kind::Bytes => Kind::Text,
        (Dialect::Sqlite, None) if matches!(text, "true" | "false") => Kind::Bool,
        (Dialect::Sqlite, None) if text.parse::<i64>().is_ok() => Kind::Int64,
        (Dialect::Sqlite, None) if text.parse::<f64>().is_ok() => Kind::Float64,
        _ => declared,
    };
    let text = match declared {
        Kind::Json => text,
        _ => quoted.as_deref().unwrap_or(text),
    };
    Value::of(kind, text).map(Some)
}
