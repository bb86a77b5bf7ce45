//! The numbers that the database gives to resource types and to search parameters.

use std::collections::{BTreeMap, HashMap};

use fhir_definitions::{Definitions, FhirVersion};
use fhir_search::{Further, ParamId};

use crate::owned::Owned;

/// Goes up when the extractor makes other rows from the same expression: the parameters get new numbers then.
pub const EXTRACTOR_REVISION: i64 = 1;

/// Names ↔ numbers; read once when the store opens.
#[derive(Debug)]
pub struct Catalogue {
    types: HashMap<&'static str, i64>,
    names: HashMap<i64, &'static str>,
    params: HashMap<ParamId, Param>,
    owned: HashMap<i64, Owned>,
}

/// What a parameter's number stands for, with the extractor's revision.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Definition {
    pub base: String,
    pub code: String,
    pub expression: String,
}

#[derive(Debug, Clone, Copy)]
struct Param {
    number: i64,
    /// The type that all rows of the parameter belong to; `None`: several.
    of: Option<i64>,
}

impl Catalogue {
    /// Everything that a version defines; `number_type` and `number_param` give known or new numbers.
    pub fn of<E>(
        version: FhirVersion,
        mut number_type: impl FnMut(&str) -> Result<i64, E>,
        mut number_param: impl FnMut(Definition) -> Result<i64, E>,
    ) -> Result<Self, E> {
        let definitions = Definitions::of(version);
        let mut catalogue = Self {
            types: HashMap::new(),
            names: HashMap::new(),
            params: HashMap::new(),
            owned: HashMap::new(),
        };
        for of in definitions.resource_types() {
            let number = number_type(of.name())?;
            catalogue.types.insert(of.name(), number);
            catalogue.names.insert(number, of.name());
        }
        let mut number = |base: &str, code: &str, expression: &str| {
            number_param(Definition {
                base: base.to_owned(),
                code: code.to_owned(),
                expression: expression.to_owned(),
            })
        };
        for parameter in definitions.all_search_parameters() {
            let of = catalogue.types.get(parameter.base()).copied();
            let param = Param {
                number: number(parameter.base(), parameter.code(), parameter.expression())?,
                of,
            };
            catalogue.params.insert(ParamId::of(parameter), param);
            for further in Further::of(parameter.kind()) {
                let code = format!("{}:{}", parameter.code(), further.name());
                let param = Param {
                    number: number(parameter.base(), &code, parameter.expression())?,
                    of,
                };
                catalogue.params.insert(ParamId::of(parameter).further(*further), param);
            }
            for (index, component) in (0u32..).zip(parameter.components()) {
                let code = format!("{}${index}", parameter.code());
                let expression = format!("{} $ {}", parameter.expression(), component.expression);
                let part = Param {
                    number: number(parameter.base(), &code, &expression)?,
                    of,
                };
                let id = ParamId::of_component(parameter, index);
                catalogue.params.insert(id, part);
                // a component is of any kind: what it needs of these depends on its values alone
                let param = Param {
                    number: number(parameter.base(), &format!("{code}:canonical"), &expression)?,
                    of,
                };
                catalogue.params.insert(id.further(Further::Canonical), param);
            }
        }
        for (index, compartment) in (0u32..).zip(definitions.compartments()) {
            let param = Param {
                number: number(compartment.name(), "", "compartment")?,
                of: None,
            };
            catalogue.params.insert(ParamId::of_compartment(index), param);
        }
        for of in definitions.resource_types() {
            if let (Some(number), Some(owned)) = (
                catalogue.type_number(of.name()),
                fhir_search::Owned::of(definitions, of),
            ) {
                let owned = catalogue.numbered(&owned);
                catalogue.owned.insert(number, owned);
            }
        }
        Ok(catalogue)
    }

    /// The number of a type.
    pub fn type_number(&self, name: &str) -> Option<i64> {
        self.types.get(name).copied()
    }

    /// All types with their numbers, in the order of numbers.
    pub fn types(&self) -> Vec<(&'static str, i64)> {
        let mut types: Vec<_> = self.types.iter().map(|(name, number)| (*name, *number)).collect();
        types.sort_unstable_by_key(|(_, number)| *number);
        types
    }

    /// The name of a type.
    pub fn type_name(&self, number: i64) -> &'static str {
        self.names.get(&number).copied().unwrap_or("unknown")
    }

    /// The number of a parameter; 0, which no row has, for one that doesn't exist.
    pub fn param(&self, param: ParamId) -> i64 {
        if param.is_stored() {
            return i64::from(param.number());
        }
        self.params.get(&param).map_or(0, |found| found.number)
    }

    fn numbered(&self, owned: &fhir_search::Owned) -> Owned {
        let number = |param: Option<ParamId>| param.map_or(0, |param| self.param(param));
        Owned {
            members: self.param(owned.members),
            patient: number(owned.patient),
            subject: number(owned.subject),
            date: number(owned.date),
            code: number(owned.code),
        }
    }

    /// What resources of a type keep together with their owner.
    pub fn owned(&self, of: i64) -> Option<&Owned> {
        self.owned.get(&of)
    }

    /// The same of all types that have something, by type.
    pub fn all_owned(&self) -> BTreeMap<i64, Owned> {
        self.owned.iter().map(|(of, owned)| (*of, *owned)).collect()
    }

    /// The type that all rows of a parameter belong to.
    pub fn param_type(&self, param: ParamId) -> Option<i64> {
        self.params.get(&param).and_then(|found| found.of)
    }
}
