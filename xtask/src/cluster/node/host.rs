//! What a node needs of the machine outside of its namespaces, and the end of it: a bridge with routes, a control group,
//! and the kernel settings that a kubelet changes for everybody.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::addresses::STATE;
use super::process::Process;
use crate::cluster::Instance;
use crate::command;
use crate::progress::await_some;

/// What a kubelet sets, machine-wide.
const KERNEL_SETTINGS: &[&str] = &[
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
];

const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// Makes the bridge, with the routes from this machine to the cluster's Services.
pub fn bridge(instance: Instance) -> Result<()> {
    let bridge = instance.bridge();
    if !Path::new("/sys/class/net").join(&bridge).exists() {
        ip(&["link", "add", &bridge, "type", "bridge"])?;
    }
    ip(&[
        "addr",
        "replace",
        &format!("{}/24", instance.host_address()),
        "dev",
        &bridge,
    ])?;
    ip(&["link", "set", &bridge, "up"])?;
    route(instance, &instance.services())
}

/// Hangs the node on the bridge: its end of the pair is `eth0`.
pub fn connect(instance: Instance, node: Process) -> Result<()> {
    let (interface, pid) = (instance.interface(), node.pid.to_string());
    ip(&[
        "link", "add", &interface, "type", "veth", "peer", "name", "eth0", "netns", &pid,
    ])?;
    ip(&["link", "set", &interface, "master", &instance.bridge(), "up"])?;
    route(instance, &instance.pods())
}

fn route(instance: Instance, addresses: &str) -> Result<()> {
    ip(&[
        "route",
        "replace",
        addresses,
        "via",
        &instance.node_address(),
        "dev",
        &instance.bridge(),
    ])
}

/// Removes bridge and routes.
pub fn remove_bridge(instance: Instance) -> Result<()> {
    for interface in [instance.interface(), instance.bridge()] {
        if Path::new("/sys/class/net").join(&interface).exists() {
            // the end of the node may be taking it away at this moment
            let gone = || {
                let failed = ip(&["link", "del", &interface]);
                if Path::new("/sys/class/net").join(&interface).exists() {
                    failed.map(|()| None)
                } else {
                    Ok(Some(()))
                }
            };
            await_some(
                &format!("interface `{interface}` goes away"),
                Duration::from_secs(5),
                gone,
            )?;
        }
    }
    Ok(())
}

fn ip(arguments: &[&str]) -> Result<()> {
    command::output(Command::new("ip").args(arguments)).map(|_| ())
}

/// Makes the group above all pods: one in every hierarchy (version 1), or the one (version 2).
pub fn control_group(instance: Instance) -> Result<()> {
    for hierarchy in hierarchies()? {
        let group = hierarchy.join(instance.cgroup());
        fs::create_dir_all(&group).with_context(|| format!("can't make `{}`", group.display()))?;
        // version 1: a group without processors and memory nodes takes no process, and doesn't inherit them
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let above = hierarchy.join(file);
            if hierarchy != Path::new(CONTROL_GROUPS) && above.exists() {
                fs::write(group.join(file), fs::read(above)?)?;
            }
        }
    }
    Ok(())
}

/// Removes the group and those of the pods, once the kernel has seen their last process end.
pub fn remove_control_group(instance: Instance) -> Result<()> {
    for hierarchy in hierarchies()? {
        let group = hierarchy.join(instance.cgroup());
        await_some(
            &format!("control group `{}` empties", group.display()),
            Duration::from_secs(10),
            || {
                remove_empty(&group)?;
                Ok((!group.exists()).then_some(()))
            },
        )?;
    }
    Ok(())
}

/// Removes a group from the innermost outwards; their files go with them.
fn remove_empty(group: &Path) -> Result<()> {
    if !group.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_empty(&entry.path())?;
        }
    }
    Ok(fs::remove_dir(group)?)
}

fn hierarchies() -> Result<Vec<PathBuf>> {
    let root = PathBuf::from(CONTROL_GROUPS);
    if root.join("cgroup.controllers").exists() {
        return Ok(vec![root]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(&root).context("control groups aren't mounted")? {
        let path = entry?.path();
        // links such as `cpu,cpuacct` name one hierarchy twice; `unified` is the empty version 2 beside version 1
        if path.is_dir() && !path.is_symlink() && path.join("cgroup.procs").exists() && !path.ends_with("unified") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Remembers the kernel's settings, unless another cluster has done so already.
pub fn save_kernel_settings() -> Result<()> {
    let file = saved_settings();
    if file.exists() {
        return Ok(());
    }
    let read = |name: &&str| {
        fs::read_to_string(setting(name))
            .ok()
            .map(|value| ((*name).to_owned(), value))
    };
    let settings: BTreeMap<String, String> = KERNEL_SETTINGS.iter().filter_map(read).collect();
    Ok(fs::write(file, serde_json::to_string(&settings)?)?)
}

/// Puts the kernel's settings back.
pub fn restore_kernel_settings() -> Result<()> {
    let file = saved_settings();
    let Ok(text) = fs::read_to_string(&file) else {
        return Ok(());
    };
    let settings: BTreeMap<String, String> = serde_json::from_str(&text)?;
    for (name, value) in settings {
        fs::write(setting(&name), value.trim()).with_context(|| format!("can't restore kernel setting `{name}`"))?;
    }
    Ok(fs::remove_file(file)?)
}

fn setting(name: &str) -> PathBuf {
    Path::new("/proc/sys").join(name)
}

fn saved_settings() -> PathBuf {
    Path::new(STATE).join("kernel-settings.json")
}
