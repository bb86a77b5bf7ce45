//! One parameter, its modifier and value → a filter.

mod composites;

use fhir_definitions::{Definitions, ParamKind, SearchParameter};

use super::alternatives;
use super::moments::{dates, period, updated};
use crate::decimal::Decimal;
use crate::error::SearchError;
use crate::extract::reference_text;
use crate::fold::fold;
use crate::implied::implies;
use crate::key::{self, Further, ParamId};
use crate::near;
use crate::parameters::Parameters;
use crate::plan::{Filter, NumberTest, Range, Table, TextTest};
use crate::shared;
use crate::targets;
use crate::terms::{self, Need, Terms};
use crate::ucum;
use crate::value::{self, Prefix, unescape};

/// What reading a value needs.
pub struct Context<'a> {
    pub definitions: &'static Definitions,
    pub parameters: &'a Parameters,
    pub bases: &'a [String],
    pub terms: &'a Terms,
}

/// Parameters that the resource's own row answers; `None`: it is another one.
pub fn own_row(code: &str, modifier: Option<&str>, text: &str) -> Result<Option<Filter>, SearchError> {
    if !matches!(code, "_id" | "_lastUpdated") {
        return Ok(None);
    }
    if let Some(modifier) = modifier {
        if modifier == "missing" {
            // every resource has both
            let missing = value::boolean(text)?;
            return Ok(Some(if missing {
                Filter::Any(Vec::new())
            } else {
                Filter::All(Vec::new())
            }));
        }
        return Err(unsupported(modifier, code));
    }
    let values = alternatives(text);
    if code == "_id" {
        return Ok(Some(Filter::Id(values.into_iter().map(unescape).collect())));
    }
    let tests = values.into_iter().map(|text| Ok(updated(period(code, text)?)));
    Ok(Some(any(tests.collect::<Result<_, SearchError>>()?)))
}

/// A parameter with rows of its own.
pub fn of_parameter(
    context: &Context<'_>,
    parameter: SearchParameter,
    modifier: Option<&str>,
    text: &str,
) -> Result<Filter, SearchError> {
    if modifier == Some("missing") {
        let present = present(context, parameter)?;
        return Ok(if value::boolean(text)? {
            Filter::Not(Box::new(present))
        } else {
            present
        });
    }
    let values = alternatives(text);
    if near::is(parameter) && modifier.is_none() {
        let circles = values.iter().map(|value| near::parse(value));
        let circles = circles.map(|circle| Ok(Filter::Near(ParamId::of(parameter), circle?)));
        return Ok(any(circles.collect::<Result<_, SearchError>>()?));
    }
    if parameter.kind() == ParamKind::Composite && modifier.is_none() {
        let tests = values
            .iter()
            .map(|value| composites::of_value(context, parameter, value));
        return Ok(any(tests.collect::<Result<_, SearchError>>()?));
    }
    of_rows(context, parameter, modifier, &values)
}

/// Values that are written as those of `parameter`, found by its rows.
pub fn of_rows(
    context: &Context<'_>,
    parameter: SearchParameter,
    modifier: Option<&str>,
    values: &[&str],
) -> Result<Filter, SearchError> {
    let (positive, is_negated) = match (parameter.kind(), modifier) {
        (ParamKind::Token, Some("not")) => (None, true),
        (ParamKind::Token, Some("not-in")) => (Some("in"), true),
        _ => (modifier, false),
    };
    let rows = shared::rows(parameter).into_iter();
    let each = rows.map(|param| of_values(context, parameter, param, positive, values));
    let filter = any(each.collect::<Result<_, _>>()?);
    Ok(if is_negated {
        Filter::Not(Box::new(filter))
    } else {
        filter
    })
}

/// Whether there is any value.
pub fn present(context: &Context<'_>, parameter: SearchParameter) -> Result<Filter, SearchError> {
    if parameter.kind() == ParamKind::Composite {
        return composites::present(context, parameter);
    }
    let table = if near::is(parameter) {
        Some(Table::Places)
    } else {
        table(parameter.kind())
    };
    let table = table.ok_or_else(|| not_in_this_release(parameter))?;
    let rows = shared::rows(parameter).into_iter();
    Ok(any(rows.map(|param| Filter::Present(param, table)).collect()))
}

