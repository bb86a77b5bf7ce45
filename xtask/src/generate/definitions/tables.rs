//! Facts → the tables of one FHIR version.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context, Result, bail, ensure};
use fhir_definitions::ParamKind;
use fhir_definitions::layout::{MANY, MOST_SLOTS, NONE, Section, element};

use super::codes::CodeLists;
use super::cold;
use super::facts::{ElementFact, Facts, StructureFact, TypeFact};
use super::parameters::{self, Parameters};
use super::writer::Writer;

const STRUCTURE: &str = "http://hl7.org/fhir/StructureDefinition/";

/// A type as it will be written; backbone elements are types by their path.
struct Type<'f> {
    url: &'f str,
    kind: u32,
    is_abstract: bool,
    base: Option<String>,
    elements: Vec<&'f ElementFact>,
}

pub fn of(facts: &Facts) -> Result<Vec<u8>> {
    let types = types(facts);
    let ids: HashMap<&str, u32> = types.keys().map(String::as_str).zip(0..).collect();
    let parameters = parameters::of(facts)?;
    let mut tables = Builder {
        writer: Writer::default(),
        ids: &ids,
        codes: CodeLists::of(facts),
        bindings: HashMap::new(),
    };
    let ranges = tables.parameters(&parameters)?;
    for (name, definition) in &types {
        tables
            .type_(name, definition, &ranges)
            .with_context(|| format!("type `{name}`"))?;
    }
    tables.compartments(facts, &parameters)?;
    cold::write(facts, &mut tables.writer)?;
    tables.writer.finish()
}

/// Every type but profiles of other types.
fn types(facts: &Facts) -> BTreeMap<String, Type<'_>> {
    let mut types = BTreeMap::new();
    for structure in facts
        .structures
        .iter()
        .filter(|fact| fact.derivation.as_deref() != Some("constraint"))
    {
        let kind = match structure.kind.as_str() {
            "resource" => 0,
            "primitive-type" => 2,
            _ => 1,
        };
        types.insert(
            structure.name.clone(),
            Type {
                url: &structure.url,
                kind,
                is_abstract: structure.r#abstract.as_deref() == Some("true"),
                base: structure
                    .base_definition
                    .as_deref()
                    .and_then(|url| url.strip_prefix(STRUCTURE))
                    .map(str::to_owned),
                elements: Vec::new(),
            },
        );
        backbones(structure, &mut types);
    }
    types
}

fn backbones<'f>(structure: &'f StructureFact, types: &mut BTreeMap<String, Type<'f>>) {
    let by_path: HashMap<&str, &ElementFact> = structure
        .elements
        .iter()
        .map(|element| (element.path.as_str(), element))
        .collect();
    for fact in &structure.elements {
        let Some((owner, name)) = fact.path.rsplit_once('.') else {
            continue;
        };
        if structure.kind == "primitive-type" && name == "value" {
            continue;
        }
        let above = by_path.get(owner).and_then(|parent| parent.types.first()?.code.clone());
        let backbone = || Type {
            url: "",
            kind: 3,
            is_abstract: false,
            base: above,
            elements: Vec::new(),
        };
        types
            .entry(owner.to_owned())
            .or_insert_with(backbone)
            .elements
            .push(fact);
    }
}

struct Builder<'f> {
    writer: Writer,
    ids: &'f HashMap<&'f str, u32>,
    codes: CodeLists<'f>,
    bindings: HashMap<(String, String, bool), u32>,
}

