//! Resources of every type, made from the tables and a stream of choices, so that `proptest` can shrink them.

use std::fmt::Write as _;

use fhir_definitions::{Element, FhirVersion, Max, Structure, StructureKind};
use proptest::prelude::*;

/// A resource as JSON text: of the right shape, with members in any order, not necessarily valid otherwise.
pub fn resource() -> impl Strategy<Value = (FhirVersion, String)> {
    let version = prop_oneof![Just(FhirVersion::R4), Just(FhirVersion::Stu3)];
    (
        version,
        any::<prop::sample::Index>(),
        proptest::collection::vec(any::<u8>(), 1..600),
    )
        .prop_map(|(version, which, choices)| {
            let types: Vec<_> = version.definitions().resource_types().collect();
            let mut maker = Maker {
                version,
                choices: choices.into_iter(),
            };
            (version, maker.resource(which.get(&types).structure(), 0))
        })
}

struct Maker {
    version: FhirVersion,
    choices: std::vec::IntoIter<u8>,
}

impl Maker {
    /// A number below `bound`; 0 when all choices are made.
    fn pick(&mut self, bound: usize) -> usize {
        usize::from(self.choices.next().unwrap_or(0)) % bound
    }

    fn resource(&mut self, structure: Structure, depth: usize) -> String {
        let members = self.members(structure, depth);
        let name = structure.name();
        if members.is_empty() {
            format!("{{\"resourceType\":\"{name}\"}}")
        } else if self.pick(2) == 0 {
            format!("{{\"resourceType\":\"{name}\",{members}}}")
        } else {
            format!("{{{members},\"resourceType\":\"{name}\"}}")
        }
    }

    fn members(&mut self, structure: Structure, depth: usize) -> String {
        let mut members = Vec::new();
        let elements: Vec<Element> = structure
            .elements()
            .filter(|element: &Element| (*element).max() != Max::Zero)
            .collect();
        let mut slot = None;
        // a few elements, no two of one slot
        while let Some(&chosen) = self.choices.as_slice().first()
            && members.len() < 6
            && usize::from(chosen) % 4 != 0
        {
            let first = slot.map_or(0, |slot| {
                elements.iter().take_while(|other| other.slot() <= slot).count()
            });
            let Some(rest) = elements.get(first..).filter(|rest| !rest.is_empty()) else {
                break;
            };
            let skipped = self.pick(4);
            let next = skipped + self.pick(rest.len().min(60));
            let Some(element) = rest.get(next % rest.len()).copied() else {
                break;
            };
            slot = Some(element.slot());
            members.extend(self.member(element, depth));
        }
        if members.is_empty() && structure.kind() != StructureKind::Resource {
            members.push("\"id\":\"x\"".to_owned());
        }
        if self.pick(2) == 0 {
            members.reverse();
        }
        members.join(",")
    }

    fn member(&mut self, element: Element, depth: usize) -> Option<String> {
        let (name, structure) = (element.name(), element.structure());
        // ids and URLs of extensions are attributes: nothing stands beside them
        let is_attribute = matches!(name, "id" | "url") && structure.kind() == StructureKind::Primitive;
        let repeats = element.max() == Max::Many;
        let count = if repeats { 1 + self.pick(3) } else { 1 };
        if structure.kind() != StructureKind::Primitive {
            if depth > 8 {
                return None;
            }
            let values: Vec<String> = (0..count).map(|_| self.object(structure, depth + 1)).collect();
            return Some(member(name, repeats, &values));
        }
        if structure.name() == "xhtml" {
            return Some(format!("\"{name}\":\"{}\"", self.narrative()));
        }
        let mut values = Vec::new();
        let mut twins = Vec::new();
        for _ in 0..count {
            let has_twin = !is_attribute && self.pick(4) == 1;
            let has_value = !has_twin || self.pick(2) == 0;
            values.push(if has_value {
                self.value(structure.name())
            } else {
                "null".to_owned()
            });
            twins.push(if has_twin { self.twin(depth) } else { "null".to_owned() });
        }
        let is_there = |all: &[String]| all.iter().any(|value| value != "null");
        let mut written = Vec::new();
        if is_there(&values) {
            written.push(member(name, repeats, &values));
        }
        if is_there(&twins) {
            written.push(member(&format!("_{name}"), repeats, &twins));
        }
        Some(written.join(","))
    }

    fn object(&mut self, structure: Structure, depth: usize) -> String {
        if structure.kind() == StructureKind::Resource {
            let types: Vec<_> = self.version.definitions().resource_types().collect();
            let which = self.pick(types.len());
            return self.resource(types[which].structure(), depth);
        }
        if structure.name() == "Extension" {
            return format!("{{\"url\":{},\"valueCode\":\"c\"}}", self.text());
        }
        format!("{{{}}}", self.members(structure, depth))
    }

    /// What stands beside a value.
    fn twin(&mut self, depth: usize) -> String {
        match self.pick(3) {
            0 => format!("{{\"id\":{}}}", self.text()),
            1 => format!(
                "{{\"extension\":[{{\"url\":{},\"valueDecimal\":{}}}]}}",
                self.text(),
                self.number()
            ),
            _ => format!("{{\"extension\":[{{\"valueInteger\":{depth},\"url\":\"u\"}}],\"id\":\"i\"}}"),
        }
    }

    fn value(&mut self, type_name: &str) -> String {
        match type_name {
            "boolean" => ["true", "false"][self.pick(2)].to_owned(),
            "decimal" | "integer" | "positiveInt" | "unsignedInt" => self.number(),
            _ => self.text(),
        }
    }

    fn number(&mut self) -> String {
        let known = [
            "0",
            "-0",
            "1.0",
            "1.00",
            "100",
            "0.10e+10",
            "1E400",
            "-12345678901234567890.12345678901234567890",
        ];
        known[self.pick(known.len())].to_owned()
    }

    fn text(&mut self) -> String {
        let known = [
            "a",
            " b ",
            "",
            "<&>\\\"'",
            "\\n\\t\\r",
            "ü€😀",
            "]]>",
            "&amp;",
            "\\u00e9\\ud83d\\ude00",
            "a\u{85}\u{2028}",
        ];
        format!("\"{}\"", known[self.pick(known.len())])
    }

    fn narrative(&mut self) -> String {
        let mut inside = String::new();
        for _ in 0..self.pick(4) {
            let text = [
                "a",
                " &lt;b&gt; ",
                "&#160;",
                "<br/>",
                "<p title='x'>y</p>",
                "\\n",
                "<!-- c -->",
            ];
            let _ = write!(inside, "{}", text[self.pick(text.len())]);
        }
        format!("<div xmlns=\\\"http://www.w3.org/1999/xhtml\\\">{inside}</div>")
    }
}

fn member(name: &str, repeats: bool, values: &[String]) -> String {
    if repeats {
        format!("\"{name}\":[{}]", values.join(","))
    } else {
        format!("\"{name}\":{}", values.concat())
    }
}
