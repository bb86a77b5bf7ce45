//! The backend for machines without Docker: a real single-node Kubernetes in namespaces of its own.
//!
//! etcd, apiserver, controller-manager, scheduler, kubelet and kube-proxy are the published ones, containerd and runc are
//! Debian's. Nothing in the node reaches beyond this machine. Its state is one folder; a node that was killed goes on
//! from it.

mod addresses;
mod certificates;
mod configuration;
mod host;
mod init;
mod plan;
mod process;

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use self::addresses::{NODE, STATE};
use self::plan::Plan;
use self::process::Process;
use super::programs::{self, Programs};
use super::{Access, Cluster, Instance};
use crate::command;
use crate::image::{self, Image};
use crate::progress::{Progress, await_some};

/// StorageClass and DNS; names in capitals are replaced.
const MANIFEST: &str = include_str!("manifest.yaml");
const SANDBOX_IMAGE: &str = "fhir-operator.dev/pause:1";
const DNS_IMAGE: &str = "fhir-operator.dev/coredns:1";
const TOOL_IMAGE: &str = "fhir-operator.dev/tool:1";
/// uid and gid of processes that own nothing.
const NOBODY: &str = "65534:65534";

/// How long a part of the node may take to come up on a slow machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// A node that runs.
pub struct Node {
    instance: Instance,
    access: Access,
    process: Process,
}

/// Runs as the first process of a node.
pub fn init(plan: &Path) -> Result<()> {
    init::run(plan)
}

/// Brings the node up, or goes on with the one that runs.
pub fn up(root: &Path, instance: Instance, progress: &mut Progress) -> Result<Node> {
    let programs = progress.step("programs of the node", || programs::programs(root))?;
    let state = instance.state();
    fs::create_dir_all(&state).with_context(|| format!("can't make `{}`", state.display()))?;
    let images = images(&state, &programs)?;
    let certificates = certificates::certificates(instance)?;
    let access = Access {
        kubeconfig: Some(certificates.kubeconfig("admin")),
        context: None,
        kubectl: link(&state, "kubectl", &programs.node)?,
    };

    let node = progress.step("node starts", || {
        let configuration = configuration::write(instance, &certificates, SANDBOX_IMAGE)?;
        let process = match Process::recorded(&pid_file(instance)) {
            Some(running) => running,
            None => start(instance, &Plan::new(instance, &programs, &certificates, &configuration))?,
        };
        Ok(Node {
            instance,
            access,
            process,
        })
    })?;
    // small images first: containerd's writes of a large one hold up every start of a container
    progress.step("images of the node", || {
        node.await_containerd()?;
        images.iter().try_for_each(|image| node.load_image(image))
    })?;
    progress.step("API answers", || node.await_api())?;
    progress.step("node is Ready", || node.await_ready())?;
    progress.step("Services and DNS answer", || node.await_network())?;
    Ok(node)
}

/// Ends a node with everything that it left; false if there was none.
pub fn down(instance: Instance) -> Result<bool> {
    let state = instance.state();
    if !state.exists() {
        return Ok(false);
    }
    kill_node(instance)?;
    fs::remove_dir_all(&state).with_context(|| format!("can't remove `{}`", state.display()))?;
    // the folder above goes with the last cluster
    let _ = fs::remove_dir(STATE);
    Ok(true)
}

/// Ends a node's processes at once, as a loss of power would, and keeps its state: `up` goes on from there.
pub fn kill_node(instance: Instance) -> Result<()> {
    let file = pid_file(instance);
    if let Some(process) = Process::recorded(&file) {
        process.kill()?;
    }
    if file.exists() {
        fs::remove_file(file)?;
    }
    let gate = instance.state().join("api-answers");
    if gate.exists() {
        fs::remove_file(gate)?;
    }
    host::remove_bridge(instance)?;
    host::remove_control_group(instance)?;
    let others = [Instance::Main, Instance::Test]
        .into_iter()
        .filter(|other| *other != instance);
    if others.map(pid_file).all(|file| Process::recorded(&file).is_none()) {
        host::restore_kernel_settings()?;
    }
    Ok(())
}

impl Cluster for Node {
    fn access(&self) -> &Access {
        &self.access
    }

    fn load_image(&self, image: &Image) -> Result<()> {
        let listed = command::output(self.ctr().args(["images", "list"]))?;
        let is_this = |line: &str| {
            let mut fields = line.split_whitespace();
            fields.next() == Some(&image.reference) && fields.nth(1) == Some(&image.digest)
        };
        if listed.lines().any(is_this) {
            return Ok(());
        }
        command::output(self.ctr().args(["images", "import"]).arg(&image.archive)).map(|_| ())
    }

    fn host_address(&self) -> Option<String> {
        Some(self.instance.host_address())
    }

    fn down(&self) -> Result<()> {
        down(self.instance).map(|_| ())
    }
}

