//! `cargo xtask image`: the image of our programs, and the small ones of the local node, as archives written here.
//!
//! No image builder and no base image: an image is one layer with a program, what it is linked to, and nothing else.

mod archive;
mod layer;
mod programs;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use archive::Start;
pub use archive::hexadecimal;
use layer::Layer;

use crate::command;

/// An image in a file.
#[derive(Debug, Clone)]
pub struct Image {
    /// `name:tag`, as pods name it.
    pub reference: String,
    /// The archive.
    pub archive: PathBuf,
    /// Digest of the manifest: what was loaded under the reference is this image if the digests are equal.
    pub digest: String,
}

/// What to write.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Build profile of the programs: `release` for images that ship, `quick` while developing
    #[arg(long, default_value = "release")]
    pub profile: String,
    /// Folder for the archive; absent: `images` in cargo's target folder
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// Builds the programs and writes their image.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let folder = match &options.out {
        Some(folder) => folder.clone(),
        None => crate::target_folder(root)?.join("images"),
    };
    let image = programs(root, &options.profile, &folder)?;
    println!("{} {}\n{}", image.reference, image.digest, image.archive.display());
    Ok(())
}

/// Builds the programs with `profile` and writes their image into `folder`. One image holds all three, so that a
/// release has one digest and a node fetches the libraries once.
pub fn programs(root: &Path, profile: &str, folder: &Path) -> Result<Image> {
    // the whole workspace, as ever: a narrower build has other features and starts from nothing
    let arguments = ["build", "--workspace", "--bins", "--profile", profile];
    command::run(&mut command::cargo(root, &arguments))?;
    let built = match profile {
        "dev" => "debug",
        named => named,
    };
    let layer = programs::layer(&crate::target_folder(root)?.join(built))?;
    let start = Start {
        entrypoint: &[],
        environment: &[
            "PATH=/usr/local/bin",
            "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
        ],
        user: "65532:65532",
    };
    write(
        folder,
        concat!("fhir-operator.dev/fhir-operator:", env!("CARGO_PKG_VERSION")),
        &layer,
        &start,
    )
}

/// Writes an image that holds one static program, started with `arguments` as `user`.
pub fn of_static_program(
    folder: &Path,
    reference: &str,
    program: &Path,
    arguments: &[&str],
    user: &str,
) -> Result<Image> {
    let name = program
        .file_name()
        .and_then(|name| name.to_str())
        .context("a program has a name")?;
    let path = format!("/{name}");
    let mut layer = Layer::default();
    let content = fs::read(program).with_context(|| format!("can't read `{}`", program.display()))?;
    layer.file(&path, 0o755, content);
    let entrypoint: Vec<&str> = std::iter::once(path.as_str())
        .chain(arguments.iter().copied())
        .collect();
    write(
        folder,
        reference,
        &layer,
        &Start {
            entrypoint: &entrypoint,
            environment: &[],
            user,
        },
    )
}

fn write(folder: &Path, reference: &str, layer: &Layer, start: &Start) -> Result<Image> {
    fs::create_dir_all(folder).with_context(|| format!("can't make `{}`", folder.display()))?;
    let name = reference.rsplit('/').next().unwrap_or(reference).replace(':', "_");
    let archive = folder.join(format!("{name}.tar"));
    let digest = archive::write(&archive, reference, layer, start)?;
    Ok(Image {
        reference: reference.to_owned(),
        archive,
        digest,
    })
}
