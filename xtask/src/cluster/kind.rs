//! The backend for machines with Docker: kind.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Access, Cluster, Instance};
use crate::command;
use crate::image::Image;
use crate::progress::Progress;

/// A cluster in Docker.
pub struct Kind {
    instance: Instance,
    access: Access,
}

/// Whether a Docker engine can be used from here.
pub fn docker_answers() -> bool {
    command::output(Command::new("docker").args(["version", "--format", "{{.Server.Version}}"])).is_ok()
}

/// Makes the cluster, or goes on with the one of this name.
pub fn up(instance: Instance, progress: &mut Progress) -> Result<Kind> {
    let kubectl = command::find("kubectl").context("`kubectl` isn't on the PATH")?;
    command::find("kind")
        .context("`kind` isn't on the PATH (https://kind.sigs.k8s.io); `--cluster local` does without")?;
    let folder = std::env::temp_dir().join(instance.name());
    std::fs::create_dir_all(&folder)?;
    let kubeconfig = folder.join("kubeconfig");
    let name = instance.name();
    progress.step("kind cluster", || {
        if exists(instance)? {
            command::run(
                kind(&["export", "kubeconfig", "--name", name])
                    .arg("--kubeconfig")
                    .arg(&kubeconfig),
            )
        } else {
            command::run(
                kind(&["create", "cluster", "--name", name, "--wait", "120s"])
                    .arg("--kubeconfig")
                    .arg(&kubeconfig),
            )
        }
    })?;
    let access = Access {
        kubeconfig: Some(kubeconfig),
        context: None,
        kubectl,
    };
    Ok(Kind { instance, access })
}

/// Puts an image onto the nodes of the cluster `name`.
pub fn load(name: &str, image: &Image) -> Result<()> {
    command::run(kind(&["load", "image-archive", "--name", name]).arg(&image.archive))
}

/// Deletes the cluster of this name; false if there is none.
pub fn down(instance: Instance) -> Result<bool> {
    if command::find("kind").is_none() || !exists(instance)? {
        return Ok(false);
    }
    command::run(&mut kind(&["delete", "cluster", "--name", instance.name()]))?;
    Ok(true)
}

impl Cluster for Kind {
    fn access(&self) -> &Access {
        &self.access
    }

    fn load_image(&self, image: &Image) -> Result<()> {
        load(self.instance.name(), image)
    }

    fn down(&self) -> Result<()> {
        down(self.instance).map(|_| ())
    }
}

fn exists(instance: Instance) -> Result<bool> {
    Ok(command::output(&mut kind(&["get", "clusters"]))?
        .lines()
        .any(|name| name == instance.name()))
}

fn kind(arguments: &[&str]) -> Command {
    let mut kind = Command::new("kind");
    kind.args(arguments);
    kind
}
