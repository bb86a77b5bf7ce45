//! A program under measurement: started on a free port, its CPU time and memory read from /proc.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// What the kernel counts CPU time in, for /proc (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// A running program; ended when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub address: String,
    /// From start to the first answer.
    pub start_up: Duration,
}

impl Server {
    /// Starts `program` with its arguments and `--listen`, and waits until `/health/ready` answers 200.
    pub async fn start(program: &Path, arguments: &[&str]) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let begun = Instant::now();
        let child = Command::new(program)
            .args(arguments)
            .args(["--listen", &address])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting `{}`", program.display()))?;
        let mut server = Self {
            child,
            address,
            start_up: Duration::ZERO,
        };
        while !server.ready().await {
            if let Some(status) = server.child.try_wait()? {
                bail!("`{}` ended at once: {status}", program.display());
            }
            if begun.elapsed() > Duration::from_secs(20) {
                bail!("`{}` never became ready", program.display());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.start_up = begun.elapsed();
        Ok(server)
    }

    async fn ready(&self) -> bool {
        let Ok(mut connection) = crate::load::Connection::open(&self.address).await else {
            return false;
        };
        connection
            .send(b"GET /health/ready HTTP/1.1\r\nhost: bench\r\n\r\n")
            .await
            .is_ok_and(|status| status == 200)
    }

    /// CPU seconds of user and system that the process has used.
    pub fn cpu(&self) -> Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // the name may hold spaces: fields are counted from the closing parenthesis
        let fields: Vec<_> = text.rsplit_once(')').context("no name")?.1.split_whitespace().collect();
        let ticks = |index: usize| {
            fields
                .get(index)
                .and_then(|n| n.parse::<f64>().ok())
                .context("too few fields")
        };
        Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
    }

    /// Resident memory in MiB.
    pub fn rss(&self) -> Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    }
}

impl Server {
    /// Ends it as Kubernetes does, and waits until it has put everything in order.
    pub async fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("no process")?, Signal::TERM)?;
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begun.elapsed() > Duration::from_mins(1) {
                bail!("the server doesn't stop");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
