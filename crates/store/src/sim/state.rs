//! What the simulated disk holds, and how it fails.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use super::{Lie, Plan, Rng};

/// What an honest disk writes whole.
const SECTOR_BYTES: usize = 512;

#[derive(Clone, Debug, Default)]
struct File {
    /// What reads show.
    shown: Vec<u8>,
    /// What a power loss leaves.
    durable: Vec<u8>,
}

/// A change of a folder's names that is not durable yet.
#[derive(Clone, Debug)]
enum Change {
    Put(String, u64),
    Remove(String),
    Rename(String, String),
}

#[derive(Clone, Debug, Default)]
struct Folder {
    shown: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
pub(super) struct State {
    rng: Rng,
    folders: BTreeMap<PathBuf, Folder>,
    files: HashMap<u64, File>,
    next_file: u64,
    locks: HashSet<PathBuf>,
    plan: Plan,
    steps: u64,
    reads: u64,
    off: bool,
    life: u64,
}

/// What becomes of a step.
#[derive(PartialEq, Eq)]
enum Fate {
    Done,
    Failed,
    PowerLost,
    Lied(Lie),
}

fn apply(names: &mut BTreeMap<String, u64>, change: &Change) {
    match change {
        Change::Put(name, file) => drop(names.insert(name.clone(), *file)),
        Change::Remove(name) => drop(names.remove(name)),
        Change::Rename(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
    }
}

fn failed() -> io::Error {
    io::Error::other("the simulated disk failed")
}

fn split(path: &Path) -> io::Result<(&Path, String)> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or(io::ErrorKind::InvalidInput)?;
    Ok((path.parent().unwrap_or(Path::new("")), name.to_owned()))
}

impl State {
    pub(super) fn new(seed: u64) -> State {
        State {
            rng: Rng::new(seed),
            folders: BTreeMap::new(),
            files: HashMap::new(),
            next_file: 1,
            locks: HashSet::new(),
            plan: Plan::default(),
            steps: 0,
            reads: 0,
            off: false,
            life: 0,
        }
    }

    pub(super) fn fork(&self, seed: u64) -> State {
        let mut fork = State {
            rng: Rng::new(seed),
            plan: Plan::default(),
            ..self.clone()
        };
        fork.power_cycle();
        fork
    }

    pub(super) fn set_plan(&mut self, plan: Plan) {
        (self.plan, self.steps, self.reads) = (plan, 0, 0);
    }

    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    pub(super) fn is_off(&self) -> bool {
        self.off
    }

    pub(super) fn life(&self) -> u64 {
        self.life
    }

    /// Counts a step and says what becomes of it.
    fn step(&mut self) -> io::Result<Fate> {
        self.check_on()?;
        let step = self.steps;
        self.steps += 1;
        if self.plan.power_loss_at == Some(step) {
            self.off = true;
            return Ok(Fate::PowerLost);
        }
        if self.plan.error_at == Some(step) {
            return Ok(Fate::Failed);
        }
        match self.plan.lie_at {
            Some((at, lie)) if at == step => Ok(Fate::Lied(lie)),
            _ => Ok(Fate::Done),
        }
    }

    fn check_on(&self) -> io::Result<()> {
        if self.off {
            Err(io::Error::other("the simulated machine has no power"))
        } else {
            Ok(())
        }
    }

    fn check_life(&self, life: u64) -> io::Result<()> {
        self.check_on()?;
        if life == self.life {
            Ok(())
        } else {
            Err(io::Error::other("a file of an earlier life"))
        }
    }