fn not_in_this_release(parameter: SearchParameter) -> SearchError {
    SearchError::NotSupported(format!(
        "The search parameter '{}' is not supported in this release.",
        parameter.code()
    ))
}

/// Values that are written as those of `parameter`, found by the keys of `param`.
pub fn of_values(
    context: &Context<'_>,
    parameter: SearchParameter,
    param: ParamId,
    modifier: Option<&str>,
    values: &[&str],
) -> Result<Filter, SearchError> {
    let refuse = |modifier: &str| Err(unsupported(modifier, parameter.code()));
    match (parameter.kind(), modifier) {
        (ParamKind::Token, None) => Ok(Filter::Exact(param, tokens(parameter, values)?)),
        (ParamKind::Token, Some("in" | "above" | "below")) => by_terms(context, parameter, param, modifier, values),
        (ParamKind::Token, Some("text")) => {
            let begins = |text: &&str| {
                let text = key::display(&fold(&unescape(text)));
                Filter::Prefix(param.further(Further::Text), text)
            };
            Ok(any(values.iter().map(begins).collect()))
        }
        (ParamKind::Token, Some("of-type")) => {
            let keys = values.iter().map(|text| of_type(parameter, text));
            let keys = keys.collect::<Result<_, SearchError>>()?;
            Ok(Filter::Exact(param.further(Further::OfType), keys))
        }
        (ParamKind::Reference, Some("identifier")) => {
            let keys = tokens(parameter, values)?;
            Ok(Filter::Exact(param.further(Further::Identifier), keys))
        }
        (ParamKind::Reference, None) => Ok(Filter::Exact(param, references(context, parameter, None, values))),
        (ParamKind::Reference, Some(of)) if context.definitions.resource_type(of).is_some() => {
            Ok(Filter::Exact(param, references(context, parameter, Some(of), values)))
        }
        (ParamKind::Uri, None) => Ok(Filter::Exact(
            param,
            values.iter().map(|v| key::uri(&unescape(v))).collect(),
        )),
        (ParamKind::Uri, Some("below")) => Ok(any(values.iter().map(|v| below(param, &unescape(v))).collect())),
        (ParamKind::Uri, Some("above")) => Ok(any(values.iter().map(|v| above(param, &unescape(v))).collect())),
        (ParamKind::Date, None) => {
            let tests = values.iter().map(|v| Ok(dates(param, period(parameter.code(), v)?)));
            Ok(any(tests.collect::<Result<_, SearchError>>()?))
        }
        (ParamKind::Number | ParamKind::Quantity, None) => {
            let tests = values.iter().map(|v| numbers(parameter, param, v));
            Ok(any(tests.collect::<Result<_, SearchError>>()?))
        }
        (ParamKind::String, None | Some("exact" | "contains")) => {
            let test = |text: &str| match modifier {
                Some("exact") => TextTest::Exact(fold(text), text.to_owned()),
                Some("contains") => TextTest::Contains(fold(text)),
                _ => TextTest::StartsWith(fold(text)),
            };
            Ok(any(values
                .iter()
                .map(|v| Filter::Text(param, test(&unescape(v))))
                .collect()))
        }
        (_, Some(modifier)) => refuse(modifier),
        (ParamKind::Composite | ParamKind::Special, None) => Err(not_in_this_release(parameter)),
    }
}

/// One alternative needs no `Any` around it.
pub fn any(mut filters: Vec<Filter>) -> Filter {
    if filters.len() == 1 {
        filters.remove(0)
    } else {
        Filter::Any(filters)
    }
}

fn unsupported(modifier: &str, code: &str) -> SearchError {
    SearchError::Modifier {
        modifier: modifier.to_owned(),
        parameter: code.to_owned(),
    }
}

fn table(kind: ParamKind) -> Option<Table> {
    match kind {
        ParamKind::Token | ParamKind::Reference | ParamKind::Uri => Some(Table::Exact),
        ParamKind::Date => Some(Table::Dates),
        ParamKind::Number | ParamKind::Quantity => Some(Table::Numbers),
        ParamKind::String => Some(Table::Strings),
        ParamKind::Composite | ParamKind::Special => None,
    }
}

