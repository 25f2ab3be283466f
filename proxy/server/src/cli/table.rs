//! Tables for terminals: columns as wide as they need, colour only where it is shown.

use std::io::IsTerminal;

/// What a cell holds, and how it is coloured.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    text: String,
    colour: Option<&'static str>,
    right: bool,
}

impl Cell {
    /// Text, to the left.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), colour: None, right: false }
    }

    /// A number, to the right.
    pub(super) fn number(text: impl Into<String>) -> Self {
        Self { right: true, ..Self::text(text) }
    }

    /// A standing: a mark, a word and a colour, any one of which is enough.
    pub(super) fn standing(standing: &str) -> Self {
        let (mark, colour) = match standing {
            "up" => ("●", "32"),
            "degraded" => ("▲", "33"),
            "draining" => ("◐", "34"),
            "down" => ("✕", "31"),
            _ => ("○", "2"),
        };
        Self { colour: Some(colour), ..Self::text(format!("{mark} {standing}")) }
    }
}

/// Whether standard output shows colour (<https://no-color.org>).
pub(super) fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Lines of a table: heads, then rows. The last column is not padded.
pub(super) fn lines(heads: &[&str], rows: &[Vec<Cell>], colour: bool) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count());
        cells.chain([heads[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let heads: Vec<Cell> = heads
        .iter()
        .enumerate()
        .map(|(column, head)| Cell {
            text: (*head).into(),
            colour: Some("2"),
            right: rows.first().and_then(|row| row.get(column)).is_some_and(|cell| cell.right),
        })
        .collect();
    std::iter::once(&heads).chain(rows).map(|row| line(row, &widths, colour)).collect()
}

fn line(row: &[Cell], widths: &[usize], colour: bool) -> String {
    let mut out = String::new();
    for (cell, width) in row.iter().zip(widths) {
        let space = " ".repeat(width - cell.text.chars().count());
        let text = match cell.colour {
            Some(code) if colour => format!("\u{1b}[{code}m{}\u{1b}[0m", cell.text),
            _ => cell.text.clone(),
        };
        let padded = if cell.right { format!("{space}{text}") } else { format!("{text}{space}") };
        out.push_str("  ");
        out.push_str(&padded);
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_colour_takes_no_room() {
        let rows = [
            vec![Cell::standing("up"), Cell::text("oms-1"), Cell::number("7")],
            vec![Cell::standing("draining"), Cell::text("é"), Cell::number("1234")],
        ];
        let plain = lines(&["STANDING", "NODE", "FLIGHT"], &rows, false);
        assert_eq!(
            plain,
            ["  STANDING    NODE   FLIGHT", "  ● up        oms-1       7", "  ◐ draining  é        1234"]
        );
        let coloured = lines(&["STANDING", "NODE", "FLIGHT"], &rows, true).join("\n");
        assert!(coloured.contains("\u{1b}[32m● up\u{1b}[0m        oms-1"), "{coloured}");
    }
}
