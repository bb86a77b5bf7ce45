//! What this machine must have: programs that aren't built here. Debian's packages are installed when we are root.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::command;

/// What is about to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// Building and testing without a cluster.
    Build,
    /// Running the local node, too.
    Cluster,
}

/// A program or file, and the Debian package that brings it.
struct Needed {
    proof: &'static str,
    package: &'static str,
}

const BUILD: &[Needed] = &[
    Needed {
        proof: "cc",
        package: "gcc",
    },
    Needed {
        proof: "make",
        package: "make",
    },
    Needed {
        proof: "/etc/ssl/certs/ca-certificates.crt",
        package: "ca-certificates",
    },
    Needed {
        proof: "/usr/lib/postgresql",
        package: "postgresql",
    },
    Needed {
        proof: "/usr/sbin/mosquitto",
        package: "mosquitto",
    },
    Needed {
        proof: "/usr/bin/chromium",
        package: "chromium",
    },
    Needed {
        proof: "mvn",
        package: "maven",
    },
    Needed {
        proof: "java",
        package: "default-jre-headless",
    },
];

const CLUSTER: &[Needed] = &[
    Needed {
        proof: "containerd",
        package: "containerd",
    },
    Needed {
        proof: "runc",
        package: "runc",
    },
    Needed {
        proof: "/usr/lib/cni/ptp",
        package: "containernetworking-plugins",
    },
    Needed {
        proof: "nft",
        package: "nftables",
    },
    Needed {
        proof: "iptables",
        package: "iptables",
    },
    Needed {
        proof: "ip",
        package: "iproute2",
    },
    Needed {
        proof: "mount",
        package: "mount",
    },
    Needed {
        proof: "unshare",
        package: "util-linux",
    },
];

/// Makes sure that everything is there: installs it as root on Debian, otherwise says what is missing.
pub fn ensure(purpose: For) -> Result<()> {
    let wanted: Vec<&Needed> = match purpose {
        For::Build => BUILD.iter().collect(),
        For::Cluster => BUILD.iter().chain(CLUSTER).collect(),
    };
    let packages = missing(&wanted);
    if !packages.is_empty() {
        install(&packages)?;
        let still = missing(&wanted);
        if !still.is_empty() {
            bail!("installed, but still not usable: {}", still.join(", "));
        }
    }
    if purpose == For::Cluster && command::find("go").is_none() {
        bail!(
            "`go` isn't on the PATH: the programs of the local node are built with Go 1.26 or newer (https://go.dev/dl)"
        );
    }
    Ok(())
}

fn missing(wanted: &[&Needed]) -> Vec<&'static str> {
    wanted
        .iter()
        .filter(|needed| !is_there(needed.proof))
        .map(|needed| needed.package)
        .collect()
}

fn is_there(proof: &str) -> bool {
    if proof.starts_with('/') {
        Path::new(proof).exists()
    } else {
        command::find(proof).is_some()
    }
}

fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if command::find("apt-get").is_none() || !is_root() {
        bail!("this machine lacks {list}; on Debian: `sudo apt-get install --no-install-recommends {list}`");
    }
    println!("installing {list}");
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        command::output(apt.env("DEBIAN_FRONTEND", "noninteractive").args(arguments))
    };
    let wanted = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    // a fresh machine has no package lists, an old one has stale ones
    if apt(&wanted).is_err() {
        apt(&["update"])?;
        apt(&wanted)?;
    }
    Ok(())
}

/// Whether we may install packages, make namespaces and mount.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
