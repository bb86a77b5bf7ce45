//! What a process and its children have used, read from /proc.

use anyhow::{Context, Result};

/// What the kernel counts CPU time in, for /proc (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds of a process and of its children, those that have ended too.
pub fn cpu_of_family(pid: u32) -> Result<f64> {
    let own = ticks(pid, &[11, 12, 13, 14])?;
    // whoever ended meanwhile is counted by its parent
    let children = children(pid)?.into_iter();
    let all: f64 = children
        .map(|child| ticks(child, &[11, 12, 13, 14]).unwrap_or_default())
        .sum();
    Ok((own + all) / TICKS_PER_SECOND)
}

fn children(pid: u32) -> Result<Vec<u32>> {
    let all = std::fs::read_dir("/proc")?.flatten();
    let all = all.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()));
    let is_child = |child: &u32| ticks(*child, &[1]).is_ok_and(|parent| (parent - f64::from(pid)).abs() < 0.5);
    Ok(all.filter(is_child).collect())
}

/// The sum of some fields of `stat`, counted from behind the name.
fn ticks(pid: u32, fields: &[usize]) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // the name may hold spaces: fields are counted from the closing parenthesis
    let all: Vec<_> = text.rsplit_once(')').context("no name")?.1.split_whitespace().collect();
    let value = |index: &usize| {
        all.get(*index)
            .and_then(|n| n.parse::<f64>().ok())
            .context("too few fields")
    };
    fields.iter().map(value).sum()
}

/// Bytes that a process has read from files and written to files, whether they came from the disk or from memory.
/// Sockets are asked for otherwise and aren't in it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bytes {
    /// Read.
    pub read: u64,
    /// Written.
    pub written: u64,
}

/// Bytes of a process and its children.
pub fn bytes_of_family(pid: u32) -> Result<Bytes> {
    let mut sum = bytes(pid)?;
    for child in children(pid)? {
        let Bytes { read, written } = bytes(child).unwrap_or_default();
        sum.read += read;
        sum.written += written;
    }
    Ok(sum)
}

fn bytes(pid: u32) -> Result<Bytes> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io"))?;
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim().parse().ok()).context("no such line")
    };
    Ok(Bytes {
        read: of("rchar:")?,
        written: of("wchar:")?,
    })
}

/// Resident memory in MiB.
pub fn rss(pid: u32) -> Result<f64> {
    memory(pid, "VmRSS:")
}

/// The most resident memory that a process had so far, in MiB.
pub fn highest_rss(pid: u32) -> Result<f64> {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, name: &str) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .context("no such line")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
