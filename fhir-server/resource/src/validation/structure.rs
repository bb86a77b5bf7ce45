//! One walk over a resource and the tables beside it.

use fhir_definitions::{Definitions, Element, Max, Strength, Structure, StructureKind};

use super::location::Location;
use super::{Issue, MOST_ISSUES, Severity, narrative, primitive};
use crate::document::{Kind, Node};
use crate::reference;

pub struct Validator {
    definitions: &'static Definitions,
    issues: Vec<Issue>,
    path: Location,
}

impl Validator {
    pub fn new(definitions: &'static Definitions) -> Self {
        Validator {
            definitions,
            issues: Vec::new(),
            path: Location::default(),
        }
    }

    pub fn into_issues(self) -> Vec<Issue> {
        self.issues
    }

    fn issue(&mut self, severity: Severity, code: &'static str, diagnostics: String, tolerated: bool) {
        if self.issues.len() >= MOST_ISSUES {
            return;
        }
        self.issues.push(Issue {
            severity,
            code,
            diagnostics,
            expression: self.path.to_string(),
            tolerated,
        });
    }

    fn error(&mut self, code: &'static str, diagnostics: String) {
        self.issue(Severity::Error, code, diagnostics, false);
    }

    fn within(&mut self, name: &str, index: Option<usize>, check: impl FnOnce(&mut Self)) {
        self.path.push(name, index);
        check(self);
        self.path.pop();
    }

    /// A resource at the top, contained, or in a bundle.
    pub fn resource(&mut self, node: Node<'_>) {
        if !node.is_object() {
            return self.error(
                "structure",
                format!("a resource must be an object, not {}", node.kind().name()),
            );
        }
        let Some(name) = node.text_of("resourceType") else {
            return self.error("structure", "a resource must have a `resourceType`".to_owned());
        };
        let Some(resource_type) = self.definitions.resource_type(&name) else {
            return self.error(
                "not-supported",
                format!("Resource type '{}' is not supported.", shortened(&name)),
            );
        };
        let structure = resource_type.structure();
        if self.path.depth() == 0 {
            self.within(structure.name(), None, |validator| validator.members(node, structure));
        } else {
            self.members(node, structure);
        }
    }

    fn members(&mut self, object: Node<'_>, structure: Structure) {
        let is_resource = structure.kind() == StructureKind::Resource;
        let mut seen = 0_u128;
        let mut chosen: Vec<Element> = Vec::new();
        let mut members = 0;
        for (name, value) in object.entries() {
            members += 1;
            if is_resource && name == "resourceType" {
                continue;
            }
            let (bare, is_twin) = name.strip_prefix('_').map_or((&*name, false), |bare| (bare, true));
            let found = structure
                .element(bare)
                .filter(|element| !is_twin || element.structure().kind() == StructureKind::Primitive);
            let Some(element) = found else {
                let text = format!("Encountered unknown element '{}' while parsing.", shortened(&name));
                self.within(shortened(&name), None, |validator| validator.error("structure", text));
                if self.issues.len() >= MOST_ISSUES {
                    return;
                }
                continue;
            };
            // A type has less than 128 slots.
            seen |= 1 << (element.slot() & 127);
            if element.is_choice() {
                match chosen.iter().find(|other| other.slot() == element.slot()) {
                    Some(other) if *other != element => {
                        let text = format!(
                            "`{}` and `{}` exclude each other: only one may be present",
                            other.name(),
                            element.name()
                        );
                        self.within(element.name(), None, |validator| validator.error("structure", text));
                    }
                    Some(_) => {}
                    None => chosen.push(element),
                }
            }
            if is_twin {
                self.twins(element, value);
            } else {
                self.values(object, element, value);
            }
        }
        if members == 0 {
            self.error("structure", "an object must have at least one member".to_owned());
        }
        for slot in (0..structure.slot_count()).filter(|slot| seen & (1 << (slot & 127)) == 0) {
            let (name, min, _) = structure.slot(slot);
            if min > 0 {
                let text = format!("Element with min. cardinality {min} cannot be null.");
                // An extension without its URL says nothing at all, anywhere.
                let tolerated = self.path.depth() > 1 && structure.name() != "Extension";
                self.within(name, None, |validator| {
                    validator.issue(Severity::Error, "required", text, tolerated);
                });
            }
        }
    }

