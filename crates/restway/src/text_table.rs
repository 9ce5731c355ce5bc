//! Tables that fit the terminal.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

/// How wide a table may be where nobody looks on.
const WIDTH_ELSEWHERE: u16 = 200;
/// The most characters of one cell; longer ones end in `…`.
const CELL_MAX: usize = 300;

/// One line below the heads: rows stand apart by themselves.
const LINES: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A column's head, and whether its values are numbers, which stand to the right.
pub(crate) struct Head<'a> {
    pub(crate) name: &'a str,
    pub(crate) is_number: bool,
}

impl<'a> Head<'a> {
    pub(crate) fn text(name: &'a str) -> Self {
        Self { name, is_number: false }
    }

    pub(crate) fn number(name: &'a str) -> Self {
        Self { name, is_number: true }
    }
}

/// The rows below their heads, as wide as the terminal allows.
pub(crate) fn render(heads: &[Head<'_>], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(LINES);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if !table.is_tty() {
        table.set_width(WIDTH_ELSEWHERE);
    }
    table.set_header(heads.iter().map(|head| head.name));
    for row in rows {
        table.add_row(row.into_iter().map(|cell| clean(&cell)));
    }
    for (column, head) in table.column_iter_mut().zip(heads) {
        if head.is_number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// A cell on one line, without characters that steer a terminal.
fn clean(cell: &str) -> String {
    let mut text = String::with_capacity(cell.len().min(CELL_MAX));
    for (count, character) in cell.chars().enumerate() {
        if count == CELL_MAX {
            text.push('…');
            break;
        }
        match character {
            '\n' => text.push('⏎'),
            '\t' => text.push(' '),
            steering if steering.is_control() => text.push('\u{fffd}'),
            plain => text.push(plain),
        }
    }
    text
}

/// A count with its thousands apart: `1 234 567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the largest fitting unit.
pub(crate) fn bytes(number: u64) -> String {
    indicatif::HumanBytes(number).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_readable() {
        assert_eq!(count(7), "7");
        assert_eq!(count(1_234_567), "1 234 567");
    }

    #[test]
    fn cells_cannot_steer_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\nc"), "a\u{fffd}[2Jb⏎c");
        assert_eq!(clean(&"x".repeat(400)).chars().count(), CELL_MAX + 1);
    }
}
