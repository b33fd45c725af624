//! A disk in memory that loses what was not synced, and fails when it is told to.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::mem;
use std::path::{Component, Path};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

use super::{Disk, File};

/// A disk in memory. Clones are the same disk.
#[derive(Clone)]
pub(crate) struct SimulatedDisk(Arc<Mutex<World>>);

struct World {
    nodes: Vec<Node>,
    /// Changes of directories that are not on the disk yet, each of them whole.
    changes: Vec<Change>,
    operations: u64,
    fault: Fault,
    watch: Option<Watch>,
    random: u64,
}

/// Called before each operation, with its number.
type Watch = Box<dyn FnMut(u64, &Snapshot) + Send>;

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    #[default]
    None,
    /// The operation with this number fails with this error of the system.
    At(u64, i32),
    /// All files together take so many bytes, and then it is ENOSPC.
    Full(u64),
}

/// What a disk has at one moment.
#[derive(Clone, Default)]
pub(crate) struct Snapshot {
    nodes: Vec<Node>,
    changes: Vec<Change>,
}

#[derive(Clone)]
enum Node {
    File { now: Vec<u8>, synced: Vec<u8>, writes: Vec<Write> },
    Dir { now: BTreeMap<String, usize>, synced: BTreeMap<String, usize> },
}

#[derive(Clone)]
enum Write {
    Bytes(u64, Vec<u8>),
    Size(u64),
}

/// Names that came (with a node) or went, by directory.
#[derive(Clone)]
struct Change(Vec<(usize, String, Option<usize>)>);

const SECTOR: usize = 512;

fn errno(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random
}

impl fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimulatedDisk")
    }
}

impl SimulatedDisk {
    /// One with a directory of this name, which is there for good.
    pub(crate) fn with_dir(path: &Path) -> Self {
        let disk = Snapshot { nodes: vec![Node::dir()], changes: Vec::new() }.as_it_was();
        disk.create_dir(path).and_then(|()| disk.sync_all(path)).expect("nothing fails yet");
        disk
    }

    pub(crate) fn set_fault(&self, fault: Fault) {
        self.0.lock().fault = fault;
    }

    /// Files that are open.
    pub(crate) fn open_files(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }

    /// Operations so far.
    pub(crate) fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    pub(crate) fn watch(&self, watch: impl FnMut(u64, &Snapshot) + Send + 'static) {
        self.0.lock().watch = Some(Box::new(watch));
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let world = self.0.lock();
        Snapshot { nodes: world.nodes.clone(), changes: world.changes.clone() }
    }

    /// Changes the contents of a file behind the store's back.
    pub(crate) fn spoil(&self, path: &Path, spoil: impl FnOnce(&mut Vec<u8>)) {
        let mut world = self.0.lock();
        let node = world.find(path).expect("is there");
        if let Node::File { now, synced, writes } = &mut world.nodes[node] {
            spoil(now);
            (*synced, *writes) = (now.clone(), Vec::new());
        }
    }

    pub(crate) fn contents(&self, path: &Path) -> Vec<u8> {
        let world = self.0.lock();
        match &world.nodes[world.find(path).expect("is there")] {
            Node::File { now, .. } => now.clone(),
            Node::Dir { .. } => Vec::new(),
        }
    }
}

impl Snapshot {
    /// A disk as this one was when the process was killed.
    pub(crate) fn as_it_was(&self) -> SimulatedDisk {
        SimulatedDisk(Arc::new(Mutex::new(World {
            nodes: self.nodes.clone(),
            changes: self.changes.clone(),
            operations: 0,
            fault: Fault::None,
            watch: None,
            random: 88_172_645_463_325_252,
        })))
    }

    /// A disk as the power may have left it: of all that was not synced each part may be there or not.
    pub(crate) fn after_power_loss(&self, seed: u64) -> SimulatedDisk {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..8).for_each(|_| random = next(&mut random));
        let mut nodes = self.nodes.clone();
        // One seed in four keeps all names, one loses them all: else a file is seldom there with half its contents.
        let names = next(&mut random) % 4;
        for Change(effects) in &self.changes {
            if names == 0 || names > 1 && next(&mut random).is_multiple_of(2) {
                effects.iter().for_each(|(dir, name, node)| nodes[*dir].set(name, *node, true));
            }
        }
        for node in &mut nodes {
            node.lose(&mut random);
        }
        Snapshot { nodes, changes: Vec::new() }.as_it_was()
    }
}

impl Node {
    fn dir() -> Self {
        Node::Dir { now: BTreeMap::new(), synced: BTreeMap::new() }
    }

    fn set(&mut self, name: &str, node: Option<usize>, durably: bool) {
        if let Node::Dir { now, synced } = self {
            let names = if durably { synced } else { now };
            match node {
                Some(node) => drop(names.insert(name.to_owned(), node)),
                None => drop(names.remove(name)),
            }
        }
    }

