//! What our programs do alike as processes: options, logs, metrics, listeners, TLS, ordered shutdown.
//!
//! A program builds a [`Supervisor`], binds its [`Listener`]s, hands its long-lived tasks to the supervisor as critical
//! ones and awaits [`Supervisor::run`]. This crate knows no FHIR, devices or Kubernetes.

pub mod files;
pub mod health;
pub mod listener;
pub mod logs;
pub mod management;
pub mod metrics;
pub mod options;
pub mod process;
mod request_line;
pub mod supervisor;
pub mod tls;

pub use health::{Gate, Health, Heartbeat};
pub use listener::{Listener, ListenerError, Peer};
pub use metrics::Metrics;
pub use supervisor::{ProcessError, Shutdown, Supervisor};
