//! What the options of all our programs have in common: logs, a certificate, figures by OTLP, how an option is refused and
//! how a file of options is written. The operator, which writes such files, needs nothing of what carries them out.

mod error;
mod log;
mod minimal;
mod otlp;
mod tls;

pub use error::SettingsError;
pub use log::{Log, LogFormat};
pub use minimal::minimal;
pub use otlp::Otlp;
pub use tls::Tls;
