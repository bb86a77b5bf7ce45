//! A cheap HTTP/1.1 client, so that the load takes little of the machine, and a closed loop over several connections.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One kept-alive connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    body: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(1 << 16),
            body: Vec::new(),
        })
    }

    /// Sends a whole request and reads the whole answer; gives its status.
    pub async fn send(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let end = loop {
            self.more().await?;
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_lowercase();
        let status = head.split_whitespace().nth(1).context("no status line")?.parse()?;
        self.body.clear();
        if head.contains("transfer-encoding: chunked") {
            self.chunks(end).await?;
            return Ok(status);
        }
        let length = match head.split("content-length:").nth(1) {
            Some(rest) => rest.split_whitespace().next().unwrap_or("0").parse()?,
            None => 0,
        };
        self.upto(end + length).await?;
        self.body.extend_from_slice(&self.buffer[end..end + length]);
        Ok(status)
    }

    async fn chunks(&mut self, mut at: usize) -> Result<()> {
        loop {
            let line = loop {
                if let Some(end) = self.buffer[at..].windows(2).position(|w| w == b"\r\n") {
                    break at + end;
                }
                self.more().await?;
            };
            let size = String::from_utf8_lossy(&self.buffer[at..line]).into_owned();
            let size = usize::from_str_radix(size.split(';').next().unwrap_or("").trim(), 16)?;
            let begin = line + 2;
            self.upto(begin + size + 2).await?;
            if size == 0 {
                return Ok(());
            }
            self.body.extend_from_slice(&self.buffer[begin..begin + size]);
            at = begin + size + 2;
        }
    }

    async fn upto(&mut self, length: usize) -> Result<()> {
        while self.buffer.len() < length {
            self.more().await?;
        }
        Ok(())
    }

    async fn more(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }

    /// The last answer's body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// Where requests go: address of the server and what precedes each path.
#[derive(Debug, Clone)]
pub struct Place {
    /// `host:port`
    pub address: String,
    /// Empty, or `/fhir`
    pub prefix: String,
}

impl Place {
    /// The root of `host:port`.
    pub fn of(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            prefix: String::new(),
        }
    }

    /// A GET request.
    pub fn get(&self, path: &str) -> Vec<u8> {
        let Self { address, prefix } = self;
        format!("GET {prefix}/{path} HTTP/1.1\r\nhost: {address}\r\naccept: application/fhir+json\r\n\r\n").into_bytes()
    }

    /// A request with a FHIR body, and maybe a condition.
    pub fn with_body(&self, method: &str, path: &str, body: &str, if_none_exist: Option<&str>) -> Vec<u8> {
        let Self { address, prefix } = self;
        let length = body.len();
        let condition = if_none_exist.map_or_else(String::new, |criteria| format!("if-none-exist: {criteria}\r\n"));
        format!(
            "{method} {prefix}/{path} HTTP/1.1\r\nhost: {address}\r\naccept: application/fhir+json\r\n\
             content-type: application/fhir+json\r\n{condition}content-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

/// How long answers took.
#[derive(Debug, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// The time within which so many of a hundred answers came.
    pub fn percentile(&self, percent: usize) -> Duration {
        let index = (self.0.len() * percent / 100).min(self.0.len().saturating_sub(1));
        self.0.get(index).copied().unwrap_or_default()
    }
}

/// Sends one request; its answer must have one of these statuses, if any are named.
pub async fn once(place: &Place, request: Vec<u8>, statuses: &'static [u16]) -> Result<()> {
    closed_loop(&place.address, 1, 0..1, statuses, move |_| request.clone(), |_, _| {}).await?;
    Ok(())
}

/// Sends these requests over `connections` connections at a time; every answer must have one of these statuses, if any
/// are named, and `answered` sees each body.
pub async fn closed_loop<F, A>(
    address: &str,
    connections: usize,
    requests: Range<usize>,
    statuses: &'static [u16],
    request: F,
    answered: A,
) -> Result<Latencies>
where
    F: Fn(usize) -> Vec<u8> + Send + Sync + 'static,
    A: Fn(usize, &[u8]) + Send + Sync + 'static,
{
    let (next, end) = (Arc::new(AtomicUsize::new(requests.start)), requests.end);
    let (request, answered) = (Arc::new(request), Arc::new(answered));
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let (next, address) = (Arc::clone(&next), address.to_owned());
        let (request, answered) = (Arc::clone(&request), Arc::clone(&answered));
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(&address).await?;
            let mut took = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return anyhow::Ok(took);
                }
                let request = request(number);
                let begun = Instant::now();
                let got = connection.send(&request).await?;
                took.push(begun.elapsed());
                if !statuses.is_empty() && !statuses.contains(&got) {
                    let sent = String::from_utf8_lossy(&request).chars().take(300).collect::<String>();
                    let body = String::from_utf8_lossy(connection.body())
                        .chars()
                        .take(600)
                        .collect::<String>();
                    bail!("status {got}, wanted {statuses:?}: {body}\n{sent}");
                }
                answered(number, connection.body());
            }
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await??);
    }
    all.sort_unstable();
    Ok(Latencies(all))
}
