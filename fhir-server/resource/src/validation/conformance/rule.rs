//! What an element has to be: the one table that built-in types and stored profiles are compiled to.

use fhir_definitions::Strength;

use super::bounds::Bound;
use crate::document::Document;
use crate::path::Expression;

/// What holds for an element, and for what is in it.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// Its id in the definition, for messages: `Patient.contact`.
    pub id: String,
    /// The least number.
    pub min: u32,
    /// The greatest number; `None`: any.
    pub max: Option<u32>,
    /// The types that it may have; empty: those of the base type.
    pub types: Vec<TypeRule>,
    /// What it must equal.
    pub fixed: Option<Document>,
    /// What it must have in it.
    pub pattern: Option<Document>,
    /// The value set that its codes come from.
    pub binding: Option<BindingRule>,
    /// What must hold for each value.
    pub constraints: Vec<Constraint>,
    /// The least and the greatest value.
    pub bounds: Vec<Bound>,
    /// The most characters of a text.
    pub max_length: Option<usize>,
    /// How its values are told apart, and what holds for each kind.
    pub slicing: Option<Slicing>,
    /// The slices.
    pub slices: Vec<Slice>,
    /// Rules of the elements in it, by the name that FHIRPath uses.
    pub children: Vec<(String, Rule)>,
}

/// A type that an element may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypeRule {
    /// `Reference`
    pub code: String,
    /// Profiles of which a value must conform to one.
    pub profiles: Vec<String>,
    /// Profiles of which the target of a reference must conform to one.
    pub targets: Vec<String>,
}

/// A binding to a value set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingRule {
    /// Canonical URL, maybe with `|version`.
    pub value_set: String,
    /// How binding it is.
    pub strength: Strength,
}

/// A rule in FHIRPath.
#[derive(Debug, Clone)]
pub struct Constraint {
    /// `pat-1`
    pub key: String,
    /// Whether breaking it is an error; otherwise a warning.
    pub error: bool,
    /// The rule in words.
    pub human: String,
    /// What must hold.
    pub expression: Expression,
}

/// How the values of an element are divided.
#[derive(Debug, Clone)]
pub struct Slicing {
    /// What tells slices apart; without any, a value belongs to the first slice whose rules it meets.
    pub discriminators: Vec<Discriminator>,
    /// Whether every value must belong to a slice.
    pub closed: bool,
    /// Whether the values of a slice come after those of the slices before it.
    pub ordered: bool,
    /// Whether values of no slice come last.
    pub open_at_end: bool,
}

/// A way to tell slices apart.
#[derive(Debug, Clone)]
pub struct Discriminator {
    /// What of it matters.
    pub kind: DiscriminatorKind,
    /// FHIRPath from a value to what is looked at, as it was written.
    pub path: String,
    /// The same, parsed.
    pub expression: Expression,
}

/// What a discriminator looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscriminatorKind {
    /// The value (or what of it a pattern says).
    Value,
    /// Whether it is there.
    Exists,
    /// Its type.
    Type,
    /// The profile that it conforms to.
    Profile,
}

/// A kind of values.
#[derive(Debug, Clone)]
pub struct Slice {
    /// Its name.
    pub name: String,
    /// What holds for its values.
    pub rule: Rule,
}

impl Rule {
    /// The rule of the child that FHIRPath calls `name`.
    pub fn child(&self, name: &str) -> Option<&Rule> {
        let found = self.children.iter().find(|(own, _)| own == name)?;
        Some(&found.1)
    }

    /// The rule of the child `name`, made if there is none.
    pub fn child_mut(&mut self, name: &str) -> &mut Rule {
        let at = self.children.iter().position(|(own, _)| own == name);
        let at = at.unwrap_or_else(|| {
            self.children.push((name.to_owned(), Rule::default()));
            self.children.len() - 1
        });
        &mut self.children[at].1
    }

    /// The rule of the slice `name`, made if there is none.
    pub fn slice_mut(&mut self, name: &str) -> &mut Rule {
        let at = self.slices.iter().position(|slice| slice.name == name);
        let at = at.unwrap_or_else(|| {
            self.slices.push(Slice {
                name: name.to_owned(),
                rule: Rule::default(),
            });
            self.slices.len() - 1
        });
        &mut self.slices[at].rule
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        let documents = self.fixed.iter().chain(&self.pattern);
        let documents: usize = documents.map(|document| document.text().len() * 8).sum();
        let constraints = self.constraints.iter();
        let constraints: usize = constraints
            .map(|constraint| 128 + constraint.human.len() + constraint.expression.size())
            .sum();
        let bounds = self.bounds.iter();
        let bounds: usize = bounds.map(|bound| 64 + bound.expression.size()).sum();
        let below = self.children.iter().map(|(_, rule)| rule.size());
        let slices = self.slices.iter().map(|slice| slice.rule.size());
        size_of::<Self>() + self.id.len() + documents + constraints + bounds + below.chain(slices).sum::<usize>()
    }
}
