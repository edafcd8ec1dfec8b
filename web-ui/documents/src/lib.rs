//! Prepared tables and charts as documents.