    fn lose(&mut self, random: &mut u64) {
        match self {
            Node::Dir { now, synced } => *now = synced.clone(),
            Node::File { now, synced, writes } => {
                let size = now.len();
                let luck = next(random) % 4;
                for write in mem::take(writes) {
                    match next(random) % 3 {
                        _ if luck == 0 => {}
                        _ if luck == 1 => write.apply(synced),
                        0 => {}
                        1 => write.apply(synced),
                        _ => write.tear(synced, random),
                    }
                }
                if next(random).is_multiple_of(4) && size > synced.len() {
                    synced.resize(size, 0);
                }
                *now = synced.clone();
            }
        }
    }
}

impl Write {
    fn apply(&self, contents: &mut Vec<u8>) {
        match self {
            Write::Size(size) => contents.resize(*size as usize, 0),
            Write::Bytes(offset, bytes) => {
                let (from, to) = (*offset as usize, *offset as usize + bytes.len());
                if contents.len() < to {
                    contents.resize(to, 0);
                }
                contents[from..to].copy_from_slice(bytes);
            }
        }
    }

    /// Some of the sectors, or the beginning.
    fn tear(&self, contents: &mut Vec<u8>, random: &mut u64) {
        let Write::Bytes(offset, bytes) = self else { return };
        if next(random).is_multiple_of(2) {
            let size = next(random) as usize % (bytes.len() + 1);
            return Write::Bytes(*offset, bytes[..size].to_vec()).apply(contents);
        }
        let mut at = 0;
        while at < bytes.len() {
            let end = bytes.len().min(at + SECTOR - (*offset as usize + at) % SECTOR);
            if next(random).is_multiple_of(2) {
                Write::Bytes(offset + at as u64, bytes[at..end].to_vec()).apply(contents);
            }
            at = end;
        }
    }
}

impl World {
    /// Every operation begins here.
    fn begin(&mut self) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        if let Some(mut watch) = self.watch.take() {
            watch(number, &Snapshot { nodes: self.nodes.clone(), changes: self.changes.clone() });
            self.watch = Some(watch);
        }
        match self.fault {
            Fault::At(at, code) if at == number => Err(errno(code)),
            _ => Ok(()),
        }
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        let mut at = 0;
        for component in path.components() {
            let Component::Normal(name) = component else { continue };
            let Node::Dir { now, .. } = &self.nodes[at] else { return Err(errno(libc_codes::ENOTDIR)) };
            at = *now.get(&*name.to_string_lossy()).ok_or_else(|| errno(libc_codes::ENOENT))?;
        }
        Ok(at)
    }

    fn find_parent(&self, path: &Path) -> io::Result<(usize, String)> {
        let name = path.file_name().expect("has a name").to_string_lossy().into_owned();
        Ok((self.find(path.parent().expect("has a parent"))?, name))
    }

    fn change(&mut self, effects: Vec<(usize, String, Option<usize>)>) {
        effects.iter().for_each(|(dir, name, node)| self.nodes[*dir].set(name, *node, false));
        self.changes.push(Change(effects));
    }

    fn make(&mut self, path: &Path, node: Node) -> io::Result<usize> {
        let (dir, name) = self.find_parent(path)?;
        if self.find(path).is_ok() {
            return Err(errno(libc_codes::EEXIST));
        }
        self.nodes.push(node);
        let node = self.nodes.len() - 1;
        self.change(vec![(dir, name, Some(node))]);
        Ok(node)
    }

    fn used(&self) -> u64 {
        let size = |node: &Node| match node {
            Node::File { now, .. } => now.len() as u64,
            Node::Dir { .. } => 0,
        };
        self.reachable(0).iter().map(|node| size(&self.nodes[*node])).sum()
    }

    fn reachable(&self, from: usize) -> Vec<usize> {
        match &self.nodes[from] {
            Node::File { .. } => vec![from],
            Node::Dir { now, .. } => now.values().flat_map(|node| self.reachable(*node)).collect(),
        }
    }
}

/// The few error codes that are needed by name.
pub(crate) mod libc_codes {
    use rustix::io::Errno;