/// What `true` and `false` are codes of.
const SPECIAL_VALUES: [&str; 2] = [
    "http://hl7.org/fhir/special-values",
    "http://terminology.hl7.org/CodeSystem/special-values",
];

fn tokens(parameter: SearchParameter, values: &[&str]) -> Result<Vec<String>, SearchError> {
    let token = |text: &&str| {
        let parts: Vec<_> = value::split(text, '|').into_iter().map(unescape).collect();
        match parts.as_slice() {
            [code] => Ok(vec![key::code(code)]),
            [system, code] if code.is_empty() && !system.is_empty() => Ok(vec![key::system(system)]),
            // the system that booleans have without saying so
            [system, code] if SPECIAL_VALUES.contains(&system.as_str()) => Ok(vec![key::code(code)]),
            [system, code] => {
                let unsaid = implies(parameter, system, code).then(|| key::system_code("", code));
                Ok(std::iter::once(key::system_code(system, code)).chain(unsaid).collect())
            }
            _ => Err(bad(
                parameter.code(),
                text,
                "a token: `code`, `system|code`, `system|` or `|code`",
            )),
        }
    };
    let keys: Vec<Vec<String>> = values.iter().map(token).collect::<Result<_, _>>()?;
    Ok(keys.into_iter().flatten().collect())
}

/// Codes that terminology knows of.
fn by_terms(
    context: &Context<'_>,
    parameter: SearchParameter,
    param: ParamId,
    modifier: Option<&str>,
    values: &[&str],
) -> Result<Filter, SearchError> {
    let without_system = terms::is_code(context.definitions, parameter);
    let mut keys = Vec::new();
    for text in values {
        let need = match modifier {
            Some("in") => Need::Members(unescape(text)),
            _ => {
                let parts: Vec<_> = value::split(text, '|').into_iter().map(unescape).collect();
                let [system, code] = <[String; 2]>::try_from(parts)
                    .map_err(|_| bad(parameter.code(), text, "a code with its system: `system|code`"))?;
                if modifier == Some("above") {
                    Need::Above { system, code }
                } else {
                    Need::Below { system, code }
                }
            }
        };
        keys.extend(context.terms.keys(need, without_system)?);
    }
    Ok(Filter::Exact(param, keys))
}

fn of_type(parameter: SearchParameter, text: &str) -> Result<String, SearchError> {
    let parts: Vec<_> = value::split(text, '|').into_iter().map(unescape).collect();
    match parts.as_slice() {
        [system, code, value] if !code.is_empty() && !value.is_empty() => Ok(key::of_type(system, code, value)),
        _ => Err(bad(
            parameter.code(),
            text,
            "`system|code|value`, the identifier's type and its value",
        )),
    }
}

fn references(context: &Context<'_>, parameter: SearchParameter, of: Option<&str>, values: &[&str]) -> Vec<String> {
    let mut keys = Vec::new();
    for text in values {
        let text = unescape(text);
        if fhir_resource::reference::is_id(&text) {
            let targets: Vec<_> = match of {
                Some(of) => vec![of],
                None => targets::of(parameter),
            };
            keys.extend(targets.iter().map(|target| key::reference(&format!("{target}/{text}"))));
            if targets.len() != 1 {
                keys.push(key::reference(&text));
            }
        } else if let Some(text) = reference_text(&text, context.definitions, context.bases)
            && of.is_none_or(|of| text.starts_with(&format!("{of}/")) || text.contains("://"))
        {
            keys.push(key::reference(&text));
        }
    }
    keys
}

/// URIs that begin with this one; never of URNs, whose parts mean nothing.
fn below(param: ParamId, text: &str) -> Filter {
    if text.starts_with("urn:") {
        Filter::Any(Vec::new())
    } else {
        Filter::Prefix(param, key::uri(text))
    }
}

/// URIs that this one begins with.
fn above(param: ParamId, text: &str) -> Filter {
    if text.starts_with("urn:") {
        return Filter::Any(Vec::new());
    }
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    Filter::Exact(param, ends.map(|end| key::uri(&text[..end])).collect())
}

