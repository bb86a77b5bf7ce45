//! A value set, read once: what it includes and excludes.

use std::borrow::Cow;
use std::collections::HashMap;

use fhir_resource::{Document, Node};

use super::canonical::Canonical;

/// A code that a value set names.
#[derive(Debug)]
pub struct Listed {
    /// Its system; only the members of a given expansion have one of their own.
    pub system: Option<Box<str>>,
    /// The code.
    pub code: Box<str>,
    /// The text that the value set gives it.
    pub display: Option<Box<str>>,
    /// Not to be used any more.
    pub inactive: bool,
    /// Where it begins in the document.
    pub offset: usize,
}

/// A condition on concepts of a system.
#[derive(Debug)]
pub struct ConceptFilter {
    /// Of which property.
    pub property: String,
    /// How it is compared.
    pub op: String,
    /// With what.
    pub value: String,
}

impl ConceptFilter {
    /// For messages.
    pub fn text(&self) -> String {
        format!("{} {} {}", self.property, self.op, self.value)
    }
}

/// One part of a definition: all of it must hold.
#[derive(Debug)]
pub struct Part {
    /// Codes of this system.
    pub system: Option<String>,
    /// In this version.
    pub version: Option<String>,
    /// These codes; none: all.
    pub concepts: Vec<Listed>,
    /// That fulfil these.
    pub filters: Vec<ConceptFilter>,
    /// And are members of these value sets.
    pub value_sets: Vec<String>,
    by_code: HashMap<Box<str>, u32>,
}

impl Part {
    /// The system of which it is everything, whether the codes are known or not.
    pub fn whole_system(&self) -> Option<&str> {
        let narrowed = !self.concepts.is_empty() || !self.filters.is_empty() || !self.value_sets.is_empty();
        self.system.as_deref().filter(|_| !narrowed)
    }

    /// A code that it lists.
    pub fn listed(&self, code: &str) -> Option<&Listed> {
        self.by_code
            .get(code)
            .and_then(|number| self.concepts.get(*number as usize))
    }
}

/// Where the members come from.
#[derive(Debug)]
pub enum Definition {
    /// `compose`
    Compose {
        /// Members of one of these.
        include: Vec<Part>,
        /// But none of these.
        exclude: Vec<Part>,
        /// Whether inactive codes are members.
        with_inactive: bool,
    },
    /// An expansion that was made elsewhere.
    Expansion(Vec<Listed>),
    /// Nothing is said.
    None,
}

/// A value set.
pub struct ValueSet {
    /// Canonical URL; may be empty.
    pub url: String,
    /// Business version.
    pub version: Option<String>,
    /// Its members.
    pub definition: Definition,
    document: Document,
}

impl ValueSet {
    /// Reads a resource; what is no value set has no definition.
    pub fn of(document: Document) -> Self {
        let root = document.root();
        let text = |name: &str| root.text_of(name).map(Cow::into_owned);
        let definition = match (root.get("compose"), root.get("expansion")) {
            (Some(compose), _) => Definition::Compose {
                include: parts(compose, "include"),
                exclude: parts(compose, "exclude"),
                with_inactive: compose.get("inactive").and_then(Node::as_bool).unwrap_or(true),
            },
            (None, Some(expansion)) => {
                let mut members = Vec::new();
                contained(expansion, &mut members);
                Definition::Expansion(members)
            }
            (None, None) => Definition::None,
        };
        Self {
            url: text("url").unwrap_or_default(),
            version: text("version"),
            definition,
            document,
        }
    }

    /// What messages call it.
    pub fn label(&self) -> String {
        if self.url.is_empty() {
            self.root()
                .text_of("id")
                .map_or_else(|| "(without URL)".to_owned(), |id| format!("ValueSet/{id}"))
        } else {
            self.url.clone()
        }
    }

