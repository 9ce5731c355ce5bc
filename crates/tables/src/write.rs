//! Parquet files of one batch, written beside the tables and seen by nobody yet.
//!
//! In: record batches. Out: closed files, flushed to the disk together with their folders, and
//! what the Delta log needs to know of them. A file is named so that no other can have its name,
//! and is removed again unless the batch is finished: an intake that fails or is dropped leaves no
//! file. The Delta log is not touched here.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::statistics::Statistics;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::error::TableError;
use crate::shape::RUN_ID;
use crate::text::day;

/// Bytes after which a table's rows go on in another file.
pub(crate) const FILE_BYTES_MAX: u64 = 256 << 20;
/// Encoded bytes of a row group that is open.
const ROW_GROUP_BYTES_MAX: usize = 64 << 20;
/// Texts longer than this are left out of a file's statistics.
const STATISTICS_TEXT_BYTES_MAX: usize = 32;

/// A file that is complete and on the disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StagedFile {
    /// Within the table's folder.
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    /// When it was completed, in milliseconds since 1970.
    pub(crate) modified_millis: i64,
    /// Delta's statistics of the file.
    pub(crate) stats: String,
    /// Whether it holds rows that the table did not have before.
    pub(crate) fresh: bool,
}

/// The files and folders that a batch made, removed when it is dropped before `keep`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trail(Arc<Mutex<Made>>);

#[derive(Debug, Default)]
struct Made {
    files: Vec<PathBuf>,
    /// Folders that were not there before, outer ones first.
    folders: Vec<PathBuf>,
}

impl Trail {
    fn made(&self) -> std::sync::MutexGuard<'_, Made> {
        // A list of paths is whole even if a thread panicked while it held the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the files stay.
    pub(crate) fn keep(&self) {
        *self.made() = Made::default();
    }

    /// Removes everything that was made. What cannot be removed is left: the table does not know
    /// of it, so it can only take up space.
    pub(crate) fn remove(&self) {
        let made = std::mem::take(&mut *self.made());
        for file in made.files {
            let _ = fs_err::remove_file(file);
        }
        for folder in made.folders.iter().rev() {
            let _ = fs_err::remove_dir(folder);
        }
    }

    /// Removes a file of the batch that is not needed any more.
    pub(crate) fn remove_file(&self, file: &Path) -> Result<(), TableError> {
        fs_err::remove_file(file).map_err(|error| TableError::file(file, error))?;
        self.forget(file);
        Ok(())
    }

    fn forget(&self, file: &Path) {
        self.made().files.retain(|path| path != file);
    }

    /// Makes a table's folder and whatever is missing above it.
    pub(crate) fn make_folder(&self, folder: &Path) -> Result<(), TableError> {
        let missing: Vec<&Path> = folder.ancestors().take_while(|path| !path.exists()).collect();
        for path in missing.into_iter().rev() {
            match fs_err::create_dir(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(TableError::file(path, error)),
                Ok(()) => self.made().folders.push(path.to_owned()),
            }
            if let Some(parent) = path.parent() {
                sync_folder(parent)?;
            }
        }
        Ok(())
    }
}

/// Makes the names in a folder last.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), TableError> {
    let synced = fs_err::File::open(folder).and_then(|opened| opened.sync_all());
    synced.map_err(|error| TableError::file(folder, error))
}

/// How the names of a batch's files begin.
pub(crate) fn part_prefix(sequence: u64) -> String {
    format!("part-{sequence:020}-")
}

/// A file that is being written.
pub(crate) struct OpenFile {
    path: PathBuf,
    name: String,
    schema: SchemaRef,
    writer: ArrowWriter<fs_err::File>,
    rows: u64,
}

impl OpenFile {
    pub(crate) fn create(
        folder: &Path,
        sequence: u64,
        schema: SchemaRef,
        rows_max: usize,
        trail: &Trail,
    ) -> Result<Self, TableError> {
        trail.make_folder(folder)?;
        let name = format!("{}{}.parquet", part_prefix(sequence), Uuid::now_v7());
        Self::named(folder, name, schema, rows_max, trail)
    }

    /// A file of rows that a version of the table has already.
    pub(crate) fn create_compacted(
        folder: &Path,
        version: u64,
        schema: SchemaRef,
        rows_max: usize,
        trail: &Trail,
    ) -> Result<Self, TableError> {
        let name = format!("compact-{version:020}-{}.parquet", Uuid::now_v7());
        Self::named(folder, name, schema, rows_max, trail)
    }

