//! The device profiles in force: those of the program, and over them those of a folder.
//!
//! ```text
//! profiles/*.toml of the state directory ─▶ checked, each by its own tests ─▶ in force
//!        a file changes, SIGHUP ─┘                  │
//!                                                   ▼
//!                      mistakes: said in the log and on the pages; what was good goes on
//! ```
//!
//! **Never true:** a file of the folder keeps the gateway from starting or another meter from being
//! read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use drivers::{FolderStamp, Mistake, Profiles};
use tokio::sync::watch;

/// All profiles, and what of the folder is none.
#[derive(Debug)]
pub(crate) struct Shelf {
    folder: PathBuf,
    seen: FolderStamp,
    profiles: watch::Sender<Arc<Profiles>>,
    wrong: Vec<Mistake>,
}

impl Shelf {
    /// What is there now, of the gateway with the state directory `state`.
    pub(crate) fn open(state: &Path) -> Self {
        let folder = state.join("profiles");
        // Before it is read: what changes meanwhile is seen at the next look.
        let seen = FolderStamp::of(&folder);
        let (profiles, wrong) = Profiles::load_over(&folder);
        tell(&wrong);
        Self { folder, seen, profiles: watch::Sender::new(Arc::new(profiles)), wrong }
    }

    /// Those in force, whenever they change.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Profiles>> {
        self.profiles.subscribe()
    }

    /// Those in force.
    pub(crate) fn now(&self) -> Arc<Profiles> {
        Arc::clone(&self.profiles.borrow())
    }

    /// What is wrong with files of the folder.
    pub(crate) fn wrong(&self) -> &[Mistake] {
        &self.wrong
    }

    /// Takes over the folder if somebody has changed it, and tells whether that was so.
    ///
    /// What was good of a file that is broken now goes on.
    pub(crate) fn look(&mut self) -> bool {
        let stamp = FolderStamp::of(&self.folder);
        if stamp == self.seen {
            return false;
        }
        self.seen = stamp;
        let (mut profiles, wrong) = Profiles::load_over(&self.folder);
        profiles.keep_of(&self.profiles.borrow());
        if wrong != self.wrong {
            tell(&wrong);
        }
        self.wrong = wrong;
        let files = profiles.iter().filter(|it| profiles.file(&it.id).is_some()).count();
        tracing::info!(files, "the device profiles of the folder are taken over");
        self.profiles.send_replace(Arc::new(profiles));
        true
    }
}

fn tell(wrong: &[Mistake]) {
    for mistake in wrong {
        let (file, line) = (&mistake.file, mistake.line);
        tracing::error!(file, line, "the device profile is not used: {}", mistake.advice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "schema = 1\nid = \"example.meter\"\nvendor = \"Example\"\nmodels = [\"M1\"]\n\
        medium = \"electricity\"\nstatus = \"document\"\nsource = \"its manual\"\n[modbus]\n\
        [[register]]\nkey = \"voltage\"\nquantity = \"voltage\"\nunit = \"V\"\nkind = \"gauge\"\n\
        [register.modbus]\naddress = 1\ntype = \"u16\"\n[[vector]]\n\
        read = [{ function = \"holding\", address = 1, words = [\"0x00E6\"] }]\n\
        expect = { voltage = \"230\" }\n";

    #[test]
    fn a_file_that_comes_changes_and_goes_is_taken_over_and_a_broken_one_spoils_nothing() {
        let state = tempfile::tempdir().unwrap();
        let mut shelf = Shelf::open(state.path());
        let own = shelf.now().iter().count();
        assert!(!shelf.look());

        let folder = state.path().join("profiles");
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("mine.toml");
        std::fs::write(&file, GOOD).unwrap();
        assert!(shelf.look());
        assert_eq!(shelf.now().iter().count(), own + 1);
        assert!(!shelf.look());

        std::fs::write(&file, format!("{GOOD}colour = \"red\"\n")).unwrap();
        assert!(shelf.look());
        assert_eq!(shelf.wrong().len(), 1);
        assert!(shelf.now().get("example.meter").is_some(), "what was good goes on");
        assert!(Shelf::open(state.path()).now().ids().contains("example.meter"));

        std::fs::remove_file(&file).unwrap();
        assert!(shelf.look());
        assert_eq!((shelf.wrong(), shelf.now().iter().count()), (&[] as &[Mistake], own));
    }
}
