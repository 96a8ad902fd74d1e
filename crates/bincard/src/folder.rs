//! The data folder: where what lies, and how commands open it while no server does.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use bincard_access::{Accounts, TenantName};
use bincard_engine::{Engine, OpenError};
use bincard_projections::Place;
use bincard_store::Reader;
use bincard_store::disk::RealDisk;
use bincard_store::postgres::{Database, DatabaseError};
use bincard_store::segment::{self, Log};

use crate::config::{Config, Secret};
use crate::exit::WrongUse;

/// The file in a data folder into which a restore has not finished.
const UNFINISHED: &str = "restoring";
const LOCK: &str = "lock";

/// A data folder that is this process's own as long as this lives.
#[derive(Debug)]
pub(crate) struct Claim {
    /// The system lets go of the lock when it is closed, however that happens.
    _file: File,
}

/// A data folder, and the database that keeps the ledgers in its place if there is one.
#[derive(Clone, Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    database: Option<Database>,
    /// The same database, as views have it.
    views: Option<bincard_projections::postgres::Database>,
    /// The database's address: accounts have connections of their own.
    database_url: Option<Secret>,
}

impl DataFolder {
    /// The folder that the configuration names. With a database, its tables are made where they are not what this program
    /// needs.
    pub(crate) fn of(config: &Config) -> anyhow::Result<DataFolder> {
        let database_url = config.database()?;
        let (mut database, mut views) = (None, None);
        if let Some(Secret(url)) = &database_url {
            let log = Database::connect(url)?;
            log.migrate()?;
            database = Some(log);
            let kept = bincard_projections::postgres::Database::new(url)?;
            kept.migrate()?;
            views = Some(kept);
        }
        Ok(DataFolder {
            path: config.data_dir.clone(),
            database,
            views,
            database_url,
        })
    }

    /// The folder at a path, which keeps its ledgers itself.
    pub(crate) fn at(path: &Path) -> DataFolder {
        DataFolder {
            path: path.to_owned(),
            database: None,
            views: None,
            database_url: None,
        }
    }

    /// The same folder over a database, whose views are not looked at.
    pub(crate) fn on(&self, database: Database, url: Secret) -> DataFolder {
        DataFolder {
            path: self.path.clone(),
            database: Some(database),
            views: None,
            database_url: Some(url),
        }
    }

