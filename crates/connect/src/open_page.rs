//! One page while it is read.
//!
//! In: an exchange and the shape of the page. Out: its records in batches, held back until the
//! page is whole, so that a body which breaks is read again from its start and nobody notices.

use crate::Connector;
use restway_model::definition::Archive;
use tokio::io::AsyncWriteExt;

use crate::decode::{BodyReader, BodyShape, PageEnd, unzip};
use crate::error::{CallError, Excerpt, Failure};
use crate::exchange::{Exchange, Opened};
use crate::held::{Held, Room};
use crate::raw::check_bytes;
use crate::request::header;

/// How the records of a page are read, and where they wait.
#[derive(Debug, Clone)]
pub(crate) struct PageShape {
    pub(crate) body: BodyShape,
    pub(crate) room: Room,
    /// Whether the body is kept as it came, too.
    pub(crate) keeps_raw: bool,
    /// Records that are wanted; where nothing can follow them, no more are read.
    pub(crate) records_max: Option<u64>,
    pub(crate) open_end: OpenEnd,
}

/// What becomes of a body that does not say where it ends, of a format that does not either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenEnd {
    /// It is taken for whole.
    Taken,
    /// The same, with a warning.
    Told,
    /// It is an error.
    Refused,
}

/// How far the body is.
enum Reading {
    Begun,
    Body(Box<BodyReader>),
    /// An archive that is read from its end, in a file without a name.
    Archive(tokio::fs::File),
    Whole,
}

/// A page that is being read.
pub(crate) struct OpenPage {
    connector: Connector,
    shape: PageShape,
    pub(crate) exchange: Exchange,
    pub(crate) opened: Opened,
    pub(crate) held: Held,
    /// What is known of the page once it is whole.
    pub(crate) end: PageEnd,
    reading: Reading,
    /// The body so far, where it is kept.
    pub(crate) raw: Option<Vec<u8>>,
}

impl OpenPage {
    /// Sends until the answer begins.
    pub(crate) async fn open(
        connector: Connector,
        mut exchange: Exchange,
        shape: PageShape,
    ) -> Result<Self, CallError> {
        let opened = exchange.open().await?;
        Ok(Self::begin(connector, exchange, opened, shape))
    }

    fn begin(connector: Connector, exchange: Exchange, opened: Opened, shape: PageShape) -> Self {
        let held = Held::new(shape.room.clone());
        let (end, reading) = (PageEnd::default(), Reading::Begun);
        let raw = shape.keeps_raw.then(Vec::new);
        Self { connector, shape, exchange, opened, held, end, reading, raw }
    }

    /// A page whose body has come already.
    pub(crate) async fn of(
        connector: Connector,
        exchange: Exchange,
        opened: Opened,
        body: &[u8],
        shape: PageShape,
    ) -> Result<Self, CallError> {
        let mut page = Self::begin(connector, exchange, opened, shape);
        match page.whole(body).await {
            Ok(()) => Ok(page),
            Err(failure) => Err(page.exchange.error(redacted(&page.connector, failure))),
        }
    }

    async fn whole(&mut self, body: &[u8]) -> Result<(), Failure> {
        self.keep(Some(body))?;
        self.reading = match self.begun(Some(body)).await? {
            Reading::Body(reader) => self.body(reader, None).await?,
            Reading::Archive(file) => self.archive(file, None).await?,
            other => other,
        };
        Ok(())
    }

    /// Whether there is no page: 204 and 205 have no body by definition, and other statuses that
    /// come here are to be skipped.
    pub(crate) fn is_empty_answer(&self) -> bool {
        let status = self.opened.incoming.status;
        matches!(status, 204 | 205) || !(200..300).contains(&status)
    }

    /// Reads until the page is whole.
    pub(crate) async fn read(&mut self) -> Result<(), CallError> {
        while !matches!(self.reading, Reading::Whole) {
            if let Err(failure) = self.read_some().await {
                self.opened.incoming.blame(&failure);
                let failure = redacted(&self.connector, failure);
                self.reopen(failure).await?;
            }
        }
        self.opened.incoming.praise();
        // A whole page may wait for those before it; others can have its place meanwhile.
        self.opened.release();
        Ok(())
    }

    /// Reads one chunk, or finds the end of the body. What is missing at the end is found here,
    /// while the page can still be read again.
    async fn read_some(&mut self) -> Result<(), Failure> {
        let chunk = self.opened.incoming.chunk(self.connector.clock()).await?;
        let bound = self.connector.limits().body_bytes_max;
        if self.opened.incoming.bytes() > bound {
            let bound = format!("{bound} bytes");
            return Err(Failure::TooLarge { what: "the answer", bound, hint: None });
        }
        self.keep(chunk.as_deref())?;
        self.reading = match std::mem::replace(&mut self.reading, Reading::Begun) {
            Reading::Begun => self.begun(chunk.as_deref()).await?,
            Reading::Body(reader) => self.body(reader, chunk.as_deref()).await?,
            Reading::Archive(file) => self.archive(file, chunk.as_deref()).await?,
            Reading::Whole => Reading::Whole,
        };
        Ok(())
    }

