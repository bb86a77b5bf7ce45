//! `cargo xtask up`: the main job, from nothing to Observations read back from a FHIR API that `kubectl apply` made; and
//! `cargo xtask down`, which removes what it made and nothing else.

mod devices;
mod examples;
mod forward;
mod http;
mod installation;

use std::path::{Path, PathBuf};

use anyhow::Result;

use self::examples::NAMESPACE;
use crate::cluster::{self, Access, Backend, Instance};
use crate::image::{self, Image};
use crate::progress::Progress;
use crate::{command, packages};

pub use installation::install;

/// Where to bring it up.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// A cluster that is there, by its name in the kubeconfig
    #[arg(long)]
    pub context: Option<String>,
    /// A new cluster; absent: kind where Docker answers, else local
    #[arg(long, conflicts_with = "context")]
    pub cluster: Option<Backend>,
    /// An image that the cluster can pull (`REPOSITORY:TAG`), instead of building and loading one
    #[arg(long)]
    pub image: Option<String>,
    /// Build profile of the programs
    #[arg(long, default_value = "quick")]
    pub profile: String,
}

/// What to end.
#[derive(Debug, Clone, clap::Args)]
pub struct DownOptions {
    /// Remove the installation from this context instead of ending the cluster that `up` started
    #[arg(long)]
    pub context: Option<String>,
}

/// Does the main job.
pub fn up(root: &Path, options: &Options) -> Result<()> {
    let mut progress = Progress::start();
    packages::ensure(packages::For::Build)?;
    let image = match &options.image {
        Some(reference) => Image {
            reference: reference.clone(),
            archive: PathBuf::new(),
            digest: String::new(),
        },
        None => build(root, &options.profile, &mut progress)?,
    };
    let cluster = match &options.context {
        Some(context) => progress.step(&format!("context `{context}` answers"), || cluster::existing(context))?,
        None => cluster::up(
            root,
            Instance::Main,
            options.cluster.unwrap_or_else(Backend::of_this_machine),
            &mut progress,
        )?,
    };
    if options.image.is_none() {
        progress.step("image loaded", || cluster.load_image(&image))?;
    }
    let access = cluster.access();
    let helm = progress.step("helm", || helm(root))?;
    progress.step("charts installed, operator ready", || {
        install(root, access, &helm, &image)
    })?;
    progress.step("examples applied", || examples::apply(root, access))?;
    let note = Progress::start();
    progress.step("services and connector Ready", || examples::await_ready(access, &note))?;
    let sent = progress.step("device messages acknowledged", || devices::send(root, access, &note))?;
    progress.step("Observations read from the FHIR API", || {
        devices::read(access, &note, sent)
    })?;
    println!("\n{}\n\n{}", progress.table(), next(access));
    Ok(())
}

/// Builds the programs and writes their image.
pub fn build(root: &Path, profile: &str, progress: &mut Progress) -> Result<Image> {
    let folder = crate::target_folder(root)?.join("images");
    progress.step("programs and image built", || image::programs(root, profile, &folder))
}

/// The `helm` of this machine, else the one that is built here.
pub fn helm(root: &Path) -> Result<PathBuf> {
    match command::find("helm") {
        Some(helm) => Ok(helm),
        None => cluster::helm(root),
    }
}

/// Removes what `up` made.
pub fn down(root: &Path, options: &DownOptions) -> Result<()> {
    let mut progress = Progress::start();
    match &options.context {
        Some(context) => {
            let cluster = cluster::existing(context)?;
            let helm = helm(root)?;
            progress.step("examples deleted", || examples::delete(root, cluster.access()))?;
            progress.step("charts removed", || installation::remove(cluster.access(), &helm))
        }
        None => {
            let found = progress.step("cluster ended", || cluster::down(Instance::Main))?;
            if !found {
                println!("there was none");
            }
            Ok(())
        }
    }
}

/// What a person would try now.
fn next(access: &Access) -> String {
    let mut lines = Vec::new();
    if let Some(file) = &access.kubeconfig {
        lines.push(format!("export KUBECONFIG={}", file.display()));
        if let Some(folder) = access.kubectl.parent() {
            lines.push(format!("export PATH={}:$PATH", folder.display()));
        }
    }
    lines.extend([
        "kubectl get fhir,iot,ten -A".to_owned(),
        format!("kubectl -n {NAMESPACE} port-forward service/clinic 8080:80 &"),
        format!("TOKEN=$(kubectl -n {NAMESPACE} create token clinician --audience={NAMESPACE}/clinic)"),
        "curl -H \"Authorization: Bearer $TOKEN\" 'http://127.0.0.1:8080/Observation?code=8867-4'".to_owned(),
        "curl -H \"Authorization: Bearer $TOKEN\" 'http://127.0.0.1:8080/Patient'".to_owned(),
        "cargo xtask down".to_owned(),
    ]);
    format!("Next:\n  {}", lines.join("\n  "))
}
