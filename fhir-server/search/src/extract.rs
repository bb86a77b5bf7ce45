//! Resource → keys: what a resource can be found by.
//!
//! The paths of a type's search parameters are compiled at its first resource and kept. A value that a parameter can't
//! use (a reference without a text, say) gives no key: a resource is never refused for want of one.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use fhir_definitions::{Definitions, ParamKind, ResourceType, SearchParameter};
use fhir_resource::path::Program;
use fhir_resource::{Micros, Node, reference, temporal};

use crate::composite::Composite;
use crate::decimal::Decimal;
use crate::fold::fold;
use crate::key::{self, Further, Keys, NumberRow, ParamId, PlaceRow};
use crate::near;
use crate::parameters::{InForce, Parameters};
use crate::shared;
use crate::ucum;

/// Before and after every date that FHIR can write.
pub(crate) const EARLIEST: Micros = -62_135_596_800_000_000;
pub(crate) const LATEST: Micros = 253_402_300_799_999_999;

/// What a parameter needs whose path is looked at for every resource.
const ALWAYS: u128 = u128::MAX;

/// Parameters that storage answers from the resource's own row.
const OWN_ROW: &[&str] = &["_id", "_lastUpdated"];

/// Makes the keys of resources of one FHIR version.
#[derive(Debug)]
pub struct Extractor {
    definitions: &'static Definitions,
    in_force: InForce,
    /// Service bases whose absolute URLs mean resources of this server, without a final slash.
    bases: Vec<String>,
    compiled: RwLock<Compiled>,
}

/// The types that were met in a generation.
#[derive(Debug, Default)]
struct Compiled {
    generation: u64,
    types: HashMap<ResourceType, Arc<TypeExtractor>>,
}

#[derive(Debug)]
struct TypeExtractor {
    generation: u64,
    parameters: Vec<Indexed>,
    /// Bits of the members that parameters begin at.
    members: HashMap<String, u128>,
    composites: Vec<(Arc<Composite>, u128)>,
    /// Compartment number, its prefix of reference keys (`rPatient/`), the parameters that lead into it.
    compartments: Vec<(u32, String, Vec<ParamId>)>,
}

/// A parameter whose values are indexed.
#[derive(Debug)]
struct Indexed {
    parameter: SearchParameter,
    program: Program,
    /// Bits of the members of which the resource must have one for there to be a value; most parameters of a type say
    /// nothing about most of its resources.
    needs: u128,
}

impl Extractor {
    /// `bases`: the service's own URLs.
    pub fn new(definitions: &'static Definitions, bases: Vec<String>) -> Self {
        Self::following(InForce::new(Parameters::base(definitions)), bases)
    }

    /// Makes the keys of the parameters in force at each time.
    pub fn following(in_force: InForce, bases: Vec<String>) -> Self {
        Self {
            definitions: in_force.load().definitions(),
            in_force,
            bases,
            compiled: RwLock::default(),
        }
    }

    /// The keys of `resource`, which has been validated as one of type `of`.
    pub fn keys(&self, of: ResourceType, resource: Node<'_>) -> Keys {
        let compiled = self.compiled(of);
        let mut keys = Keys {
            generation: compiled.generation,
            ..Keys::default()
        };
        let present = resource
            .entries()
            .filter_map(|(name, _)| compiled.members.get(&*name))
            .fold(0, |all, bit| all | bit);
        for Indexed {
            parameter,
            program,
            needs,
        } in &compiled.parameters
        {
            if needs & present == 0 && *needs != ALWAYS {
                continue;
            }
            let param = ParamId::of(*parameter);
            let kind = if near::is(*parameter) {
                ParamKind::Special
            } else {
                parameter.kind()
            };
            program.evaluate(resource, &mut |value, type_name| {
                let mut row = Row {
                    keys: &mut keys,
                    param,
                    definitions: self.definitions,
                    bases: &self.bases,
                    is_component: false,
                };
                row.add(kind, value, type_name);
            });
        }
        for (composite, needs) in &compiled.composites {
            if needs & present != 0 || *needs == ALWAYS {
                self.elements(composite, resource, &mut keys);
            }
        }
        let mut members = Vec::new();
        for (index, prefix, leading) in &compiled.compartments {
            let leads = |(param, text): &&(ParamId, String)| leading.contains(param) && text.starts_with(prefix);
            let into = keys.exact.iter().filter(leads).map(|(_, text)| text.clone());
            members.extend(into.map(|text| (ParamId::of_compartment(*index), text)));
        }
        keys.exact.extend(members);
        keys.settle();
        keys
    }