    /// The resource.
    pub fn root(&self) -> Node<'_> {
        self.document.root()
    }

    /// What the resource says of a code that it names, by [`Listed::offset`].
    pub fn node(&self, offset: usize) -> Option<Node<'_>> {
        self.document.node_at(offset)
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        let (include, exclude): (&[Part], &[Part]) = match &self.definition {
            Definition::Compose { include, exclude, .. } => (include, exclude),
            Definition::Expansion(_) | Definition::None => (&[], &[]),
        };
        include.iter().chain(exclude)
    }

    /// The URLs of the code systems that it is made of.
    pub fn systems(&self) -> Vec<String> {
        let mut systems: Vec<String> = self.parts().filter_map(|part| part.system.clone()).collect();
        if let Definition::Expansion(members) = &self.definition {
            systems.extend(
                members
                    .iter()
                    .filter_map(|member| member.system.as_deref().map(str::to_owned)),
            );
        }
        systems.sort_unstable();
        systems.dedup();
        systems
    }

    /// The value sets that it is made of.
    pub fn imports(&self) -> impl Iterator<Item = Canonical<'_>> {
        self.parts()
            .flat_map(|part| &part.value_sets)
            .map(|text| Canonical::of(text))
    }

    /// The texts that it gives a code of its own accord.
    pub fn displays(&self, system: Option<&str>, code: &str) -> Vec<Cow<'_, str>> {
        let parts = self
            .parts()
            .filter(|part| system.is_none() || part.system.as_deref() == system);
        let listed = parts.filter_map(|part| part.listed(code));
        let given: &[Listed] = match &self.definition {
            Definition::Expansion(members) => members,
            Definition::Compose { .. } | Definition::None => &[],
        };
        let given = given.iter().filter(|listed| {
            let same_system = system.is_none() || listed.system.as_deref() == system;
            *listed.code == *code && same_system
        });
        let mut texts = Vec::new();
        for listed in listed.chain(given) {
            texts.extend(listed.display.as_deref().map(Cow::Borrowed));
            let others = self.node(listed.offset).and_then(|node| node.get("designation"));
            let others = others.into_iter().flat_map(Node::items);
            texts.extend(others.filter_map(|node| node.text_of("value")));
        }
        texts
    }

    /// About how much memory it takes.
    pub fn weight(&self) -> usize {
        self.document.text().len() * 5 + 512
    }
}

impl std::fmt::Debug for ValueSet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "ValueSet({})", self.url)
    }
}

fn parts(compose: Node<'_>, name: &str) -> Vec<Part> {
    let parts = compose.get(name).into_iter().flat_map(Node::items);
    parts.map(part).collect()
}

fn part(node: Node<'_>) -> Part {
    let text = |node: Node<'_>, name: &str| node.text_of(name).map(Cow::into_owned);
    let items = |name: &str| node.get(name).into_iter().flat_map(Node::items);
    let concepts: Vec<Listed> = items("concept").filter_map(|concept| listed(concept, None)).collect();
    let by_code = (0_u32..)
        .zip(&concepts)
        .map(|(number, concept)| (concept.code.clone(), number))
        .collect();
    Part {
        system: text(node, "system"),
        version: text(node, "version"),
        by_code,
        concepts,
        filters: items("filter")
            .map(|filter| ConceptFilter {
                property: text(filter, "property").unwrap_or_default(),
                op: text(filter, "op").unwrap_or_default(),
                value: text(filter, "value").unwrap_or_default(),
            })
            .collect(),
        value_sets: items("valueSet")
            .filter_map(Node::as_str)
            .map(Cow::into_owned)
            .collect(),
    }
}

fn listed(node: Node<'_>, system: Option<Cow<'_, str>>) -> Option<Listed> {
    Some(Listed {
        system: system.map(|text| text.as_ref().into()),
        code: node.text_of("code")?.as_ref().into(),
        display: node.text_of("display").map(|text| text.as_ref().into()),
        inactive: node.get("inactive").and_then(Node::as_bool).unwrap_or(false),
        offset: node.span().start,
    })
}

/// The members of an expansion; groups that are no members themselves are passed through.
fn contained(holder: Node<'_>, members: &mut Vec<Listed>) {
    for node in holder.get("contains").into_iter().flat_map(Node::items) {
        let is_group = node.get("abstract").and_then(Node::as_bool).unwrap_or(false);
        if !is_group {
            members.extend(listed(node, node.text_of("system")));
        }
        contained(node, members);
    }
}
