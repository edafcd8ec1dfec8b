//! Where things are.

use std::path::{Path, PathBuf};

/// The project's root folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// The program `name` of this workspace, built beside the one that asks.
///
/// # Errors
///
/// One sentence with the command that builds it.
pub fn binary(name: &str) -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    own.ancestors()
        .skip(1)
        .take(3)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .ok_or_else(|| format!("{name} is not built: run `cargo build --workspace` first"))
}
