//! Sends a process's metrics to a collector by OTLP over HTTP (protobuf), OpenTelemetry's protocol.
//!
//! The figures are those of `/metrics`: both are read from one registry. All sums are cumulative, so that a sending that
//! fails loses nothing: the next one says the same and more.

mod convert;
mod options;
mod send;

use std::sync::Arc;
use std::time::SystemTime;

use daemon::{Metrics, Supervisor};
use daemon_settings::{Otlp, SettingsError};

pub use convert::{Moment, Service, request};

/// Sends the figures of `metrics` until the process ends, and once at its end. Nothing runs where the options name
/// neither a collector nor a file that may. Needs the TLS provider installed.
pub fn start(
    supervisor: &mut Supervisor,
    metrics: &Arc<Metrics>,
    options: &Otlp,
    name: &'static str,
    version: &'static str,
) -> Result<(), SettingsError> {
    options.validate()?;
    if options.endpoint.is_none() && options.file.is_none() {
        return Ok(());
    }
    let service = Service {
        name,
        version,
        instance: instance(),
    };
    let sender = send::Sender::new(
        Arc::clone(metrics),
        options::Source::new(options),
        service,
        SystemTime::now(),
    );
    supervisor.critical("otlp", sender.run(supervisor.shutdown()));
    Ok(())
}

/// In a pod, its name.
fn instance() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}
