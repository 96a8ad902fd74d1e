//! The generations of the views, and a note which one is live: in a folder, or in PostgreSQL.
//!
//! In a folder, `stock.3.db` is the third generation of the view `stock`; `stock.live` holds the number of the one that is served,
//! and is replaced by renaming, so that it always names a generation that had caught up. Everything else is either
//! being built or was left behind by a crash.

use std::fs::{self, File};
use std::future::Future;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bincard_ledger::{LedgerId, Position};

use crate::error::Error;
use crate::name::ViewName;
use crate::postgres::{Database, Schema, Schemas};

/// Where the views of a ledger are to be kept.
#[derive(Clone)]
pub enum Place {
    /// In SQLite files in a folder, which one process uses.
    Folder(PathBuf),
    /// In PostgreSQL, where any number of nodes read them.
    Postgres {
        /// Which database.
        database: Database,
        /// Whether this process feeds them, as far as nobody else does. One that does not only reads.
        feeds: bool,
        /// A folder for what lives only as long as a comparison; made when there is none.
        scratch: PathBuf,
    },
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Place {
        Place::Folder(path.to_owned())
    }
}

impl From<&PathBuf> for Place {
    fn from(path: &PathBuf) -> Place {
        Place::Folder(path.clone())
    }
}

impl Place {
    /// The views of one ledger there. Blocks.
    pub(crate) fn home(self, ledger: LedgerId) -> Result<Home, Error> {
        Ok(match self {
            Place::Folder(path) => Home::Folder(Folder::open(&path)?),
            Place::Postgres {
                database,
                feeds,
                scratch,
            } => Home::Postgres(database.ledger(ledger, feeds, scratch)?),
        })
    }
}

/// Where the generations of one ledger's views are.
#[derive(Clone)]
pub(crate) enum Home {
    Folder(Folder),
    Postgres(Schemas),
}

/// Where the tables of one generation are.
pub(crate) enum Tables {
    File(PathBuf),
    Schema(Schema),
}

impl Home {
    /// The tables of one generation, which may not be there yet.
    pub(crate) fn tables(&self, view: ViewName, generation: u64) -> Tables {
        match self {
            Home::Folder(folder) => Tables::File(folder.file(view, generation)),
            Home::Postgres(schemas) => Tables::Schema(schemas.schema(view, generation)),
        }
    }

    /// The folder for what lives only as long as a comparison.
    pub(crate) fn scratch(&self) -> Result<Folder, Error> {
        match self {
            Home::Folder(folder) => Ok(folder.clone()),
            Home::Postgres(schemas) => Folder::open(schemas.scratch()),
        }
    }

    /// Does something until the database that has the generations, if one does, is let go of; `None` then.
    pub(crate) async fn unless_let_go<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        match self {
            Home::Folder(_) => Some(what.await),
            Home::Postgres(schemas) => schemas.unless_let_go(what).await,
        }
    }

    /// Takes the right to feed a view. In a folder, whoever has the folder has it.
    pub(crate) async fn own(&self, view: ViewName) -> Result<(), Error> {
        match self {
            Home::Folder(_) => Ok(()),
            Home::Postgres(schemas) => schemas.own(view).await,
        }
    }

    /// Gives back the right to feed the views.
    pub(crate) async fn release(&self) -> Result<(), Error> {
        match self {
            Home::Folder(_) => Ok(()),
            Home::Postgres(schemas) => schemas.release().await,
        }
    }

    /// The generation that is served, if any is.
    pub(crate) async fn live(&self, view: ViewName) -> Result<Option<u64>, Error> {
        match self {
            Home::Folder(folder) => folder.live(view),
            Home::Postgres(schemas) => schemas.live(view).await,
        }
    }

    /// Makes `generation`, which stands at `position`, the one that is served, durably.
    pub(crate) async fn set_live(
        &self,
        view: ViewName,
        generation: u64,
        position: Position,
    ) -> Result<(), Error> {
        match self {
            Home::Folder(folder) => folder.set_live(view, generation),
            Home::Postgres(schemas) => schemas.set_live(view, Some((generation, position))).await,
        }
    }

    /// Says that no generation is served any more.
    pub(crate) async fn clear_live(&self, view: ViewName) -> Result<(), Error> {
        match self {
            Home::Folder(folder) => folder.clear_live(view),
            Home::Postgres(schemas) => schemas.set_live(view, None).await,
        }
    }

    /// All generations that there are, oldest first.
    pub(crate) async fn generations(&self, view: ViewName) -> Result<Vec<u64>, Error> {
        match self {
            Home::Folder(folder) => folder.generations(view),
            Home::Postgres(schemas) => schemas.generations(view).await,
        }
    }

    /// Deletes one generation.
    pub(crate) async fn remove(&self, view: ViewName, generation: u64) -> Result<(), Error> {
        match self {
            Home::Folder(folder) => folder.remove(view, generation),
            Home::Postgres(schemas) => schemas.remove(view, generation).await,
        }
    }
}

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

    /// The file that a view in PostgreSQL is copied to while it is compared.
    pub(crate) fn copy(&self, view: ViewName) -> PathBuf {
        self.path.join(format!("{view}.copy.db"))
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
