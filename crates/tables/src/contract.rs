//! What may change about a table that has rows.
//!
//! In: a record on the tape, the shape, and the definition's `schema`. Out: nothing, or the first
//! place of the record that the table does not have as it is. The contract is what the tables were
//! when the batch began; a resource that has landed nothing yet has none. A null says nothing about
//! a type and makes no column here, and a column of nulls only may get its first type.

use restway_model::ColumnType;
use restway_model::definition::{ColumnRule, Contract, TypeRule};

use crate::error::TableError;
use crate::infer::join;
use crate::parse::{Cell, Tape};
use crate::shape::Shape;

/// Holds a record against the contract; `ordinal` counts records of the batch from 1.
pub(crate) fn check(
    contract: Contract,
    tape: &mut Tape,
    shape: &Shape,
    ordinal: u64,
) -> Result<(), TableError> {
    if !shape.has_landed || contract == Contract::default() {
        return Ok(());
    }
    let closed = contract.columns != ColumnRule::Evolve;
    for row in tape.rows.iter().filter(|_| closed) {
        let table = &shape.tables[row.table];
        if !table.loaded {
            return Err(TableError::NewColumn {
                table: shape.tables[0].name.clone(),
                path: table.name.to_string(),
                record: ordinal,
            });
        }
    }
    for entry in &tape.cells {
        let table = &shape.tables[tape.rows[entry.row].table];
        let column = &table.columns[entry.column];
        match column.loaded {
            _ if entry.cell == Cell::Null => {}
            None if closed => {
                return Err(TableError::NewColumn {
                    table: table.name.clone(),
                    path: column.def.path.clone(),
                    record: ordinal,
                });
            }
            None | Some(ColumnType::Null) => {}
            Some(kind) if contract.types != TypeRule::Widen && !column.declared => {
                let wide = column.def.wide || entry.cell.is_wide();
                if join(kind, entry.cell.kind(), wide) != kind {
                    return Err(TableError::NewType {
                        table: table.name.clone(),
                        path: column.def.path.clone(),
                        record: ordinal,
                        kind,
                        found: entry.cell.kind(),
                    });
                }
            }
            Some(_) => {}
        }
    }
    if closed {
        let tables = &shape.tables;
        let rows = &tape.rows;
        tape.cells
            .retain(|entry| tables[rows[entry.row].table].columns[entry.column].loaded.is_some());
    }
    Ok(())
}
