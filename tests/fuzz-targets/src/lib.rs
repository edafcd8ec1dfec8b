//! What must hold of any bytes at all, for a fuzzer to disprove.
//!
//! | Target       | Takes its bytes for                                                      |
//! |--------------|--------------------------------------------------------------------------|
//! | [`frame`]    | a frame on the wire, and what a wire brings between frames               |
//! | [`records`]  | a CI and what is behind it: header, records, manufacturer data           |
//! | [`wireless`] | frames that a receiver heard, or what a meter sends in layers of radio   |
//!
//! A target returns if everything holds, and panics with a sentence if something does not. The same
//! functions are run by libFuzzer (`tests/fuzz`) with bytes of its own, and by `make test` with the
//! kept ones (`tests/fuzz/corpus`: one case a line, in hex; made by our own encoder, or found by the
//! fuzzer).
//!
//! **Never true:** a target that knows what the bytes should mean. That is what truth files and
//! other decoders are for; here is only what has to be so whatever they mean.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "what does not hold ends a target"
)]

mod frame;
mod records;
pub mod seeds;
mod wireless;

pub use frame::frame;
pub use records::records;
pub use wireless::wireless;

/// A function that panics if something does not hold of its bytes.
pub type Target = fn(&[u8]);

/// Each target by its name, which is that of its program and its kept corpus.
pub const TARGETS: &[(&str, Target)] =
    &[("frame", frame), ("records", records), ("wireless", wireless)];

/// The cases of a kept corpus, from the text of its file.
///
/// # Panics
///
/// If it is not hex.
pub fn cases(text: &str) -> Vec<Vec<u8>> {
    let case = |line: &str| {
        let byte = |at| u8::from_str_radix(&line[at..at + 2], 16).expect("the corpus is hex");
        (0..line.len()).step_by(2).map(byte).collect()
    };
    text.lines().map(case).collect()
}