pub fn bad(code: &str, text: &str, wanted: &str) -> SearchError {
    SearchError::BadValue(format!(
        "The value '{text}' of the search parameter '{code}' is not {wanted}."
    ))
}

/// Digits before the point that a number in a search may have, as with Microsoft.
const MAX_DIGITS: usize = 28;

fn numbers(parameter: SearchParameter, param: ParamId, text: &str) -> Result<Filter, SearchError> {
    let parts: Vec<_> = value::split(text, '|').into_iter().map(unescape).collect();
    let quantity = parameter.kind() == ParamKind::Quantity;
    let wanted = if quantity {
        "a quantity: `number`, `number|system|code` or `number||code`"
    } else {
        "a number"
    };
    let (number, system, code) = match parts.as_slice() {
        [number] => (number, None, None),
        [number, system] if quantity => (number, Some(system), None),
        [number, system, code] if quantity => (number, Some(system), Some(code)),
        _ => return Err(bad(parameter.code(), text, wanted)),
    };
    let (prefix, number) = value::prefix(number);
    let digits = number
        .bytes()
        .take_while(|byte| *byte != b'.')
        .filter(u8::is_ascii_digit)
        .count();
    let decimal = Decimal::parse(number).filter(|_| digits <= MAX_DIGITS);
    let decimal = decimal.ok_or_else(|| bad(parameter.code(), text, wanted))?;
    let unit = |part: Option<&String>| part.filter(|part| !part.is_empty()).cloned();
    let own = Measure {
        param,
        system: unit(system),
        code: unit(code),
        key: &|number| Some(key::number(number)),
    };
    // the same amount in any unit; what can't be converted is found by its own code
    let canonical = own.system.as_deref().zip(own.code.as_deref());
    let canonical = canonical.and_then(|(system, code)| ucum::canonical(system, code));
    let canonical = canonical.and_then(|unit| {
        let measure = Measure {
            param: param.further(Further::Canonical),
            system: None,
            code: Some(unit.unit.clone()),
            key: &|number| unit.key(number),
        };
        measure.compared(prefix, decimal)
    });
    let filter = canonical.or_else(|| own.compared(prefix, decimal));
    filter.ok_or_else(|| bad(parameter.code(), text, wanted))
}

/// Where numbers of one unit are.
struct Measure<'a> {
    param: ParamId,
    system: Option<String>,
    code: Option<String>,
    key: &'a dyn Fn(Decimal) -> Option<Vec<u8>>,
}

impl Measure<'_> {
    fn test(&self, low: Range<Vec<u8>>, high: Range<Vec<u8>>) -> Filter {
        let test = NumberTest {
            low,
            high,
            system: self.system.clone(),
            code: self.code.clone(),
        };
        Filter::Number(self.param, test)
    }

    /// What a prefix asks of a number; `None`: it has no key.
    fn compared(&self, prefix: Prefix, number: Decimal) -> Option<Filter> {
        let exact = (self.key)(number)?;
        let range = |(from, to): (Decimal, Decimal)| Some(((self.key)(from)?, (self.key)(to)?));
        Some(match prefix {
            Prefix::Equal => {
                let (from, to) = range(number.precision_range())?;
                self.test(Range::at_least(from), Range::below(to))
            }
            Prefix::Approximate => {
                let (from, to) = range(number.approximate_range())?;
                self.test(Range::at_most(to), Range::at_least(from))
            }
            Prefix::NotEqual => {
                let (from, to) = range(number.precision_range())?;
                Filter::Any(vec![
                    self.test(Range::below(from), Range::OPEN),
                    self.test(Range::OPEN, Range::at_least(to)),
                ])
            }
            Prefix::Greater => self.test(Range::OPEN, Range::above(exact)),
            Prefix::Less => self.test(Range::below(exact), Range::OPEN),
            Prefix::GreaterOrEqual => self.test(Range::OPEN, Range::at_least(exact)),
            Prefix::LessOrEqual => self.test(Range::at_most(exact), Range::OPEN),
            Prefix::StartsAfter => self.test(Range::above(exact), Range::OPEN),
            Prefix::EndsBefore => self.test(Range::OPEN, Range::below(exact)),
        })
    }
}
