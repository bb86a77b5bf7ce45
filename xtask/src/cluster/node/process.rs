//! The node's first process, seen from outside. Its file says which process it is by number and start time, so that
//! another process that got the same number later is never taken for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::command;
use crate::progress::await_some;

/// A process that was there when we looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number outside of the node.
    pub pid: i32,
    /// When it started, in clock ticks since the machine did.
    started: u64,
}

impl Process {
    /// The process of this number, if there is one.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let started = start_time(&stat)?;
        Some(Self { pid, started })
    }

    /// The process that a file names, if it still runs.
    pub fn recorded(file: &Path) -> Option<Self> {
        let text = fs::read_to_string(file).ok()?;
        let (pid, started) = text.trim().split_once(' ')?;
        let recorded = Self {
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
        };
        recorded.runs().then_some(recorded)
    }

    /// Names the process in a file.
    pub fn record(self, file: &Path) -> Result<()> {
        Ok(fs::write(file, format!("{} {}\n", self.pid, self.started))?)
    }

    /// Whether it is still there.
    pub fn runs(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Ends it at once, and waits until it is gone with all that ran in its namespaces.
    pub fn kill(self) -> Result<()> {
        if let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.runs()) {
            // an error means that it is gone
            let _ = kill_process(pid, Signal::KILL);
        }
        let gone = || Ok((!self.runs()).then_some(()));
        await_some("the node's processes end", Duration::from_secs(30), gone)
    }

    /// A command that runs in all of the node's namespaces.
    pub fn inside(self, program: &str) -> Command {
        let mut nsenter = Command::new(command::find("nsenter").unwrap_or_else(|| PathBuf::from("nsenter")));
        nsenter
            .arg("--target")
            .arg(self.pid.to_string())
            .args(["--mount", "--net", "--uts", "--ipc", "--pid", "--", program]);
        nsenter
    }
}

/// Field 22 of `/proc/PID/stat`; a zombie counts as gone. The second field, a name in parentheses, may hold anything.
fn start_time(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ');
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Waits for the process that `unshare` starts in the new namespaces; `log` is where both say what went wrong.
pub fn first_in_namespaces(unshare: &mut Child, log: &Path) -> Result<Process> {
    let parent = unshare.id();
    let children = format!("/proc/{parent}/task/{parent}/children");
    await_some("`unshare` starts the node", Duration::from_secs(10), || {
        if let Some(status) = unshare.try_wait()? {
            let said = fs::read_to_string(log).unwrap_or_default();
            bail!("the node ended with {status}; `{}` says:\n{said}", log.display());
        }
        let text = fs::read_to_string(&children).with_context(|| format!("can't read `{children}`"))?;
        Ok(text
            .split_whitespace()
            .next()
            .and_then(|pid| pid.parse().ok())
            .and_then(Process::of))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_is_no_obstacle() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194304 100 0 0 0 1 2 3 4 20 0 1 0 987654 10000 200";
        assert_eq!(start_time(stat), Some(987_654));
    }

    #[test]
    fn a_zombie_is_gone() {
        assert_eq!(
            start_time("42 (x) Z 1 42 42 0 -1 4194304 100 0 0 0 1 2 3 4 20 0 1 0 987654 0 0"),
            None
        );
    }

    #[test]
    fn a_file_names_this_process_and_no_other_of_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let own = Process::of(std::process::id().try_into().unwrap()).unwrap();
        own.record(&file).unwrap();
        assert_eq!(Process::recorded(&file), Some(own));
        Process {
            started: own.started + 1,
            ..own
        }
        .record(&file)
        .unwrap();
        assert_eq!(Process::recorded(&file), None);
    }
}
