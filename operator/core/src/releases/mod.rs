//! Which release of a server runs now: the pin, the channel, the maintenance window and the schema of the data.
//!
//! What runs goes on until a window is open, whatever the operator's own release: a new operator restarts nothing.

mod catalogue;
mod window;

use fhir_operator_api::{Channel, ConditionType, Reason};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;

pub use catalogue::{Catalogue, CatalogueError, Release};
pub use window::{Window, WindowError};

use crate::conditions::Finding;
use crate::{Refusal, names, rules};

/// The newest revision of the rendering that this operator knows. A change to what `children` builds for an unchanged
/// spec is a new revision, and the old one stays until no release that is supported was rendered with it.
pub const CURRENT_REVISION: u32 = 1;

/// What a workload runs, as its annotations and its pod template say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Running {
    /// Release.
    pub version: String,
    /// Image of the release.
    pub image: String,
    /// Revision of the rendering.
    pub revision: u32,
}

impl Running {
    /// Reads a workload; `None` if it doesn't say, so that it is rendered anew.
    pub fn of(workload: &StatefulSet) -> Option<Self> {
        let image = workload
            .spec
            .as_ref()?
            .template
            .spec
            .as_ref()?
            .containers
            .first()?
            .image
            .clone()?;
        Some(Self {
            version: names::annotation(&workload.metadata, names::RELEASE_ANNOTATION)?.to_owned(),
            revision: names::annotation(&workload.metadata, names::REVISION_ANNOTATION)?
                .parse()
                .ok()?,
            image,
        })
    }
}

/// What decides about the release.
#[derive(Clone, Copy, Debug)]
pub struct Wishes<'a> {
    /// `spec.version`.
    pub pin: Option<&'a str>,
    /// `spec.channel`.
    pub channel: Channel,
    /// When managed updates roll.
    pub window: &'a Window,
    /// What runs, if anything does.
    pub running: Option<&'a Running>,
    /// The highest schema that was ever started on the data.
    pub data_schema: Option<u32>,
    /// The time.
    pub now: Timestamp,
}

/// The release to render.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Choice {
    /// Release.
    pub version: String,
    /// Its image.
    pub image: String,
    /// The schema that it writes; `None` if the release left the catalogue, then the data's own stays.
    pub schema: Option<u32>,
    /// Revision of the rendering.
    pub revision: u32,
    /// A newer release that waits.
    pub available: Option<String>,
    /// The condition `UpToDate`.
    pub finding: Finding,
    /// When to look again.
    pub next: Option<Timestamp>,
}

/// Which release runs now.
pub fn choose(wishes: &Wishes<'_>, catalogue: &Catalogue) -> Result<Choice, Refusal> {
    match (wishes.running, wishes.pin) {
        (None, None) => Ok(rendered(newest_for(wishes, catalogue)?, CURRENT_REVISION)),
        (None, Some(pin)) => {
            let release = rules::release_is_known(pin, catalogue)?;
            match rules::no_downgrade(release, wishes.data_schema) {
                Ok(()) => Ok(rendered(release, CURRENT_REVISION)),
                Err(refusal) => {
                    // Nothing runs that could go on: the newest that can open the data serves instead.
                    let mut choice = rendered(newest_for(wishes, catalogue)?, CURRENT_REVISION);
                    choice.finding = Finding::refused(ConditionType::UpToDate, &refusal);
                    Ok(choice)
                }
            }
        }
        (Some(running), Some(pin)) if running.version == pin => Ok(keep(wishes, catalogue, running)),
        (Some(running), Some(pin)) => {
            let release = rules::release_is_known(pin, catalogue)?;
            match rules::no_downgrade(release, wishes.data_schema) {
                Ok(()) => Ok(rendered(release, CURRENT_REVISION)),
                Err(refusal) => {
                    let mut choice = going_on(running, catalogue, running.revision);
                    choice.finding = Finding::refused(ConditionType::UpToDate, &refusal);
                    Ok(choice)
                }
            }
        }
        (Some(running), None) => Ok(keep(wishes, catalogue, running)),
    }
}

/// The newest release of the channel that can open the data.
fn newest_for<'a>(wishes: &Wishes<'_>, catalogue: &'a Catalogue) -> Result<&'a Release, Refusal> {
    let opens = |release: &&Release| wishes.data_schema.is_none_or(|schema| release.schema >= schema);
    catalogue
        .of_channel(wishes.channel)
        .filter(opens)
        .max_by(|a, b| a.version.cmp(&b.version))
        .or_else(|| {
            catalogue
                .releases()
                .iter()
                .filter(opens)
                .max_by(|a, b| a.version.cmp(&b.version))
        })
        .ok_or_else(|| rules::no_release(catalogue, wishes.data_schema))
}

/// A workload that runs: it goes on until a window is open, then it takes what is newest.
fn keep(wishes: &Wishes<'_>, catalogue: &Catalogue, running: &Running) -> Choice {
    let newer = if wishes.pin.is_some() {
        None
    } else {
        newest_for(wishes, catalogue)
            .ok()
            .filter(|release| is_newer(release, &running.version))
    };
    if newer.is_none() && running.revision >= CURRENT_REVISION {
        return going_on(running, catalogue, running.revision);
    }
    if wishes.window.is_open(wishes.now) {
        return match newer {
            Some(release) => rendered(release, CURRENT_REVISION),
            None => going_on(running, catalogue, CURRENT_REVISION),
        };
    }
    let opens = wishes.window.next_opening(wishes.now);
    let what = newer.map_or_else(
        || format!("a newer rendering of release `{}`", running.version),
        |release| format!("release `{}`", release.version),
    );
    let when = opens.map_or_else(String::new, |opens| format!(", which opens at {opens}"));
    Choice {
        available: newer.map(|release| release.version.to_string()),
        finding: Finding::fails(
            ConditionType::UpToDate,
            Reason::WaitingForWindow,
            format!("{what} waits for the maintenance window{when}; set spec.version to have it now"),
        ),
        next: opens,
        ..going_on(running, catalogue, running.revision)
    }
}

fn is_newer(release: &Release, running: &str) -> bool {
    running
        .parse::<semver::Version>()
        .is_ok_and(|running| release.version > running)
}

fn going_on(running: &Running, catalogue: &Catalogue, revision: u32) -> Choice {
    Choice {
        version: running.version.clone(),
        image: running.image.clone(),
        schema: catalogue.find(&running.version).map(|release| release.schema),
        revision,
        available: None,
        finding: current(&running.version),
        next: None,
    }
}

fn rendered(release: &Release, revision: u32) -> Choice {
    let version = release.version.to_string();
    Choice {
        finding: current(&version),
        version,
        image: release.image.clone(),
        schema: Some(release.schema),
        revision,
        available: None,
        next: None,
    }
}

fn current(version: &str) -> Finding {
    Finding::holds(ConditionType::UpToDate, Reason::Current, format!("release `{version}`"))
}
