//! The files of the views: one SQLite file a generation of a view, and a note which generation is live.
//!
//! `stock.3.db` is the third generation of the view `stock`; `stock.live` holds the number of the one that is served,
//! and is replaced by renaming, so that it always names a generation that had caught up. Everything else is either
//! being built or was left behind by a crash.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::name::ViewName;

/// The folder that holds the views of one ledger.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Opens the folder, making it when there is none.
    pub(crate) fn open(path: &Path) -> Result<Folder, Error> {
        fs::create_dir_all(path).map_err(Error::folder("make the folder", path))?;
        Ok(Folder {
            path: path.to_owned(),
        })
    }

    /// The file of one generation.
    pub(crate) fn file(&self, view: ViewName, generation: u64) -> PathBuf {
        self.path.join(format!("{view}.{generation}.db"))
    }

    /// The file of the shadow that a verification folds `view` into.
    pub(crate) fn shadow(&self, view: ViewName) -> PathBuf {
        self.path.join(format!("{view}.verify.db"))
    }

    fn marker(&self, view: ViewName) -> PathBuf {
        self.path.join(format!("{view}.live"))
    }

    /// The generation that is served, if any ever was. A marker that cannot be understood counts as none.
    pub(crate) fn live(&self, view: ViewName) -> Result<Option<u64>, Error> {
        let path = self.marker(view);
        match fs::read(&path) {
            Ok(bytes) => Ok(str::from_utf8(&bytes)
                .ok()
                .and_then(|text| text.trim().parse().ok())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::folder("read", &path)(error)),
        }
    }

    /// Makes `generation` the one that is served, durably.
    pub(crate) fn set_live(&self, view: ViewName, generation: u64) -> Result<(), Error> {
        let path = self.marker(view);
        let new = path.with_extension("live.new");
        let write = || {
            let mut file = File::create(&new)?;
            writeln!(file, "{generation}")?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(Error::folder("replace", &path))
    }

    /// Says that no generation is served any more.
    pub(crate) fn clear_live(&self, view: ViewName) -> Result<(), Error> {
        let path = self.marker(view);
        remove_if_there(&path).map_err(Error::folder("delete", &path))
    }

    /// All generations on the disk, oldest first.
    pub(crate) fn generations(&self, view: ViewName) -> Result<Vec<u64>, Error> {
        let listing = fs::read_dir(&self.path).map_err(Error::folder("list", &self.path))?;
        let mut found = Vec::new();
        for entry in listing {
            let entry = entry.map_err(Error::folder("list", &self.path))?;
            let name = entry.file_name();
            let number = |name: &str| -> Option<u64> {
                name.strip_prefix(view.as_str())?
                    .strip_prefix('.')?
                    .strip_suffix(".db")?
                    .parse()
                    .ok()
            };
            found.extend(name.to_str().and_then(number));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Deletes one generation.
    pub(crate) fn remove(&self, view: ViewName, generation: u64) -> Result<(), Error> {
        remove_database(&self.file(view, generation))
    }
}

/// Deletes a database and the files that SQLite keeps beside it.
pub(crate) fn remove_database(path: &Path) -> Result<(), Error> {
    for suffix in ["-wal", "-shm", "-journal", ""] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let path = PathBuf::from(name);
        remove_if_there(&path).map_err(Error::folder("delete", &path))?;
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
