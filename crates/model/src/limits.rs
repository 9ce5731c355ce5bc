//! The bounds: on every loop, wait, buffer and answer, in one place.
//!
//! A bound that is reached is an error with a code, never a silent stop. What a definition may
//! change it changes by its own key (`max_pages`, `timeout`); these are the values without one.

use std::time::Duration;

/// Every bound of the process. Passed explicitly; tests pass smaller ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Pages of one walk; beats what the server says.
    pub pages_max: u64,
    /// Decoded bytes of one answer.
    pub body_bytes_max: u64,
    /// Bytes of one page's records, in memory and in the file where they wait until it is whole.
    pub spool_bytes_max: u64,
    /// Bytes of one record inside an answer.
    pub record_bytes_max: usize,
    /// Bytes of an answer outside its records: where page tokens live.
    pub envelope_bytes_max: usize,
    /// Containers inside containers of one record.
    pub json_depth_max: usize,
    /// Hops of one redirect chain.
    pub redirects_max: usize,
    /// Time for a connection to open.
    pub connect_timeout: Duration,
    /// Silence on an open connection.
    pub read_timeout: Duration,
    /// One attempt, from the request to the end of the answer's head.
    pub answer_timeout: Duration,
    /// One answer, body and all.
    pub page_timeout: Duration,
    /// How long a wait that the api asked for may be.
    pub wait_max: Duration,
    /// Records that lie between the reader and the table writer.
    pub batch_records_max: usize,
    /// Bytes of records that lie between the reader and the table writer.
    pub batch_bytes_max: usize,
    /// Batches in flight between two stages.
    pub channel_batches_max: usize,
    /// Rows that a Parquet row group holds in memory.
    pub row_group_rows_max: usize,
    /// Keys of a batch that are held in memory at once when it is merged, at 50 bytes each; a
    /// batch with more is merged in several passes.
    pub merge_keys_max: usize,
    /// Columns of one table.
    pub columns_max: usize,
    /// Keys that one place of an object may show before they are data and it becomes JSON.
    pub map_keys_max: usize,
    /// Those of them that lead to objects or lists.
    pub map_nested_keys_max: usize,
    /// Child tables of one resource.
    pub child_tables_max: usize,
    /// Rows that a published list answers at most.
    pub list_rows_max: usize,
    /// Where a published list starts at most.
    pub list_offset_max: u64,
    /// How long one published query may take.
    pub list_timeout: Duration,
    /// Memory that one query may hold before it fails or spills.
    pub query_memory_bytes_max: usize,
    /// Memory that the rows of one live table may take in a query.
    pub live_bytes_max: usize,
    /// Parents that one `for_each` walks.
    pub parents_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pages_max: 100_000,
            body_bytes_max: 4 << 30,
            spool_bytes_max: 16 << 30,
            record_bytes_max: 16 << 20,
            envelope_bytes_max: 1 << 20,
            json_depth_max: 128,
            redirects_max: 10,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(300),
            page_timeout: Duration::from_secs(2 * 60 * 60),
            wait_max: Duration::from_secs(15 * 60),
            batch_records_max: 8_192,
            batch_bytes_max: 4 << 20,
            channel_batches_max: 4,
            row_group_rows_max: 128 * 1024,
            merge_keys_max: 3_600_000,
            columns_max: 2_000,
            map_keys_max: 256,
            map_nested_keys_max: 64,
            child_tables_max: 200,
            list_rows_max: 100,
            list_offset_max: 1_000_000,
            list_timeout: Duration::from_secs(30),
            query_memory_bytes_max: 2 << 30,
            live_bytes_max: 256 << 20,
            parents_max: 1_000_000,
        }
    }
}
