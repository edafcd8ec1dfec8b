//! Readings on a small flash disk: nothing lost, every gap explained.
