//! `cargo fuzz run han`: see [`drivers::han::anything::han`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drivers::han::anything::han(bytes));
