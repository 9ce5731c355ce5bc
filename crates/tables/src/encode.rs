//! The one thread of an intake that turns record batches into files.
//!
//! In: batches through a bounded channel, so that shaping waits when the disk is slower. Out: the
//! files of each table. A batch whose columns differ from the open file's begins another file:
//! every file has one schema from end to end.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use arrow::array::RecordBatch;
use restway_model::ColumnType;

use crate::error::TableError;
use crate::shape::ColumnDef;
use crate::write::{OpenFile, StagedFile, Trail};

/// Batches that wait for the encoder.
const BATCHES_WAITING_MAX: usize = 2;

/// Rows of one table, with the columns that they have.
pub(crate) struct Job {
    pub(crate) table: usize,
    pub(crate) folder: PathBuf,
    pub(crate) batch: RecordBatch,
    pub(crate) columns: Vec<ColumnDef>,
}

/// A file, the table it belongs to, and the types its columns have.
pub(crate) struct Encoded {
    pub(crate) table: usize,
    pub(crate) file: StagedFile,
    pub(crate) columns: Vec<ColumnDef>,
}

/// The thread and the way to it.
pub(crate) struct Encoder {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<Result<Vec<Encoded>, TableError>>>,
}

impl Encoder {
    pub(crate) fn start(rows_max: usize, trail: Trail) -> Result<Self, TableError> {
        let (jobs, inbox) = sync_channel(BATCHES_WAITING_MAX);
        let thread = std::thread::Builder::new()
            .name("restway-encode".into())
            .spawn(move || encode(&inbox, rows_max, &trail))
            .map_err(TableError::internal)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Hands a batch over, waiting while the channel is full; gives the thread's own error when
    /// it has stopped.
    pub(crate) fn send(&mut self, job: Job) -> Result<(), TableError> {
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if sent {
            return Ok(());
        }
        self.finish()?;
        Err(TableError::internal("the encoder stopped without an error"))
    }

    /// Waits for the files.
    pub(crate) fn finish(&mut self) -> Result<Vec<Encoded>, TableError> {
        self.jobs = None;
        let Some(thread) = self.thread.take() else {
            return Err(TableError::internal("the encoder was finished twice"));
        };
        thread.join().map_err(|_| TableError::internal("the encoder panicked"))?
    }

    /// Waits until the thread has stopped, whatever it did.
    pub(crate) fn stop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn encode(
    inbox: &Receiver<Job>,
    rows_max: usize,
    trail: &Trail,
) -> Result<Vec<Encoded>, TableError> {
    let mut open: Vec<Option<(OpenFile, Vec<ColumnDef>)>> = Vec::new();
    let mut done = Vec::new();
    while let Ok(job) = inbox.recv() {
        if open.len() <= job.table {
            open.resize_with(job.table + 1, || None);
        }
        let slot = &mut open[job.table];
        let schema = job.batch.schema();
        // Text and JSON are one type of Arrow's, so the columns are compared as well.
        let differs = |(file, columns): &mut (OpenFile, Vec<ColumnDef>)| {
            !file.takes(&schema) || !same_kinds(columns, &job.columns)
        };
        if let Some((file, columns)) = slot.take_if(differs) {
            done.push(Encoded { table: job.table, file: file.close(true)?, columns });
        }
        let (file, _) = match slot {
            Some(open) => open,
            None => {
                let file = OpenFile::create(&job.folder, schema, rows_max, trail)?;
                slot.insert((file, job.columns))
            }
        };
        file.write(&job.batch)?;
    }
    for (table, slot) in open.into_iter().enumerate() {
        if let Some((file, columns)) = slot {
            done.push(Encoded { table, file: file.close(true)?, columns });
        }
    }
    Ok(done)
}

fn same_kinds(left: &[ColumnDef], right: &[ColumnDef]) -> bool {
    let typed = |column: &&ColumnDef| column.kind != ColumnType::Null;
    let left = left.iter().filter(typed).map(|column| (&column.name, column.kind));
    left.eq(right.iter().filter(typed).map(|column| (&column.name, column.kind)))
}