    /// The tenants whose ledgers lie in the folder.
    pub(crate) fn tenants_with_ledgers(&self) -> anyhow::Result<Vec<String>> {
        let path = self.ledgers_path();
        let entries =
            std::fs::read_dir(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// The database that keeps the ledgers, if that is not this folder.
    pub(crate) fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    /// The same database, as views have it.
    pub(crate) fn views_database(&self) -> Option<&bincard_projections::postgres::Database> {
        self.views.as_ref()
    }

    /// The folder that the configuration names, which must be a data folder already: only what begins an installation
    /// makes one, so that a mistyped name does not.
    pub(crate) fn existing(config: &Config) -> anyhow::Result<DataFolder> {
        let folder = DataFolder::of(config)?;
        folder.check_is_whole()?;
        if folder.database.is_some() || folder.has_accounts() {
            return Ok(folder);
        }
        let path = folder.path.display();
        Err(WrongUse(if folder.path.is_dir() {
            format!(
                "{path} is no data folder, for it has no accounts.db: name the right one by --data-dir, or restore the \
                 file from a backup (`bincard serve`, `import` and `tenant add` make a new one)"
            )
        } else {
            format!(
                "there is no data folder {path}: name the right one by --data-dir, or make it with `bincard serve`, \
                 `import` or `tenant add`"
            )
        })
        .into())
    }

    /// The folder of a folder a ledger. What a node has of ledgers in a database lies apart.
    pub(crate) fn ledgers_path(&self) -> PathBuf {
        self.path.join(if self.database.is_some() {
            "node"
        } else {
            "ledgers"
        })
    }

    /// Where the views of a tenant's ledger are. In a database this process feeds them as far as no server does.
    pub(crate) fn views(&self, tenant: &TenantName) -> Place {
        let path = self.ledger_path(tenant).join("views");
        match &self.views {
            None => Place::Folder(path),
            Some(database) => Place::Postgres {
                database: database.clone(),
                feeds: true,
                scratch: path,
            },
        }
    }

    /// Where a tenant's ledger lies.
    pub(crate) fn ledger_path(&self, tenant: &TenantName) -> PathBuf {
        self.ledgers_path().join(tenant.as_str())
    }

    /// Whether the folder has been one of Bincard's before.
    pub(crate) fn has_accounts(&self) -> bool {
        self.accounts_path().is_file()
    }

    fn accounts_path(&self) -> PathBuf {
        self.path.join("accounts.db")
    }

    /// Whether both are one folder, by whatever path.
    pub(crate) fn is_same(&self, other: &DataFolder) -> bool {
        let (here, there) = (self.path.canonicalize(), other.path.canonicalize());
        matches!((here, there), (Ok(here), Ok(there)) if here == there)
    }

    /// Claims the folder for this process: one server, or one command that needs it stopped. Accounts are open to all.
    pub(crate) fn claim(&self) -> anyhow::Result<Claim> {
        self.claim_if_free()?.ok_or_else(|| {
            let mut error = in_use(&self.path);
            if self.database.is_some() {
                error = anyhow!("{error}. The ledgers are in a database: name another folder by --data-dir, and both go on");
            }
            error
        })
    }

    /// As [`DataFolder::claim`]; `None` when another process has it.
    pub(crate) fn claim_if_free(&self) -> anyhow::Result<Option<Claim>> {
        let claim = self.lock()?;
        if claim.is_some() {
            self.check_is_whole()?;
        }
        Ok(claim)
    }

    /// A backup does not lie in what it is a backup of.
    pub(crate) fn check_backup_place(&self, to: &str) -> Result<(), WrongUse> {
        let resolved = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path));
        match (resolved(Path::new(to)), resolved(&self.path)) {
            (Ok(there), Ok(here)) if !to.contains("://") && there.starts_with(&here) => {
                Err(WrongUse(format!(
                    "{to} is in the data folder itself: name another folder for its backup, best on another disk"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Claims the folder for a restore into it: it must have nothing in it, or what a restore left that did not finish. It
    /// says that it is not whole, until [`DataFolder::end_restore`].
    pub(crate) fn claim_to_restore(&self) -> anyhow::Result<Claim> {
        // Asked before, so that a folder of somebody else's gets no lock, and again once nobody else can come between.
        self.check_may_take_restore()?;
        let claim = self.lock()?.ok_or_else(|| in_use(&self.path))?;
        self.check_may_take_restore()?;
        let unfinished = self.path.join(UNFINISHED);
        let made = File::create(&unfinished).and_then(|file| file.sync_all());
        made.and_then(|()| self.sync())
            .with_context(|| format!("{} cannot be written", unfinished.display()))?;
        Ok(claim)
    }

    fn check_may_take_restore(&self) -> Result<(), WrongUse> {
        let may = self.path.join(UNFINISHED).is_file()
            || match std::fs::read_dir(&self.path) {
                Ok(mut entries) => entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == LOCK)),
                Err(_) => !self.path.exists(),
            };
        if may {
            return Ok(());
        }
        let path = self.path.display();
        Err(WrongUse(format!(
            "{path} has something in it already: a backup is restored into a new folder only; name one by --data-dir"
        )))
    }

    /// Takes away the accounts that an earlier restore, which was broken off, left in a folder: the newest copy has what has
    /// become of them since.
    pub(crate) fn clear_restored_accounts(&self) -> anyhow::Result<()> {
        for suffix in ["-wal", "-shm", ""] {
            let mut file = self.accounts_path().into_os_string();
            file.push(suffix);
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    let file = file.display();
                    return Err(error).with_context(|| format!("{file} cannot be removed"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Says that all that was to be restored is there.
    pub(crate) fn end_restore(&self) -> anyhow::Result<()> {
        let unfinished = self.path.join(UNFINISHED);
        let removed = std::fs::remove_file(&unfinished).and_then(|()| self.sync());
        removed.with_context(|| format!("{} cannot be removed", unfinished.display()))
    }

    fn check_is_whole(&self) -> anyhow::Result<()> {
        if self.path.join(UNFINISHED).exists() {
            bail!(
                "{} is not whole, for a backup was being restored into it: do that again by `bincard restore`, which goes on",
                self.path.display()
            );
        }
        Ok(())
    }

    fn sync(&self) -> std::io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn lock(&self) -> anyhow::Result<Option<Claim>> {
        self.make()?;
        let path = self.path.join(LOCK);
        let file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = file.with_context(|| format!("the lock {} cannot be opened", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Claim { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("{} cannot be locked", path.display()))
            }
        }
    }

    fn make(&self) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.path)
            .with_context(|| format!("the data folder {} cannot be made", self.path.display()))
    }

    /// The accounts; made, with the tenant `default`, where there are none.
    pub(crate) async fn accounts(&self, config: &Config) -> anyhow::Result<Accounts> {
        self.make()?;
        let options = bincard_access::Options {
            access_token_lifetime_s: config.access_token_lifetime_s,
            session_idle_max_s: config.session_idle_max_s,
            ..bincard_access::Options::default()
        };
        if let Some(Secret(url)) = &self.database_url {
            let opened = Accounts::connect(url, options).await;
            return opened.context("the accounts in PostgreSQL cannot be opened");
        }
        let file = self.accounts_path();
        let opened = Accounts::open(&file, options).await;
        opened.with_context(|| format!("the accounts in {} cannot be opened", file.display()))
    }

    /// The tenant of this name, which must have been added.
    pub(crate) async fn tenant(&self, accounts: &Accounts, name: &str) -> anyhow::Result<TenantName> {
        let tenants = accounts.tenants().await?;
        match tenants.into_iter().find(|tenant| tenant.name.as_str() == name) {
            Some(tenant) => Ok(tenant.name),
            None => Err(WrongUse(format!(
                "there is no tenant {name:?} in {}: add it with `bincard tenant add {name}`",
                self.path.display()
            ))
            .into()),
        }
    }

    /// A tenant's ledger; opened for this process alone where it lies in the folder.
    pub(crate) fn engine(&self, config: &Config, tenant: &TenantName) -> anyhow::Result<Engine> {
        if let Some(database) = &self.database {
            let opened = Engine::open_in(database, tenant.as_str(), engine_options(config));
            return opened.with_context(|| format!("the ledger of tenant {tenant} cannot be opened"));
        }
        let path = self.ledger_path(tenant);
        match Engine::open(&path, engine_options(config)) {
            Ok(engine) => Ok(engine),
            Err(OpenError::Store(bincard_store::OpenError::Locked { .. })) => Err(in_use(&path)),
            Err(error) => {
                Err(error).with_context(|| format!("the ledger in {} cannot be opened", path.display()))
            }
        }
    }

    /// Whether anything was ever recorded for a tenant.
    pub(crate) fn has_ledger(&self, tenant: &TenantName) -> anyhow::Result<bool> {
        Ok(match &self.database {
            None => self.ledger_path(tenant).is_dir(),
            Some(database) => database.ledger(tenant.as_str())?.is_some(),
        })
    }

    /// Where a tenant's ledger has moved, if it has.
    pub(crate) fn moved_to(&self, tenant: &TenantName) -> anyhow::Result<Option<String>> {
        let Some(database) = &self.database else {
            return Ok(segment::moved_to(&RealDisk, &self.ledger_path(tenant))?);
        };
        Ok(database.ledger(tenant.as_str())?.and_then(|one| one.moved_to))
    }

    /// A tenant's log. Not made when there is none; where it lies in the folder it is opened for this process alone, until
    /// the reader is dropped.
    pub(crate) fn log(&self, tenant: &TenantName) -> anyhow::Result<Reader> {
        let path = self.ledger_path(tenant);
        if !self.has_ledger(tenant)? {
            bail!(
                "tenant {tenant} has no ledger in {}: nothing was recorded yet",
                self.path.display()
            );
        }
        if let Some(database) = &self.database {
            if let Some(to) = self.moved_to(tenant)? {
                let tenant = tenant.to_string();
                return Err(DatabaseError::Moved { tenant, to }.into());
            }
            return Ok(Reader::Postgres(database.reader(tenant.as_str())?));
        }
        match Log::open(Arc::new(RealDisk), &path, segment::Options::default()) {
            Ok(opened) => Ok(opened.reader.into()),
            Err(bincard_store::OpenError::Locked { .. }) => Err(in_use(&path)),
            Err(error) => {
                Err(error).with_context(|| format!("the log in {} cannot be opened", path.display()))
            }
        }
    }
}

fn in_use(path: &Path) -> anyhow::Error {
    anyhow!(
        "{} is in use by another process: stop that server first, or work through it (by --url and --key, where the command has them)",
        path.display()
    )
}

/// How the configuration has ledgers opened.
pub(crate) fn engine_options(config: &Config) -> bincard_engine::Options {
    bincard_engine::Options {
        queue_requests_max: config.queue_requests_max,
        batch_requests_max: config.batch_requests_max,
        snapshot_every_events: config.snapshot_every_events,
        ..bincard_engine::Options::default()
    }
}
