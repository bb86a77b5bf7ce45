//! What the image of our programs holds: the three programs, the shared objects that they need, CA certificates, and a
//! user who is nobody.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::layer::Layer;

/// The programs of the image, in `/usr/local/bin`.
pub const PROGRAMS: &[&str] = &["fhir-operator", "fhir-server", "iot-connector"];

/// Where Debian and its kin keep the certificates of public authorities.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// uid and gid 65532 are what the pods of this project run as.
const PASSWD: &str = "root:x:0:0:root:/:/nonexistent\nnonroot:x:65532:65532:nonroot:/:/nonexistent\n";
const GROUP: &str = "root:x:0:\nnonroot:x:65532:\n";

/// The file system of an image with the programs that were built into `folder`.
pub fn layer(folder: &Path) -> Result<Layer> {
    let mut layer = Layer::default();
    let mut needed = BTreeSet::new();
    for name in PROGRAMS {
        let program = folder.join(name);
        needed.extend(shared_objects(&program)?);
        layer.file(&format!("/usr/local/bin/{name}"), 0o755, read(&program)?);
    }
    for path in needed {
        layer.file(&path, 0o755, read(Path::new(&path))?);
    }
    layer.file("/etc/passwd", 0o644, PASSWD);
    layer.file("/etc/group", 0o644, GROUP);
    // name resolution asks /etc/hosts first, as every pod expects
    layer.file("/etc/nsswitch.conf", 0o644, "hosts: files dns\n");
    let certificates = read(Path::new(CERTIFICATES)).context("install the package `ca-certificates`")?;
    layer.file(CERTIFICATES, 0o644, certificates);
    layer.folder("/tmp", 0o1777);
    Ok(layer)
}

/// Paths of the loader and the libraries that a program is linked to; none if it is static.
fn shared_objects(program: &Path) -> Result<BTreeSet<String>> {
    let output = Command::new("ldd").arg(program).output().context("can't run `ldd`")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let said = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
        // ldd calls this an error
        if said.contains("not a dynamic executable") {
            return Ok(BTreeSet::new());
        }
        bail!("`ldd {}`: {}", program.display(), said.trim());
    }
    parse(&text).with_context(|| format!("`{}` can't run on this machine", program.display()))
}

/// Reads the lines of `ldd`: `name => /path (address)`, `/path (address)`, `name (address)`.
fn parse(text: &str) -> Result<BTreeSet<String>> {
    let mut paths = BTreeSet::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_suffix(" => not found") {
            bail!("the shared object `{name}` isn't installed");
        }
        let path = line
            .split(" => ")
            .last()
            .and_then(|rest| rest.split(' ').next())
            .unwrap_or_default();
        // what has no path is made by the kernel (linux-vdso)
        if path.starts_with('/') {
            paths.insert(path.to_owned());
        }
    }
    Ok(paths)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("can't read `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_taken_and_the_kernels_object_is_not() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let paths: Vec<_> = parse(text).unwrap().into_iter().collect();
        assert_eq!(
            paths,
            ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]
        );
    }

    #[test]
    fn a_missing_library_is_named() {
        let error = parse("\tlibssl.so.3 => not found\n").unwrap_err();
        assert!(error.to_string().contains("`libssl.so.3`"));
    }

    #[test]
    fn the_objects_of_a_program_of_this_machine_exist() {
        for path in shared_objects(Path::new("/bin/sh")).unwrap() {
            assert!(Path::new(&path).exists(), "{path}");
        }
    }
}
