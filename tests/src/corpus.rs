//! Public captures of real meters, which are not part of the source tree.

use std::path::PathBuf;

/// The folder of captures: what `FYRHUS_CORPUS` names, else `../shared/corpus` beside the
/// project. `None`, and a plain word on standard output, if it is not there.
#[expect(clippy::print_stdout, reason = "a test that skips says so where its reader looks")]
pub fn folder(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("FYRHUS_CORPUS")
        .map_or_else(|| crate::paths::root().join("../shared/corpus"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("SKIPPED {test}: no captures at {} (set FYRHUS_CORPUS)", folder.display());
    None
}