    fn folder(&mut self, dir: &Path) -> io::Result<&mut Folder> {
        self.folders
            .get_mut(dir)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change_names(&mut self, dir: &Path, change: Change) -> io::Result<()> {
        let folder = self.folder(dir)?;
        apply(&mut folder.shown, &change);
        folder.pending.push(change);
        Ok(())
    }

    pub(super) fn create_dir(&mut self, dir: &Path) -> io::Result<()> {
        if self.folders.contains_key(dir) {
            return self.check_on();
        }
        match self.step()? {
            Fate::Done | Fate::Lied(_) => drop(self.folders.insert(dir.to_owned(), Folder::default())),
            _ => return Err(failed()),
        }
        Ok(())
    }

    pub(super) fn create(&mut self, path: &Path, size_bytes: u64) -> io::Result<u64> {
        let (dir, name) = split(path)?;
        let fate = self.step()?;
        let mut size = size_bytes;
        let mut result = Ok(self.next_file);
        if let Some(free) = &mut self.plan.free_bytes {
            if *free < size {
                (size, result) = (*free, Err(io::ErrorKind::StorageFull.into()));
            }
            *free -= size;
        }
        if fate == Fate::Failed || fate == Fate::PowerLost {
            (size, result) = (self.rng.below(size + 1), Err(failed()));
        }
        let zeros = vec![0; size as usize];
        self.files.insert(
            self.next_file,
            File {
                shown: zeros.clone(),
                durable: zeros,
            },
        );
        self.change_names(dir, Change::Put(name, self.next_file))?;
        self.next_file += 1;
        result
    }

    pub(super) fn open(&mut self, path: &Path) -> io::Result<u64> {
        self.check_on()?;
        let (dir, name) = split(path)?;
        self.folder(dir)?
            .shown
            .get(&name)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (dir, from_name) = split(from)?;
        let (_, to_name) = split(to)?;
        self.change_step(dir, Change::Rename(from_name.clone(), to_name), &from_name)
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let (dir, name) = split(path)?;
        if let (Some(free), Ok(file)) = (self.plan.free_bytes, self.open(path)) {
            let size = self.files[&file].shown.len() as u64;
            self.plan.free_bytes = Some(free + size);
        }
        self.change_step(dir, Change::Remove(name.clone()), &name)
    }

    /// A change of names that fails may have happened all the same.
    fn change_step(&mut self, dir: &Path, change: Change, name: &str) -> io::Result<()> {
        let fate = self.step()?;
        if !self.folder(dir)?.shown.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let happens = matches!(fate, Fate::Done | Fate::Lied(_)) || self.rng.one_in(2);
        if happens {
            self.change_names(dir, change)?;
        }
        match fate {
            Fate::Done | Fate::Lied(_) => Ok(()),
            _ => Err(failed()),
        }
    }

    pub(super) fn list(&mut self, dir: &Path) -> io::Result<Vec<String>> {
        self.check_on()?;
        Ok(self.folder(dir)?.shown.keys().cloned().collect())
    }

    pub(super) fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        let fate = self.step()?;
        let pending = self.folder(dir)?.pending.len() as u64;
        let done = match fate {
            Fate::Done | Fate::Lied(_) => pending,
            _ => self.rng.below(pending + 1),
        };
        self.make_names_durable(dir, done as usize)?;
        if matches!(fate, Fate::Done | Fate::Lied(_)) {
            Ok(())
        } else {
            Err(failed())
        }
    }

    fn make_names_durable(&mut self, dir: &Path, count: usize) -> io::Result<()> {
        let folder = self.folder(dir)?;
        for change in folder.pending.drain(..count) {
            apply(&mut folder.durable, &change);
        }
        Ok(())
    }

