//! What expressions come to: elements of a resource, and FHIRPath's own values.

use std::borrow::Cow;
use std::fmt;

use fhir_definitions::{Structure, StructureKind};
use rust_decimal::Decimal;

use super::moment::{Moment, Sort};
use super::number;
use super::quantity::{Calendar, Quantity, Unit};
use crate::document::{Kind, Node};
use crate::path::evaluate::Item;

/// A literal of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    Bool(bool),
    Integer(i64),
    Decimal(Decimal),
    Text(String),
    Moment(Moment),
    Quantity(Quantity<'static>),
}

impl Constant {
    /// `1`, `1.50`
    pub fn number(digits: &str) -> Option<Self> {
        if digits.contains('.') {
            return number::read(digits).map(Self::Decimal);
        }
        digits
            .parse()
            .map(Self::Integer)
            .or_else(|_| digits.parse().map(Self::Decimal))
            .ok()
    }

    /// What stands after `@`.
    pub fn moment(text: &str) -> Option<Self> {
        let moment = match text.strip_prefix('T') {
            Some(time) => Moment::read_time(time),
            None => Moment::read(text),
        };
        moment.map(Self::Moment)
    }

    /// Whether a quantity may name a unit by this word.
    pub fn is_calendar_unit(word: &str) -> bool {
        Calendar::named(word).is_some()
    }

    /// A number and a unit, which is a word of the calendar or UCUM's code.
    pub fn quantity(digits: &str, unit: &str, calendar: bool) -> Option<Self> {
        let value = number::read(digits)?;
        let unit = if calendar {
            Unit::Calendar(Calendar::named(unit)?)
        } else {
            Unit::Ucum(Cow::Owned(unit.to_owned()))
        };
        Some(Self::Quantity(Quantity { value, unit }))
    }

    /// As an expression writes it, for messages.
    pub fn written(&self) -> String {
        match self {
            Self::Moment(moment) if moment.sort == Sort::Time => format!("@T{moment}"),
            Self::Moment(moment) => format!("@{moment}"),
            other => Value::of(other).to_string(),
        }
    }

    /// What search parameters compare it as.
    pub fn search_text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Integer(number) => Some(number.to_string()),
            Self::Decimal(number) => Some(number.to_string()),
            Self::Bool(_) | Self::Moment(_) | Self::Quantity(_) => None,
        }
    }
}

/// One value.
#[derive(Clone)]
pub enum Value<'a> {
    /// A part of the resource.
    Element(Item<'a>),
    /// `true`
    Bool(bool),
    /// `5`
    Integer(i64),
    /// `5.0`
    Decimal(Decimal),
    /// `'five'`
    Text(Cow<'a, str>),
    /// `@2015-02-04`
    Moment(Moment),
    /// `5 'mg'`
    Quantity(Quantity<'a>),
    /// What `type()` tells.
    Type {
        /// `FHIR` or `System`
        namespace: &'static str,
        /// `Patient`, `Boolean`
        name: &'static str,
    },
}

/// Several values in order.
pub type Collection<'a> = Vec<Value<'a>>;

impl<'a> Value<'a> {
    /// The value of a literal.
    pub(crate) fn of(constant: &'a Constant) -> Self {
        match constant {
            Constant::Bool(value) => Self::Bool(*value),
            Constant::Integer(value) => Self::Integer(*value),
            Constant::Decimal(value) => Self::Decimal(*value),
            Constant::Text(text) => Self::Text(Cow::Borrowed(text)),
            Constant::Moment(moment) => Self::Moment(*moment),
            Constant::Quantity(quantity) => Self::Quantity(quantity.clone()),
        }
    }

    /// How many bytes of text a copy of it takes.
    pub(crate) fn text_bytes(&self) -> usize {
        match self {
            Self::Text(Cow::Owned(text)) => text.len(),
            _ => 0,
        }
    }

    /// The type that it has: its namespace and its name.
    pub fn type_of(&self) -> (&'static str, &'static str) {
        let name = match self {
            Self::Element(item) => return ("FHIR", item.structure.name()),
            Self::Bool(_) => "Boolean",
            Self::Integer(_) => "Integer",
            Self::Decimal(_) => "Decimal",
            Self::Text(_) => "String",
            Self::Moment(moment) => match moment.sort {
                Sort::Date => "Date",
                Sort::DateTime => "DateTime",
                Sort::Time => "Time",
            },
            Self::Quantity(_) => "Quantity",
            Self::Type { .. } => "SimpleTypeInfo",
        };
        ("System", name)
    }

    /// FHIRPath's own value: that of a primitive element, or of a Quantity. Nothing for other elements and for those
    /// that have extensions alone.
    pub fn system(&self) -> Option<Value<'a>> {
        match self {
            Self::Element(item) => system(item),
            other => Some(other.clone()),
        }
    }
}

fn system<'a>(item: &Item<'a>) -> Option<Value<'a>> {
    let node = item.value?;
    if item.structure.kind() != StructureKind::Primitive {
        return (item.structure.is_a("Quantity")).then(|| quantity(node))?;
    }
    match node.kind() {
        Kind::Bool => node.as_bool().map(Value::Bool),
        Kind::Number => {
            let text = node.raw();
            if item.structure.name() != "decimal"
                && let Ok(number) = text.parse()
            {
                return Some(Value::Integer(number));
            }
            number::read(text).map(Value::Decimal)
        }
        Kind::String => {
            let text = node.as_str()?;
            let moment = match item.structure.name() {
                "date" => Moment::read(&text),
                "dateTime" | "instant" => Moment::read(&text).map(Moment::date_time),
                "time" => Moment::read_time(&text),
                _ => return Some(Value::Text(text)),
            };
            Some(moment.map_or(Value::Text(text), Value::Moment))
        }
        Kind::Object | Kind::Array | Kind::Null => None,
    }
}

fn quantity(node: Node<'_>) -> Option<Value<'_>> {
    let value = number::read(node.get("value")?.number_text()?)?;
    let unit = node.text_of("code").or_else(|| node.text_of("unit"));
    Some(Value::Quantity(Quantity::ucum(
        value,
        unit.unwrap_or(Cow::Borrowed("1")),
    )))
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Element(item) => match (self.system(), item.value) {
                (Some(Value::Element(_)) | None, Some(node)) => out.write_str(node.raw()),
                (Some(value), _) => value.fmt(out),
                (None, None) => Ok(()),
            },
            Self::Bool(value) => value.fmt(out),
            Self::Integer(value) => value.fmt(out),
            Self::Decimal(value) => value.fmt(out),
            Self::Text(text) => out.write_str(text),
            Self::Moment(moment) => moment.fmt(out),
            Self::Quantity(quantity) => quantity.fmt(out),
            Self::Type { namespace, name } => write!(out, "{namespace}.{name}"),
        }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, name) = self.type_of();
        write!(out, "{name}({self})")
    }
}

/// Whether values of `structure` are FHIRPath's own values by themselves.
pub fn is_primitive(structure: Structure) -> bool {
    structure.kind() == StructureKind::Primitive
}