    /// The value or values of an element.
    fn values(&mut self, object: Node<'_>, element: Element, value: Node<'_>) {
        let structure = element.structure();
        match (element.max(), value.kind()) {
            (Max::Zero, _) => {
                self.within(element.name(), None, |validator| {
                    validator.error("structure", "this element is not allowed here".to_owned());
                });
            }
            (Max::One, Kind::Array) => self.within(element.name(), None, |validator| {
                validator.error(
                    "structure",
                    "this element can't repeat, so it must not be an array".to_owned(),
                );
            }),
            (Max::One, _) => {
                self.within(element.name(), None, |validator| {
                    validator.value(element, structure, value);
                });
            }
            (Max::Many, Kind::Array) if value.is_empty() => self.within(element.name(), None, |validator| {
                validator.error("structure", "an array must have at least one item".to_owned());
            }),
            (Max::Many, Kind::Array) => {
                let mut twins = None;
                for (index, item) in value.items().enumerate() {
                    if item.is_null() && structure.kind() == StructureKind::Primitive {
                        let twin = *twins.get_or_insert_with(|| object.get(&format!("_{}", element.name())));
                        if twin
                            .and_then(|twin| twin.item(index))
                            .is_some_and(|twin| !twin.is_null())
                        {
                            continue;
                        }
                    }
                    self.within(element.name(), Some(index), |validator| {
                        validator.value(element, structure, item);
                    });
                }
            }
            (Max::Many, _) => self.within(element.name(), None, |validator| {
                validator.error(
                    "structure",
                    "this element may repeat, so it must be an array".to_owned(),
                );
            }),
        }
    }

    /// What `_name` says beside primitive values: ids and extensions.
    fn twins(&mut self, element: Element, value: Node<'_>) {
        let structure = element.structure();
        let repeats = element.max() == Max::Many;
        if repeats != value.is_array() {
            let text = if repeats {
                "this element may repeat, so it must be an array"
            } else {
                "this element can't repeat, so it must not be an array"
            };
            return self.within(element.name(), None, |validator| {
                validator.error("structure", text.to_owned());
            });
        }
        for (index, twin) in value.each().enumerate() {
            if twin.is_null() && repeats {
                continue;
            }
            self.within(element.name(), repeats.then_some(index), |validator| {
                if twin.is_object() {
                    validator.members(twin, structure);
                } else {
                    let text = format!("`_{}` must hold objects with `id` or `extension`", element.name());
                    validator.error("structure", text);
                }
            });
        }
    }

    fn value(&mut self, element: Element, structure: Structure, value: Node<'_>) {
        if value.is_null() {
            return self.error("structure", "`null` is no value, leave the element out".to_owned());
        }
        match structure.kind() {
            StructureKind::Primitive => self.primitive(element, structure, value),
            StructureKind::Resource => self.resource(value),
            StructureKind::Complex | StructureKind::Backbone => {
                if value.is_object() {
                    self.members(value, structure);
                    if structure.name() == "Reference" {
                        self.reference(element, value);
                    }
                } else {
                    let text = format!("`{}` must be an object, not {}", structure.name(), value.kind().name());
                    self.error("structure", text);
                }
            }
        }
    }

    fn primitive(&mut self, element: Element, structure: Structure, value: Node<'_>) {
        if let Err(problem) = primitive::check(structure.name(), value) {
            return self.error(problem.code, problem.diagnostics);
        }
        match structure.name() {
            "xhtml" => {
                for text in narrative::problems(&value.as_str().unwrap_or_default()) {
                    self.error("invalid", text);
                }
            }
            "code" => {
                let required = element
                    .binding()
                    .filter(|binding| binding.strength() == Strength::Required);
                let Some((binding, code)) = required.zip(value.as_str()) else {
                    return;
                };
                if binding.allows(&code) == Some(false) {
                    let set = binding.value_set();
                    let text = format!(
                        "Literal '{}' is not a valid code of the value set '{set}'.",
                        shortened(&code)
                    );
                    self.error("code-invalid", text);
                }
            }
            _ => {}
        }
    }

    fn reference(&mut self, element: Element, value: Node<'_>) {
        let Some(text) = value.text_of("reference") else { return };
        let Some(literal) = reference::literal(&text, self.definitions) else {
            return;
        };
        let mut targets = element.targets().peekable();
        if targets.peek().is_some() && !targets.any(|target| literal.resource_type.structure().is_a(target)) {
            let allowed: Vec<_> = element.targets().collect();
            let text = format!(
                "a reference to `{}` is not expected here, but to {}",
                literal.resource_type,
                allowed.join(", ")
            );
            self.within("reference", None, |validator| {
                validator.issue(Severity::Warning, "value", text, true);
            });
        }
    }
}

/// The beginning of a hostile text.
fn shortened(text: &str) -> &str {
    text.char_indices().nth(64).map_or(text, |(end, _)| &text[..end])
}
