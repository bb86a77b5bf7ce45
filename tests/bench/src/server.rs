//! A program under measurement, started on a free port.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A running program; ended when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    talk: Option<(ChildStdin, BufReader<ChildStdout>)>,
    /// `127.0.0.1:PORT`.
    pub address: String,
    /// From start to the first answer.
    pub start_up: Duration,
}

impl Server {
    /// Starts `program` with its arguments and `--listen`, and waits until `/health/ready` answers 200.
    pub async fn start(program: &Path, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        Self::begin(command).await
    }

    /// Starts a program that answers on standard output what it is asked on standard input.
    pub async fn start_talking(program: &Path, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        Self::begin(command).await
    }

    async fn begin(mut command: Command) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let program = command.get_program().to_string_lossy().into_owned();
        let begun = Instant::now();
        let mut child = command
            .args(["--listen", &address])
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting `{program}`"))?;
        let talk = child.stdin.take().zip(child.stdout.take());
        let mut server = Self {
            child,
            talk: talk.map(|(input, output)| (input, BufReader::new(output))),
            address,
            start_up: Duration::ZERO,
        };
        while !server.ready().await {
            if let Some(status) = server.child.try_wait()? {
                bail!("`{program}` ended at once: {status}");
            }
            if begun.elapsed() > Duration::from_secs(20) {
                bail!("`{program}` never became ready");
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

    /// Asks a program that answers: a line for a line.
    pub fn ask(&mut self) -> Result<String> {
        let (input, output) = self.talk.as_mut().context("the program isn't one that answers")?;
        writeln!(input)?;
        let mut line = String::new();
        output.read_line(&mut line)?;
        Ok(line)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

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
