//! The door of the fuzzers to the decoder; no other build has it.
//!
//! In: a resource's settings and the bytes of a body. Out: its records, or why it is none. Nothing
//! is called, and what is wrong with a body is an answer: only a panic, or memory without end, is a
//! find.

use std::io::{Seek, Write};

use restway_model::definition::{Archive, ResourceSettings};
use restway_model::{Limits, Records, Refused};

use crate::decode::{BodyReader, BodyShape, unzip};
use crate::error::Failure;

/// What a body held.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Its records.
    pub records: Vec<Vec<u8>>,
    /// What stands in the place of records and is none.
    pub refused: Vec<Refused>,
}

impl Decoded {
    fn take(&mut self, batch: &Records) {
        self.records.extend(batch.iter().map(<[u8]>::to_vec));
        self.refused.extend_from_slice(batch.refused());
    }
}

/// Reads a body that comes in pieces of `piece` bytes; an archive comes whole.
///
/// # Errors
/// Why it is no such body.
pub fn decode(
    resource: &ResourceSettings,
    limits: &Limits,
    body: &[u8],
    piece: usize,
) -> Result<Decoded, Failure> {
    let shape = BodyShape::of(resource, limits);
    let mut decoded = Decoded::default();
    if let Some(Archive::Zip { members }) = &shape.archive {
        let mut file = tempfile::tempfile().map_err(Failure::Spool)?;
        file.write_all(body).and_then(|()| file.rewind()).map_err(Failure::Spool)?;
        unzip(file, &shape, members.as_deref(), &mut |batch| {
            decoded.take(&batch);
            Ok(())
        })?;
        return Ok(decoded);
    }
    let mut reader = BodyReader::new(&shape, None)?;
    for piece in body.chunks(piece.max(1)) {
        reader.feed(piece)?;
        while let Some(batch) = reader.batch() {
            decoded.take(&batch);
        }
    }
    reader.finish()?.1.iter().for_each(|batch| decoded.take(batch));
    Ok(decoded)
}
