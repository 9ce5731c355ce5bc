//! Many small files of a table made few large ones.
//!
//! In: a table. Out: one commit that takes small files out of the table and puts files with the
//! very same rows in, for readers that open each file. The new files are on the disk before the
//! log names them, and the log says that no row changed. A process that dies in between leaves
//! files that no log names, which `vacuum` removes; another writer's commit to the same files makes
//! this one fail with nothing changed. Values are copied, never converted.

use std::path::Path;

use arrow::array::{RecordBatch, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::runtime::SpawnedTask;
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake_core::kernel::{Action, Add};
use deltalake_core::protocol::DeltaOperation;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use restway_model::{Event, TableName};
use serde::{Deserialize, Serialize};

use crate::commit::sync_checkpoint;
use crate::delta::{Opened, open};
use crate::error::TableError;
use crate::lake::Shared;
use crate::log::ACTIONS_KEY;
use crate::write::{FILE_BYTES_MAX, OpenFile, StagedFile, Trail, sync_folder};

/// Files from this size on stay as they are.
const SMALL_BYTES_MAX: u64 = FILE_BYTES_MAX / 2;
/// Bytes of rows in memory that become one row group.
const GROUP_BYTES_MAX: usize = 64 << 20;

/// What compacting did to a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compacted {
    /// The table.
    pub table: TableName,
    /// The version that the table has now.
    pub version: u64,
    /// Its files before.
    pub files_before: u64,
    /// Its files now.
    pub files: u64,
    /// Its bytes before.
    pub bytes_before: u64,
    /// Its bytes now.
    pub bytes: u64,
}

/// Compacts a table; one with fewer than two small files stays as it is.
pub(crate) async fn compact(shared: &Shared, name: &TableName) -> Result<Compacted, TableError> {
    let opened = open(&shared.root, name).await?;
    let opened = opened.ok_or_else(|| shared.missing(&name.to_string()))?;
    let all = opened.files();
    let bytes_before = all.iter().map(|file| file.bytes).sum();
    let mut small: Vec<String> =
        all.iter().filter(|file| file.bytes < SMALL_BYTES_MAX).map(|f| f.path.clone()).collect();
    // The names begin with the number of the batch, so rows stay in the order of their landing.
    small.sort();
    let mut done = Compacted {
        table: name.clone(),
        version: opened.version(),
        files_before: all.len() as u64,
        files: all.len() as u64,
        bytes_before,
        bytes: bytes_before,
    };
    if small.len() < 2 {
        return Ok(done);
    }
    let rewriting = Rewriting::new(shared, name, &opened, small);
    let trail = rewriting.trail.clone();
    let replaced = rewriting.small.clone();
    let task = SpawnedTask::spawn_blocking(move || rewriting.run());
    let written = task.join().await.map_err(TableError::internal).and_then(|written| written);
    let committed = match written {
        Ok(files) => commit(&opened, name, &replaced, &files).await.map(|done| (done, files)),
        Err(error) => Err(error),
    };
    let (version, files) = match committed {
        Ok(committed) => committed,
        Err(error) => {
            trail.remove();
            return Err(error);
        }
    };
    trail.keep();
    sync_checkpoint(&shared.folder(name), version)?;
    shared.observer.observe(&Event::TableCommitted { table: name.clone(), version, rows: 0 });
    let kept = all.iter().filter(|file| !replaced.contains(&file.path));
    done.bytes = kept.map(|file| file.bytes).chain(files.iter().map(|file| file.bytes)).sum();
    done.files = (all.len() - replaced.len() + files.len()) as u64;
    done.version = version;
    Ok(done)
}

/// Small files on their way into large ones; runs on a thread that may block.
struct Rewriting {
    folder: std::path::PathBuf,
    name: TableName,
    columns: Vec<String>,
    version: u64,
    small: Vec<String>,
    group_rows_max: usize,
    batch_rows_max: usize,
    trail: Trail,
}

impl Rewriting {
    fn new(shared: &Shared, name: &TableName, opened: &Opened, small: Vec<String>) -> Self {
        Self {
            folder: shared.folder(name),
            name: name.clone(),
            columns: opened.columns().into_iter().map(|column| column.name).collect(),
            version: opened.version(),
            small,
            group_rows_max: shared.limits.row_group_rows_max,
            batch_rows_max: shared.limits.batch_records_max,
            trail: Trail::new(String::new()),
        }
    }

