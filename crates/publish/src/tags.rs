//! The items of a list, each with the tag of its version.
//!
//! In: rows with all columns of their table, whatever the caller may see, because the whole row
//! tells the version. Out: the rows as they are shown, with a member `$etag` that is the `ETag` of
//! the item by itself with the same fields: who lists can change with `If-Match` without reading
//! each item once more.
//!
//! What never happens here: a column in the answer that was not asked for.

use crate::refusal::Refusal;
use crate::respond;
use crate::source::{Column, Page, first, json};
use crate::write::{Row, Versions, tag};

/// What is shown of the rows of a list, and what tells their versions.
pub(crate) struct Tags<'a> {
    pub(crate) shown: Vec<&'a Column>,
    pub(crate) versions: &'a Versions,
    /// The members of a row that are its table's columns; a page has its place behind them.
    pub(crate) members: usize,
}

impl Tags<'_> {
    /// The first rows of a page behind the head of a list; the last first when they are turned.
    pub(crate) fn list(&self, page: &Page, rows: usize, turned: bool) -> Result<Vec<u8>, Refusal> {
        let mut body = respond::list_head();
        for at in 0..rows {
            let text = page.text(if turned { rows - 1 - at } else { at });
            let text: String = first(text, self.members).collect();
            let row = Row::read(text.into_bytes())?;
            let mut shown = row.only(&self.shown);
            let tag = tag(&row.version(self.versions), &shown);
            shown.pop();
            shown.extend_from_slice(if shown.len() > 1 { b"," } else { b"" });
            shown.extend_from_slice(b"\"$etag\":");
            json::text(&mut shown, &tag);
            shown.push(b'}');
            body.extend_from_slice(if at > 0 { b"," } else { b"" });
            body.append(&mut shown);
        }
        Ok(body)
    }
}