    /// The keys of each element that has something for every component.
    fn elements(&self, composite: &Composite, resource: Node<'_>, keys: &mut Keys) {
        composite.program.evaluate(resource, &mut |element, type_name| {
            if !composite.plain.is_empty() && element.position() == resource.position() {
                return;
            }
            let mut found = Keys::default();
            for component in &composite.components {
                let before = found.count();
                component
                    .program
                    .evaluate_in(resource, element, type_name, &mut |value, type_name| {
                        let mut row = Row {
                            keys: &mut found,
                            param: component.param,
                            definitions: self.definitions,
                            bases: &self.bases,
                            is_component: true,
                        };
                        row.add(component.like.kind(), value, type_name);
                    });
                if found.count() == before {
                    return;
                }
            }
            keys.elements.push(found);
        });
    }

    fn compiled(&self, of: ResourceType) -> Arc<TypeExtractor> {
        let parameters = self.in_force.load();
        let generation = parameters.generation();
        let known = self.compiled.read().unwrap_or_else(PoisonError::into_inner);
        let found = (known.generation == generation).then(|| known.types.get(&of).cloned());
        drop(known);
        found.flatten().unwrap_or_else(|| {
            let made = Arc::new(TypeExtractor::compile(&parameters, of));
            let mut known = self.compiled.write().unwrap_or_else(PoisonError::into_inner);
            if known.generation < generation {
                *known = Compiled {
                    generation,
                    types: HashMap::new(),
                };
            }
            if known.generation == generation {
                known.types.insert(of, Arc::clone(&made));
            }
            made
        })
    }
}

impl TypeExtractor {
    fn compile(known: &Parameters, of: ResourceType) -> Self {
        let definitions = known.definitions();
        let indexed = known.indexed(of).filter(|parameter| {
            let by_path = match parameter.kind() {
                ParamKind::Composite => false,
                ParamKind::Special => near::is(*parameter),
                _ => !near::is_distance(*parameter),
            };
            let is_own = shared::has_rows(*parameter) && !OWN_ROW.contains(&parameter.code());
            by_path && is_own && !parameter.expression().is_empty()
        });
        // every base expression compiles (a test of fhir-resource), and so does every stored one, or it were refused
        let mut members = HashMap::new();
        let parameters = indexed.filter_map(|parameter| {
            let program = Program::compile(parameter.expression(), definitions, of.name()).ok()?;
            let needs = bits(program.entry_members(), &mut members);
            Some(Indexed {
                parameter,
                program,
                needs,
            })
        });
        let parameters = parameters.collect();
        let composites = known
            .indexed(of)
            .filter(|parameter| parameter.kind() == ParamKind::Composite)
            .filter_map(|parameter| Composite::of(known, parameter))
            .filter(|composite| composite.nested);
        let composites = composites.map(|composite| {
            let names = if composite.plain.is_empty() {
                composite.program.entry_members()
            } else {
                composite.program.inner_entry_members()
            };
            let needs = bits(names, &mut members);
            (composite, needs)
        });
        let composites = composites.collect();
        let compartments = definitions
            .compartments()
            .enumerate()
            .filter(|(_, compartment)| compartment.contains(of));
        let compartments = compartments.filter_map(|(index, compartment)| {
            let codes = compartment.parameters(of);
            let leading = codes
                .filter_map(|code| definitions.search_parameter(of, code))
                .map(ParamId::of)
                .collect();
            Some((
                u32::try_from(index).ok()?,
                key::reference(&format!("{}/", compartment.name())),
                leading,
            ))
        });
        Self {
            generation: known.generation(),
            parameters,
            composites,
            members,
            compartments: compartments.collect(),
        }
    }
}

/// The bits of the members that a program begins at, new ones where they have none.
fn bits(names: Option<Vec<&str>>, members: &mut HashMap<String, u128>) -> u128 {
    let mut needs = 0;
    for name in names.unwrap_or_else(|| vec![""]) {
        let fresh = 1u128.checked_shl(u32::try_from(members.len()).unwrap_or(u32::MAX));
        match members.get(name).copied().or(fresh) {
            Some(bit) if !name.is_empty() => needs |= *members.entry(name.to_owned()).or_insert(bit),
            _ => return ALWAYS,
        }
    }
    needs
}

/// Where the keys of one parameter go.
struct Row<'a> {
    keys: &'a mut Keys,
    param: ParamId,
    definitions: &'static Definitions,
    bases: &'a [String],
    /// It is a part of a composite.
    is_component: bool,
}

