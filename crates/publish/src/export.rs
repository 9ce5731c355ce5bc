//! Rows that stream: from the source through a bounded buffer to an outlet.
//!
//! In: rows, each written by a source. Out: pieces of an answer in a [`Form`]. The head goes out
//! with the first piece, so that what goes wrong before is still a refusal. A caller who is too
//! slow, or has left, ends the statement. What never happens here: more rows in memory than the
//! buffer holds.

use std::time::Duration;

use futures::future::{Either, select};
use restway_model::Clock;

use crate::columnar::Columnar;
use crate::form::Form;
use crate::outlet::Outlet;
use crate::respond::Response;
use crate::source::{Answering, Column, Flow, Sink, SourceError};

/// Bytes of a piece; one row may make it longer.
const PIECE_BYTES: usize = 64 << 10;
/// How long a caller may take for a piece: a statement of a database waits with it.
const SEND_MAX: Duration = Duration::from_secs(30);

/// Rows on their way out.
pub(crate) struct Export<'a> {
    outlet: &'a mut dyn Outlet,
    clock: &'a dyn Clock,
    form: Form,
    columnar: Option<Columnar>,
    /// A row that could not be written in the form; it ends the rows.
    unfit: Option<SourceError>,
    /// Taken when the first piece goes out.
    head: Option<Response>,
    buffer: Vec<u8>,
    start: usize,
    rows: u64,
    rows_max: u64,
}

impl<'a> Export<'a> {
    pub(crate) fn new(
        outlet: &'a mut dyn Outlet,
        clock: &'a dyn Clock,
        form: Form,
        head: Response,
        columns: &[&Column],
        rows_max: u64,
    ) -> Result<Self, SourceError> {
        let buffer = form.head(columns);
        Ok(Self {
            outlet,
            clock,
            form,
            columnar: Columnar::new(form, columns)?,
            unfit: None,
            head: Some(head),
            start: buffer.len(),
            buffer,
            rows: 0,
            rows_max,
        })
    }

    /// Whether a part of the answer is out.
    pub(crate) fn has_begun(&self) -> bool {
        self.head.is_none()
    }

    /// All rows were there.
    pub(crate) async fn finish(&mut self) -> Result<(), SourceError> {
        let end = match &mut self.columnar {
            Some(columnar) => columnar.end()?,
            None => self.form.end(self.rows),
        };
        self.buffer.extend(end);
        self.flush().await
    }
}

impl Sink for Export<'_> {
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    fn row(&mut self) -> Flow {
        match &mut self.columnar {
            None => self.form.row(&mut self.buffer, self.start),
            Some(columnar) => {
                if let Err(error) = columnar.row(&mut self.buffer, self.start) {
                    self.unfit = Some(error);
                    return Flow::Full;
                }
            }
        }
        self.start = self.buffer.len();
        self.rows += 1;
        if self.rows >= self.rows_max {
            Flow::Enough
        } else if self.buffer.len() >= PIECE_BYTES {
            Flow::Full
        } else {
            Flow::More
        }
    }

    fn flush(&mut self) -> Answering<'_, ()> {
        Box::pin(async move {
            if let Some(error) = self.unfit.take() {
                return Err(error);
            }
            if let Some(head) = self.head.take() {
                self.outlet.begin(head);
            }
            let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE_BYTES * 2));
            self.start = 0;
            match select(self.outlet.send(piece), self.clock.sleep(SEND_MAX)).await {
                Either::Left((true, _)) => Ok(()),
                _ => Err(SourceError::Left),
            }
        })
    }

    fn has_rows(&self) -> bool {
        self.rows > 0
    }
}