    fn keep(&mut self, chunk: Option<&[u8]>) -> Result<(), Failure> {
        if let (Some(raw), Some(chunk)) = (&mut self.raw, chunk) {
            check_bytes(raw.len() + chunk.len())?;
            raw.extend_from_slice(chunk);
        }
        Ok(())
    }

    async fn begun(&mut self, chunk: Option<&[u8]>) -> Result<Reading, Failure> {
        let shape = &self.shape.body;
        if let Some(Archive::Zip { .. }) = &shape.archive {
            let file = self.shape.room.unnamed()?;
            return self.archive(tokio::fs::File::from_std(file), chunk).await;
        }
        let content_type = header(&self.opened.incoming.headers, "content-type");
        let reader = BodyReader::new(shape, content_type.filter(|_| shape.archive.is_none()))?;
        self.body(Box::new(reader), chunk).await
    }

    async fn body(
        &mut self,
        mut reader: Box<BodyReader>,
        chunk: Option<&[u8]>,
    ) -> Result<Reading, Failure> {
        let Some(chunk) = chunk else {
            let may_be_cut = reader.may_be_cut();
            let (end, rest) = reader.finish()?;
            self.judge_end(may_be_cut)?;
            for batch in rest {
                self.held.keep(batch).await?;
            }
            self.end = end;
            return Ok(Reading::Whole);
        };
        for piece in chunk.chunks(reader.piece_bytes()) {
            reader.feed(piece)?;
            while let Some(batch) = reader.batch() {
                self.held.keep(batch).await?;
            }
            // A body that is kept is read to its end, or it could not be read again.
            let most = self.shape.records_max.filter(|_| !self.shape.keeps_raw);
            if most.is_some_and(|most| reader.has_more_than(most)) {
                let (end, rest) = reader.cut();
                for batch in rest {
                    self.held.keep(batch).await?;
                }
                self.end = end;
                return Ok(Reading::Whole);
            }
        }
        Ok(Reading::Body(reader))
    }

    /// What it means that the body ends here, where nothing says that it does.
    fn judge_end(&self, may_be_cut: bool) -> Result<(), Failure> {
        if self.opened.incoming.has_end() || !may_be_cut {
            return Ok(());
        }
        match self.shape.open_end {
            OpenEnd::Taken => {}
            OpenEnd::Told => self.exchange.warn_of_no_end(),
            OpenEnd::Refused => return Err(Failure::NoEnd),
        }
        Ok(())
    }

    /// An archive comes into a file, and is read when it is whole.
    async fn archive(
        &mut self,
        mut file: tokio::fs::File,
        chunk: Option<&[u8]>,
    ) -> Result<Reading, Failure> {
        if let Some(chunk) = chunk {
            file.write_all(chunk).await.map_err(Failure::Spool)?;
            return Ok(Reading::Archive(file));
        }
        file.flush().await.map_err(Failure::Spool)?;
        let file = file.into_std().await;
        let shape = self.shape.body.clone();
        let end = self.held.aside(move |held| {
            let wanted = match &shape.archive {
                Some(Archive::Zip { members }) => members.as_deref(),
                _ => None,
            };
            unzip(file, &shape, wanted, &mut |batch| held.push(batch))
        });
        self.end = end.await?;
        Ok(Reading::Whole)
    }

    /// The page broke: waits and begins it again.
    async fn reopen(&mut self, failure: Failure) -> Result<(), CallError> {
        self.held = Held::new(self.shape.room.clone());
        self.reading = Reading::Begun;
        self.raw = self.shape.keeps_raw.then(Vec::new);
        // The place at the gate is free while this waits.
        self.opened.release();
        self.exchange.broke(failure).await?;
        self.opened = self.exchange.open().await?;
        Ok(())
    }
}

/// The failure with the pieces of the answer in it redacted, like everything else.
pub(crate) fn redacted(connector: &Connector, failure: Failure) -> Failure {
    match failure {
        Failure::NotJson { problem, excerpt: Excerpt(text) } => Failure::NotJson {
            problem: connector.redacted(&problem),
            excerpt: Excerpt(connector.redacted(&text)),
        },
        Failure::Page { format, title } => {
            Failure::Page { format, title: title.map(|title| connector.redacted(&title)) }
        }
        Failure::Declared { condition, excerpt: Excerpt(text) } => {
            let excerpt = crate::excerpt::excerpt(text.as_bytes(), connector.redactor());
            Failure::Declared { condition, excerpt }
        }
        Failure::Malformed { format, problem, excerpt: Excerpt(text) } => Failure::Malformed {
            format,
            problem: connector.redacted(&problem),
            excerpt: Excerpt(connector.redacted(&text)),
        },
        other => other,
    }
}