    fn named(
        folder: &Path,
        name: String,
        schema: SchemaRef,
        rows_max: usize,
        trail: &Trail,
    ) -> Result<Self, TableError> {
        let path = folder.join(&name);
        let file =
            fs_err::File::create_new(&path).map_err(|error| TableError::file(&path, error))?;
        trail.made().files.push(path.clone());
        let level = ZstdLevel::try_new(1).map_err(TableError::internal)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(rows_max.max(1)))
            .build();
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties))
            .map_err(|error| TableError::encode(&path, error))?;
        Ok(Self { path, name, schema, writer, rows: 0 })
    }

    /// Whether a batch can go into this file.
    pub(crate) fn takes(&self, schema: &SchemaRef) -> bool {
        self.schema == *schema && (self.writer.bytes_written() as u64) < FILE_BYTES_MAX
    }

    /// Writes a batch as a row group.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        self.add(batch)?;
        self.writer.flush().map_err(|error| TableError::encode(&self.path, error))
    }

    /// Writes a batch into the row group that is open, and closes that when it is large.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        let mut written = self.writer.write(batch);
        if written.is_ok() && self.writer.in_progress_size() > ROW_GROUP_BYTES_MAX {
            written = self.writer.flush();
        }
        written.map_err(|error| TableError::encode(&self.path, error))?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Completes the file and waits until the disk has it.
    pub(crate) fn close(mut self, fresh: bool) -> Result<StagedFile, TableError> {
        let path = &self.path;
        let footer = self.writer.finish().map_err(|error| TableError::encode(path, error))?;
        let file = self.writer.inner();
        file.sync_all().map_err(|error| TableError::file(path, error))?;
        let metadata = file.metadata().map_err(|error| TableError::file(path, error))?;
        let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let modified_millis = modified.map_or(0, |since| since.as_millis() as i64);
        let bytes = metadata.len();
        let stats = statistics(&footer, &self.schema, self.rows).to_string();
        let (name, rows) = (self.name, self.rows);
        Ok(StagedFile { name, bytes, rows, modified_millis, stats, fresh })
    }
}

/// A row count and, for integers, days and short texts, the bounds of a file's columns.
fn statistics(footer: &ParquetMetaData, schema: &SchemaRef, rows: u64) -> Value {
    let (mut lowest, mut highest, mut nulls) = (Map::new(), Map::new(), Map::new());
    for (index, field) in schema.fields().iter().enumerate() {
        let all: Vec<Option<&Statistics>> =
            footer.row_groups().iter().map(|group| group.column(index).statistics()).collect();
        let name = field.name();
        let null_counts = all.iter().map(|stats| stats.and_then(Statistics::null_count_opt));
        if let Some(count) = null_counts.sum::<Option<u64>>() {
            nulls.insert(name.clone(), count.into());
        }
        if name == RUN_ID {
            continue;
        }
        if let Some((low, high)) = bounds(field.data_type(), &all) {
            lowest.insert(name.clone(), low);
            highest.insert(name.clone(), high);
        }
    }
    serde_json::json!({
        "numRecords": rows,
        "minValues": lowest,
        "maxValues": highest,
        "nullCount": nulls,
    })
}

fn bounds(
    kind: &arrow::datatypes::DataType,
    all: &[Option<&Statistics>],
) -> Option<(Value, Value)> {
    use arrow::datatypes::DataType;
    let mut range: Option<(i64, i64)> = None;
    let mut texts: Option<(&str, &str)> = None;
    for statistics in all {
        match (*statistics)? {
            Statistics::Int64(ints) if *kind == DataType::Int64 => {
                let (low, high) = (*ints.min_opt()?, *ints.max_opt()?);
                range = Some(range.map_or((low, high), |(a, b)| (a.min(low), b.max(high))));
            }
            Statistics::Int32(days) if *kind == DataType::Date32 => {
                let (low, high) = (i64::from(*days.min_opt()?), i64::from(*days.max_opt()?));
                range = Some(range.map_or((low, high), |(a, b)| (a.min(low), b.max(high))));
            }
            Statistics::ByteArray(bytes) if *kind == DataType::Utf8 => {
                if !bytes.min_is_exact() || !bytes.max_is_exact() {
                    return None;
                }
                let low = std::str::from_utf8(bytes.min_opt()?.data()).ok()?;
                let high = std::str::from_utf8(bytes.max_opt()?.data()).ok()?;
                if low.len().max(high.len()) > STATISTICS_TEXT_BYTES_MAX {
                    return None;
                }
                texts = Some(texts.map_or((low, high), |(a, b)| (a.min(low), b.max(high))));
            }
            _ => return None,
        }
    }
    match (range, texts) {
        (Some((low, high)), _) if *kind == DataType::Date32 => {
            Some((written_day(low)?, written_day(high)?))
        }
        (Some((low, high)), _) => Some((low.into(), high.into())),
        (None, Some((low, high))) => Some((low.into(), high.into())),
        (None, None) => None,
    }
}

fn written_day(days: i64) -> Option<Value> {
    let mut text = String::new();
    day(i32::try_from(days).ok()?, &mut text).ok()?;
    Some(text.into())
}
