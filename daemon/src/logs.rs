//! Log lines on standard error: text for people, JSON for collectors.

use daemon_settings::{Log, LogFormat};
use thiserror::Error;
use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Why logs could not be set up.
#[derive(Debug, Error)]
pub enum LogsError {
    /// The level isn't one that `tracing` knows.
    #[error("log level `{level}` isn't valid: use error, warn, info, debug, trace, or directives as `info,hyper=warn`")]
    Level {
        /// As given.
        level: String,
    },
    /// Another subscriber was installed before.
    #[error("logs are set up already")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Installs the process-wide subscriber.
pub fn init(log: &Log) -> Result<(), LogsError> {
    let filter = filter(&log.level)?;
    let registry = tracing_subscriber::registry().with(filter);
    match log.format {
        LogFormat::Text => registry
            .with(fmt::layer().with_writer(std::io::stderr).with_ansi(false))
            .try_init(),
        LogFormat::Json => {
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

/// A level or a list of `target=level` directives. A word alone would be a target of which everything is shown, and is a
/// mistaken level.
fn filter(level: &str) -> Result<EnvFilter, LogsError> {
    let wrong = || LogsError::Level {
        level: level.to_owned(),
    };
    let mut words = level.split(',').map(str::trim);
    if !words.all(|word| !word.is_empty() && (word.contains(['=', '[']) || word.parse::<LevelFilter>().is_ok())) {
        return Err(wrong());
    }
    EnvFilter::try_new(level).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_one_of_five_or_directives() {
        for right in ["info", "WARN", "off", "info,hyper=warn", "hyper=debug"] {
            assert!(filter(right).is_ok(), "{right}");
        }
        for wrong in ["loud", "", "info,", "info,hyper", "hyper=loud"] {
            let error = filter(wrong).unwrap_err().to_string();
            assert!(error.contains("use error, warn, info"), "{error}");
        }
    }
}
