//! Records of a page that wait until the page is whole.
//!
//! In: batches in order. Out: the same batches in the same order, once. Up to a bound they lie in
//! memory; from there on all of them go to a file, so that a page of any size can be read to its
//! end, and read again from its start, before anybody sees a record of it. The file has no name:
//! it is unlinked as it is made, and gone with the process that held it, however that ends. What
//! never happens here: a record changed, given twice or left out; a file without a bound.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::PathBuf;

use restway_model::{Records, Refused};

use crate::error::Failure;

/// Bytes between a record and the file.
const BUFFER_BYTES: usize = 256 << 10;

/// How much may be held, and where.
#[derive(Debug, Clone, Default)]
pub(crate) struct Room {
    /// Bytes in memory.
    pub(crate) memory: usize,
    /// Bytes in the file.
    pub(crate) file: u64,
    /// Where the file is made.
    pub(crate) folder: PathBuf,
}

impl Room {
    /// A file without a name.
    pub(crate) fn unnamed(&self) -> Result<File, Failure> {
        let made = fs_err::create_dir_all(&self.folder);
        made.and_then(|()| tempfile::tempfile_in(&self.folder)).map_err(Failure::Spool)
    }
}

/// The batches of one page.
#[derive(Default)]
pub(crate) struct Held {
    room: Room,
    bytes: u64,
    place: Place,
}

enum Place {
    Memory(VecDeque<Records>),
    Written(BufWriter<File>),
    Read(BufReader<File>),
}

impl Default for Place {
    fn default() -> Self {
        Self::Memory(VecDeque::new())
    }
}

impl Held {
    pub(crate) fn new(room: Room) -> Self {
        Self { room, ..Self::default() }
    }

    /// Takes a batch; blocks once batches go to the file.
    pub(crate) fn push(&mut self, records: Records) -> Result<(), Failure> {
        let fits = self.fits(&records);
        self.bytes += records.bytes() as u64;
        if self.bytes > self.room.file {
            let bound = format!("{} bytes", self.room.file);
            return Err(Failure::TooLarge { what: "the records of one page", bound, hint: None });
        }
        if let Place::Memory(held) = &mut self.place {
            if fits {
                held.push_back(records);
                return Ok(());
            }
            let held = std::mem::take(held);
            let mut file = BufWriter::with_capacity(BUFFER_BYTES, self.room.unnamed()?);
            held.iter().try_for_each(|batch| write(&mut file, batch)).map_err(Failure::Spool)?;
            self.place = Place::Written(file);
        }
        match &mut self.place {
            Place::Written(file) => write(file, &records).map_err(Failure::Spool),
            _ => Err(Failure::Spool(io::Error::other("it is being read already"))),
        }
    }

    /// The same where nothing may block.
    pub(crate) async fn keep(&mut self, records: Records) -> Result<(), Failure> {
        if self.fits(&records) {
            return self.push(records);
        }
        self.aside(move |held| held.push(records)).await
    }

    /// The next batch, from the first; nothing is taken any more.
    pub(crate) async fn next(&mut self) -> Result<Option<Records>, Failure> {
        match &mut self.place {
            Place::Memory(held) => Ok(held.pop_front()),
            _ => self.aside(|held| held.read().map_err(Failure::Spool)).await,
        }
    }

    fn fits(&self, records: &Records) -> bool {
        let bytes = self.bytes.saturating_add(records.bytes() as u64);
        matches!(self.place, Place::Memory(_)) && bytes <= self.room.memory as u64
    }

    fn read(&mut self) -> io::Result<Option<Records>> {
        if let Place::Written(_) = &self.place
            && let Place::Written(file) = std::mem::take(&mut self.place)
        {
            let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.rewind()?;
            self.place = Place::Read(BufReader::with_capacity(BUFFER_BYTES, file));
        }
        match &mut self.place {
            Place::Read(file) => read(file),
            _ => Ok(None),
        }
    }

    /// Works on a thread that may block. If this is dropped meanwhile, nothing is held any more.
    pub(crate) async fn aside<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let mut held = std::mem::take(self);
        let worked = tokio::task::spawn_blocking(move || {
            let outcome = work(&mut held);
            (held, outcome)
        });
        let (held, outcome) =
            worked.await.map_err(|error| Failure::Spool(io::Error::other(error)))?;
        *self = held;
        outcome
    }
}

