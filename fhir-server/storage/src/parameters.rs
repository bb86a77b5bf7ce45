//! Definitions of search parameters that aren't FHIR's: kept by number, by generation.
//!
//! A number stands for one definition and is never given to another. Each change is a new generation, made in the
//! transaction of the resource that it comes from; a set whose keys are of another generation is refused.

/// What a definition is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// New and changed resources have its rows; the others get them by a reindex.
    Filling,
    /// All resources have its rows.
    Ready,
    /// Its rows are written no more, and go.
    Retired,
}

impl State {
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Filling => 0,
            Self::Ready => 1,
            Self::Retired => 2,
        }
    }

    pub(crate) fn of(number: i64) -> Self {
        match number {
            0 => Self::Filling,
            1 => Self::Ready,
            _ => Self::Retired,
        }
    }
}

/// A definition in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Stands for it.
    pub number: u32,
    /// The id of the resource that it comes from.
    pub owner: String,
    /// What it says, in the server's form.
    pub definition: String,
    /// What it is good for.
    pub state: State,
}

/// All definitions of a generation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InUse {
    /// Goes up with each change.
    pub generation: u64,
    /// By number.
    pub stored: Vec<Stored>,
}

impl InUse {
    /// The numbers of those whose rows come or go at the moment.
    pub(crate) fn unsettled(&self) -> Vec<u32> {
        let unsettled = self.stored.iter().filter(|stored| stored.state != State::Ready);
        unsettled.map(|stored| stored.number).collect()
    }
}

/// A definition that gets a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDefinition {
    /// The id of the resource that it comes from.
    pub owner: String,
    /// What it says.
    pub definition: String,
}

/// A change of definitions; they are filling first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DefinitionChange {
    /// The generation that it was decided on.
    pub generation: u64,
    /// They get numbers.
    pub add: Vec<NewDefinition>,
    /// They are filled.
    pub ready: Vec<u32>,
    /// They aren't used any more.
    pub retire: Vec<u32>,
}
