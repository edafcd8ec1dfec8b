//! `cargo fuzz run frame`: see [`mbus_fuzz::frame`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mbus_fuzz::frame(bytes));
