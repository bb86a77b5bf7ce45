//! Types: `is`, `as`, `ofType`, `type`.

use fhir_definitions::{FhirVersion, StructureKind};

use super::value::{Collection, Value};
use super::{Evaluation, Fault, Rigour, single};
use crate::path::function::Function;
use crate::path::syntax::{Namespace, Syntax, TypeName};

const SYSTEM: [&str; 8] = [
    "Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity",
];

impl<'a> Evaluation<'_, 'a> {
    /// The name of a FHIR type as it is written here; `None` if it is one of FHIRPath's own.
    fn fhir_name(&self, wanted: &TypeName) -> Result<Option<String>, Fault> {
        if wanted.namespace == Some(Namespace::System) {
            return Ok(None);
        }
        if self.world.definitions.structure(&wanted.name).is_some() {
            return Ok(Some(wanted.name.clone()));
        }
        let system = SYSTEM.contains(&wanted.name.as_str());
        // STU3 writes `DateTime` for `dateTime`.
        if self.world.definitions.version() == FhirVersion::Stu3 {
            let mut letters = wanted.name.chars();
            let first = letters.next().map(|first| first.to_ascii_lowercase());
            let lower: String = first.into_iter().chain(letters).collect();
            if self.world.definitions.structure(&lower).is_some() {
                return Ok(Some(lower));
            }
        }
        if system && wanted.namespace.is_none() {
            return Ok(None);
        }
        Err(Fault::meaning(format!("unknown type `{}`", wanted.name)))
    }

    fn is_a(&self, value: &Value<'a>, wanted: &TypeName) -> Result<bool, Fault> {
        let own = match self.fhir_name(wanted)? {
            Some(name) => match value {
                Value::Element(item) => return Ok(item.structure.is_a(&name)),
                _ if wanted.namespace == Some(Namespace::Fhir) => return Ok(false),
                // A literal quantity is a Quantity, whoever's.
                _ => name,
            },
            None => wanted.name.clone(),
        };
        let (namespace, name) = value.type_of();
        Ok(namespace == "System" && name == own)
    }

    /// Like `is`, but a primitive type means itself alone: a `code` isn't a `string` here.
    fn is_cast(&self, value: &Value<'a>, wanted: &TypeName) -> Result<bool, Fault> {
        if let (Some(name), Value::Element(item)) = (self.fhir_name(wanted)?, value)
            && item.structure.kind() == StructureKind::Primitive
        {
            return Ok(item.structure.name() == name);
        }
        self.is_a(value, wanted)
    }

    /// Functions of types.
    pub fn typed(
        &self,
        input: Collection<'a>,
        function: Function,
        arguments: &[Syntax],
    ) -> Result<Collection<'a>, Fault> {
        let [Syntax::Type(wanted)] = arguments else {
            // `type()`
            let types = input.iter().map(|value| {
                let (namespace, name) = value.type_of();
                Value::Type { namespace, name }
            });
            return Ok(types.collect());
        };
        match function {
            Function::Is => self.is(&input, wanted),
            Function::As => self.cast(input, wanted, true),
            _ => self.cast(input, wanted, false),
        }
    }

    /// `is`
    pub fn is(&self, values: &[Value<'a>], wanted: &TypeName) -> Result<Collection<'a>, Fault> {
        let Some(value) = single(values, "is")? else {
            self.fhir_name(wanted)?;
            return Ok(Vec::new());
        };
        Ok(vec![Value::Bool(self.is_a(value, wanted)?)])
    }

    /// `as` (of one value) and `ofType` (of any number).
    pub fn cast(&self, values: Collection<'a>, wanted: &TypeName, one: bool) -> Result<Collection<'a>, Fault> {
        self.fhir_name(wanted)?;
        if one && self.world.rigour > Rigour::Lenient {
            single(&values, "as")?;
        }
        let mut kept = Vec::new();
        for value in values {
            self.spend(1)?;
            if self.is_cast(&value, wanted)? {
                kept.push(value);
            }
        }
        Ok(kept)
    }
}
