//! The options in force: those of the settings, or a file's, which may change at any time.

use daemon::files::{Look, WatchedFile};
use daemon::process::describe;
use daemon_settings::Otlp;
use tracing::{info, warn};

/// Where options come from, and which ones are in force.
#[derive(Debug)]
pub struct Source {
    file: Option<WatchedFile>,
    current: Otlp,
}

impl Source {
    /// A file wins; until it is there, nothing is sent.
    pub fn new(options: &Otlp) -> Self {
        match &options.file {
            None => Self {
                file: None,
                current: options.clone(),
            },
            Some(file) => Self {
                file: Some(WatchedFile::new(file)),
                current: Otlp::default(),
            },
        }
    }

    /// The options now. A file that can't be used leaves those that were in force.
    pub fn current(&mut self) -> &Otlp {
        let Some(file) = &mut self.file else {
            return &self.current;
        };
        let path = file.path().display().to_string();
        match file.look() {
            Ok(Look::Same) => {}
            Ok(Look::Missing) => self.current = Otlp::default(),
            Ok(Look::Changed(content)) => match read(&content) {
                Ok(options) => {
                    info!(file = path, endpoint = options.endpoint, "options of OTLP are in force");
                    self.current = options;
                }
                Err(reason) => warn!(
                    file = path,
                    "the options of OTLP can't be used, the last ones stay: {reason}"
                ),
            },
            Err(error) => warn!(file = path, %error, "the options of OTLP can't be read, the last ones stay"),
        }
        &self.current
    }
}

fn read(content: &[u8]) -> Result<Otlp, String> {
    let options: Otlp = serde_yaml::from_slice(content).map_err(|error| describe(&error))?;
    options.validate().map_err(|error| error.to_string())?;
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(folder: &tempfile::TempDir) -> Source {
        Source::new(&Otlp {
            file: Some(folder.path().join("otlp.json")),
            ..Otlp::default()
        })
    }

    fn write(folder: &tempfile::TempDir, text: &str) {
        let (new, path) = (folder.path().join("new"), folder.path().join("otlp.json"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    #[test]
    fn a_file_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let mut source = source(&folder);
        assert_eq!(source.current(), &Otlp::default());
        write(&folder, r#"{"endpoint": "http://one:4318", "intervalSeconds": 5}"#);
        assert_eq!(source.current().endpoint.as_deref(), Some("http://one:4318"));
        assert_eq!(source.current().interval_seconds, 5);
        write(&folder, "endpoint: http://two:4318");
        assert_eq!(source.current().endpoint.as_deref(), Some("http://two:4318"));
        for wrong in ["{", "endpoint: two", "intervalSeconds: 0"] {
            write(&folder, wrong);
            assert_eq!(source.current().endpoint.as_deref(), Some("http://two:4318"), "{wrong}");
        }
        std::fs::remove_file(folder.path().join("otlp.json")).unwrap();
        assert_eq!(source.current(), &Otlp::default());
    }
}
