//! As much of HTTP as it takes to talk to a forwarded port: one request, one connection, HTTP/1.0.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, if it is JSON.
    pub body: Value,
}

/// Sends one request to a port of this machine and reads the answer.
pub fn send(port: u16, method: &str, path: &str, token: &str, body: Option<&Value>) -> Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).context("the forwarded port doesn't answer")?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let body = body.map(ToString::to_string).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut received = Vec::new();
    stream.read_to_end(&mut received)?;
    parse(&String::from_utf8_lossy(&received))
}

fn parse(text: &str) -> Result<Answer> {
    let (head, body) = text.split_once("\r\n\r\n").context("the answer isn't HTTP")?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .context("the answer has no status")?;
    Ok(Answer {
        status,
        body: serde_json::from_str(body).unwrap_or(Value::Null),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_and_its_body() {
        let answer = parse("HTTP/1.0 201 Created\r\nContent-Length: 2\r\n\r\n{\"a\":1}").unwrap();
        assert_eq!((answer.status, &answer.body["a"]), (201, &Value::from(1)));
    }

    #[test]
    fn an_empty_body_is_null() {
        assert_eq!(parse("HTTP/1.0 202 Accepted\r\n\r\n").unwrap().body, Value::Null);
    }
}
