//! A TCP port that serves an axum router: HTTP/1.1 with keep-alive, HTTP/2 (by ALPN, or with prior knowledge when there
//! is no TLS), bounded connections, and a drain at the end.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
};
use rustls::ServerConfig;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;
use tower::Service;
use tracing::{debug, warn};

use crate::Shutdown;
use crate::request_line::RequestLines;

/// How many connections one listener holds at a time unless told otherwise.
pub const MAX_CONNECTIONS: usize = 10_000;

/// How long a client may take for a TLS handshake or the head of a request.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who sent a request; in every request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// A port could not be opened.
#[derive(Debug, Error)]
#[error("can't listen on `{address}`")]
pub struct ListenerError {
    /// As asked for.
    pub address: String,
    /// Why.
    pub source: io::Error,
}

/// An open port that isn't served yet.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    connections: usize,
}

impl Listener {
    /// Opens `address` (`host:port`, port 0 for any).
    pub async fn bind(address: &str) -> Result<Self, ListenerError> {
        let failed = |source| ListenerError {
            address: address.to_owned(),
            source,
        };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self {
            socket,
            address,
            tls: None,
            connections: MAX_CONNECTIONS,
        })
    }

    /// Speaks TLS with this configuration.
    #[must_use]
    pub fn with_tls(mut self, config: ServerConfig) -> Self {
        self.tls = Some(TlsAcceptor::from(Arc::new(config)));
        self
    }

    /// Holds at most this many connections; more wait in the kernel's queue.
    #[must_use]
    pub fn with_max_connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// The address that is really open.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the shutdown is requested, then closes the port and gives connections `drain` to finish.
    pub async fn serve(self, router: Router, shutdown: &Shutdown, drain: Duration) {
        let builder = connection_builder();
        let graceful = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(self.connections));
        loop {
            let place = tokio::select! {
                biased;
                () = shutdown.requested() => break,
                place = places.clone().acquire_owned() => place,
            };
            // The semaphore is never closed, so a place is always given.
            let Ok(place) = place else { break };
            let (stream, peer) = tokio::select! {
                biased;
                () = shutdown.requested() => break,
                accepted = self.socket.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        warn!(%error, "a connection can't be accepted");
                        // Out of file descriptors, most likely: spinning would make it worse.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
            };
            let connection = Connection {
                builder: builder.clone(),
                router: router.clone(),
                peer: Peer(peer),
                watcher: graceful.watcher(),
            };
            let tls = self.tls.clone();
            tokio::spawn(async move {
                connection.run(stream, tls).await;
                drop(place);
            });
        }
        drop(self.socket);
        if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
            warn!("connections did not end within {} s and are cut off", drain.as_secs());
        }
    }
}

fn connection_builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .pipeline_flush(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(256)
        .adaptive_window(true);
    builder
}

struct Connection {
    builder: Builder<TokioExecutor>,
    router: Router,
    peer: Peer,
    watcher: hyper_util::server::graceful::Watcher,
}

impl Connection {
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let _ = stream.set_nodelay(true);
        let Some(tls) = tls else { return self.http(stream).await };
        match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.http(stream).await,
            Ok(Err(error)) => debug!(peer = %self.peer.0, %error, "TLS handshake failed"),
            Err(_) => debug!(peer = %self.peer.0, "TLS handshake took too long"),
        }
    }

    async fn http(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let (router, peer) = (self.router, self.peer);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let mut router = router.clone();
            async move { Ok::<_, Infallible>(router.call(request).await.unwrap_or_else(|never| match never {})) }
        });
        let connection = self
            .builder
            .serve_connection(TokioIo::new(RequestLines::new(stream)), service);
        if let Err(error) = self.watcher.watch(connection).await {
            debug!(peer = %peer.0, %error, "connection ended");
        }
    }
}