    pub(super) fn lock(&mut self, path: &Path) -> io::Result<u64> {
        self.check_on()?;
        if self.locks.insert(path.to_owned()) {
            Ok(self.life)
        } else {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    pub(super) fn unlock(&mut self, path: &Path, life: u64) {
        if life == self.life {
            self.locks.remove(path);
        }
    }

    pub(super) fn size_bytes(&mut self, file: u64, life: u64) -> io::Result<u64> {
        self.check_life(life)?;
        Ok(self.files[&file].shown.len() as u64)
    }

    pub(super) fn read_at(&mut self, file: u64, life: u64, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.check_life(life)?;
        let read = self.reads;
        self.reads += 1;
        if self.plan.read_error_at == Some(read) {
            return Err(failed());
        }
        let shown = &self.files[&file].shown;
        let from = shown.get(at as usize..).unwrap_or_default();
        let size = from.len().min(buffer.len());
        buffer[..size].copy_from_slice(&from[..size]);
        Ok(size)
    }

    pub(super) fn write_at(&mut self, file: u64, life: u64, bytes: &[u8], at: u64) -> io::Result<()> {
        self.check_life(life)?;
        let fate = self.step()?;
        let at = at as usize;
        let growth = (at + bytes.len()).saturating_sub(self.files[&file].shown.len()) as u64;
        if let Some(free) = &mut self.plan.free_bytes {
            if *free < growth {
                return Err(io::ErrorKind::StorageFull.into());
            }
            *free -= growth;
        }
        let all = self.sectors(bytes.len(), true);
        let (shown, durable, to) = match fate {
            Fate::Done => (all.clone(), all, at),
            Fate::PowerLost => (Vec::new(), self.sectors(bytes.len(), false), at),
            Fate::Failed if self.rng.one_in(2) => (all, self.sectors(bytes.len(), false), at),
            Fate::Failed => {
                let some = self.sectors(bytes.len(), false);
                (some.clone(), some, at)
            }
            Fate::Lied(Lie::Lost) => (all, Vec::new(), at),
            Fate::Lied(Lie::Short) => (all, self.sectors(bytes.len(), false), at),
            Fate::Lied(Lie::Misplaced(sectors)) => (Vec::new(), all, at + sectors as usize * SECTOR_BYTES),
        };
        let Some(file) = self.files.get_mut(&file) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        write_sectors(&mut file.shown, bytes, at, &shown);
        write_sectors(&mut file.durable, bytes, to, &durable);
        match fate {
            Fate::Done => Ok(()),
            Fate::Lied(_) => Ok(()),
            Fate::Failed | Fate::PowerLost => Err(failed()),
        }
    }

    /// Some of a write's sectors: all, or those that happened to be written.
    fn sectors(&mut self, size: usize, all: bool) -> Vec<bool> {
        let count = size.div_ceil(SECTOR_BYTES);
        if all {
            return vec![true; count];
        }
        let edge = self.rng.below(count as u64 + 1) as usize;
        let one = self.rng.below(count as u64) as usize;
        match self.rng.below(7) {
            0 => vec![false; count],
            1 => vec![true; count],
            2 => (0..count).map(|sector| sector < edge).collect(),
            3 => (0..count).map(|sector| sector >= edge).collect(),
            4 => (0..count).map(|sector| sector == one).collect(),
            5 => (0..count).map(|sector| sector != one).collect(),
            _ => (0..count).map(|_| self.rng.one_in(2)).collect(),
        }
    }

    pub(super) fn settle(&mut self, file: u64, life: u64) -> io::Result<()> {
        self.check_life(life)?;
        let fate = self.step()?;
        let keeps = self.rng.one_in(2);
        let Some(file) = self.files.get_mut(&file) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        match fate {
            Fate::Done | Fate::Lied(_) => {}
            _ => return Err(failed()),
        }
        // Either what is shown could still be written, or it was dropped from the cache.
        if keeps {
            file.durable.clone_from(&file.shown);
        } else {
            file.shown.clone_from(&file.durable);
        }
        Ok(())
    }

    pub(super) fn power_cycle(&mut self) {
        let dirs: Vec<PathBuf> = self.folders.keys().cloned().collect();
        for dir in dirs {
            let Some(folder) = self.folders.get(&dir) else {
                continue;
            };
            let survive = self.rng.below(folder.pending.len() as u64 + 1) as usize;
            let Ok(()) = self.make_names_durable(&dir, survive) else {
                continue;
            };
            if let Some(folder) = self.folders.get_mut(&dir) {
                folder.pending.clear();
                folder.shown.clone_from(&folder.durable);
            }
        }
        let named: HashSet<u64> = self
            .folders
            .values()
            .flat_map(|folder| folder.shown.values().copied())
            .collect();
        self.files.retain(|file, _| named.contains(file));
        for file in self.files.values_mut() {
            file.shown.clone_from(&file.durable);
        }
        self.locks.clear();
        self.life += 1;
        self.off = false;
        self.plan = Plan::default();
    }

    pub(super) fn files(&self) -> Vec<(PathBuf, u64)> {
        let mut files = Vec::new();
        for (dir, folder) in &self.folders {
            for (name, file) in &folder.shown {
                files.push((dir.join(name), self.files[file].durable.len() as u64));
            }
        }
        files
    }

    pub(super) fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let (dir, name) = split(path).ok()?;
        let file = self.folders.get(dir)?.shown.get(&name)?;
        Some(self.files[file].durable.clone())
    }

    pub(super) fn put(&mut self, path: &Path, bytes: &[u8]) {
        let Ok((dir, name)) = split(path) else { return };
        let file = File {
            shown: bytes.to_owned(),
            durable: bytes.to_owned(),
        };
        self.files.insert(self.next_file, file);
        let folder = self.folders.entry(dir.to_owned()).or_default();
        folder.shown.insert(name.clone(), self.next_file);
        folder.durable.insert(name, self.next_file);
        self.next_file += 1;
    }

    pub(super) fn lose(&mut self, path: &Path) {
        let Ok((dir, name)) = split(path) else { return };
        if let Some(folder) = self.folders.get_mut(dir) {
            folder.shown.remove(&name);
            folder.durable.remove(&name);
        }
    }

    pub(super) fn change(&mut self, path: &Path, change: impl Fn(&mut Vec<u8>)) {
        let Ok(file) = self.open(path) else { return };
        if let Some(file) = self.files.get_mut(&file) {
            change(&mut file.shown);
            change(&mut file.durable);
        }
    }
}

fn write_sectors(image: &mut Vec<u8>, bytes: &[u8], at: usize, sectors: &[bool]) {
    for (chunk, at) in bytes
        .chunks(SECTOR_BYTES)
        .zip((at..).step_by(SECTOR_BYTES))
        .zip(sectors)
        .filter_map(|(chunk, written)| written.then_some(chunk))
    {
        if image.len() < at + chunk.len() {
            image.resize(at + chunk.len(), 0);
        }
        image[at..at + chunk.len()].copy_from_slice(chunk);
    }
}
