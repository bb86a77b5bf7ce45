//! Stored `StructureDefinition`s → rules: the rules of the profile that a profile is based on, with its differential (or
//! its snapshot, which says all by itself) laid over them.

mod element;

use fhir_definitions::{Definitions, Structure};
use thiserror::Error;

use self::element::lay;
use super::CORE;
use super::rule::{Discriminator, DiscriminatorKind, Rule, Slicing, TypeRule};
use crate::document::Node;
use crate::path::{Expression, PathError};

/// More elements than any profile has; each may bring up to one level of rules.
const MOST_ELEMENTS: usize = 4_000;

/// A compiled profile.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Canonical URL.
    pub url: String,
    /// The type that it is for: `Patient`, `Extension`.
    pub of: Structure,
    /// What holds.
    pub rule: Rule,
}

/// Why a `StructureDefinition` is no profile that values can be checked by.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProfileError {
    /// Something that it must have is missing.
    #[error("the StructureDefinition lacks `{0}`")]
    Lacks(&'static str),
    /// It is for a type that the FHIR version doesn't have.
    #[error("the StructureDefinition is for the unknown type `{0}`")]
    UnknownType(String),
    /// A constraint or discriminator isn't FHIRPath.
    #[error("`{expression}` in the StructureDefinition can't be used: {reason}")]
    Expression {
        /// As it was written.
        expression: String,
        /// What is wrong with it.
        reason: PathError,
    },
    /// It is larger than any real one.
    #[error("the StructureDefinition has more than {MOST_ELEMENTS} elements")]
    TooLarge,
}

/// The canonical URL of the profile that the `StructureDefinition` is based on, where its rules are needed: it has no
/// snapshot and isn't based on a built-in type.
pub fn needs(definition: Node<'_>, definitions: &'static Definitions) -> Option<String> {
    if snapshot(definition).is_some() {
        return None;
    }
    let base = definition.text_of("baseDefinition")?;
    let built_in = base.strip_prefix(CORE).and_then(|name| definitions.structure(name));
    built_in.is_none().then(|| base.into_owned())
}

fn snapshot(definition: Node<'_>) -> Option<Node<'_>> {
    definition
        .get("snapshot")?
        .get("element")
        .filter(|list| !list.is_empty())
}

impl Profile {
    /// Compiles the `StructureDefinition` `definition`; `base` is the profile that [`needs`] named, if it is known.
    pub fn compile(
        definition: Node<'_>,
        definitions: &'static Definitions,
        base: Option<&Profile>,
    ) -> Result<Self, ProfileError> {
        let text = |name| definition.text_of(name).ok_or(ProfileError::Lacks(name));
        let url = text("url")?.into_owned();
        let name = text("type")?;
        let of = definitions
            .structure(&name)
            .ok_or_else(|| ProfileError::UnknownType(name.chars().take(64).collect()))?;
        let differential = definition
            .get("differential")
            .and_then(|differential| differential.get("element"));
        let elements = snapshot(definition)
            .or(differential)
            .ok_or(ProfileError::Lacks("differential"))?;
        if elements.items().count() > MOST_ELEMENTS {
            return Err(ProfileError::TooLarge);
        }
        let mut rule = base.map(|base| base.rule.clone()).unwrap_or_default();
        let mut open = Open::default();
        for element in elements.items() {
            let Some(steps) = open.steps(element) else { continue };
            let place = place(&mut rule, of, &steps);
            lay(place, element, definitions)?;
        }
        finish(&mut rule);
        Ok(Profile { url, of, rule })
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        self.url.len() + self.rule.size()
    }
}

/// A step from an element to one in it, maybe to a slice of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    name: String,
    slice: Option<String>,
}

/// The slices that are open, for definitions whose elements have no ids.
#[derive(Default)]
struct Open {
    slices: Vec<(String, String)>,
}

