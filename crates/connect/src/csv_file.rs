//! A CSV file that lies here, read as one that an api sends is.
//!
//! In: the bytes of the file in chunks, and the types that its columns are declared to have. Out:
//! batches of records, every field a text or null but for the declared ones. Nothing is opened
//! here, and nothing is called.

use std::collections::{BTreeMap, VecDeque};

use restway_model::definition::{CsvFormat, Format};
use restway_model::{ColumnType, Limits, Records};

use crate::decode::{BodyReader, BodyShape, Bounds};
use crate::error::Failure;

/// A CSV file on its way.
pub struct CsvFile(BodyReader);

impl CsvFile {
    /// A file whose first row names the fields.
    ///
    /// # Errors
    /// None that a file without rows could bring about.
    pub fn new(types: BTreeMap<String, ColumnType>, limits: &Limits) -> Result<Self, Failure> {
        let shape = BodyShape {
            records: None,
            records_optional: false,
            format: Format::Csv(CsvFormat::default()),
            archive: None,
            types,
            fail_when: None,
            bounds: Bounds::new(limits),
            unpacked_bytes: limits.body_bytes_max,
        };
        BodyReader::new(&shape, None).map(Self)
    }

    /// Takes a chunk, cut anywhere.
    ///
    /// # Errors
    /// A row that is wrong, named by its line.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        self.0.feed(chunk)
    }

    /// The next full batch.
    pub fn batch(&mut self) -> Option<Records> {
        self.0.batch()
    }

    /// The last batches.
    ///
    /// # Errors
    /// A file that ends inside a field.
    pub fn finish(self) -> Result<VecDeque<Records>, Failure> {
        Ok(self.0.finish()?.1)
    }
}
