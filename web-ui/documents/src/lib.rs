//! Prepared tables and texts as documents.
//!
//! A document is written from a [`Table`] or a [`Paper`] whose figures are already right: this crate computes,
//! rounds and converts nothing, so a file cannot disagree with the page that it was saved from.
//!
//! **Invariant:** figures are decimal text with a point, whatever the reader's language: a file is
//! read by programs first.

mod csv;
mod pdf;
mod xlsx;

pub use csv::{csv, csv_row};
pub use pdf::{Block, Column, Grid, Jpeg, NoPdf, Paper, pdf};
pub use xlsx::{NoWorkbook, xlsx};

/// Columns with a head, and rows below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// What each column holds, with its unit.
    pub head: Vec<String>,
    /// Each as long as the head.
    pub rows: Vec<Vec<Cell>>,
}

/// What stands in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Nothing is known. Not a zero.
    Empty,
    /// A figure or a time, as the page shows it: `12.345`, `2026-11-21T13:00:00Z`.
    Figure(String),
    /// Words that somebody wrote.
    Text(String),
}
