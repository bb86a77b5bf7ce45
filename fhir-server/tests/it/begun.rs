//! A request that the server has begun with and waits for the rest of.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Begun(TcpStream);

impl Begun {
    /// Sends the head of a PUT; the server has taken it in when this returns.
    pub async fn put(address: &str, path: &str, length: usize) -> Self {
        let mut begun = Self(TcpStream::connect(address).await.expect("a connection"));
        let head = format!(
            "PUT /{path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/fhir+json\r\n\
             content-length: {length}\r\nexpect: 100-continue\r\n\r\n"
        );
        begun.0.write_all(head.as_bytes()).await.expect("sent");
        // it has begun when it asks for the body
        let asked = begun.next().await;
        assert!(asked.starts_with("HTTP/1.1 100"), "{asked}");
        begun
    }

    /// Sends the body, and gives the beginning of the answer.
    pub async fn end(&mut self, body: &str) -> String {
        self.0.write_all(body.as_bytes()).await.expect("sent");
        self.next().await
    }

    /// What comes next, at least a line of it.
    pub async fn next(&mut self) -> String {
        let mut text = Vec::new();
        while !text.contains(&b'\n') {
            assert!(self.0.read_buf(&mut text).await.expect("an answer") > 0, "closed");
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}
