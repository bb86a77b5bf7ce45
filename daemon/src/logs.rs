//! Log lines on standard error: text for people, JSON for collectors.

use thiserror::Error;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// One readable line an event.
    #[default]
    Text,
    /// One JSON object an event.
    Json,
}

/// Why logs could not be set up.
#[derive(Debug, Error)]
pub enum LogsError {
    /// The level isn't one that `tracing` knows.
    #[error("log level `{level}` isn't valid: use error, warn, info, debug, trace, or directives as `info,hyper=warn`")]
    Level {
        /// As given.
        level: String,
        /// What the parser said.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Another subscriber was installed before.
    #[error("logs are set up already")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Installs the process-wide subscriber. `level` is a level or a list of `target=level` directives.
pub fn init(format: Format, level: &str) -> Result<(), LogsError> {
    let filter = EnvFilter::try_new(level).map_err(|source| LogsError::Level {
        level: level.to_owned(),
        source,
    })?;
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        Format::Text => registry
            .with(fmt::layer().with_writer(std::io::stderr).with_ansi(false))
            .try_init(),
        Format::Json => {
            let layer = fmt::layer()
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false);
            registry.with(layer.with_writer(std::io::stderr)).try_init()
        }
    }
    .map_err(LogsError::Twice)
}
