//! The binary `fyrhus`.

fn main() {}
