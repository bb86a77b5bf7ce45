//! What validation asks of terminology, answered by whoever knows value sets.

/// Whether a code belongs to a value set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// It is a member.
    Yes,
    /// It is none: all members are known.
    No,
    /// Nobody can tell here: the value set isn't known, or its members can't be listed (all of SNOMED CT, MIME types).
    Unknown,
}

/// A code as a resource holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coded<'a> {
    /// Its code system; `None` for a value of type `code`, `string` or `uri`, which leaves the system to the value set.
    pub system: Option<&'a str>,
    /// The version of the code system, if the resource says one.
    pub version: Option<&'a str>,
    /// The code itself.
    pub code: &'a str,
}

/// Knowledge of value sets at one moment.
///
/// An implementation promises that an answer comes at once (no I/O: what must be read from a database is read before),
/// that it is the same for as long as it is borrowed, and that `Yes` and `No` are certain. In doubt it says `Unknown`: validation
/// then warns instead of refusing, and names the value set in `Report::lacking`, so that the caller may load it and
/// validate again.
pub trait Terminology {
    /// Whether `code` is a member of the value set with the canonical URL `value_set`, which may end with `|version`.
    fn member(&self, value_set: &str, code: Coded<'_>) -> Membership;
}

/// Knows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTerminology;

impl Terminology for NoTerminology {
    fn member(&self, _value_set: &str, _code: Coded<'_>) -> Membership {
        Membership::Unknown
    }
}