impl Open {
    /// The way from the root to `element`; `None` for one without a path.
    fn steps(&mut self, element: Node<'_>) -> Option<Vec<Step>> {
        let path = element.text_of("path")?;
        if let Some(id) = element
            .text_of("id")
            .filter(|id| id.split('.').count() == path.split('.').count())
        {
            let step = |segment: &str| match segment.split_once(':') {
                Some((name, slice)) => Step {
                    name: name.to_owned(),
                    slice: Some(slice.to_owned()),
                },
                None => Step {
                    name: segment.to_owned(),
                    slice: None,
                },
            };
            return Some(id.split('.').skip(1).map(step).collect());
        }
        let below = format!("{path}.");
        self.slices
            .retain(|(open, _)| *open != path && !open.starts_with(&below));
        if let Some(slice) = element.text_of("sliceName") {
            self.slices.push((path.clone().into_owned(), slice.into_owned()));
        }
        let mut steps = Vec::new();
        let mut so_far = String::new();
        for (at, name) in path.split('.').enumerate() {
            if at > 0 {
                so_far.push('.');
            }
            so_far.push_str(name);
            if at > 0 {
                let slice = self.slices.iter().find(|(open, _)| *open == so_far);
                steps.push(Step {
                    name: name.to_owned(),
                    slice: slice.map(|(_, slice)| slice.clone()),
                });
            }
        }
        Some(steps)
    }
}

/// The rule that `steps` lead to.
fn place<'r>(root: &'r mut Rule, of: Structure, steps: &[Step]) -> &'r mut Rule {
    let mut rule = root;
    let mut owner = Some(of);
    for step in steps {
        let bare = step.name.trim_end_matches("[x]");
        let alternative = owner
            .and_then(|owner| owner.element(bare))
            .filter(|element| element.is_choice());
        if let Some(element) = alternative {
            // `valueQuantity` is the slice of `value[x]` that is a Quantity.
            rule = type_slice(rule.child_mut(element.base_name()), element.name(), element.structure());
            owner = Some(element.structure());
            continue;
        }
        rule = rule.child_mut(bare);
        let elements: Vec<_> = owner.into_iter().flat_map(|owner| owner.elements_named(bare)).collect();
        owner = match elements.as_slice() {
            [only] => Some(only.structure()),
            several => one_type(rule, several),
        };
        if let Some(slice) = &step.slice {
            let typed = elements
                .iter()
                .find(|element| element.is_choice() && element.name() == slice);
            rule = match typed {
                Some(element) => {
                    owner = Some(element.structure());
                    type_slice(rule, slice, element.structure())
                }
                // `a/b` is a slice of the values in the slice `a`
                None => slice.split('/').fold(rule, Rule::slice_mut),
            };
        }
    }
    rule
}

/// The type of a choice that a rule narrows to one.
fn one_type(rule: &Rule, alternatives: &[fhir_definitions::Element]) -> Option<Structure> {
    let [only] = rule.types.as_slice() else { return None };
    let found = alternatives
        .iter()
        .find(|element| element.structure().name() == only.code);
    found.map(|element| element.structure())
}

fn type_slice<'r>(rule: &'r mut Rule, name: &str, structure: Structure) -> &'r mut Rule {
    if rule.slicing.is_none() {
        rule.slicing = this_type();
    }
    let slice = rule.slice_mut(name);
    if slice.types.is_empty() {
        slice.types.push(TypeRule {
            code: structure.name().to_owned(),
            ..TypeRule::default()
        });
    }
    slice
}

fn this_type() -> Option<Slicing> {
    Some(Slicing {
        discriminators: vec![Discriminator {
            kind: DiscriminatorKind::Type,
            path: "$this".to_owned(),
            expression: Expression::parse("$this").ok()?,
        }],
        closed: false,
        ordered: false,
        open_at_end: false,
    })
}

/// Extensions are told apart by their URL, whether the definition says so or not.
fn finish(rule: &mut Rule) {
    for (name, child) in &mut rule.children {
        let is_extension = name == "extension" || name == "modifierExtension";
        if is_extension && child.slicing.is_none() && !child.slices.is_empty() {
            child.slicing = Expression::parse("url").ok().map(|expression| Slicing {
                discriminators: vec![Discriminator {
                    kind: DiscriminatorKind::Value,
                    path: "url".to_owned(),
                    expression,
                }],
                closed: false,
                ordered: false,
                open_at_end: false,
            });
        }
        finish(child);
    }
    for slice in &mut rule.slices {
        finish(&mut slice.rule);
    }
}
