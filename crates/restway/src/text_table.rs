//! Tables that fit the terminal.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

/// How wide a table may be where nobody looks on.
const WIDTH_ELSEWHERE: u16 = 200;
/// A narrower terminal is not believed.
const WIDTH_MIN: u16 = 20;
/// Wider columns wrap before others are left out.
const COLUMN_FAIR: usize = 24;
/// What stands between two columns.
const COLUMN_PADDING: usize = 3;
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

/// The rows below their heads, as wide as the terminal allows. Columns that would be squeezed into
/// nothing are left out from the right, and named below.
pub(crate) fn render(heads: &[Head<'_>], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(LINES);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    // Some terminals say that they are nothing wide; what they mean is that they do not know.
    let width = table.width().filter(|width| table.is_tty() && *width >= WIDTH_MIN);
    let width = width.unwrap_or(WIDTH_ELSEWHERE);
    table.set_width(width);
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
    let shown = fitting(heads, &rows, usize::from(width));
    table.set_header(heads[..shown].iter().map(|head| head.name));
    for row in rows {
        table.add_row(row.into_iter().take(shown));
    }
    for (column, head) in table.column_iter_mut().zip(heads) {
        if head.is_number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = table.trim_fmt();
    if shown < heads.len() {
        let names: Vec<&str> = heads[shown..].iter().map(|head| head.name).collect();
        text.push_str(&format!("\n and columns that do not fit: {}", names.join(", ")));
    }
    text
}

/// How many columns, from the left, have room for what they hold or for a fair part of it.
fn fitting(heads: &[Head<'_>], rows: &[Vec<String>], width: usize) -> usize {
    let mut used = 0;
    for (index, head) in heads.iter().enumerate() {
        let cells = rows.iter().filter_map(|row| row.get(index));
        let longest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        used += longest.max(head.name.chars().count()).min(COLUMN_FAIR) + COLUMN_PADDING;
        if used > width && index > 0 {
            return index;
        }
    }
    heads.len()
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
    fn columns_that_do_not_fit_are_named_and_not_squeezed() {
        let heads = ["a", "b", "c"].map(Head::text);
        let row = vec![vec!["x".repeat(30), "y".repeat(10), "z".repeat(30)]];
        assert_eq!(fitting(&heads, &row, 80), 3);
        assert_eq!(fitting(&heads, &row, 60), 2);
        assert_eq!(fitting(&heads, &row, 10), 1, "the first column is always there");
        let many: Vec<Head<'_>> = (0..30).map(|_| Head::text("a_long_enough_name")).collect();
        let text = render(&many, [vec!["1".to_owned(); 30]]);
        assert!(text.contains("columns that do not fit"), "{text}");
    }

    #[test]
    fn cells_cannot_steer_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\nc"), "a\u{fffd}[2Jb⏎c");
        assert_eq!(clean(&"x".repeat(400)).chars().count(), CELL_MAX + 1);
    }
}
