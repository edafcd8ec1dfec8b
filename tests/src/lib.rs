//! Harness, demo and end-to-end scenarios.
