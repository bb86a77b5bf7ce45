//! Entries of a transaction that get in each other's way: nothing is written twice, or read when it is no longer there.

use std::collections::HashSet;

use super::step::Step;
use crate::http::failure::{Failure, Result};
use crate::http::route::Interaction;
use crate::interactions::batch::Entry;

/// Refuses entries that have the same `fullUrl`.
pub fn urls(entries: &[Entry<'_>]) -> Result<()> {
    let mut seen = HashSet::new();
    match entries
        .iter()
        .filter_map(|entry| entry.full_url.as_deref())
        .find(|url| !seen.insert(*url))
    {
        Some(url) => Err(repeated(url)),
        None => Ok(()),
    }
}

/// Refuses entries that change one resource.
pub fn resources(entries: &[Entry<'_>], steps: &[Step]) -> Result<()> {
    let mut changed = HashSet::new();
    let mut kept = HashSet::new();
    for (entry, step) in entries.iter().zip(steps) {
        let (id, again) = match (step.changes(), step) {
            (Some((of, id)), _) => {
                let id = format!("{of}/{id}");
                let again = kept.contains(&id) || !changed.insert(id.clone());
                (id, again)
            }
            // what a conditional create finds may be found twice, but not be changed as well
            (None, Step::Keep(version)) => {
                let id = format!("{}/{}", version.resource_type, version.id);
                let again = changed.contains(&id);
                kept.insert(id.clone());
                (id, again)
            }
            (None, _) => continue,
        };
        if again {
            return Err(repeated(&entry.written().unwrap_or(id)));
        }
    }
    Ok(())
}

/// 400 for the second entry of a resource.
pub fn repeated(what: &str) -> Failure {
    Failure::invalid(format!(
        "Bundle contains multiple entries that refers to the same resource '{what}'."
    ))
}

/// Deletions come before reads: what the transaction deletes can't be read in it.
pub fn from_deleted(interaction: &Interaction, steps: &[Step]) -> Result<()> {
    let Interaction::Read(wanted, wanted_id) = interaction else {
        return Ok(());
    };
    let is_wanted = |step: &Step| matches!(step, Step::Delete { of, id } if of == wanted && id == wanted_id);
    if steps.iter().any(is_wanted) {
        return Err(Failure::not_found(wanted.name(), wanted_id));
    }
    Ok(())
}
