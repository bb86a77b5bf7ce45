//! Where audit lines go: standard output or a file, by a thread that owns it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use fhir_server_settings::AuditSink;
use prometheus_client::metrics::counter::Counter;
use thiserror::Error;
use tokio::sync::mpsc;

/// Lines that wait at most: about 8 MiB.
const WAITING: usize = 16_384;
/// Lines that are written at a time.
const AT_A_TIME: usize = 1_024;
/// How long an answer waits for a place.
const PATIENCE: Duration = Duration::from_secs(1);

/// The file can't be opened.
#[derive(Debug, Error)]
#[error("audit file `{path}` can't be opened")]
pub struct AuditError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// The audit log.
pub struct Audit {
    lines: Mutex<Option<mpsc::Sender<Vec<u8>>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    lost: Counter,
}

impl Audit {
    /// Opens the place that lines go to.
    pub fn open(sink: &AuditSink, lost: Counter) -> Result<Option<Self>, AuditError> {
        let place: Box<dyn Write + Send> = match sink {
            AuditSink::None => return Ok(None),
            AuditSink::Stdout => Box::new(io::stdout()),
            AuditSink::File(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path);
                Box::new(file.map_err(|source| AuditError {
                    path: path.clone(),
                    source,
                })?)
            }
        };
        let (lines, waiting) = mpsc::channel(WAITING);
        let counted = lost.clone();
        let writer = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || write(place, waiting, &counted));
        let writer = writer.map_err(|source| AuditError {
            path: PathBuf::from("thread"),
            source,
        })?;
        Ok(Some(Self {
            lines: Mutex::new(Some(lines)),
            writer: Mutex::new(Some(writer)),
            lost,
        }))
    }

    /// Hands a line over.
    pub async fn write(&self, line: Vec<u8>) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sent = match lines {
            Some(lines) => lines.send_timeout(line, PATIENCE).await.is_ok(),
            None => false,
        };
        if !sent {
            lose(&self.lost, 1, "nobody takes them");
        }
    }

    /// Writes what waits, and ends. Blocks.
    pub fn close(&self) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).take();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the audit thread panicked");
        }
    }
}

fn lose(lost: &Counter, count: u64, why: &str) {
    lost.inc_by(count);
    tracing::error!(count, why, "audit lines are lost");
}

fn write(mut place: Box<dyn Write + Send>, mut waiting: mpsc::Receiver<Vec<u8>>, lost: &Counter) {
    let mut lines = Vec::with_capacity(AT_A_TIME);
    loop {
        let count = waiting.blocking_recv_many(&mut lines, AT_A_TIME);
        if count == 0 {
            return;
        }
        let text = lines.concat();
        lines.clear();
        if let Err(error) = place.write_all(&text).and_then(|()| place.flush()) {
            lose(lost, count as u64, &error.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_line_is_written_by_the_end() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("audit.log");
        let lost = Counter::default();
        let audit = Audit::open(&AuditSink::File(path.clone()), lost.clone()).expect("opened");
        let audit = audit.expect("a file");
        for n in 0..5_000 {
            audit.write(format!("{n}\n").into_bytes()).await;
        }
        audit.close();
        audit.write(b"too late\n".to_vec()).await;
        let text = std::fs::read_to_string(&path).expect("the file");
        assert_eq!(text.lines().count(), 5_000);
        assert_eq!((text.lines().last(), lost.get()), (Some("4999"), 1));
    }
}
