//! Files that other processes replace while we run: certificates, keys, mappings, tokens.
//!
//! Kubernetes swaps a symbolic link when a mounted `ConfigMap`, Secret or projected token changes, so a file is compared
//! by what its path leads to now. Looking costs one `stat`; the content is read only when that differs.

use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// How often a watched file is looked at. The kubelet itself needs up to a minute to refresh a mount.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// One file and what was last seen of it.
#[derive(Debug)]
pub struct WatchedFile {
    path: PathBuf,
    seen: Option<Identity>,
    content: Option<Vec<u8>>,
}

/// What a look at a file found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Nothing differs from the last look.
    Same,
    /// The content is new.
    Changed(Vec<u8>),
    /// The file was there (or was never looked for) and isn't any more.
    Missing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl WatchedFile {
    /// Watches `path`; the first [`look`](Self::look) reports its content or its absence.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            seen: None,
            content: None,
        }
    }

    /// The path as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Compares the file with the last look. An error other than absence leaves what was seen untouched.
    pub fn look(&mut self) -> io::Result<Look> {
        let identity = match std::fs::metadata(&self.path) {
            Ok(metadata) => Identity {
                device: metadata.dev(),
                inode: metadata.ino(),
                size: metadata.size(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.seen = None;
                self.content = None;
                return Ok(Look::Missing);
            }
            Err(error) => return Err(error),
        };
        if self.seen == Some(identity) {
            return Ok(Look::Same);
        }
        let content = std::fs::read(&self.path)?;
        self.seen = Some(identity);
        if self.content.as_ref() == Some(&content) {
            return Ok(Look::Same);
        }
        self.content = Some(content.clone());
        Ok(Look::Changed(content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_is_seen_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let mut watched = WatchedFile::new(&path);
        assert_eq!(watched.look().unwrap(), Look::Missing);
        std::fs::write(&path, "one").unwrap();
        assert_eq!(watched.look().unwrap(), Look::Changed(b"one".to_vec()));
        assert_eq!(watched.look().unwrap(), Look::Same);
        let next = folder.path().join("next");
        std::fs::write(&next, "two").unwrap();
        std::fs::rename(&next, &path).unwrap();
        assert_eq!(watched.look().unwrap(), Look::Changed(b"two".to_vec()));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(watched.look().unwrap(), Look::Missing);
    }

    #[test]
    fn a_mount_that_swaps_its_link_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [("a", "1"), ("b", "2")] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("key"), content).unwrap();
        }
        let data = folder.path().join("data");
        std::os::unix::fs::symlink(folder.path().join("a"), &data).unwrap();
        let mut watched = WatchedFile::new(data.join("key"));
        assert_eq!(watched.look().unwrap(), Look::Changed(b"1".to_vec()));
        let swap = folder.path().join("swap");
        std::os::unix::fs::symlink(folder.path().join("b"), &swap).unwrap();
        std::fs::rename(&swap, &data).unwrap();
        assert_eq!(watched.look().unwrap(), Look::Changed(b"2".to_vec()));
    }
}
