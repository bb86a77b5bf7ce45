//! A code system, read once: its concepts in order, by code, and who is below whom.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use fhir_resource::{Document, Node};

/// How much of a code system is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Every concept.
    Complete,
    /// Some of them, all meant to be used.
    Fragment,
    /// Examples, or nothing: what a code means is defined elsewhere.
    Elsewhere,
}

/// One concept.
#[derive(Debug)]
pub struct Concept {
    /// Its code.
    pub code: Box<str>,
    /// Its text.
    pub display: Option<Box<str>>,
    /// Not to be used any more.
    pub inactive: bool,
    /// Only there to group others.
    pub is_abstract: bool,
    /// The concepts directly above it.
    pub parents: Vec<u32>,
    /// Where it begins in the document.
    offset: usize,
}

/// A code system.
pub struct CodeSystem {
    /// Canonical URL.
    pub url: String,
    /// Business version.
    pub version: Option<String>,
    /// Its name, for people.
    pub name: String,
    /// How much of it is here.
    pub content: Content,
    /// `CodeSystem.content`, as written.
    pub content_code: String,
    /// In order of the document.
    pub concepts: Vec<Concept>,
    case_sensitive: bool,
    by_code: HashMap<Box<str>, u32>,
    document: Document,
}

impl CodeSystem {
    /// Reads a resource; what is no code system has no URL and no concepts.
    pub fn of(document: Document) -> Self {
        let root = document.root();
        let text = |name: &str| root.text_of(name).map(Cow::into_owned);
        let content_code = text("content").unwrap_or_default();
        let mut reading = Reading::default();
        reading.concepts(root, None);
        let case_sensitive = root.get("caseSensitive").and_then(Node::as_bool).unwrap_or(true);
        let Reading { mut concepts, above } = reading;
        let mut by_code = HashMap::with_capacity(concepts.len());
        for (number, concept) in (0_u32..).zip(&concepts) {
            by_code
                .entry(folded(&concept.code, case_sensitive).into())
                .or_insert(number);
        }
        for (below, code) in &above {
            let parent = by_code.get(folded(code, case_sensitive).as_ref()).copied();
            // The child is one that was read.
            let below = match below {
                Below::Number(number) => Some(*number),
                Below::Code(code) => by_code.get(folded(code, case_sensitive).as_ref()).copied(),
            };
            let child = below.and_then(|number| concepts.get_mut(number as usize));
            if let (Some(parent), Some(child)) = (parent, child) {
                child.parents.push(parent);
            }
        }
        for concept in &mut concepts {
            concept.parents.sort_unstable();
            concept.parents.dedup();
        }
        Self {
            url: text("url").unwrap_or_default(),
            version: text("version"),
            name: text("title").or_else(|| text("name")).unwrap_or_default(),
            content: match content_code.as_str() {
                "complete" => Content::Complete,
                "fragment" => Content::Fragment,
                _ => Content::Elsewhere,
            },
            content_code,
            case_sensitive,
            concepts,
            by_code,
            document,
        }
    }

    /// The resource.
    pub fn root(&self) -> Node<'_> {
        self.document.root()
    }

    /// The number of a code.
    pub fn find(&self, code: &str) -> Option<u32> {
        self.by_code.get(folded(code, self.case_sensitive).as_ref()).copied()
    }

    /// A concept by its number.
    pub fn concept(&self, number: u32) -> Option<&Concept> {
        self.concepts.get(number as usize)
    }

    /// What the resource says of a concept.
    pub fn node(&self, concept: &Concept) -> Option<Node<'_>> {
        self.document.node_at(concept.offset)
    }

    /// Whether `upper` is `lower` or above it.
    pub fn subsumes(&self, upper: u32, lower: u32) -> bool {
        self.with_above(lower).contains(&upper)
    }

    /// A concept and all above it.
    pub fn with_above(&self, number: u32) -> Vec<u32> {
        let mut found = vec![number];
        let mut seen: HashSet<u32> = HashSet::from([number]);
        let mut at = 0;
        while let Some(concept) = found.get(at).and_then(|number| self.concept(*number)) {
            found.extend(concept.parents.iter().filter(|parent| seen.insert(**parent)));
            at += 1;
        }
        found
    }

    /// For each concept whether it is `root` or below it.
    pub fn with_below(&self, root: u32) -> Vec<bool> {
        let mut children: Vec<Vec<u32>> = vec![Vec::new(); self.concepts.len()];
        for (number, concept) in (0_u32..).zip(&self.concepts) {
            for parent in &concept.parents {
                if let Some(list) = children.get_mut(*parent as usize) {
                    list.push(number);
                }
            }
        }
        let mut below = vec![false; self.concepts.len()];
        let mut pending = vec![root];
        while let Some(number) = pending.pop() {
            if let Some(seen) = below.get_mut(number as usize)
                && !std::mem::replace(seen, true)
            {
                pending.extend(children.get(number as usize).into_iter().flatten());
            }
        }
        below
    }

    /// The codes directly above a concept, or directly below it.
    pub fn neighbours<'a>(&'a self, concept: &'a Concept, above: bool) -> Vec<&'a str> {
        if above {
            let parents = concept.parents.iter().filter_map(|number| self.concept(*number));
            return parents.map(|parent| parent.code.as_ref()).collect();
        }
        let own = self.find(&concept.code);
        let below = self.concepts.iter();
        let below = below.filter(|other| own.is_some_and(|own| other.parents.contains(&own)));
        below.map(|child| child.code.as_ref()).collect()
    }

    /// The values of a property of a concept, as text.
    pub fn property<'a>(&'a self, concept: &Concept, code: &str) -> Vec<Cow<'a, str>> {
        let properties = self.node(concept).and_then(|node| node.get("property"));
        let own = properties.into_iter().flat_map(Node::items);
        let own = own.filter(|property| property.text_of("code").as_deref() == Some(code));
        own.filter_map(property_text).collect()
    }

    /// About how much memory it takes.
    pub fn weight(&self) -> usize {
        let concepts: usize = self.concepts.iter().map(|concept| 160 + concept.code.len() * 2).sum();
        // The tape is about as large as the text of coded content.
        self.document.text().len() * 3 + concepts + 512
    }
}

