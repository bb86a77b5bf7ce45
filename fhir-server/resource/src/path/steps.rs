//! What an expression is lowered to.

use fhir_definitions::Structure;

/// One step, or a condition, over what comes before it.
#[derive(Debug, Clone, PartialEq)]
pub enum Lowered {
    /// What is looked at.
    This,
    /// The whole resource.
    Resource,
    /// Elements of one name.
    Child {
        of: Box<Lowered>,
        cases: Vec<Case>,
        /// What elements of abstract types are looked up by.
        name: String,
        /// Whether primitive values are wanted with their `_name` twin.
        twins: bool,
    },
    /// Extensions of one URL.
    Extension { of: Box<Lowered>, url: String },
    /// Values of one type.
    OfType { of: Box<Lowered>, wanted: Structure },
    /// Values that a condition holds for.
    Where { of: Box<Lowered>, condition: Box<Lowered> },
    /// One value by its place.
    Pick { of: Box<Lowered>, index: usize },
    /// All values of all alternatives.
    Union(Vec<Lowered>),
    /// Whether there is a value.
    Exists { of: Box<Lowered>, wanted: bool },
    /// Whether a value is of a type; empty without a value.
    Is { of: Box<Lowered>, wanted: Structure },
    /// Whether a reference points to a type.
    PointsTo { of: Box<Lowered>, wanted: Structure },
    /// Whether two sides say the same.
    Equal {
        left: Box<Lowered>,
        right: Box<Lowered>,
        wanted: bool,
    },
    /// Both.
    And(Box<Lowered>, Box<Lowered>),
    /// One of both.
    Or(Box<Lowered>, Box<Lowered>),
    /// The contrary.
    Not(Box<Lowered>),
    /// A text or the text of a number.
    Text(String),
    /// A boolean.
    Bool(bool),
}

impl Lowered {
    /// The alternatives of a union; anything else is one itself.
    pub fn alternatives(&self) -> &[Self] {
        match self {
            Self::Union(parts) => parts,
            one => std::slice::from_ref(one),
        }
    }

    /// Whether it is the resource itself.
    pub fn is_resource(&self) -> bool {
        matches!(self, Self::This | Self::Resource)
    }

    /// Collects the members of `resource` without which there is no value; `false` if there may be one without any.
    pub fn entry_members<'a>(&'a self, resource: Structure, names: &mut Vec<&'a str>) -> bool {
        match self {
            Self::Child { of, cases, twins, .. } if matches!(**of, Self::This | Self::Resource) => {
                let Some(case) = cases.iter().find(|case| case.owner == resource) else {
                    return false;
                };
                for member in &case.members {
                    names.push(member.name);
                    names.extend(member.twin.as_deref().filter(|_| *twins));
                }
                true
            }
            Self::Child { of, .. }
            | Self::Extension { of, .. }
            | Self::OfType { of, .. }
            | Self::Where { of, .. }
            | Self::Pick { of, .. } => of.entry_members(resource, names),
            Self::Union(parts) => parts.iter().all(|part| part.entry_members(resource, names)),
            _ => false,
        }
    }
}

/// What a name stands for in one type.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    pub owner: Structure,
    pub members: Vec<Member>,
}

/// One JSON member.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    pub name: &'static str,
    /// `_name`, for primitive types.
    pub twin: Option<String>,
    pub structure: Structure,
}
