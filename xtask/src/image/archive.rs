//! One image in one file that containerd, kind and Docker load: an OCI image layout, and beside its index the
//! `manifest.json` of `docker save`, both naming the same blobs.
//!
//! Source: OCI image specification 1.1, "Image Layout Specification".

use std::fmt::Write as _;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType};

use super::layer::{self, Layer};

/// How an image is started when nobody says otherwise.
#[derive(Debug, Default)]
pub struct Start<'a> {
    /// The program with its arguments.
    pub entrypoint: &'a [&'a str],
    /// `NAME=value`.
    pub environment: &'a [&'a str],
    /// `uid:gid`; empty is root.
    pub user: &'a str,
}

/// Writes the image `reference` (`name:tag`) to `file`; gives the digest of its manifest.
pub fn write(file: &Path, reference: &str, layer: &Layer, start: &Start) -> Result<String> {
    let layer = Blob::new(layer.to_tar()?);
    // the layer isn't compressed, so its digest is its diff id too
    let config = Blob::new(config(&layer, start).to_string().into_bytes());
    let manifest = Blob::new(manifest(&config, &layer).to_string().into_bytes());

    let out = File::create(file).with_context(|| format!("can't write `{}`", file.display()))?;
    let mut tar = Builder::new(BufWriter::new(out));
    let mut put = |path: &str, content: &[u8]| layer::append(&mut tar, path, 0o644, EntryType::Regular, content);
    for blob in [&config, &layer, &manifest] {
        put(&blob.path(), &blob.content)?;
    }
    put("index.json", index(reference, &manifest).to_string().as_bytes())?;
    put(
        "manifest.json",
        docker_manifest(reference, &config, &layer).to_string().as_bytes(),
    )?;
    put("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    tar.into_inner()?.into_inner()?.sync_all()?;
    Ok(manifest.digest())
}

/// Bytes in lower-case hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // writing to a String can't fail
        let _ = write!(text, "{byte:02x}");
        text
    })
}

struct Blob {
    content: Vec<u8>,
    sha256: String,
}

impl Blob {
    fn new(content: Vec<u8>) -> Self {
        let sha256 = hexadecimal(&Sha256::digest(&content));
        Self { content, sha256 }
    }

    fn digest(&self) -> String {
        format!("sha256:{}", self.sha256)
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.sha256)
    }

    fn descriptor(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": self.digest(), "size": self.content.len()})
    }
}

fn config(layer: &Blob, start: &Start) -> Value {
    json!({
        "architecture": architecture(),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {"Entrypoint": start.entrypoint, "Env": start.environment, "User": start.user, "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [layer.digest()]},
    })
}

fn manifest(config: &Blob, layer: &Blob) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.descriptor("application/vnd.oci.image.config.v1+json"),
        "layers": [layer.descriptor("application/vnd.oci.image.layer.v1.tar")],
    })
}

fn index(reference: &str, manifest: &Blob) -> Value {
    let mut descriptor = manifest.descriptor("application/vnd.oci.image.manifest.v1+json");
    // containerd names the image by the first, other readers by the second
    descriptor["annotations"] = json!({
        "io.containerd.image.name": reference,
        "org.opencontainers.image.ref.name": reference.rsplit(':').next(),
    });
    json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [descriptor]})
}

fn docker_manifest(reference: &str, config: &Blob, layer: &Blob) -> Value {
    json!([{"Config": config.path(), "RepoTags": [reference], "Layers": [layer.path()]}])
}

/// The name that images give to the architecture of this machine, which is the one that the programs were built for.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::*;

    fn written(folder: &Path, name: &str) -> (String, BTreeMap<String, Vec<u8>>) {
        let mut layer = Layer::default();
        layer.file("/program", 0o755, "content");
        let file = folder.join(name);
        let start = Start {
            entrypoint: &["/program"],
            environment: &[],
            user: "65532:65532",
        };
        let digest = write(&file, "example.dev/program:1.2.3", &layer, &start).unwrap();
        let mut archive = tar::Archive::new(File::open(file).unwrap());
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.path().unwrap().display().to_string(), content)
        });
        (digest, entries.collect())
    }

    #[test]
    fn every_descriptor_leads_to_a_blob_of_its_digest_and_size() {
        let folder = tempfile::tempdir().unwrap();
        let (digest, files) = written(folder.path(), "image.tar");
        let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
        assert_eq!(index["manifests"][0]["digest"], digest);
        assert_eq!(
            index["manifests"][0]["annotations"]["io.containerd.image.name"],
            "example.dev/program:1.2.3"
        );
        let blob = |descriptor: &Value| {
            let sha256 = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
            let blob = Blob::new(files[&format!("blobs/sha256/{sha256}")].clone());
            assert_eq!(blob.sha256, sha256);
            assert_eq!(descriptor["size"], json!(blob.content.len()));
            blob.content
        };
        let manifest: Value = serde_json::from_slice(&blob(&index["manifests"][0])).unwrap();
        let config: Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
        blob(&manifest["layers"][0]);
        assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
        assert_eq!(config["config"]["User"], "65532:65532");
    }

    #[test]
    fn the_same_content_is_the_same_archive() {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path(), "one.tar");
        written(folder.path(), "other.tar");
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        assert_eq!(read("one.tar"), read("other.tar"));
    }
}