/// A batch in the file: the number of its records, the length of each, their bytes; and the same of
/// what was refused among them.
fn write(file: &mut impl Write, batch: &Records) -> io::Result<()> {
    let refused = batch.refused();
    put_number(file, batch.len() - refused.len())?;
    batch.iter().try_for_each(|record| put_number(file, record.len()))?;
    batch.iter().try_for_each(|record| file.write_all(record))?;
    put_number(file, refused.len())?;
    for Refused { line, problem, text } in refused {
        file.write_all(&line.to_le_bytes())?;
        for text in [problem, text] {
            put_number(file, text.len())?;
            file.write_all(text.as_bytes())?;
        }
    }
    Ok(())
}

fn put_number(file: &mut impl Write, number: usize) -> io::Result<()> {
    let number = u32::try_from(number).map_err(|_| io::Error::other("a batch is too large"))?;
    file.write_all(&number.to_le_bytes())
}

fn read(file: &mut impl Read) -> io::Result<Option<Records>> {
    let count = match number(file) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    };
    let mut spans = Vec::with_capacity(count);
    let mut end = 0;
    for _ in 0..count {
        let start = end;
        end += number(file)?;
        spans.push(start..end);
    }
    let body = bytes(file, end)?;
    let mut refused = Vec::new();
    for _ in 0..number(file)? {
        let mut line = [0; 8];
        file.read_exact(&mut line)?;
        let line = u64::from_le_bytes(line);
        let (problem, text) = (text(file)?, text(file)?);
        refused.push(Refused { line, problem, text });
    }
    Ok(Some(Records::new(body.into(), spans).with_refused(refused)))
}

fn number(file: &mut impl Read) -> io::Result<usize> {
    let mut number = [0; 4];
    file.read_exact(&mut number)?;
    Ok(u32::from_le_bytes(number) as usize)
}

fn bytes(file: &mut impl Read, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn text(file: &mut impl Read) -> io::Result<String> {
    let length = number(file)?;
    String::from_utf8(bytes(file, length)?).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(texts: &[&str]) -> Records {
        let mut body = Vec::new();
        let mut spans = Vec::new();
        for text in texts {
            body.push(b',');
            spans.push(body.len()..body.len() + text.len());
            body.extend_from_slice(text.as_bytes());
        }
        Records::new(body.into(), spans)
    }

    #[tokio::test]
    async fn batches_come_back_as_they_went_in_and_leave_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("inner");
        let all = [vec!["1", "{\"a\":2}"], vec![], vec!["\"ü\""], vec!["4"], vec!["[5]", "6"]];
        for memory in [0, 8, 9, 1 << 20] {
            let mut held = Held::new(Room { memory, file: 100, folder: path.clone() });
            for texts in &all {
                held.keep(batch(texts)).await.expect("room");
            }
            let files = fs_err::read_dir(&path).map_or(0, Iterator::count);
            assert_eq!(files, 0);
            let mut found = Vec::new();
            while let Some(records) = held.next().await.expect("a batch") {
                let texts = records.iter().map(|text| String::from_utf8_lossy(text).into_owned());
                found.push(texts.collect::<Vec<_>>());
            }
            assert_eq!(found, all, "{memory}");
        }
        let mut held = Held::new(Room { memory: 1, file: 10, folder: path });
        held.keep(batch(&["123456789"])).await.expect("room");
        let error = held.keep(batch(&["12"])).await.expect_err("too much");
        assert!(error.to_string().contains("bound of 10 bytes"), "{error}");
    }

    #[tokio::test]
    async fn what_was_refused_goes_with_its_batch() {
        let folder = tempfile::tempdir().expect("a folder");
        let refused = |line| Refused { line, problem: "short".into(), text: "ü".into() };
        for memory in [0, 1 << 20] {
            let room = Room { memory, file: 100, folder: folder.path().to_owned() };
            let mut held = Held::new(room);
            held.keep(batch(&["1"]).with_refused(vec![refused(3)])).await.expect("room");
            held.keep(Records::default().with_refused(vec![refused(4)])).await.expect("room");
            for (count, line) in [(2, 3), (1, 4)] {
                let records = held.next().await.expect("a batch").expect("it");
                assert_eq!((records.len(), records.refused()), (count, &[refused(line)][..]));
            }
            assert!(held.next().await.expect("the end").is_none());
        }
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_an_error() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let folder = file.path().join("below");
        let mut held = Held::new(Room { memory: 0, file: 10, folder });
        let error = held.keep(batch(&["1"])).await.expect_err("no folder");
        assert!(matches!(error, Failure::Spool(_)), "{error}");
    }
}