    fn run(self) -> Result<Vec<StagedFile>, TableError> {
        let schema = self.schema()?;
        let mut files = Vec::new();
        let mut open: Option<OpenFile> = None;
        let (mut waiting, mut rows, mut bytes) = (Vec::new(), 0, 0);
        for file in &self.small {
            let path = self.folder.join(file);
            let damaged = |error| TableError::encode(&path, error);
            let reader = reader(&path)?.with_batch_size(self.batch_rows_max);
            for batch in reader.build().map_err(damaged)? {
                let batch = batch.map_err(|error| TableError::encode(&path, error))?;
                let batch = with_all(&schema, &batch)?;
                rows += batch.num_rows();
                bytes += batch.get_array_memory_size();
                waiting.push(batch);
                if rows >= self.group_rows_max || bytes >= GROUP_BYTES_MAX {
                    self.write(&schema, &mut waiting, &mut open, &mut files)?;
                    (rows, bytes) = (0, 0);
                }
            }
        }
        self.write(&schema, &mut waiting, &mut open, &mut files)?;
        if let Some(last) = open {
            files.push(last.close(false)?);
        }
        sync_folder(&self.folder)?;
        Ok(files)
    }

    /// Writes what waits as one row group, into the open file or the next one.
    fn write(
        &self,
        schema: &SchemaRef,
        waiting: &mut Vec<RecordBatch>,
        open: &mut Option<OpenFile>,
        files: &mut Vec<StagedFile>,
    ) -> Result<(), TableError> {
        if waiting.is_empty() {
            return Ok(());
        }
        let group = concat_batches(schema, waiting.iter()).map_err(TableError::internal)?;
        waiting.clear();
        if let Some(full) = open.take_if(|file| !file.takes(schema)) {
            files.push(full.close(false)?);
        }
        let file = match open {
            Some(file) => file,
            None => open.insert(OpenFile::create_compacted(
                &self.folder,
                self.version,
                schema.clone(),
                self.group_rows_max,
                &self.trail,
            )?),
        };
        file.write(&group)
    }

    /// The columns that any of the files has, in the table's order. A column that no file has
    /// stays in none.
    fn schema(&self) -> Result<SchemaRef, TableError> {
        let mut found: Vec<Option<Field>> = vec![None; self.columns.len()];
        for file in &self.small {
            let reader = reader(&self.folder.join(file))?;
            for (name, known) in self.columns.iter().zip(&mut found) {
                let Ok(field) = reader.schema().field_with_name(name) else { continue };
                match known {
                    None => *known = Some(Field::new(name, field.data_type().clone(), true)),
                    Some(known) if known.data_type() == field.data_type() => {}
                    Some(_) => {
                        let feature = "files whose columns differ in type".to_owned();
                        return Err(TableError::Foreign { table: self.name.to_string(), feature });
                    }
                }
            }
        }
        Ok(std::sync::Arc::new(Schema::new(found.into_iter().flatten().collect::<Vec<_>>())))
    }
}

fn reader(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<std::fs::File>, TableError> {
    let file = fs_err::File::open(path).map_err(|error| TableError::file(path, error))?;
    let (file, _) = file.into_parts();
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| TableError::encode(path, error))
}

/// A batch with all columns; those that its file leaves out are null.
fn with_all(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch, TableError> {
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => column.clone(),
        None => new_null_array(field.data_type(), batch.num_rows()),
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).map_err(TableError::internal)
}

async fn commit(
    opened: &Opened,
    name: &TableName,
    replaced: &[String],
    files: &[StagedFile],
) -> Result<u64, TableError> {
    let active = opened.snapshot.log_data();
    let removed = active.iter().filter(|file| replaced.iter().any(|path| *path == file.path()));
    let mut actions: Vec<Action> =
        removed.map(|file| Action::Remove(file.remove_action(false))).collect();
    actions.extend(files.iter().map(|file| {
        Action::Add(Add {
            path: file.name.clone(),
            size: file.bytes as i64,
            modification_time: file.modified_millis,
            data_change: false,
            stats: Some(file.stats.clone()),
            ..Add::default()
        })
    }));
    let target_size = i64::try_from(FILE_BYTES_MAX).unwrap_or(i64::MAX);
    let operation = DeltaOperation::Optimize { predicate: None, target_size };
    let said = [(ACTIONS_KEY.to_owned(), actions.len().into())];
    let committed = CommitBuilder::from(CommitProperties::default().with_metadata(said))
        .with_actions(actions)
        .build(Some(&opened.snapshot), opened.store.clone(), operation)
        .await;
    let overtaken = |error| TableError::Overtaken { table: name.clone(), source: Box::new(error) };
    Ok(committed.map_err(overtaken)?.version())
}
