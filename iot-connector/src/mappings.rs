//! The mapping pair in force: two files that may appear, change or be wrong while we run.
//!
//! A pair that can't be used never replaces one that can; without any, messages wait.

use std::{path::PathBuf, sync::Arc};

use daemon::{
    Shutdown,
    files::{LOOK_INTERVAL, Look, WatchedFile},
};
use iot_connector_settings::{Compatibility, MappingState, Settings};
use iot_mapping::{DeviceMapping, FhirMapping, TemplateError};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::status::SharedReport;

/// A device mapping and a FHIR mapping that were valid together.
#[derive(Debug)]
pub struct Pair {
    /// From messages to measurements.
    pub device: DeviceMapping,
    /// From measurements to Observations.
    pub fhir: FhirMapping,
    /// Tells it from other pairs.
    pub digest: Arc<str>,
}

/// Follows the two files.
pub struct Mappings {
    compatibility: Compatibility,
    device: Option<WatchedFile>,
    fhir: Option<WatchedFile>,
    device_text: Option<Vec<u8>>,
    fhir_text: Option<Vec<u8>>,
    report: SharedReport,
    in_force: watch::Sender<Option<Arc<Pair>>>,
    texts: watch::Sender<MappingTexts>,
}

/// The texts that are known, for people who change them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MappingTexts {
    /// How they are understood.
    pub compatibility: Compatibility,
    /// The pair that is worked with.
    pub in_force: Option<PairTexts>,
    /// A newer pair that can't be used.
    pub refused: Option<PairTexts>,
}

/// The texts of a pair, as they are in the files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PairTexts {
    /// Of the device mapping.
    pub device_mapping: String,
    /// Of the FHIR mapping.
    pub fhir_mapping: String,
}

impl Mappings {
    /// Looks once, so that mappings that are there are in force at once.
    pub fn new(settings: &Settings, report: SharedReport) -> (Self, watch::Receiver<Option<Arc<Pair>>>) {
        let (in_force, receiver) = watch::channel(None);
        let file = |path: &Option<PathBuf>| path.clone().map(WatchedFile::new);
        let mut mappings = Self {
            compatibility: settings.compatibility,
            device: file(&settings.device_mapping),
            fhir: file(&settings.fhir_mapping),
            device_text: None,
            fhir_text: None,
            report,
            in_force,
            texts: watch::Sender::new(MappingTexts {
                compatibility: settings.compatibility,
                ..MappingTexts::default()
            }),
        };
        mappings.look();
        (mappings, receiver)
    }

    /// The texts of the pair in force, and of one that was refused since.
    pub fn texts(&self) -> watch::Receiver<MappingTexts> {
        self.texts.subscribe()
    }

    /// Follows the files until the shutdown.
    pub async fn follow(mut self, shutdown: Shutdown) {
        let mut interval = tokio::time::interval(LOOK_INTERVAL);
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                _ = interval.tick() => self.look(),
            }
        }
    }

    fn look(&mut self) {
        let first = self.device_text.is_none() && self.fhir_text.is_none();
        let device = look_at(&mut self.device, &mut self.device_text);
        let fhir = look_at(&mut self.fhir, &mut self.fhir_text);
        if !device && !fhir && !first {
            return;
        }
        let (Some(device), Some(fhir)) = (&self.device_text, &self.fhir_text) else {
            self.missing();
            return;
        };
        let texts = PairTexts {
            device_mapping: String::from_utf8_lossy(device).into_owned(),
            fhir_mapping: String::from_utf8_lossy(fhir).into_owned(),
        };
        match parse(&texts, self.compatibility) {
            Ok(pair) => {
                info!("the mappings are in force");
                self.texts.send_modify(|known| {
                    known.in_force = Some(texts);
                    known.refused = None;
                });
                self.report.mappings(MappingState::Valid, None);
                self.in_force.send_replace(Some(Arc::new(pair)));
            }
            Err(message) => {
                warn!("the mappings can't be used, the last valid ones stay: {message}");
                self.texts.send_modify(|known| known.refused = Some(texts));
                self.report.mappings(MappingState::Invalid, Some(message));
            }
        }
    }

    fn missing(&self) {
        let missing = match (&self.device_text, &self.fhir_text) {
            (None, None) => "there is no device mapping and no FHIR mapping",
            (None, _) => "there is no device mapping",
            (_, None) => "there is no FHIR mapping",
            (Some(_), Some(_)) => return,
        };
        let state = if self.in_force.borrow().is_some() {
            // Deleting a file isn't a mapping: what was valid goes on.
            (MappingState::Invalid, format!("{missing}; the last valid ones stay"))
        } else {
            (
                MappingState::Missing,
                format!("{missing}; messages are kept until there is"),
            )
        };
        self.report.mappings(state.0, Some(state.1));
    }
}

/// Whether the text changed.
fn look_at(file: &mut Option<WatchedFile>, text: &mut Option<Vec<u8>>) -> bool {
    let Some(file) = file else { return false };
    match file.look() {
        Ok(Look::Changed(new)) => {
            *text = Some(new);
            true
        }
        Ok(Look::Missing) => text.take().is_some(),
        Ok(Look::Same) => false,
        Err(error) => {
            warn!(path = %file.path().display(), %error, "a mapping can't be read");
            false
        }
    }
}

fn parse(texts: &PairTexts, compatibility: Compatibility) -> Result<Pair, String> {
    let compatibility = compatibility_of(compatibility);
    let digest = digest(texts);
    let named = |side: &str, errors: &[TemplateError]| {
        errors
            .iter()
            .map(|error| format!("{side}: {error}"))
            .collect::<Vec<_>>()
            .join("; ")
    };
    match (
        DeviceMapping::parse(&texts.device_mapping, compatibility),
        FhirMapping::parse(&texts.fhir_mapping, compatibility),
    ) {
        (Ok(device), Ok(fhir)) => Ok(Pair { device, fhir, digest }),
        (Err(errors), Ok(_)) => Err(named("device mapping", &errors)),
        (Ok(_), Err(errors)) => Err(named("FHIR mapping", &errors)),
        (Err(device), Err(fhir)) => Err(format!(
            "{}; {}",
            named("device mapping", &device),
            named("FHIR mapping", &fhir)
        )),
    }
}

fn digest(texts: &PairTexts) -> Arc<str> {
    let hash = Sha256::new()
        .chain_update((texts.device_mapping.len() as u64).to_be_bytes())
        .chain_update(&texts.device_mapping)
        .chain_update(&texts.fhir_mapping)
        .finalize();
    let start = hash.first_chunk().copied().map_or(0, u64::from_be_bytes);
    format!("{start:016x}").into()
}

/// The mapping's name for the setting.
pub fn compatibility_of(setting: Compatibility) -> iot_mapping::Compatibility {
    match setting {
        Compatibility::Standard => iot_mapping::Compatibility::Standard,
        Compatibility::Upstream => iot_mapping::Compatibility::Upstream,
    }
}
