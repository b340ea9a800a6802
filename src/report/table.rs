//! Tables as kubectl prints them: capitals on top, columns by spaces, no borders.

use comfy_table::{ContentArrangement, Table, presets};

use super::escape::printable;

/// Rows under a header, indented, with a line break at the end.
pub(crate) fn table(indent: usize, header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .force_no_tty()
        .set_header(header.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell).into_owned()));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    table
        .lines()
        .map(|line| format!("{:indent$}{}\n", "", line.trim_end()))
        .collect()
}

/// How wide the terminal on stderr is, if it is one.
pub(crate) fn width_of_stderr() -> Option<usize> {
    Table::new().use_stderr().width().map(usize::from)
}

/// The text, cut to so many characters; what was cut shows as `…`.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_without_borders_and_trailing_spaces() {
        let rows = [
            vec!["web-01".to_owned(), "v1".to_owned()],
            vec!["w".to_owned(), "a\x1b[2J".to_owned()],
        ];
        assert_eq!(
            table(2, &["HOST", "REVISION"], &rows),
            "  HOST     REVISION\n  web-01   v1\n  w        a\\x1b[2J\n"
        );
    }

    #[test]
    fn a_cut_is_seen() {
        assert_eq!(cut("web-01 ready", 12), "web-01 ready");
        assert_eq!(cut("web-01 ready", 8), "web-01 …");
    }
}
