//! The numbers that the database gives to resource types and to search parameters.

use std::collections::HashMap;

use fhir_definitions::{Definitions, FhirVersion};
use fhir_search::ParamId;
use rusqlite::Connection;

/// Goes up when the extractor makes other rows from the same expression: the parameters get new numbers then.
const EXTRACTOR_REVISION: i64 = 1;

/// Names ↔ numbers; read once when the store opens.
#[derive(Debug)]
pub struct Catalogue {
    types: HashMap<&'static str, i64>,
    names: HashMap<i64, &'static str>,
    params: HashMap<ParamId, Param>,
}

#[derive(Debug, Clone, Copy)]
struct Param {
    number: i64,
    /// The type that all rows of the parameter belong to; `None`: several.
    of: Option<i64>,
}

impl Catalogue {
    /// Reads the numbers and gives new ones to what has none.
    pub fn load(connection: &mut Connection, version: FhirVersion) -> rusqlite::Result<Self> {
        let definitions = Definitions::of(version);
        let transaction = connection.transaction()?;
        let mut catalogue = Self {
            types: HashMap::new(),
            names: HashMap::new(),
            params: HashMap::new(),
        };
        {
            let mut known = read_types(&transaction)?;
            let mut insert = transaction.prepare("INSERT INTO type (name) VALUES (?1)")?;
            for of in definitions.resource_types() {
                let number = known.remove(of.name()).map_or_else(|| insert.insert([of.name()]), Ok)?;
                catalogue.types.insert(of.name(), number);
                catalogue.names.insert(number, of.name());
            }
        }
        let mut known = read_params(&transaction)?;
        let mut number = |base: &str, code: &str, expression: &str| {
            let key = (base.to_owned(), code.to_owned(), expression.to_owned());
            match known.remove(&key) {
                Some(number) => Ok(number),
                None => transaction
                    .prepare_cached("INSERT INTO param (base, code, expression, revision) VALUES (?1, ?2, ?3, ?4)")?
                    .insert((base, code, expression, EXTRACTOR_REVISION)),
            }
        };
        for parameter in definitions.all_search_parameters() {
            let of = catalogue.types.get(parameter.base()).copied();
            let param = Param {
                number: number(parameter.base(), parameter.code(), parameter.expression())?,
                of,
            };
            catalogue.params.insert(ParamId::of(parameter), param);
            for (index, component) in (0u32..).zip(parameter.components()) {
                let code = format!("{}${index}", parameter.code());
                let expression = format!("{} $ {}", parameter.expression(), component.expression);
                let part = Param {
                    number: number(parameter.base(), &code, &expression)?,
                    of,
                };
                catalogue.params.insert(ParamId::of_component(parameter, index), part);
            }
        }
        for (index, compartment) in (0u32..).zip(definitions.compartments()) {
            let param = Param {
                number: number(compartment.name(), "", "compartment")?,
                of: None,
            };
            catalogue.params.insert(ParamId::of_compartment(index), param);
        }
        transaction.commit()?;
        Ok(catalogue)
    }

    /// The number of a type.
    pub fn type_number(&self, name: &str) -> Option<i64> {
        self.types.get(name).copied()
    }

    /// The name of a type.
    pub fn type_name(&self, number: i64) -> &'static str {
        self.names.get(&number).copied().unwrap_or("unknown")
    }

    /// The number of a parameter; 0, which no row has, for one that doesn't exist.
    pub fn param(&self, param: ParamId) -> i64 {
        self.params.get(&param).map_or(0, |found| found.number)
    }

    /// The type that all rows of a parameter belong to.
    pub fn param_type(&self, param: ParamId) -> Option<i64> {
        self.params.get(&param).and_then(|found| found.of)
    }
}

fn read_types(connection: &Connection) -> rusqlite::Result<HashMap<String, i64>> {
    connection
        .prepare("SELECT name, id FROM type")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

type Known = HashMap<(String, String, String), i64>;

fn read_params(connection: &Connection) -> rusqlite::Result<Known> {
    let mut select = connection.prepare("SELECT base, code, expression, id FROM param WHERE revision = ?1")?;
    let rows = select.query_map([EXTRACTOR_REVISION], |row| {
        Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?))
    })?;
    rows.collect()
}
