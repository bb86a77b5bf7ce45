//! Releases: known to the catalogue, and never older than the data.

use fhir_operator_api::Reason;

use super::Verdict;
use crate::Refusal;
use crate::releases::{Catalogue, Release};

/// A pinned release is one that this installation knows.
pub fn release_is_known<'a>(pin: &str, catalogue: &'a Catalogue) -> Verdict<&'a Release> {
    catalogue.find(pin).ok_or_else(|| {
        let mut known: Vec<&Release> = catalogue.releases().iter().collect();
        known.sort_by(|a, b| b.version.cmp(&a.version));
        let known: Vec<String> = known.iter().map(|release| format!("`{}`", release.version)).collect();
        Refusal::new(
            Reason::NotSupported,
            format!(
                "spec.version `{pin}` isn't a release of this installation: choose {}, or leave it out",
                known.join(" or ")
            ),
        )
    })
}

/// Data that a newer release has written isn't opened by an older one; what runs goes on.
pub fn no_downgrade(release: &Release, data_schema: Option<u32>) -> Verdict {
    match data_schema {
        Some(schema) if release.schema < schema => Err(Refusal::new(
            Reason::DowngradeNotSupported,
            format!(
                "release `{}` has schema {}, and the data has schema {schema}: pin a release with schema {schema} or newer",
                release.version, release.schema
            ),
        )),
        _ => Ok(()),
    }
}

/// Why no release can be started.
pub fn no_release(catalogue: &Catalogue, data_schema: Option<u32>) -> Refusal {
    let newest = catalogue.releases().iter().map(|release| release.schema).max();
    let message = match (newest, data_schema) {
        (Some(newest), Some(schema)) => format!(
            "the data has schema {schema}, and this operator's releases have schema {newest} at most: upgrade the operator"
        ),
        _ => "the operator's release catalogue is empty: install the chart's ConfigMap of releases".to_owned(),
    };
    Refusal::new(Reason::NotSupported, message)
}