    pub(crate) const ENOENT: i32 = Errno::NOENT.raw_os_error();
    pub(crate) const EIO: i32 = Errno::IO.raw_os_error();
    pub(crate) const EEXIST: i32 = Errno::EXIST.raw_os_error();
    pub(crate) const ENOTDIR: i32 = Errno::NOTDIR.raw_os_error();
    pub(crate) const ENOSPC: i32 = Errno::NOSPC.raw_os_error();
    pub(crate) const EROFS: i32 = Errno::ROFS.raw_os_error();
    pub(crate) const ENOTEMPTY: i32 = Errno::NOTEMPTY.raw_os_error();
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut world = self.0.lock();
        world.begin()?;
        let node = world.find(path)?;
        Ok(Arc::new(SimulatedFile { disk: self.clone(), node }))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut world = self.0.lock();
        world.begin()?;
        let empty = Node::File { now: Vec::new(), synced: Vec::new(), writes: Vec::new() };
        let node = world.make(path, empty)?;
        Ok(Arc::new(SimulatedFile { disk: self.clone(), node }))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut world = self.0.lock();
        world.begin()?;
        match world.find(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            node => match &world.nodes[node?] {
                Node::Dir { now, .. } => Ok(now.keys().cloned().collect()),
                Node::File { .. } => Err(errno(libc_codes::ENOTDIR)),
            },
        }
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut world = self.0.lock();
        world.begin()?;
        let mut ancestors: Vec<&Path> = path.ancestors().filter(|path| path.file_name().is_some()).collect();
        ancestors.reverse();
        for path in ancestors {
            match world.make(path, Node::dir()) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => drop(made?),
            }
        }
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.0.lock();
        world.begin()?;
        let node = world.find(from)?;
        let (dir, name) = world.find_parent(to)?;
        if world.find(to).is_ok() {
            return Err(errno(libc_codes::EEXIST));
        }
        world.change(vec![(dir, name, Some(node))]);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.0.lock();
        world.begin()?;
        let node = world.find(from)?;
        let ((from, old), (to, new)) = (world.find_parent(from)?, world.find_parent(to)?);
        world.change(vec![(from, old, None), (to, new, Some(node))]);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.0.lock();
        world.begin()?;
        world.find(path)?;
        let (dir, name) = world.find_parent(path)?;
        world.change(vec![(dir, name, None)]);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut world = self.0.lock();
        world.begin()?;
        let node = world.find(path)?;
        if matches!(&world.nodes[node], Node::Dir { now, .. } if !now.is_empty()) {
            return Err(errno(libc_codes::ENOTEMPTY));
        }
        let (dir, name) = world.find_parent(path)?;
        world.change(vec![(dir, name, None)]);
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut world = self.0.lock();
        world.begin()?;
        let synced = world.find(path)?;
        let World { nodes, changes, .. } = &mut *world;
        changes.retain(|Change(effects)| {
            let here = effects.iter().any(|(dir, ..)| *dir == synced);
            if here {
                effects.iter().for_each(|(dir, name, node)| nodes[*dir].set(name, *node, true));
            }
            !here
        });
        Ok(())
    }

    fn sync_all(&self, _: &Path) -> io::Result<()> {
        let mut world = self.0.lock();
        world.begin()?;
        let World { nodes, changes, .. } = &mut *world;
        for Change(effects) in changes.drain(..) {
            effects.iter().for_each(|(dir, name, node)| nodes[*dir].set(name, *node, true));
        }
        for node in nodes {
            if let Node::File { synced, writes, .. } = node {
                writes.drain(..).for_each(|write| write.apply(synced));
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    node: usize,
}

impl SimulatedFile {
    fn change<T>(&self, change: impl FnOnce(&mut World, usize) -> T) -> T {
        change(&mut self.disk.0.lock(), self.node)
    }
}

impl World {
    fn write(&mut self, node: usize, write: Write) {
        if let Node::File { now, writes, .. } = &mut self.nodes[node] {
            write.apply(now);
            writes.push(write);
        }
    }
}

impl File for SimulatedFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.change(|world, node| {
            world.begin()?;
            let Node::File { now, .. } = &world.nodes[node] else { return Ok(0) };
            let rest = now.get(offset as usize..).unwrap_or_default();
            let size = rest.len().min(into.len());
            into[..size].copy_from_slice(&rest[..size]);
            Ok(size)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.change(|world, node| {
            let begun = world.begin();
            let room = match (&begun, world.fault, &world.nodes[node]) {
                (Err(_), ..) => bytes.len() / 2,
                (_, Fault::Full(limit), Node::File { now, .. }) => {
                    let old = (now.len() as u64).saturating_sub(offset);
                    (limit.saturating_sub(world.used()) + old).min(bytes.len() as u64) as usize
                }
                _ => bytes.len(),
            };
            // As much as there is room for is there, even when it fails.
            world.write(node, Write::Bytes(offset, bytes[..room].to_vec()));
            begun?;
            if room < bytes.len() { Err(errno(libc_codes::ENOSPC)) } else { Ok(()) }
        })
    }

    fn size(&self) -> io::Result<u64> {
        self.change(|world, node| {
            world.begin()?;
            let Node::File { now, .. } = &world.nodes[node] else { return Ok(0) };
            Ok(now.len() as u64)
        })
    }

    /// All of it has been written since the test began.
    fn modified(&self) -> io::Result<SystemTime> {
        Ok(SystemTime::now())
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.change(|world, node| {
            world.begin()?;
            world.write(node, Write::Size(size));
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.change(|world, node| {
            let begun = world.begin();
            let World { nodes, random, .. } = world;
            if let Node::File { synced, writes, .. } = &mut nodes[node] {
                for write in writes.drain(..) {
                    // A failed sync forgets some of what it was to write, and the next one knows nothing of it.
                    if begun.is_ok() || next(random).is_multiple_of(2) {
                        write.apply(synced);
                    }
                }
            }
            begun
        })
    }
}
