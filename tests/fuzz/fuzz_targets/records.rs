//! `cargo fuzz run records`: see [`mbus_fuzz::records`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mbus_fuzz::records(bytes));
