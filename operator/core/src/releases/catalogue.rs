//! The releases that an installation knows, from the chart's ConfigMap.

use fhir_operator_api::Channel;
use semver::Version;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A release of the servers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Its number.
    pub version: Version,
    /// `stable`: offered to both channels; `rapid`: to that one only.
    #[serde(default)]
    pub channel: Channel,
    /// The image with the programs.
    pub image: String,
    /// The schema of data that it writes.
    pub schema: u32,
}

/// The releases that an installation knows. YAML: `releases: [{version, channel, image, schema}]`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Catalogue {
    #[serde(default)]
    releases: Vec<Release>,
}

/// A catalogue that can't be used.
#[derive(Debug, Error)]
pub enum CatalogueError {
    /// Not the expected YAML.
    #[error("the release catalogue isn't `releases: [{{version, channel, image, schema}}]`")]
    Malformed(#[from] serde_yaml::Error),
    /// Two releases have the same number.
    #[error("release `{0}` is in the catalogue twice")]
    Twice(Version),
    /// There is nothing to run.
    #[error("the release catalogue is empty")]
    Empty,
}

impl Catalogue {
    /// A catalogue of these releases, each with a number of its own.
    pub fn new(releases: Vec<Release>) -> Result<Self, CatalogueError> {
        if releases.is_empty() {
            return Err(CatalogueError::Empty);
        }
        for (position, release) in releases.iter().enumerate() {
            if releases[..position]
                .iter()
                .any(|earlier| earlier.version == release.version)
            {
                return Err(CatalogueError::Twice(release.version.clone()));
            }
        }
        Ok(Self { releases })
    }

    /// Reads the text of the ConfigMap's key `releases.yaml`.
    pub fn parse(text: &str) -> Result<Self, CatalogueError> {
        let Self { releases } = serde_yaml::from_str(text)?;
        Self::new(releases)
    }

    /// All releases.
    pub fn releases(&self) -> &[Release] {
        &self.releases
    }

    /// The release with a number.
    pub fn find(&self, version: &str) -> Option<&Release> {
        let version: Version = version.parse().ok()?;
        self.releases.iter().find(|release| release.version == version)
    }

    /// The releases that a channel offers.
    pub fn of_channel(&self, channel: Channel) -> impl Iterator<Item = &Release> {
        self.releases.iter().filter(move |release| match channel {
            Channel::Rapid => true,
            Channel::Stable => release.channel == Channel::Stable,
        })
    }
}
