//! What a process and its children have used, read from /proc.

use anyhow::{Context, Result};

/// What the kernel counts CPU time in, for /proc (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds of a process and of its children, those that have ended too.
pub fn cpu_of_family(pid: u32) -> Result<f64> {
    let mut all = ticks(pid, &[11, 12, 13, 14])?;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let child = entry.file_name().to_str().and_then(|name| name.parse().ok());
        // whoever ended meanwhile is counted by its parent
        if let Some(child) = child
            && ticks(child, &[1]).is_ok_and(|parent| (parent - f64::from(pid)).abs() < 0.5)
        {
            all += ticks(child, &[11, 12, 13, 14]).unwrap_or_default();
        }
    }
    Ok(all / TICKS_PER_SECOND)
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

/// Resident memory in MiB.
pub fn rss(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
