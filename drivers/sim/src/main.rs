//! The binary `meter-sim`.

fn main() {}
