//! The first process of a node, in its own pid, mount, net, uts and ipc namespaces: sets the node up, keeps its programs
//! running and collects what they leave behind. When it ends, the kernel ends every process and mount of the node.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, WaitOptions, getpid, wait};

use super::plan::{Plan, Program};
use crate::command;

/// How long a program that ended waits to be started again.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a node that isn't complete yet looks what it can start.
const TICK: Duration = Duration::from_millis(50);

/// Runs the node until it is killed.
pub fn run(plan: &Path) -> Result<()> {
    if !getpid().is_init() {
        bail!("this is the first process of a node; `cargo xtask up --cluster local` starts it");
    }
    let text = fs::read_to_string(plan).with_context(|| format!("can't read `{}`", plan.display()))?;
    let plan: Plan = serde_json::from_str(&text)?;
    fs::write("/proc/sys/kernel/hostname", &plan.name)?;
    mounts(&plan)?;
    network(&plan)?;
    supervise(&plan)
}

fn mounts(plan: &Plan) -> Result<()> {
    // volumes that the kubelet mounts must show up in containers
    mount(&["--make-rshared", "/"])?;
    mount(&["-t", "tmpfs", "tmpfs", "/run"])?;
    fs::create_dir_all("/run/containerd")?;
    for (inside, outside) in &plan.folders {
        fs::create_dir_all(inside)?;
        fs::create_dir_all(outside)?;
        mount(&["--bind", &outside.to_string_lossy(), &inside.to_string_lossy()])?;
    }
    let resolver = Path::new("/etc/resolv.conf");
    // a link leads into /run, which is empty now
    if resolver.is_symlink() && !resolver.exists() {
        let target = resolver
            .parent()
            .unwrap_or(Path::new("/"))
            .join(fs::read_link(resolver)?);
        fs::create_dir_all(target.parent().unwrap_or(Path::new("/")))?;
        symlink(&plan.resolver, target)?;
        return Ok(());
    }
    mount(&["--bind", &plan.resolver.to_string_lossy(), "/etc/resolv.conf"])
}

fn mount(arguments: &[&str]) -> Result<()> {
    command::run(Command::new("mount").args(arguments))
}

fn network(plan: &Plan) -> Result<()> {
    // `/sys` was mounted outside: it still shows the machine's own interfaces
    while command::output(Command::new("ip").args(["link", "show", "eth0"])).is_err() {
        sleep(TICK);
    }
    for words in &plan.network {
        let Some((program, arguments)) = words.split_first() else {
            continue;
        };
        command::run(Command::new(program).args(arguments))?;
    }
    Ok(fs::write("/proc/sys/net/ipv4/ip_forward", "1")?)
}

/// A program, and its process if it runs.
struct Supervised<'a> {
    program: &'a Program,
    pid: Option<Pid>,
    not_before: Instant,
}

fn supervise(plan: &Plan) -> Result<()> {
    fs::create_dir_all(&plan.logs)?;
    let now = Instant::now();
    let mut all: Vec<_> = plan
        .programs
        .iter()
        .map(|program| Supervised {
            program,
            pid: None,
            not_before: now,
        })
        .collect();
    let mut api_answers = false;
    loop {
        api_answers = api_answers || plan.gate.exists();
        for supervised in &mut all {
            let may_start = api_answers || !supervised.program.needs_api;
            if supervised.pid.is_none() && may_start && supervised.not_before <= Instant::now() {
                supervised.pid = start(supervised.program, &plan.logs);
                supervised.not_before = Instant::now() + PAUSE;
            }
        }
        let complete = all.iter().all(|supervised| supervised.pid.is_some());
        let ended = wait(if complete {
            WaitOptions::empty()
        } else {
            WaitOptions::NOHANG
        });
        match ended {
            // most are not ours, but what our programs left behind
            Ok(Some((pid, status))) => {
                if let Some(supervised) = all.iter_mut().find(|supervised| supervised.pid == Some(pid)) {
                    println!("{} ended: {status:?}", supervised.program.name);
                    supervised.pid = None;
                    supervised.not_before = Instant::now() + PAUSE;
                }
            }
            Ok(None) | Err(_) => sleep(TICK),
        }
    }
}

/// Starts a program with its output in its log; one that can't be started is tried again.
fn start(program: &Program, logs: &Path) -> Option<Pid> {
    let (name, arguments) = program.command.split_first()?;
    let started = log(&logs.join(format!("{}.log", program.name))).and_then(|(out, err)| {
        Command::new(name)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
    });
    match started {
        // waiting is done for all processes at once, by `supervise`
        Ok(child) => Some(Pid::from_child(&child)),
        Err(error) => {
            println!("{} can't be started: {error}", program.name);
            None
        }
    }
}

fn log(path: &Path) -> std::io::Result<(File, File)> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    Ok((file.try_clone()?, file))
}
