//! A mistake that is planted into a copy of the sources.

use std::fs;
use std::path::Path;

/// What stands once in a file, and what takes its place.
pub(crate) struct Edit {
    /// The file, from the folder that the edits of a list are for.
    pub(crate) file: &'static str,
    pub(crate) old: &'static str,
    pub(crate) new: &'static str,
}

impl Edit {
    /// The file of that folder as it is, and as it is with the mistake.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or what is to be replaced does not stand there once.
    pub(crate) fn plan(&self, dir: &Path) -> Result<(String, String), String> {
        let Self { file, old, new } = self;
        let source =
            fs::read_to_string(dir.join(file)).map_err(|error| format!("{file}: {error}"))?;
        match source.matches(old).count() {
            1 => {
                let changed = source.replacen(old, new, 1);
                Ok((source, changed))
            }
            found => Err(format!("found {found} times in {file}, not once:\n{old}")),
        }
    }
}
