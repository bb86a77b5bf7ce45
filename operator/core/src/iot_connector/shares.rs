//! How the spool's volume is shared: what waits, dead letters, traces, and what the store needs for itself. Together they
//! fit, so that a bound is reached before the volume is full.

use iot_connector_settings::{Settings, Trace};

/// The smallest volume that works.
pub(crate) const MIN_STORAGE: &str = "256Mi";

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// What the store takes beside messages: its log (`journal_size_limit` of 64 MiB), and what was taken in lately by HTTP
/// and from a source (100,000 of each).
const OWN: u64 = 112 * MIB;
/// What a trace takes beside its body: context, outcome, and the pages that aren't full.
const TRACE_OVERHEAD: u64 = KIB;
/// Traces that are kept beyond the wanted number until they are forgotten together.
const TRACES_BEYOND: u64 = 1024;

/// The parts of a volume, in bytes.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Shares {
    /// Messages that wait.
    pub spool: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// How many traces with how long bodies.
    pub trace: Trace,
}

impl Shares {
    /// Four fifths for what waits and the connector's own bounds for the rest, where that fits with room for pages that
    /// aren't full and the file system. On a smaller volume each part is smaller, and traces lose long bodies first.
    pub fn of(volume: u64, keep: Option<u32>) -> Self {
        let default = Settings::default();
        let shares = Self {
            spool: volume / 5 * 4,
            dead_letters: default.dead_letters.max_bytes,
            trace: Trace {
                keep: keep.unwrap_or(default.trace.keep),
                ..default.trace
            },
        };
        if shares.sum() <= volume - volume / 25 {
            return shares;
        }
        let rest = volume.saturating_sub(OWN);
        Self {
            spool: rest / 5 * 3,
            dead_letters: shares.dead_letters.min(rest / 5).max(1),
            trace: fitting(shares.trace, rest / 10),
        }
    }

    fn sum(&self) -> u64 {
        OWN + self.spool + self.dead_letters + bytes(&self.trace)
    }
}

/// What traces take at most.
fn bytes(trace: &Trace) -> u64 {
    match u64::from(trace.keep) {
        0 => 0,
        keep => (keep + TRACES_BEYOND) * (u64::from(trace.max_body_bytes) + TRACE_OVERHEAD),
    }
}

/// Traces that fit: with shorter bodies, in whole KiB, and fewer only where bodies of a KiB don't fit.
fn fitting(wanted: Trace, room: u64) -> Trace {
    if bytes(&wanted) <= room {
        return wanted;
    }
    let each = room / (u64::from(wanted.keep) + TRACES_BEYOND);
    let body = (each.saturating_sub(TRACE_OVERHEAD) / KIB * KIB).max(KIB);
    let most = (room / (body + TRACE_OVERHEAD)).saturating_sub(TRACES_BEYOND);
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Trace {
        keep: wanted.keep.min(small(most)),
        max_body_bytes: wanted.max_body_bytes.min(small(body)),
    }
}

#[cfg(test)]
mod tests {
    use fhir_operator_api::StorageSize;
    use rstest::rstest;

    use super::*;

    fn volume(size: &str) -> u64 {
        StorageSize(size.to_owned()).bytes().unwrap().try_into().unwrap()
    }

    #[rstest]
    fn the_parts_of_a_volume_fit(
        #[values("256Mi", "300M", "512Mi", "1Gi", "1700Mi", "2Gi", "3Gi", "5Gi", "50Gi", "2Ti")] size: &str,
        #[values(None, Some(0), Some(1), Some(50_000))] keep: Option<u32>,
    ) {
        let (volume, shares) = (volume(size), Shares::of(volume(size), keep));
        assert!(shares.sum() <= volume - volume / 25, "{shares:?}");
        // and each is worth having
        assert!(
            shares.spool >= volume / 4 && shares.dead_letters >= 16 * MIB,
            "{shares:?}"
        );
        assert!(
            keep == Some(0) || shares.trace.keep >= keep.unwrap_or(10_000).min(1_000),
            "{shares:?}"
        );
    }

    /// Running pods aren't restarted by an operator that shares in another way.
    #[rstest]
    fn a_volume_of_the_default_size_or_more_is_shared_as_ever(
        #[values("5Gi", "6Gi", "50Gi")] size: &str,
        #[values(0, 10_000, 50_000)] keep: u32,
    ) {
        let default = Settings::default();
        let shares = Shares {
            spool: volume(size) / 5 * 4,
            dead_letters: default.dead_letters.max_bytes,
            trace: Trace { keep, ..default.trace },
        };
        assert_eq!(Shares::of(volume(size), Some(keep)), shares);
    }

    #[rstest]
    #[case("1Gi", None, (10_000, 7 * KIB))]
    #[case("512Mi", None, (10_000, 2 * KIB))]
    #[case("256Mi", None, (6_348, KIB))]
    #[case("256Mi", Some(100), (100, 8 * KIB))]
    fn traces_lose_long_bodies_first(#[case] size: &str, #[case] keep: Option<u32>, #[case] kept: (u32, u64)) {
        let trace = Shares::of(volume(size), keep).trace;
        assert_eq!((trace.keep, u64::from(trace.max_body_bytes)), kept);
    }
}
