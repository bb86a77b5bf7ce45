//! Request lines without a path. Some clients (Python's `http.client`, given a base URL without a path) send
//! `GET ?name=value HTTP/1.1`, where RFC 9112 (section 3.2.1) asks for `GET /?name=value`. The missing slash is put in
//! before the line is parsed, so that these clients are served and not refused.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest method that is looked for.
const LONGEST_METHOD: usize = 8;

/// A connection whose request lines have a path.
pub struct RequestLines<S> {
    stream: S,
    /// The last byte of a read that the slash left no room for.
    held: Option<u8>,
}

impl<S> RequestLines<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, held: None }
    }
}

/// Where `bytes` lack a slash: only if they begin with a whole HTTP/1 request line, which no JSON body can hold, since
/// its strings have no line ends.
fn missing_slash(bytes: &[u8]) -> Option<usize> {
    let method = bytes.iter().take(LONGEST_METHOD + 1).position(|byte| *byte == b' ')?;
    let is_method = method > 0 && bytes[..method].iter().all(u8::is_ascii_uppercase);
    if !is_method || bytes.get(method + 1) != Some(&b'?') {
        return None;
    }
    let line = bytes.split(|byte| *byte == b'\r').next()?;
    let is_request_line = line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0");
    (is_request_line && bytes.get(line.len() + 1) == Some(&b'\n')).then_some(method + 1)
}

impl<S: AsyncRead + Unpin> AsyncRead for RequestLines<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() > 0
            && let Some(byte) = self.held.take()
        {
            buffer.put_slice(&[byte]);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Some(at) = missing_slash(&buffer.filled()[before..]) {
            let mut bytes = buffer.filled()[before..].to_vec();
            bytes.insert(at, b'/');
            if buffer.remaining() == 0 {
                self.held = bytes.pop();
            }
            buffer.set_filled(before);
            buffer.put_slice(&bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for RequestLines<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_path_is_put_in_where_it_lacks() {
        for (sent, read) in [
            (
                "GET ?a=b HTTP/1.1\r\nHost: h\r\n\r\n",
                "GET /?a=b HTTP/1.1\r\nHost: h\r\n\r\n",
            ),
            ("GET /?a HTTP/1.1\r\n\r\n", "GET /?a HTTP/1.1\r\n\r\n"),
            ("GET ?a", "GET ?a"),
            ("GET ?a HTTP/1.1\n", "GET ?a HTTP/1.1\n"),
            ("{\"a\": \"GET ?b\"}", "{\"a\": \"GET ?b\"}"),
            ("", ""),
        ] {
            let mut lines = RequestLines::new(sent.as_bytes());
            let mut text = String::new();
            lines.read_to_string(&mut text).await.expect("read");
            assert_eq!(text, read);
        }
    }

    #[tokio::test]
    async fn nothing_is_lost_in_a_full_buffer() {
        let sent = "GET ?a HTTP/1.1\r\n";
        let mut lines = RequestLines::new(sent.as_bytes());
        let mut first = vec![0; sent.len()];
        lines.read_exact(&mut first).await.expect("read");
        let mut rest = String::new();
        lines.read_to_string(&mut rest).await.expect("read");
        assert_eq!(String::from_utf8_lossy(&first) + &*rest, "GET /?a HTTP/1.1\r\n");
    }
}
