//! `cargo fuzz run blocks`: see [`store::anything::blocks`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| store::anything::blocks(bytes));