impl Node {
    fn ctr(&self) -> Command {
        let mut ctr = self.process.inside("ctr");
        ctr.args(["--namespace", "k8s.io"]);
        ctr
    }

    fn await_containerd(&self) -> Result<()> {
        self.await_success("containerd answers", || command::output(self.ctr().arg("version")))
    }

    fn await_api(&self) -> Result<()> {
        self.await_success("the API server answers", || {
            self.access.ask(&["get", "--raw", "/readyz"])
        })?;
        // the node's first process waits for this before it starts what needs the API
        Ok(fs::write(self.instance.state().join("api-answers"), "")?)
    }

    fn await_ready(&self) -> Result<()> {
        let node = format!("node/{NODE}");
        self.await_success("the node is Ready", || {
            self.access
                .ask(&["wait", "--for=condition=Ready", &node, "--timeout=60s"])
        })
    }

    fn await_network(&self) -> Result<()> {
        // a pod that starts before the rules of Services are there waits for the retry of its first connection
        let service = format!("{} ", self.instance.api_service());
        await_some("kube-proxy has written its rules", PATIENCE, || {
            let map =
                command::output(
                    self.process
                        .inside("nft")
                        .args(["list", "map", "ip", "kube-proxy", "service-ips"]),
                )?;
            Ok(map.contains(&service).then_some(()))
        })?;
        let file = self.instance.state().join("configuration/manifest.yaml");
        let manifest = MANIFEST
            .replace("DNS_ADDRESS", &self.instance.dns_service())
            .replace("DNS_IMAGE", DNS_IMAGE);
        fs::write(&file, manifest)?;
        let file = file.to_string_lossy();
        self.await_success("the cluster's manifest is taken", || {
            self.access
                .ask(&["apply", "--server-side", "--force-conflicts", "-f", &file])
        })?;
        self.access
            .ask(&[
                "-n",
                "kube-system",
                "rollout",
                "status",
                "deployment/coredns",
                "--timeout=120s",
            ])
            .map(|_| ())
    }

    fn await_success(&self, what: &str, attempt: impl Fn() -> Result<String>) -> Result<()> {
        await_some(what, PATIENCE, || {
            if !self.process.runs() {
                bail!(
                    "the node ended: see `{}`",
                    self.instance.state().join("logs/init.log").display()
                );
            }
            attempt().map(|_| Some(()))
        })
    }
}

fn images(state: &Path, programs: &Programs) -> Result<Vec<Image>> {
    let folder = state.join("images");
    Ok(vec![
        image::of_static_program(&folder, SANDBOX_IMAGE, &programs.tool, &[], NOBODY)?,
        image::of_static_program(&folder, DNS_IMAGE, &programs.coredns, &[], "")?,
        image::of_static_program(&folder, TOOL_IMAGE, &programs.tool, &[], NOBODY)?,
    ])
}

/// Starts the node's first process, which outlives us.
fn start(instance: Instance, plan: &Plan) -> Result<Process> {
    host::save_kernel_settings()?;
    host::bridge(instance)?;
    host::control_group(instance)?;
    let state = instance.state();
    fs::create_dir_all(&plan.logs)?;
    let file = state.join("plan.json");
    fs::write(&file, serde_json::to_string_pretty(plan)?)?;
    let said = plan.logs.join("init.log");
    let log = OpenOptions::new().create(true).append(true).open(&said)?;
    let mut unshare = Command::new("setsid")
        .args([
            "unshare",
            "--fork",
            "--kill-child",
            "--pid",
            "--mount",
            "--mount-proc",
            "--net",
            "--uts",
            "--ipc",
            "--",
        ])
        .arg(program(&state)?)
        .arg("node-init")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("can't start `unshare`")?;
    let process = process::first_in_namespaces(&mut unshare, &said)?;
    process.record(&pid_file(instance))?;
    host::connect(instance, process)?;
    Ok(process)
}

/// A copy of this program: the next build would take the one that runs away from under the node.
fn program(state: &Path) -> Result<PathBuf> {
    let copy = state.join("xtask");
    // by this link, not by its name: the build of the programs may have replaced it
    let own = Path::new("/proc/self/exe");
    // one that is being run can be replaced, not written to
    let fresh = state.join("xtask.fresh");
    fs::copy(own, &fresh)?;
    fs::rename(&fresh, &copy)?;
    Ok(copy)
}

/// The node's program under the name of one of its parts.
fn link(state: &Path, name: &str, program: &Path) -> Result<PathBuf> {
    let folder = state.join("bin");
    fs::create_dir_all(&folder)?;
    let link = folder.join(name);
    if link.is_symlink() {
        fs::remove_file(&link)?;
    }
    std::os::unix::fs::symlink(program, &link)?;
    Ok(link)
}

fn pid_file(instance: Instance) -> PathBuf {
    instance.state().join("pid")
}