impl Row<'_> {
    fn add(&mut self, kind: ParamKind, value: Node<'_>, type_name: &str) {
        match kind {
            ParamKind::Token | ParamKind::Reference => {
                let before = self.keys.exact.len();
                if kind == ParamKind::Token {
                    self.token(value, type_name);
                } else {
                    self.reference(value, type_name);
                }
                let own = |(param, _): &(ParamId, String)| *param == self.param;
                if !self.keys.exact[before..].iter().any(own) {
                    self.exact(key::OTHER.to_owned());
                }
            }
            ParamKind::Date => self.date(value, type_name),
            ParamKind::String => self.string(value, type_name),
            ParamKind::Number | ParamKind::Quantity => self.number(value, type_name),
            ParamKind::Uri => self.uri(value, type_name),
            ParamKind::Composite => {}
            ParamKind::Special => self.place(value),
        }
    }

    fn exact(&mut self, text: String) {
        self.keys.exact.push((self.param, text));
    }

    /// A key in another way; nobody asks a component for it.
    fn further(&mut self, what: Further, text: String) {
        if !self.is_component {
            self.keys.exact.push((self.param.further(what), text));
        }
    }

    fn display(&mut self, text: Option<Cow<'_, str>>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.further(Further::Text, key::display(&fold(&text)));
        }
    }

    fn coded(&mut self, system: Option<Cow<'_, str>>, code: Option<Cow<'_, str>>) {
        let (system, code) = (system.unwrap_or_default(), code.unwrap_or_default());
        if !system.is_empty() || !code.is_empty() {
            self.exact(key::system_code(&system, &code));
        }
    }

    fn token(&mut self, value: Node<'_>, type_name: &str) {
        match type_name {
            "CodeableConcept" => {
                for coding in value.get("coding").into_iter().flat_map(Node::each) {
                    self.token(coding, "Coding");
                }
                self.display(value.text_of("text"));
            }
            "Coding" => {
                self.coded(value.text_of("system"), value.text_of("code"));
                self.display(value.text_of("display"));
            }
            "Identifier" => {
                self.coded(value.text_of("system"), value.text_of("value"));
                self.typed(value);
            }
            "ContactPoint" => self.coded(None, value.text_of("value")),
            "boolean" => self.coded(
                None,
                value.as_bool().map(|b| Cow::Borrowed(if b { "true" } else { "false" })),
            ),
            _ => self.coded(None, scalar(value)),
        }
    }

    /// What an identifier's type says.
    fn typed(&mut self, identifier: Node<'_>) {
        let Some(kind) = identifier.get("type") else { return };
        self.display(kind.text_of("text"));
        let Some(value) = identifier.text_of("value") else {
            return;
        };
        for coding in kind.get("coding").into_iter().flat_map(Node::each) {
            if let Some(code) = coding.text_of("code") {
                let system = coding.text_of("system").unwrap_or_default();
                self.further(Further::OfType, key::of_type(&system, &code, &value));
            }
        }
    }

    fn reference(&mut self, value: Node<'_>, type_name: &str) {
        if type_name == "Reference"
            && !self.is_component
            && let Some(identifier) = value.get("identifier")
        {
            let mut row = Row {
                keys: &mut *self.keys,
                param: self.param.further(Further::Identifier),
                ..*self
            };
            row.coded(identifier.text_of("system"), identifier.text_of("value"));
        }
        let text = if type_name == "Reference" {
            value.text_of("reference")
        } else {
            value.as_str()
        };
        let Some(text) = text else { return };
        if type_name == "canonical"
            && let Some((url, _)) = text.split_once('|')
        {
            self.exact(key::reference(url));
        }
        if let Some(text) = reference_text(&text, self.definitions, self.bases) {
            self.exact(key::reference(&text));
        }
    }

    fn date(&mut self, value: Node<'_>, type_name: &str) {
        let moment = |value: Option<Node<'_>>| value.and_then(Node::as_str).and_then(|text| temporal::parse(&text));
        let span = match type_name {
            "Period" => {
                let (start, end) = (moment(value.get("start")), moment(value.get("end")));
                if start.is_none() && end.is_none() {
                    return;
                }
                Some((start.map_or(EARLIEST, |m| m.start), end.map_or(LATEST, |m| m.end)))
            }
            "Timing" => {
                if let Some(bounds) = value.get("repeat").and_then(|repeat| repeat.get("boundsPeriod")) {
                    self.date(bounds, "Period");
                }
                let events = value
                    .get("event")
                    .into_iter()
                    .flat_map(Node::each)
                    .filter_map(|event| moment(Some(event)));
                events
                    .map(|m| (m.start, m.end))
                    .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
            }
            _ => moment(Some(value)).map(|m| (m.start, m.end)),
        };
        if let Some((low, high)) = span.filter(|(low, high)| low <= high) {
            self.keys.dates.push((self.param, low, high));
        }
    }

    fn string(&mut self, value: Node<'_>, type_name: &str) {
        let parts: &[&str] = match type_name {
            "HumanName" => &["family", "given", "prefix", "suffix", "text"],
            "Address" => &["line", "city", "district", "state", "postalCode", "country", "text"],
            _ => {
                self.text(value);
                return;
            }
        };
        for part in parts.iter().filter_map(|part| value.get(part)).flat_map(Node::each) {
            self.text(part);
        }
    }

    fn text(&mut self, value: Node<'_>) {
        if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
            self.keys.strings.push((self.param, fold(&text), text.into_owned()));
        }
    }

    fn number(&mut self, value: Node<'_>, type_name: &str) {
        let decimal = |value: Option<Node<'_>>| value.and_then(Node::number_text).and_then(Decimal::parse);
        let (low, high, unit) = match type_name {
            "Range" => {
                let (low, high) = (value.get("low"), value.get("high"));
                let of = |quantity: Option<Node<'_>>| quantity.and_then(|q| decimal(q.get("value")));
                (of(low), of(high), low.or(high))
            }
            "integer" | "decimal" | "positiveInt" | "unsignedInt" => (decimal(Some(value)), decimal(Some(value)), None),
            _ => (decimal(value.get("value")), decimal(value.get("value")), Some(value)),
        };
        if low.is_none() && high.is_none() {
            return;
        }
        let currency = unit.and_then(|unit| unit.text_of("currency"));
        let system = match &currency {
            Some(_) => Some(Cow::Borrowed("urn:iso:std:iso:4217")),
            None => unit.and_then(|unit| unit.text_of("system")),
        };
        let code = currency.or_else(|| unit.and_then(|unit| unit.text_of("code").or_else(|| unit.text_of("unit"))));
        let (system, code) = (system.unwrap_or_default(), code.unwrap_or_default());
        // an open end lies outside all numbers: their keys begin between 3F and C0
        let row = |param, low: Option<Vec<u8>>, high: Option<Vec<u8>>, system: &str, code: &str| NumberRow {
            param,
            low: low.unwrap_or_default(),
            high: high.unwrap_or_else(|| vec![0xff]),
            system: system.to_owned(),
            code: code.to_owned(),
        };
        let canonical = unit.and_then(|unit| unit.text_of("code"));
        if let Some(canonical) = canonical.and_then(|code| ucum::canonical(&system, &code)) {
            let (from, to) = (low.map(|low| canonical.key(low)), high.map(|high| canonical.key(high)));
            // a value that can't be converted is found by its own code only
            if from != Some(None) && to != Some(None) {
                let param = self.param.further(Further::Canonical);
                let row = row(param, from.flatten(), to.flatten(), "", &canonical.unit);
                self.keys.numbers.push(row);
            }
        }
        let of = |number: Option<Decimal>| number.map(key::number);
        self.keys
            .numbers
            .push(row(self.param, of(low), of(high), &system, &code));
    }

    /// Where a `Location.position` lies.
    fn place(&mut self, value: Node<'_>) {
        let degrees = |name: &str| value.get(name)?.number_text()?.parse::<f64>().ok();
        if let (Some(latitude), Some(longitude)) = (degrees("latitude"), degrees("longitude"))
            && let Some(place) = near::Place::of(latitude, longitude)
        {
            self.keys.places.push(PlaceRow {
                param: self.param,
                latitude: place.latitude,
                longitude: place.longitude,
            });
        }
    }

    fn uri(&mut self, value: Node<'_>, type_name: &str) {
        let Some(text) = value.as_str() else { return };
        if type_name == "canonical"
            && let Some((url, _)) = text.split_once('|')
        {
            self.exact(key::uri(url));
        }
        self.exact(key::uri(&text));
    }
}

/// The text of a reference as it is indexed and searched: `Type/id` for the server's own resources, without a version;
/// anything else as it is; nothing for what can't be found from outside.
pub(crate) fn reference_text(text: &str, definitions: &'static Definitions, bases: &[String]) -> Option<String> {
    if text.starts_with('#') || text.starts_with("urn:") || text.is_empty() {
        return None;
    }
    Some(match reference::literal(text, definitions) {
        Some(literal) if literal.base.is_none_or(|base| bases.iter().any(|own| own == base)) => {
            [literal.resource_type.name(), "/", literal.id].concat()
        }
        _ => text.to_owned(),
    })
}

fn scalar(value: Node<'_>) -> Option<Cow<'_, str>> {
    value.as_str().or_else(|| value.number_text().map(Cow::Borrowed))
}