impl Builder<'_> {
    fn id(&self, name: &str) -> Result<u32> {
        self.ids
            .get(name)
            .copied()
            .with_context(|| format!("unknown type `{name}`"))
    }

    fn type_(&mut self, name: &str, definition: &Type<'_>, parameters: &HashMap<&str, [u32; 2]>) -> Result<()> {
        // JSON name → record; slots list them by their final number.
        let mut records: BTreeMap<String, [u32; 7]> = BTreeMap::new();
        let mut slots: Vec<(&str, u32, u32, Vec<String>)> = Vec::new();
        for fact in &definition.elements {
            let last = fact.path.rsplit('.').next().unwrap_or_default();
            let (base, choice) = last.strip_suffix("[x]").map_or((last, false), |base| (base, true));
            let slot = u32::try_from(slots.len())?;
            let mut names = Vec::new();
            for (json_name, type_name, targets) in self.alternatives(name, definition, fact, base, choice)? {
                let mut flags = 0;
                for (flag, set) in [
                    (element::CHOICE, choice),
                    (element::SUMMARY, fact.is_summary.as_deref() == Some("true")),
                    (element::MODIFIER, fact.is_modifier.as_deref() == Some("true")),
                    (element::CONTENT_REFERENCE, fact.content_reference.is_some()),
                ] {
                    flags |= if set { flag } else { 0 };
                }
                let [first, count] = self.writer.texts(&targets)?;
                let record = [
                    self.writer.text(&json_name)?,
                    self.id(&type_name)?,
                    slot,
                    first,
                    count,
                    self.binding(fact, &type_name)?,
                    flags,
                ];
                ensure!(
                    records.insert(json_name.clone(), record).is_none(),
                    "two elements `{json_name}`"
                );
                names.push(json_name);
            }
            let max = match fact.max.as_deref() {
                Some("*") | None => MANY,
                Some(max) => max.parse()?,
            };
            slots.push((base, fact.min.as_deref().unwrap_or("0").parse()?, max, names));
        }
        ensure!(slots.len() < MOST_SLOTS as usize, "more than {MOST_SLOTS} elements");
        let first_element = self.writer.count(Section::Elements)?;
        let numbers: HashMap<&String, u32> = records.keys().zip(first_element..).collect();
        for record in records.values() {
            self.writer.push(Section::Elements, record)?;
        }
        let first_slot = self.writer.count(Section::Slots)?;
        for (base, min, max, names) in &slots {
            let elements: Vec<u32> = names.iter().filter_map(|name| numbers.get(name).copied()).collect();
            let [first, count] = self.writer.list(&elements)?;
            let base = self.writer.text(base)?;
            self.writer.push(Section::Slots, &[base, *min, *max, first, count])?;
        }
        let base = definition.base.as_deref().map_or(Ok(NONE), |base| self.id(base))?;
        let [first_parameter, parameter_count] = parameters.get(name).copied().unwrap_or([0, 0]);
        let record = [
            self.writer.text(name)?,
            self.writer.text(definition.url)?,
            definition.kind | if definition.is_abstract { 0x100 } else { 0 },
            base,
            first_element,
            u32::try_from(records.len())?,
            first_slot,
            u32::try_from(slots.len())?,
            first_parameter,
            parameter_count,
        ];
        self.writer.push(Section::Types, &record)?;
        Ok(())
    }

    /// JSON name, type and reference targets of each member name that an element has.
    fn alternatives(
        &self,
        owner: &str,
        definition: &Type<'_>,
        fact: &ElementFact,
        base: &str,
        choice: bool,
    ) -> Result<Vec<(String, String, Vec<String>)>> {
        if let Some(reference) = &fact.content_reference {
            let path = reference.rsplit('#').next().unwrap_or_default();
            return Ok(vec![(base.to_owned(), path.to_owned(), Vec::new())]);
        }
        if self.ids.contains_key(fact.path.as_str()) {
            return Ok(vec![(base.to_owned(), fact.path.clone(), Vec::new())]);
        }
        if base == "id" && definition.kind == 0 {
            return Ok(vec![("id".to_owned(), "id".to_owned(), Vec::new())]);
        }
        // STU3 repeats a type for each of its targets.
        let mut merged: Vec<(String, BTreeSet<String>)> = Vec::new();
        for fact in &fact.types {
            let code = type_code(fact);
            let targets = fact
                .targets
                .iter()
                .filter_map(|url| url.strip_prefix(STRUCTURE))
                .map(str::to_owned);
            match merged.iter_mut().find(|(known, _)| *known == code) {
                Some((_, known)) => known.extend(targets),
                None => merged.push((code, targets.collect())),
            }
        }
        if merged.is_empty() || (merged.len() > 1 && !choice) {
            bail!("`{owner}.{base}` has {} types", merged.len());
        }
        Ok(merged
            .into_iter()
            .map(|(code, mut targets)| {
                if targets.contains("Resource") {
                    targets.clear();
                }
                targets.retain(|target| self.ids.contains_key(target.as_str()));
                let name = if choice {
                    format!("{base}{}", capitalised(&code))
                } else {
                    base.to_owned()
                };
                (name, code, targets.into_iter().collect())
            })
            .collect())
    }

    /// Codes are kept where a value can be checked against them: required bindings of codes.
    fn binding(&mut self, fact: &ElementFact, type_name: &str) -> Result<u32> {
        let (Some(strength), Some(value_set)) = (&fact.strength, &fact.value_set) else {
            return Ok(NONE);
        };
        let checked = strength == "required" && type_name == "code";
        let key = (strength.clone(), value_set.clone(), checked);
        if let Some(&known) = self.bindings.get(&key) {
            return Ok(known);
        }
        let number = match strength.as_str() {
            "required" => 0,
            "extensible" => 1,
            "preferred" => 2,
            _ => 3,
        };
        let [mut first, mut count] = [NONE, 0];
        if let Some(codes) = Some(value_set)
            .filter(|_| checked)
            .and_then(|url| self.codes.members(url))
        {
            first = self.writer.count(Section::Codes)?;
            for (code, system) in &codes {
                let record = [self.writer.text(code)?, self.writer.text(system)?];
                self.writer.push(Section::Codes, &record)?;
            }
            count = u32::try_from(codes.len())?;
        }
        let value_set = self.writer.text(value_set)?;
        let id = self
            .writer
            .push(Section::Bindings, &[value_set, number, first, count])?;
        self.bindings.insert(key, id);
        Ok(id)
    }

    /// Writes the search parameters; first and number for each type.
    fn parameters<'p>(&mut self, parameters: &'p Parameters) -> Result<HashMap<&'p str, [u32; 2]>> {
        let mut ranges: HashMap<&str, [u32; 2]> = HashMap::new();
        for ((base, code), parameter) in parameters {
            let kind = ParamKind::of_code(&parameter.kind).with_context(|| format!("kind `{}`", parameter.kind))?;
            let kind = ParamKind::ALL
                .iter()
                .position(|other| *other == kind)
                .unwrap_or_default();
            let first_component = self.writer.count(Section::Components)?;
            for component in &parameter.components {
                let record = [
                    self.writer.text(&component.code)?,
                    self.writer.text(&component.definition)?,
                    self.writer.text(&component.expression)?,
                ];
                self.writer.push(Section::Components, &record)?;
            }
            let [first_target, target_count] = self.writer.texts(&parameter.targets)?;
            let record = [
                self.writer.text(code)?,
                self.writer.text(&parameter.url)?,
                u32::try_from(kind)?,
                self.id(base)?,
                self.writer.text(&parameter.expression)?,
                first_target,
                target_count,
                first_component,
                u32::try_from(parameter.components.len())?,
            ];
            let id = self.writer.push(Section::Parameters, &record)?;
            ranges.entry(base).or_insert([id, 0])[1] += 1;
        }
        Ok(ranges)
    }

    fn compartments(&mut self, facts: &Facts, parameters: &Parameters) -> Result<()> {
        let by_name: BTreeMap<&str, _> = facts
            .compartments
            .iter()
            .map(|fact| (fact.code.as_str(), fact))
            .collect();
        for (name, compartment) in by_name {
            let mut members: BTreeMap<u32, Vec<String>> = BTreeMap::new();
            for member in &compartment.resources {
                // `{def}` says that the type is the compartment's own; STU3's `agent.patient` is a chain that its
                // neighbour `patient` says as a parameter.
                let known = |code: &&String| parameters.contains_key(&(member.code.clone(), (*code).clone()));
                let codes: Vec<String> = member.params.iter().filter(known).cloned().collect();
                if !member.params.is_empty() {
                    members.insert(self.id(&member.code)?, codes);
                }
            }
            members.entry(self.id(name)?).or_default();
            let first = self.writer.count(Section::Members)?;
            for (id, codes) in &members {
                let [first_code, count] = self.writer.texts(codes)?;
                self.writer.push(Section::Members, &[*id, first_code, count])?;
            }
            let name = self.writer.text(name)?;
            self.writer
                .push(Section::Compartments, &[name, first, u32::try_from(members.len())?])?;
        }
        Ok(())
    }
}

/// FHIRPath's system types are written as the FHIR type that they stand for.
fn type_code(fact: &TypeFact) -> String {
    match fact.code.as_deref().unwrap_or("string") {
        code if code.starts_with("http://hl7.org/fhirpath/") => "string".to_owned(),
        code => code.to_owned(),
    }
}

fn capitalised(code: &str) -> String {
    let mut letters = code.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
