//! A cluster that is there already: a context of the user's kubeconfig. Nothing of it is ever ended here.

use std::process::Command;

use anyhow::{Result, bail};

use super::{Access, Cluster, kind};
use crate::command;
use crate::image::Image;

/// A cluster of somebody else.
pub struct Existing {
    access: Access,
    context: String,
}

impl Existing {
    /// Fails if the context doesn't answer.
    pub fn open(context: &str) -> Result<Self> {
        let Some(kubectl) = command::find("kubectl") else {
            bail!("`kubectl` isn't on the PATH")
        };
        let access = Access {
            kubeconfig: None,
            context: Some(context.to_owned()),
            kubectl,
        };
        access.ask(&["get", "--raw", "/readyz"])?;
        Ok(Self {
            access,
            context: context.to_owned(),
        })
    }
}

impl Cluster for Existing {
    fn access(&self) -> &Access {
        &self.access
    }

    /// Only kind and minikube take an image from this machine.
    fn load_image(&self, image: &Image) -> Result<()> {
        if let Some(name) = self.context.strip_prefix("kind-") {
            return kind::load(name, image);
        }
        if self.context == "minikube" {
            return command::run(Command::new("minikube").args(["image", "load"]).arg(&image.archive));
        }
        bail!(
            "images can't be loaded into context `{}`: push `{}` to a registry that the cluster reads, and name it with `--image REPOSITORY:TAG`",
            self.context,
            image.archive.display()
        )
    }

    fn down(&self) -> Result<()> {
        Ok(())
    }
}
