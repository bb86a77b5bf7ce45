//! The one layer of an image: folders and files, written as a tar that is the same bytes for the same content.
//!
//! Entries are sorted, owned by root and dated to the epoch; the folders above a file come by themselves.

use std::collections::BTreeMap;
use std::io::{self, Write};

use tar::{Builder, EntryType, Header};

/// The content of an image's file system.
#[derive(Debug, Default)]
pub struct Layer {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    mode: u32,
    /// `None` is a folder.
    content: Option<Vec<u8>>,
}

impl Layer {
    /// Adds a file at an absolute path; one that is there already is replaced.
    pub fn file(&mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) {
        self.insert(path, mode, Some(content.into()));
    }

    /// Adds a folder at an absolute path.
    pub fn folder(&mut self, path: &str, mode: u32) {
        self.insert(path, mode, None);
    }

    fn insert(&mut self, path: &str, mode: u32, content: Option<Vec<u8>>) {
        let path = path.trim_matches('/');
        for (end, _) in path.match_indices('/') {
            self.entries.entry(path[..end].to_owned()).or_insert(Entry {
                mode: 0o755,
                content: None,
            });
        }
        self.entries.insert(path.to_owned(), Entry { mode, content });
    }

    /// The layer as an uncompressed tar. A folder sorts before what is in it.
    pub fn to_tar(&self) -> io::Result<Vec<u8>> {
        let mut tar = Builder::new(Vec::new());
        for (path, entry) in &self.entries {
            let content = entry.content.as_deref().unwrap_or_default();
            let kind = if entry.content.is_some() {
                EntryType::Regular
            } else {
                EntryType::Directory
            };
            append(&mut tar, path, entry.mode, kind, content)?;
        }
        tar.into_inner()
    }
}

/// Appends one entry without any trace of when and by whom it was made.
pub(super) fn append(
    tar: &mut Builder<impl Write>,
    path: &str,
    mode: u32,
    kind: EntryType,
    content: &[u8],
) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, path, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(tar: &[u8]) -> Vec<(String, EntryType, u32)> {
        let mut archive = tar::Archive::new(tar);
        let entries = archive.entries().unwrap();
        entries
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                (
                    entry.path().unwrap().display().to_string(),
                    header.entry_type(),
                    header.mode().unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn a_file_brings_the_folders_above_it() {
        let mut layer = Layer::default();
        layer.file("/usr/bin/program", 0o755, "x");
        layer.folder("/tmp", 0o1777);
        let (file, folder) = (EntryType::Regular, EntryType::Directory);
        let expected = [
            ("tmp", folder, 0o1777),
            ("usr", folder, 0o755),
            ("usr/bin", folder, 0o755),
            ("usr/bin/program", file, 0o755),
        ];
        assert_eq!(
            paths(&layer.to_tar().unwrap()),
            expected.map(|(path, kind, mode)| (path.to_owned(), kind, mode))
        );
    }

    #[test]
    fn the_order_of_adding_leaves_no_trace() {
        let (mut one, mut other) = (Layer::default(), Layer::default());
        one.file("/a", 0o644, "1");
        one.file("/b/c", 0o644, "2");
        other.file("/b/c", 0o644, "2");
        other.file("/a", 0o644, "1");
        assert_eq!(one.to_tar().unwrap(), other.to_tar().unwrap());
    }
}
