//! `cargo fuzz run wireless`: see [`mbus_fuzz::wireless`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mbus_fuzz::wireless(bytes));
