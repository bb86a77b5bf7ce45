//! Loads whole patients as transactions.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::data::{self, Data, Known};
use super::target::{Cpu, Target};
use crate::load::{closed_loop, once};

/// Bundles on their way at a time: they are large.
const AT_A_TIME: usize = 4;
/// Patients that are remembered: more than anything asks for.
const REMEMBERED: usize = 2_000;

/// What loading took.
#[derive(Debug, Default)]
pub struct Filled {
    /// Resources of patients.
    pub resources: usize,
    /// Until the last answer.
    pub took: Duration,
    /// `None`: no process is known.
    pub cpu: Option<Cpu>,
}

/// Loads what patients refer to.
pub async fn first(target: &Target<'_>, data: &Data) -> Result<()> {
    for bundle in data.first() {
        once(&target.place, target.place.with_body("POST", "", &bundle, None), &[200]).await?;
    }
    Ok(())
}

/// Loads patients until there are so many resources; adds them to `known`.
pub async fn fill(target: &Target<'_>, data: &mut Data, known: &mut Vec<Known>, resources: usize) -> Result<Filled> {
    let mut filled = Filled::default();
    while data.loaded < resources {
        let bundles = data.next(resources - data.loaded);
        filled.resources += bundles.iter().map(|bundle| bundle.resources).sum::<usize>();
        let requests: Vec<_> = bundles
            .iter()
            .map(|b| target.place.with_body("POST", "", &b.text, None))
            .collect();
        let ids = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&ids);
        let (before, begun) = (target.cpu()?, Instant::now());
        closed_loop(
            &target.place.address,
            AT_A_TIME,
            0..requests.len(),
            &[200],
            move |n| requests[n].clone(),
            move |n, body| {
                if let (Some(id), Ok(mut seen)) = (data::patient_of(body), seen.lock()) {
                    seen.push((n, id));
                }
            },
        )
        .await?;
        filled.took += begun.elapsed();
        if let (Some(before), Some(after)) = (before, target.cpu()?) {
            *filled.cpu.get_or_insert_default() += after.since(before);
        }
        let mut ids = ids.lock().map(|ids| ids.clone()).unwrap_or_default();
        // answers come in any order
        ids.sort_unstable();
        known.extend(ids.into_iter().map(|(n, id)| bundles[n].known(id)));
        known.truncate(REMEMBERED);
    }
    Ok(filled)
}