impl std::fmt::Debug for CodeSystem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "CodeSystem({}, {} concepts)", self.url, self.concepts.len())
    }
}

/// The value of a concept's property, as text; a coding is its code.
fn property_text(property: Node<'_>) -> Option<Cow<'_, str>> {
    let (_, value) = property.entries().find(|(name, _)| name.starts_with("value"))?;
    if value.is_object() {
        return value.text_of("code");
    }
    Some(value.as_str().unwrap_or(Cow::Borrowed(value.raw())))
}

fn folded(code: &str, case_sensitive: bool) -> Cow<'_, str> {
    if case_sensitive {
        Cow::Borrowed(code)
    } else {
        Cow::Owned(code.to_lowercase())
    }
}

/// Who is below a code that was named.
enum Below {
    Number(u32),
    Code(String),
}

#[derive(Default)]
struct Reading {
    concepts: Vec<Concept>,
    /// Who is below which code.
    above: Vec<(Below, String)>,
}

impl Reading {
    fn concepts(&mut self, holder: Node<'_>, parent: Option<u32>) {
        for node in holder.get("concept").into_iter().flat_map(Node::items) {
            let Ok(number) = u32::try_from(self.concepts.len()) else {
                return;
            };
            let code = node.text_of("code").unwrap_or_default().into_owned();
            let mut concept = Concept {
                code: code.as_str().into(),
                display: node.text_of("display").map(|text| text.as_ref().into()),
                inactive: false,
                is_abstract: false,
                parents: parent.into_iter().collect(),
                offset: node.span().start,
            };
            for property in node.get("property").into_iter().flat_map(Node::items) {
                let (Some(name), Some(value)) = (property.text_of("code"), property_text(property)) else {
                    continue;
                };
                match (name.as_ref(), value.as_ref()) {
                    ("inactive", "true") | ("status", "retired" | "inactive") => concept.inactive = true,
                    ("notSelectable" | "abstract", "true") => concept.is_abstract = true,
                    ("parent" | "subsumedBy", above) => self.above.push((Below::Number(number), above.to_owned())),
                    ("child", below) => self.above.push((Below::Code(below.to_owned()), code.clone())),
                    _ => {}
                }
            }
            self.concepts.push(concept);
            self.concepts(node, Some(number));
        }
    }
}

#[cfg(test)]
mod tests {
    use fhir_resource::Limits;
    use rstest::rstest;

    use super::*;

    fn animals() -> CodeSystem {
        let json = r#"{"resourceType":"CodeSystem","url":"http://animals","version":"1","content":"complete","concept":[
            {"code":"animal","property":[{"code":"notSelectable","valueBoolean":true}],"concept":[
                {"code":"cat","display":"Cat"},
                {"code":"dog","display":"Dog","concept":[{"code":"poodle"}]}]},
            {"code":"pet","property":[{"code":"child","valueCode":"cat"}]},
            {"code":"toy-poodle","property":[{"code":"parent","valueCode":"poodle"},{"code":"parent","valueCode":"pet"},
                {"code":"legs","valueInteger":4}]},
            {"code":"dodo","property":[{"code":"status","valueCode":"retired"},{"code":"parent","valueCode":"dodo"}]}]}"#;
        CodeSystem::of(Document::parse(json, Limits::default()).expect("JSON"))
    }

    #[rstest]
    #[case("animal", "cat", true)]
    #[case("animal", "toy-poodle", true)]
    #[case("pet", "toy-poodle", true)]
    #[case("pet", "cat", true)]
    #[case("pet", "dog", false)]
    #[case("poodle", "dog", false)]
    #[case("cat", "cat", true)]
    #[case("dodo", "dodo", true)]
    fn hierarchy(#[case] upper: &str, #[case] lower: &str, #[case] expected: bool) {
        let system = animals();
        let (upper, lower) = (system.find(upper).expect("upper"), system.find(lower).expect("lower"));
        assert_eq!(system.subsumes(upper, lower), expected);
        assert_eq!(system.with_below(upper)[lower as usize], expected);
    }

    #[test]
    fn what_concepts_say() {
        let system = animals();
        let concept = |code: &str| system.concept(system.find(code).expect(code)).expect(code);
        assert!(concept("animal").is_abstract && !concept("cat").is_abstract);
        assert!(concept("dodo").inactive && !concept("dog").inactive);
        assert_eq!(system.property(concept("toy-poodle"), "parent"), ["poodle", "pet"]);
        assert_eq!(system.property(concept("toy-poodle"), "legs"), ["4"]);
        assert_eq!(system.find("Cat"), None);
    }

    #[test]
    fn case_may_not_matter() {
        let json = r#"{"url":"u","content":"complete","caseSensitive":false,"concept":[{"code":"Ab"}]}"#;
        let system = CodeSystem::of(Document::parse(json, Limits::default()).expect("JSON"));
        assert_eq!((system.find("aB"), system.find("b")), (Some(0), None));
    }
}
