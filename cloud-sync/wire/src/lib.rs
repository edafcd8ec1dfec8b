//! The protocol between gateway and portfolio.
