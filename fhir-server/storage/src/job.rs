//! Background work as the database keeps it: leased by one server at a time, resumed by another where that one died.

use std::time::Duration;

use fhir_resource::Micros;

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    /// Nobody has begun with it.
    Queued,
    /// A server works at it, or has died doing so.
    Running,
    /// It is done.
    Completed,
    /// It can't be done.
    Failed,
    /// Somebody has stopped it.
    Cancelled,
}

impl JobStatus {
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Queued => 0,
            Self::Running => 1,
            Self::Completed => 2,
            Self::Failed => 3,
            Self::Cancelled => 4,
        }
    }

    pub(crate) fn of(number: i64) -> Self {
        match number {
            0 => Self::Queued,
            1 => Self::Running,
            2 => Self::Completed,
            3 => Self::Failed,
            _ => Self::Cancelled,
        }
    }

    /// Whether there is still something to do.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// What is to be done.
    pub kind: String,
    /// How far it is.
    pub status: JobStatus,
    /// What it was asked for, in the form of its kind.
    pub input: String,
    /// Where to go on, in the form of its kind; empty: at the start.
    pub position: String,
    /// Pieces that are done.
    pub done: u64,
    /// Pieces in all.
    pub total: u64,
    /// Why it failed.
    pub problem: String,
    /// When it was asked for.
    pub queued: Micros,
    /// When somebody began.
    pub started: Option<Micros>,
    /// When it ended.
    pub ended: Option<Micros>,
    /// When it changed last.
    pub modified: Micros,
}

/// A job that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Its id.
    pub id: String,
    /// What is to be done.
    pub kind: &'static str,
    /// What exactly.
    pub input: String,
    /// Not before this time has passed.
    pub after: Duration,
    /// Whether it is one with another of its kind that nobody has begun with.
    pub merges: bool,
}

/// What happens to jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobChange {
    /// A new one, or the one that it merges with.
    Add(NewJob),
    /// The oldest of a kind that is due, or whose server is silent, becomes this owner's for a while.
    Claim {
        /// What is to be done.
        kind: &'static str,
        /// Who will do it.
        owner: String,
        /// How long nobody else may take it.
        lease: Duration,
    },
    /// It has got further; the lease begins again.
    Advance {
        /// Which.
        id: String,
        /// Whose it must be.
        owner: String,
        /// How long nobody else may take it.
        lease: Duration,
        /// Where to go on.
        position: String,
        /// Pieces that are done.
        done: u64,
        /// Pieces in all.
        total: u64,
    },
    /// It has come to its end.
    End {
        /// Which.
        id: String,
        /// Whose it must be.
        owner: String,
        /// How it ended.
        status: JobStatus,
        /// Why it failed.
        problem: String,
    },
    /// It is over, whoever works at it.
    Cancel {
        /// Which.
        id: String,
    },
    /// What it was asked for is changed, as long as it is open.
    Amend {
        /// Which.
        id: String,
        /// The new form.
        input: String,
    },
}
