//! Where the servers' figures go: a file beside their settings, which they follow, so that a change restarts nobody.

use std::collections::BTreeMap;

use daemon_settings::{Otlp, minimal};

use crate::names::Owner;

/// The file of the options.
const OPTIONS_FILE: &str = "otlp.json";
/// The file of the authorities to trust.
const AUTHORITIES_FILE: &str = "otlp-authorities.pem";

/// The collector that the installation names for all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Collector {
    /// Its address, and what the installation says of itself.
    pub otlp: Otlp,
    /// Whom to trust instead of the system's authorities, PEM.
    pub authorities: Option<String>,
}

/// What a server's settings say of it: the file is followed, whether it is there or not.
pub fn followed(folder: &str) -> Otlp {
    Otlp {
        file: Some(format!("{folder}/{OPTIONS_FILE}").into()),
        ..Otlp::default()
    }
}

impl Collector {
    /// The files for an owner's pods, where `folder` is mounted; none without a collector.
    pub fn files(&self, owner: &Owner, folder: &str) -> BTreeMap<String, String> {
        if self.otlp.endpoint.is_none() {
            return BTreeMap::new();
        }
        let own = [
            ("k8s.namespace.name", owner.namespace.clone()),
            ("k8s.statefulset.name", owner.child()),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value));
        let otlp = Otlp {
            endpoint: self.otlp.endpoint.clone(),
            interval_seconds: self.otlp.interval_seconds,
            ca_file: self
                .authorities
                .as_ref()
                .map(|_| format!("{folder}/{AUTHORITIES_FILE}").into()),
            attributes: self.otlp.attributes.clone().into_iter().chain(own).collect(),
            ..Otlp::default()
        };
        let options = format!("{:#}\n", minimal(&otlp, &Otlp::default()));
        let authorities = self.authorities.clone().map(|pem| (AUTHORITIES_FILE.to_owned(), pem));
        [(OPTIONS_FILE.to_owned(), options)]
            .into_iter()
            .chain(authorities)
            .collect()
    }
}
