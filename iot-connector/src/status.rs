//! What the connector tells of itself at `/status`.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use iot_connector_settings::{FhirState, MappingState, SourceState, SourceStatus, StatusPage};
use jiff::Timestamp;

use crate::{
    spool::{Micros, SpoolError},
    store::Store,
};

/// What several parts report and `/status` shows.
#[derive(Debug)]
pub struct Report {
    fhir: Mutex<(FhirState, Option<String>)>,
    mappings: Mutex<(MappingState, Option<String>)>,
    accepted: Mutex<Rate>,
    source: Mutex<Option<SourceStatus>>,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            fhir: Mutex::new((FhirState::Unknown, None)),
            mappings: Mutex::new((MappingState::Missing, None)),
            accepted: Mutex::default(),
            source: Mutex::default(),
        }
    }
}

impl Report {
    /// The FHIR server answered as it should.
    pub fn fhir_reachable(&self) {
        *self.fhir.lock().unwrap_or_else(PoisonError::into_inner) = (FhirState::Reachable, None);
    }

    /// The FHIR server is waited for.
    pub fn fhir_waiting(&self, reason: String) {
        *self.fhir.lock().unwrap_or_else(PoisonError::into_inner) = (FhirState::Waiting, Some(reason));
    }

    /// Why the FHIR server is waited for, if it is.
    pub fn fhir_trouble(&self) -> Option<String> {
        let known = self.fhir.lock().unwrap_or_else(PoisonError::into_inner);
        known.1.clone().filter(|_| known.0 == FhirState::Waiting)
    }

    /// The state of the mapping files.
    pub fn mappings(&self, state: MappingState, message: Option<String>) {
        *self.mappings.lock().unwrap_or_else(PoisonError::into_inner) = (state, message);
    }

    /// How reading the source goes.
    pub fn source(&self, kind: &str, state: SourceState, message: Option<String>) {
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = Some(SourceStatus {
            kind: kind.to_owned(),
            state,
            message,
        });
    }

    /// Messages were accepted.
    pub fn accepted(&self, messages: usize) {
        self.accepted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(Instant::now(), messages);
    }

    /// The page. Blocks on the spool's file.
    pub fn page(&self, store: &Store, refused: Option<String>) -> StatusPage {
        let figures = store.figures();
        let (fhir, fhir_message) = self.fhir.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (mappings, mapping_message) = self.mappings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        StatusPage {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            last_message_time: figures.last_received().map(moment),
            rate: self
                .accepted
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .per_second(Instant::now()),
            backlog: figures.messages(),
            dead_letters: figures.dead_letters(),
            watermark: store.watermark().ok().flatten().map(moment),
            mappings,
            mapping_message,
            fhir,
            fhir_message,
            source: self
                .source
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
                .or_else(|| streams(store)),
            sharing: store.sharing(),
            ingest_refused: refused,
        }
    }
}

/// Without a source, how it goes with the streams that take its place, where there are any.
fn streams(store: &Store) -> Option<SourceStatus> {
    let Store::Shared(shared) = store else { return None };
    // What is wrong with the mappings is told as such.
    let trouble = shared
        .not_ready()
        .filter(|error| !matches!(error, SpoolError::NoMappings));
    Some(SourceStatus {
        kind: "http".to_owned(),
        state: trouble
            .as_ref()
            .map_or(SourceState::Connected, |_| SourceState::Connecting),
        message: trouble.map(|error| error.to_string()),
    })
}

/// RFC 3339 in whole seconds.
pub fn moment(micros: Micros) -> String {
    Timestamp::from_second(micros.div_euclid(1_000_000))
        .map(|time| time.to_string())
        .unwrap_or_default()
}

/// Seconds that a rate looks back.
const SPAN: Duration = Duration::from_mins(1);

/// Events of the last minute, one count for each second that had any.
#[derive(Debug, Default)]
struct Rate {
    seconds: VecDeque<(Instant, usize)>,
}

impl Rate {
    fn add(&mut self, now: Instant, count: usize) {
        match self.seconds.back_mut() {
            Some((begin, sum)) if now.duration_since(*begin) < Duration::from_secs(1) => *sum += count,
            _ => self.seconds.push_back((now, count)),
        }
        self.forget(now);
    }

    fn per_second(&mut self, now: Instant) -> f64 {
        self.forget(now);
        let sum: usize = self.seconds.iter().map(|(_, count)| count).sum();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = sum as f64 / SPAN.as_secs_f64();
        rate
    }

    fn forget(&mut self, now: Instant) {
        while self
            .seconds
            .front()
            .is_some_and(|(begin, _)| now.duration_since(*begin) >= SPAN)
        {
            self.seconds.pop_front();
        }
    }
}

/// The report, shared.
pub type SharedReport = Arc<Report>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_forgets_after_a_minute() {
        let mut rate = Rate::default();
        let begin = Instant::now();
        rate.add(begin, 60);
        rate.add(begin + Duration::from_millis(300), 60);
        assert!((rate.per_second(begin + Duration::from_secs(59)) - 2.0).abs() < 1e-9);
        assert!(rate.per_second(begin + SPAN).abs() < 1e-9);
    }
}
