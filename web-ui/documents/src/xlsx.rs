//! Workbooks: Office Open XML, one sheet, which stays in view by its head when it is scrolled.
//!
//! **Never true:** a figure is rounded. A spreadsheet counts in floats; a figure that a float does
//! not hold digit for digit is written as text.

use std::error::Error;
use std::fmt;

use rust_xlsxwriter::{Format, Workbook, XlsxError};

use crate::{Cell, Table};

/// The whole file.
///
/// # Errors
///
/// If the table is larger than a sheet can be: 1 048 576 rows, 32 767 characters in a cell.
pub fn xlsx(table: &Table) -> Result<Vec<u8>, NoWorkbook> {
    write(table).map_err(NoWorkbook)
}

fn write(table: &Table) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    let bold = Format::new().set_bold();
    let sheet = book.add_worksheet();
    for (head, column) in table.head.iter().zip(0..) {
        sheet.write_string_with_format(0, column, head, &bold)?;
    }
    for (cells, row) in table.rows.iter().zip(1..) {
        for (cell, column) in cells.iter().zip(0..) {
            match cell {
                Cell::Empty => {}
                Cell::Text(text) => drop(sheet.write_string(row, column, text)?),
                Cell::Figure(figure) => match exact(figure) {
                    Some(number) => drop(sheet.write_number(row, column, number)?),
                    None => drop(sheet.write_string(row, column, figure)?),
                },
            }
        }
    }
    sheet.set_freeze_panes(1, 0)?;
    sheet.autofit();
    book.save_to_buffer()
}

/// `figure` as a float that is written with the same digits.
fn exact(figure: &str) -> Option<f64> {
    let number: f64 = figure.parse().ok()?;
    (number.is_finite() && number.to_string() == figure).then_some(number)
}

/// Why there is no workbook.
#[derive(Debug)]
pub struct NoWorkbook(XlsxError);

impl fmt::Display for NoWorkbook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the table does not fit into a workbook")
    }
}

impl Error for NoWorkbook {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_a_number_only_where_no_digit_is_lost() {
        assert_eq!(exact("65520"), Some(65_520.0));
        assert_eq!(exact("-0.25"), Some(-0.25));
        for text in ["9007199254740993", "1.10", "2026-11-21T13:00:00Z", "", "NaN", "inf", "007"] {
            assert_eq!(exact(text), None, "{text}");
        }
    }

    #[test]
    fn a_table_is_a_zip_file() {
        let table = Table {
            head: vec!["unit".to_owned(), "meter".to_owned()],
            rows: vec![vec![Cell::Figure("1".to_owned()), Cell::Text("=1+1".to_owned())]],
        };
        assert!(xlsx(&table).unwrap().starts_with(b"PK\x03\x04"));
        let wide = Table { head: vec!["x".repeat(40_000)], rows: Vec::new() };
        assert_eq!(xlsx(&wide).unwrap_err().to_string(), "the table does not fit into a workbook");
    }
}
