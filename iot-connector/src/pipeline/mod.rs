//! From the spool to Observations: window → normalise → group → one lane an Observation → identity → create or merge →
//! acknowledge.

mod batch;
mod gate;
pub mod identity;
mod lanes;
pub mod observation;
mod pace;
mod tracker;
pub mod window;

use std::{sync::Arc, time::Duration};

use daemon::{Heartbeat, Shutdown};
use iot_connector_settings::Settings;
use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::{Semaphore, watch};
use tracing::warn;

use crate::{
    fhir_client::{ENTRIES, FhirClient, FhirError, Wait},
    mappings::Pair,
    metrics::ConnectorMetrics,
    spool::{Account, Fault, SpoolError, Stage, Term, Written},
    status::SharedReport,
    store::{Item, Store},
};
use batch::GroupJob;
use gate::Gate;
use identity::{Identities, IdentityError, Names};
use lanes::Lanes;
use observation::{SaveError, Saved};
use pace::Pace;
use tracker::InWork;
use window::Window;

/// Messages that are read from the spool at once.
const READ: u32 = 2_000;
/// The loop shows itself at least so often.
const TICK: Duration = Duration::from_secs(5);

/// Why the pipeline can't go on.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// The spool is broken.
    #[error("messages can't be read")]
    Spool(#[from] SpoolError),
    /// A worker thread died.
    #[error("a worker died")]
    Worker(#[from] tokio::task::JoinError),
}

/// What an Observation is found by, as far as the group tells: groups that could be the same one have the same place.
type Place = (String, String, String);

/// What the pipeline works with.
pub struct Pipeline {
    store: Store,
    mappings: watch::Receiver<Option<Arc<Pair>>>,
    fhir: FhirClient,
    identities: Identities,
    gate: Gate,
    /// Groups that are written at the same time.
    places: Semaphore,
    metrics: ConnectorMetrics,
    shutdown: Shutdown,
    in_work: Arc<InWork>,
    span: i64,
    most: usize,
    rate: Option<u32>,
}

impl Pipeline {
    /// Puts the parts together; nothing runs yet.
    pub fn new(
        settings: &Settings,
        store: Store,
        mappings: watch::Receiver<Option<Arc<Pair>>>,
        fhir: FhirClient,
        metrics: ConnectorMetrics,
        report: SharedReport,
        shutdown: Shutdown,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            mappings,
            fhir,
            identities: Identities::new(settings),
            gate: Gate::new(report),
            places: Semaphore::new(settings.fhir_server.concurrency as usize * ENTRIES),
            metrics,
            shutdown,
            in_work: Arc::default(),
            span: i64::from(settings.window.flush_seconds) * 1_000_000,
            most: settings.window.max_events as usize,
            rate: settings.capacity.messages_per_second,
        })
    }

    /// Works until the shutdown; then what is being written is finished, and the rest stays in the spool.
    pub async fn run(self: Arc<Self>, heartbeat: Heartbeat) -> Result<(), PipelineError> {
        let lanes = Arc::new(Lanes::new());
        let result = self.work(&lanes, &heartbeat).await;
        lanes.finished().await;
        // What was handed over is on disk before the process ends.
        self.store.close().await;
        result
    }

    async fn work(
        self: &Arc<Self>,
        lanes: &Arc<Lanes<Place, GroupJob>>,
        heartbeat: &Heartbeat,
    ) -> Result<(), PipelineError> {
        let mut window = Window::new(self.span, self.most);
        let mut pace = self.rate.map(Pace::new);
        let mut appended = self.store.appended();
        let mut mappings = self.mappings.clone();
        // What waits for slow devices stays in memory, so it is bounded: then reading pauses and the spool holds the rest.
        let bound = self.most.saturating_mul(2).max(10_000);
        let mut cursor = 0;
        while !self.shutdown.is_requested() {
            heartbeat.beat();
            appended.borrow_and_update();
            let has_mapping = mappings.borrow_and_update().is_some();
            let room = bound.saturating_sub(self.in_work.count() + window.len());
            let mut more = false;
            if has_mapping && room > 0 {
                let limit = READ.min(u32::try_from(room).unwrap_or(READ));
                let items = self.store.read(cursor, limit).await?;
                more = items.len() == limit as usize;
                for item in items {
                    cursor = item.seq;
                    for flushed in window.push(item.queued, item) {
                        self.begin(flushed, lanes, &mut pace, heartbeat).await?;
                    }
                }
            }
            if let Some(flushed) = window.tick(now()) {
                self.begin(flushed, lanes, &mut pace, heartbeat).await?;
            }
            if more {
                continue;
            }
            let pause = window.deadline().map_or(TICK, |end| micros(end - now()).min(TICK));
            tokio::select! {
                () = self.shutdown.requested() => {}
                _ = appended.changed(), if has_mapping && room > 0 => {}
                _ = mappings.changed() => {}
                () = self.in_work.at_most(bound / 2), if room == 0 => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        Ok(())
    }

    /// Normalises and groups a flush beside the event loop, and gives the groups to their lanes.
    async fn begin(
        self: &Arc<Self>,
        items: Vec<Item>,
        lanes: &Arc<Lanes<Place, GroupJob>>,
        pace: &mut Option<Pace>,
        heartbeat: &Heartbeat,
    ) -> Result<(), PipelineError> {
        let Some(pair) = self.mappings.borrow().clone() else {
            return Ok(());
        };
        if let Some(pace) = pace {
            tokio::select! {
                () = self.shutdown.requested() => return Ok(()),
                () = pace.wait(items.len(), || heartbeat.beat()) => {}
            }
        }
        let (in_work, metrics) = (self.in_work.clone(), self.metrics.clone());
        let batch = tokio::task::spawn_blocking(move || batch::prepare(&pair, items, &in_work, &metrics)).await?;
        self.store.finish(batch.finished).await?;
        for job in batch.jobs {
            let pipeline = self.clone();
            let group = &job.group;
            let place = (group.device.clone(), group.type_name.clone(), group.segment.clone());
            lanes.add(place, job, move |job| {
                let pipeline = pipeline.clone();
                async move { pipeline.write(job).await }
            });
        }
        Ok(())
    }

    /// Writes one group however long it takes; `false` when the shutdown came first.
    async fn write(&self, job: GroupJob) -> bool {
        let mut tries = 0;
        loop {
            tries += 1;
            tokio::select! {
                () = self.shutdown.requested() => return false,
                () = self.gate.pass() => {}
            }
            let Ok(place) = self.places.acquire().await else {
                return false;
            };
            // Another connector has this device now, and reads what this group is made of. What follows in the lane may be
            // of a later time, when it is ours again.
            if !self.store.may_write(&job.group.device) {
                return true;
            }
            match self.attempt(&job).await {
                Ok((account, written)) => {
                    self.gate.answered();
                    let written = Arc::new(written);
                    for tracker in &job.trackers {
                        tracker.wrote(written.clone());
                    }
                    self.settle(&job, account, None).await;
                    return true;
                }
                Err(Failure::Dead(fault)) => {
                    self.gate.answered();
                    self.metrics.error(fault.stage, &fault.reason);
                    let readings = job.group.readings();
                    let account = Account::of(&[(Term::Readings, readings), (Term::DeadReadings, readings)]);
                    self.settle(&job, account, Some(fault)).await;
                    return true;
                }
                Err(Failure::Wait(stage, error)) => {
                    self.metrics.error(stage, "Temporary");
                    let pause = self.gate.failed(&error, tries);
                    if !pause.is_zero() {
                        warn!(device = job.group.device, tries, "{error}; this group waits");
                    }
                    drop(place);
                    tokio::select! {
                        () = self.shutdown.requested() => return false,
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
    }

    async fn attempt(&self, job: &GroupJob) -> Result<(Account, Written), Failure> {
        let group = &job.group;
        let names = Names {
            device: group.device.clone(),
            patient: group.patient.clone(),
            encounter: group.encounter.clone(),
        };
        let identity = match self.identities.resolve(&self.fhir, &names).await {
            Ok(identity) => identity,
            Err(IdentityError::Fhir(error)) => return Err(Failure::of_fhir(Stage::Identity, error, group)),
            Err(error) => return Err(Failure::dead(Stage::Identity, error.name(), error.to_string(), group)),
        };
        let may_write = || self.store.may_write(&group.device);
        let saved = observation::save(&self.fhir, &job.pair.fhir, group, &identity, &self.metrics, may_write).await;
        match saved {
            Ok(Saved { counts, written }) => {
                let counted = counts.total();
                debug_assert_eq!(counted, group.readings(), "every reading ends in one term");
                let account = Account::of(&[
                    (Term::Readings, counted),
                    (Term::Points, counts.points),
                    (Term::Superseded, counts.superseded),
                    (Term::Duplicates, counts.duplicates),
                    (Term::Aggregated, counts.aggregated),
                    (Term::Omitted, counts.omitted),
                ]);
                Ok((account, written))
            }
            Err(SaveError::Fhir(error)) => {
                // A reference that can't be resolved (any more) may be why.
                self.identities.forget(&names);
                Err(Failure::of_fhir(Stage::Write, error, group))
            }
            Err(error) => Err(Failure::dead(
                Stage::Observation,
                error.name(),
                error.to_string(),
                group,
            )),
        }
    }

    /// Ends this group's part in its messages; those that are done leave the spool.
    async fn settle(&self, job: &GroupJob, account: Account, fault: Option<Fault>) {
        self.metrics.measurement_group.inc();
        let now = now();
        let newest = job.group.values.values().flatten().map(|reading| reading.time).max();
        if let (None, Some(newest)) = (&fault, newest) {
            let age = milliseconds(now - newest.as_microsecond());
            self.metrics.fresh(&job.group.type_name, age);
        }
        let mut account = Some(account);
        let mut finished = Vec::with_capacity(job.trackers.len());
        for tracker in &job.trackers {
            // The group's figures belong to all its messages together; they are stored with the first.
            tracker.record(account.take().unwrap_or_default(), fault.iter().cloned().collect());
            self.metrics
                .measurement_ingestion_latency_ms
                .observe(milliseconds(now - tracker.queued));
            finished.extend(tracker.end_part());
        }
        if let Err(error) = self.store.finish(finished).await {
            warn!("messages can't be acknowledged, they will be worked on again: {error}");
        }
    }
}

/// Why a group isn't written.
enum Failure {
    Wait(Stage, FhirError),
    Dead(Fault),
}

impl Failure {
    fn dead(stage: Stage, reason: &str, detail: String, group: &iot_mapping::Group) -> Self {
        let template = Some(group.type_name.clone());
        Self::Dead(Fault {
            stage,
            reason: reason.to_owned(),
            detail,
            template,
            path: None,
        })
    }

    fn of_fhir(stage: Stage, error: FhirError, group: &iot_mapping::Group) -> Self {
        match error {
            FhirError::Refused { .. } => Self::dead(stage, "FhirRefused", error.to_string(), group),
            // After the last try the resource is still being changed by others: later it won't be.
            FhirError::Conflict => {
                let reason = "the resource is changed by others all the time".to_owned();
                Self::Wait(
                    stage,
                    FhirError::Temporary {
                        reason,
                        wait: Wait::Request,
                    },
                )
            }
            FhirError::Temporary { .. } => Self::Wait(stage, error),
        }
    }
}

/// Microseconds since the Unix epoch.
pub fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

fn micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

/// Microseconds as a histogram wants them.
#[expect(clippy::cast_precision_loss, reason = "a latency for a histogram")]
pub fn milliseconds(micros: i64) -> f64 {
    micros.max(0) as f64 / 1000.0
}
