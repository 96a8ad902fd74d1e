//! A disk in memory that fails as seeds tell it to. For tests.
//!
//! It keeps two images of every file: what reads show, and what a power loss leaves. A write that succeeds is in both;
//! one that fails, or that the power loss interrupts, is in either image in any subset of its sectors. Names are
//! durable up to some point of what was not synced. That is all an honest disk may do; what only a lying one does
//! (acknowledged sectors lost, misplaced, flipped) is done to the durable image by name: [`SimDisk::flip`],
//! [`SimDisk::wipe`], [`Plan::lie_at`].

mod rng;
mod state;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use rng::Rng;

use crate::disk::{Access, Disk, DiskFile, DiskLock};
use state::State;

/// What goes wrong, and when. Steps are operations that change something, counted from the last [`SimDisk::plan`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    /// The power is lost in the middle of this step.
    pub power_loss_at: Option<u64>,
    /// This step fails, having done any part of its work.
    pub error_at: Option<u64>,
    /// This read fails; reads are counted on their own.
    pub read_error_at: Option<u64>,
    /// How many bytes may still be allocated.
    pub free_bytes: Option<u64>,
    /// This step says that it wrote, and lies.
    pub lie_at: Option<(u64, Lie)>,
}

/// How a disk lies about a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lie {
    /// Nothing was written.
    Lost,
    /// Some of the sectors were not.
    Short,
    /// It was written so many sectors further on, in place of what stood there.
    Misplaced(u64),
}

/// The disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    file: u64,
    /// Files do not outlive the power.
    life: u64,
}

struct SimLock {
    disk: SimDisk,
    path: PathBuf,
    life: u64,
}

impl SimDisk {
    /// An empty disk whose faults follow from `seed`.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk {
            state: Arc::new(Mutex::new(State::new(seed))),
        }
    }

    /// Sets what goes wrong from now on, and starts to count steps and reads from 0.
    pub fn plan(&self, plan: Plan) {
        self.state().set_plan(plan);
    }

    /// How many steps there were since the last plan.
    pub fn steps(&self) -> u64 {
        self.state().steps()
    }

    /// Whether the power is off: every operation fails until [`SimDisk::power_on`].
    pub fn is_off(&self) -> bool {
        self.state().is_off()
    }

    /// Loses the power now and turns it on again: what was not durable is gone, in part or whole; locks are free.
    pub fn power_on(&self) {
        self.state().power_cycle();
    }

    /// The names of the files, in order, and their sizes as a power loss would leave them.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        self.state().files()
    }

    /// What a power loss would leave of a file.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        self.state().content(path)
    }

    /// Puts a file in place, durably, behind everybody's back.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        self.state().put(path, bytes);
    }

    /// Removes a file durably, behind everybody's back.
    pub fn lose(&self, path: &Path) {
        self.state().lose(path);
    }

    /// Flips one bit of a file.
    pub fn flip(&self, path: &Path, bit: u64) {
        self.state()
            .change(path, |bytes| bytes[(bit / 8) as usize] ^= 1 << (bit % 8));
    }

    /// Puts zeros over a range of a file, as far as the file reaches.
    pub fn wipe(&self, path: &Path, from: u64, to: u64) {
        self.state().change(path, |bytes| {
            let to = bytes.len().min(to as usize);
            bytes[to.min(from as usize)..to].fill(0);
        });
    }

    /// A disk with the same files. Much cheaper than making them again.
    pub fn fork(&self, seed: u64) -> SimDisk {
        SimDisk {
            state: Arc::new(Mutex::new(self.state().fork(seed))),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, file: u64) -> Box<dyn DiskFile> {
        let life = self.state().life();
        Box::new(SimFile {
            disk: self.clone(),
            file,
            life,
        })
    }
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimDisk").finish_non_exhaustive()
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.state().create_dir(dir)
    }

    fn create(&self, path: &Path, size_bytes: u64) -> io::Result<Box<dyn DiskFile>> {
        let file = self.state().create(path, size_bytes)?;
        Ok(self.file(file))
    }

    fn open(&self, path: &Path, _access: Access) -> io::Result<Box<dyn DiskFile>> {
        let file = self.state().open(path)?;
        Ok(self.file(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.state().rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.state().remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.state().list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.state().sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        let life = self.state().lock(path)?;
        Ok(Box::new(SimLock {
            disk: self.clone(),
            path: path.to_owned(),
            life,
        }))
    }
}

impl DiskFile for SimFile {
    fn size_bytes(&self) -> io::Result<u64> {
        self.disk.state().size_bytes(self.file, self.life)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.disk.state().read_at(self.file, self.life, buffer, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.disk.state().write_at(self.file, self.life, bytes, at)
    }

    fn settle(&self) -> io::Result<()> {
        self.disk.state().settle(self.file, self.life)
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.state().unlock(&self.path, self.life);
    }
}
