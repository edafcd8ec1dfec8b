//! What the numbers on a report mean.
