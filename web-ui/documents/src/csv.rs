//! Comma-separated values: RFC 4180, in UTF-8.
//!
//! ```text
//! start,end,"Kaldtvann, 3. etg. (m3)"
//! 2026-11-21T13:00:00Z,2026-11-21T14:00:00Z,0.412
//! ```
//!
//! Lines end with CR LF, the last one too. A field with a comma, a quote or a line break stands in
//! quotes. Words that a spreadsheet would take for a formula get an apostrophe before them: the
//! name of a meter must not run in the accountant's office.

use crate::{Cell, Table};

/// The whole file.
pub fn csv(table: &Table) -> String {
    let mut file = String::new();
    line(&mut file, table.head.iter().map(|head| defused(head)));
    for row in &table.rows {
        csv_row(&mut file, row);
    }
    file
}

/// Adds a line to a file that is made piece by piece.
pub fn csv_row(file: &mut String, row: &[Cell]) {
    line(
        file,
        row.iter().map(|cell| match cell {
            Cell::Empty => String::new(),
            Cell::Figure(figure) => figure.clone(),
            Cell::Text(text) => defused(text),
        }),
    );
}

fn line(file: &mut String, fields: impl Iterator<Item = String>) {
    for (index, field) in fields.enumerate() {
        if index > 0 {
            file.push(',');
        }
        if field.contains(['"', ',', '\r', '\n']) {
            file.push('"');
            file.push_str(&field.replace('"', "\"\""));
            file.push('"');
        } else {
            file.push_str(&field);
        }
    }
    file.push_str("\r\n");
}

fn defused(text: &str) -> String {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{text}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(rows: Vec<Vec<Cell>>, expected: &str) {
        let table = Table { head: vec!["start".into(), "Varme, hoved (kWh)".into()], rows };
        assert_eq!(csv(&table), format!("start,\"Varme, hoved (kWh)\"\r\n{expected}"));
    }

    fn text(text: &str) -> Cell {
        Cell::Text(text.into())
    }

    fn figure(text: &str) -> Cell {
        Cell::Figure(text.into())
    }

    #[test]
    fn what_is_not_known_is_empty_and_no_zero() {
        check(vec![vec![figure("2026-11-21T13:00:00Z"), Cell::Empty]], "2026-11-21T13:00:00Z,\r\n");
    }

    #[test]
    fn a_negative_figure_is_a_figure_and_a_formula_is_text() {
        check(vec![vec![figure("-0.5"), text("=cmd()")]], "-0.5,'=cmd()\r\n");
    }

    #[test]
    fn quotes_commas_and_line_breaks_are_quoted() {
        check(vec![vec![text("a \"b\""), text("c\r\nd")]], "\"a \"\"b\"\"\",\"c\r\nd\"\r\n");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(fields in prop::collection::vec("[a-z,\"\r\n ]{0,6}", 1..5)) {
            let table = Table { head: fields.clone(), rows: Vec::new() };
            let expected: Vec<String> = fields.iter().map(|field| defused(field)).collect();
            prop_assert_eq!(read(&csv(&table)), expected);
        }
    }

    /// The first line of `file`, by the grammar of RFC 4180.
    fn read(file: &str) -> Vec<String> {
        let mut fields = vec![String::new()];
        let mut quoted = false;
        let mut letters = file.chars().peekable();
        while let Some(letter) = letters.next() {
            let field = fields.last_mut().unwrap();
            match letter {
                '"' if quoted && letters.peek() == Some(&'"') => field.extend(letters.next()),
                '"' => quoted = !quoted,
                ',' if !quoted => fields.push(String::new()),
                '\r' if !quoted => return fields,
                letter => field.push(letter),
            }
        }
        fields
    }
}
