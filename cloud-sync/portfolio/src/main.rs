//! The binary `fyrhus-portfolio`.

fn main() {}
