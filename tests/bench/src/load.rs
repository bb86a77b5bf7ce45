//! A cheap HTTP/1.1 client, so that the load takes little of the machine, and a closed loop over several connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One kept-alive connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    body: std::ops::Range<usize>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(1 << 16),
            body: 0..0,
        })
    }

    /// Sends a whole request and reads the whole answer; gives its status.
    pub async fn send(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection");
            }
            let Some(head) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") else {
                continue;
            };
            let text = String::from_utf8_lossy(&self.buffer[..head]).to_lowercase();
            let status = text.split_whitespace().nth(1).context("no status line")?.parse()?;
            let length: usize = match text.split("content-length:").nth(1) {
                Some(rest) => rest.split_whitespace().next().unwrap_or("0").parse()?,
                None => 0,
            };
            self.body = head + 4..head + 4 + length;
            while self.buffer.len() < self.body.end {
                if self.stream.read_buf(&mut self.buffer).await? == 0 {
                    bail!("the server closed the connection within an answer");
                }
            }
            return Ok(status);
        }
    }

    /// The last answer's body.
    pub fn body(&self) -> &[u8] {
        &self.buffer[self.body.clone()]
    }
}

/// A GET request.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET /{path} HTTP/1.1\r\nhost: bench\r\naccept: application/fhir+json\r\n\r\n").into_bytes()
}

/// A request with a FHIR body.
pub fn with_body(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{method} /{path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/fhir+json\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

/// Sends requests 0..count over `connections` connections at a time; every answer must have this status.
pub async fn closed_loop<F>(address: &str, connections: usize, count: usize, status: u16, request: F) -> Result<()>
where
    F: Fn(usize) -> Vec<u8> + Send + Sync + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let request = Arc::new(request);
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let (next, request, address) = (Arc::clone(&next), Arc::clone(&request), address.to_owned());
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(&address).await?;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return anyhow::Ok(());
                }
                let got = connection.send(&request(number)).await?;
                if got != status {
                    bail!(
                        "status {got}, wanted {status}: {}",
                        String::from_utf8_lossy(connection.body())
                    );
                }
            }
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}
