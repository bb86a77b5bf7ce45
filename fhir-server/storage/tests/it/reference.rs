//! Searches of every type, prefix and modifier, against an evaluation of the resources' JSON that shares nothing with the
//! extractor and the planner: no keys, no tables, no plans.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::fixture::{Engine, Fixture};

/// Sets of resources in a round, each asked forty questions.
const SETS: u32 = 10;
/// Rounds of a long run.
const ROUNDS: u32 = 40;

const UCUM: &str = "http://unitsofmeasure.org";
const PREFIXES: [&str; 10] = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];
/// Before and after every date that FHIR can write.
const EARLIEST: i128 = -62_135_596_800_000_000;
const LATEST: i128 = 253_402_300_799_999_999;
const CODES: [&str; 3] = ["a", "b", "A"];
const SYSTEMS: [Option<&str>; 3] = [None, Some("http://s1"), Some("http://s2")];
const TEXTS: [&str; 4] = ["Heart rate", "heart beat", "Árt", "rate"];
const NUMBERS: [&str; 10] = ["5", "5.0", "4.95", "0.005", "-3.25", "0", "5000", "5.4", "1e1", "9"];
const UNITS: [Option<(&str, &str)>; 5] = [
    None,
    Some((UCUM, "mg")),
    Some((UCUM, "g")),
    Some((UCUM, "[pH]")),
    Some(("http://o", "mg")),
];
const DATES: [&str; 9] = [
    "2019",
    "2020",
    "2020-02",
    "2020-02-29",
    "2020-03-01",
    "2020-02-29T10:00:00Z",
    "2020-02-29T12:00:00+02:00",
    "2020-02-29T10:00:00.5Z",
    "2021-01",
];
const FAMILIES: [&str; 5] = ["Ash", "ashley", "Áshton", "Birch", "birch-Ash"];
const URLS: [&str; 4] = ["http://x/a", "http://x/a/b", "http://x/ab", "urn:x:a"];
const PEOPLE: [&str; 3] = ["p0", "p1", "p2"];

// ---- resources

fn concept() -> impl Strategy<Value = Option<Value>> {
    let coding = (
        select(&SYSTEMS[..]),
        select(&CODES[..]),
        proptest::option::of(select(&TEXTS[..])),
    );
    let coding = coding.prop_map(|(system, code, display)| {
        let mut coding = json!({"code": code});
        if let Some(system) = system {
            coding["system"] = json!(system);
        }
        if let Some(display) = display {
            coding["display"] = json!(display);
        }
        coding
    });
    (
        proptest::collection::vec(coding, 0..3),
        proptest::option::of(select(&TEXTS[..])),
    )
        .prop_map(|(codings, text)| {
            let mut concept = json!({});
            if !codings.is_empty() {
                concept["coding"] = json!(codings);
            }
            if let Some(text) = text {
                concept["text"] = json!(text);
            }
            (concept != json!({})).then_some(concept)
        })
}

fn quantity() -> impl Strategy<Value = Option<Value>> {
    proptest::option::of((select(&NUMBERS[..]), select(&UNITS[..]))).prop_map(|found| {
        let (number, unit) = found?;
        let number: Value = serde_json::from_str(number).expect("a number");
        let mut quantity = json!({"value": number});
        if let Some((system, code)) = unit {
            quantity["system"] = json!(system);
            quantity["code"] = json!(code);
        }
        Some(quantity)
    })
}

fn put(resource: &mut Value, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        resource[name] = value;
    }
}

fn observation() -> impl Strategy<Value = Value> {
    let date = proptest::option::of(select(&DATES[..]));
    let when = (0..4, date.clone(), date);
    let component = (concept(), quantity()).prop_map(|(code, value)| {
        let mut component = json!({});
        put(&mut component, "code", code);
        put(&mut component, "valueQuantity", value);
        component
    });
    let subject = proptest::option::of((0..3, select(&PEOPLE[..])));
    let performer = proptest::option::weighted(0.2, select(&PEOPLE[..]));
    (
        concept(),
        quantity(),
        when,
        proptest::collection::vec(component, 0..3),
        subject,
        performer,
    )
        .prop_map(|(code, value, (kind, start, end), components, subject, performer)| {
            let mut resource = json!({"resourceType": "Observation", "status": "final"});
            put(&mut resource, "code", code);
            put(&mut resource, "valueQuantity", value);
            match (kind, start, end) {
                (0, Some(at), _) => resource["effectiveDateTime"] = json!(at),
                (1, start, end) if start.is_some() || end.is_some() => {
                    let mut period = json!({});
                    put(&mut period, "start", start.map(|date| json!(date)));
                    put(&mut period, "end", end.map(|date| json!(date)));
                    resource["effectivePeriod"] = period;
                }
                // one date more than one
                (2, Some(at), Some(bound)) => {
                    let bounds = json!({"boundsPeriod": {"start": bound}});
                    resource["effectiveTiming"] = json!({"event": [at], "repeat": bounds});
                }
                _ => {}
            }
            let components: Vec<_> = components
                .into_iter()
                .filter(|component| *component != json!({}))
                .collect();
            if !components.is_empty() {
                resource["component"] = json!(components);
            }
            resource_subject(&mut resource, subject);
            let performer = performer.map(|id| json!([{"reference": format!("Patient/{id}")}]));
            put(&mut resource, "performer", performer);
            resource
        })
}

fn resource_subject(resource: &mut Value, subject: Option<(i32, &str)>) {
    put(
        resource,
        "subject",
        subject.map(|(kind, id)| match kind {
            0 => json!({"reference": format!("Patient/{id}")}),
            1 => json!({"reference": format!("http://own.example/fhir/Patient/{id}/_history/7")}),
            _ => json!({"identifier": {"system": "http://mrn", "value": id}}),
        }),
    );
}

fn patient() -> impl Strategy<Value = Value> {
    let names = proptest::collection::vec(select(&FAMILIES[..]), 0..3);
    (
        names,
        proptest::option::of(select(&["male", "female"][..])),
        proptest::option::of(select(&DATES[..4])),
    )
        .prop_map(|(names, gender, birth)| {
            let mut resource = json!({"resourceType": "Patient"});
            if !names.is_empty() {
                resource["name"] = names.iter().map(|family| json!({"family": family})).collect();
            }
            put(&mut resource, "gender", gender.map(|gender| json!(gender)));
            put(&mut resource, "birthDate", birth.map(|birth| json!(birth)));
            resource
        })
}

fn other() -> impl Strategy<Value = Value> {
    prop_oneof![
        proptest::option::of(select(&URLS[..])).prop_map(|url| {
            let mut resource = json!({"resourceType": "ValueSet", "status": "draft"});
            put(&mut resource, "url", url.map(|url| json!(url)));
            resource
        }),
        proptest::option::of(select(&NUMBERS[..])).prop_map(|number| {
            let mut resource = json!({"resourceType": "RiskAssessment", "status": "final"});
            put(
                &mut resource,
                "prediction",
                number.map(|number| {
                    let number: Value = serde_json::from_str(number).expect("a number");
                    json!([{"probabilityDecimal": number}])
                }),
            );
            resource
        }),
    ]
}

// ---- conditions

/// What a token says of the system.
#[derive(Debug, Clone, Copy)]
enum System {
    Any,
    Is(Option<&'static str>),
}

const ASKED: [System; 4] = [
    System::Any,
    System::Is(None),
    System::Is(Some("http://s1")),
    System::Is(Some("http://s2")),
];

type Unit = Option<(&'static str, &'static str)>;

#[derive(Debug, Clone)]
enum Condition {
    /// Name, modifier, values.
    Token(&'static str, &'static str, Vec<(System, &'static str)>),
    Family(&'static str, Vec<&'static str>),
    Date(&'static str, Vec<(&'static str, &'static str)>),
    /// Name, values.
    Quantity(&'static str, Vec<(&'static str, &'static str, Unit)>),
    Probability(&'static str, &'static str),
    Subject(&'static str, Vec<&'static str>),
    /// `patient=…`
    Patient(&'static str),
    /// In the compartment, which is no part of the query.
    Member(&'static str),
    Url(&'static str, Vec<&'static str>),
    /// Name and parts of a composite: in the resource or in one of its components.
    Composite(&'static str, &'static str, &'static str, &'static str),
    Missing(&'static str, bool),
    /// `patient.family`
    Chain(&'static str),
    /// `_has:Observation:patient:code`
    Has(&'static str),
    Filter(&'static str, &'static str),
}

const PLAIN: [&str; 6] = [
    "code",
    "subject",
    "date",
    "value-quantity",
    "combo-code",
    "combo-value-quantity",
];
const TOKENS: [&str; 3] = ["code", "component-code", "combo-code"];
const QUANTITIES: [&str; 3] = ["value-quantity", "component-value-quantity", "combo-value-quantity"];

fn condition(of: &'static str) -> BoxedStrategy<Condition> {
    let token_value = (select(&ASKED[..]), select(&[CODES[0], CODES[1], CODES[2], ""][..]))
        .prop_filter("a value", |(system, code)| {
            !code.is_empty() || matches!(system, System::Is(Some(_)))
        });
    let dates = |name| {
        proptest::collection::vec((select(&PREFIXES[..]), select(&DATES[..])), 1..3)
            .prop_map(move |values| Condition::Date(name, values))
    };
    match of {
        "Observation" => prop_oneof![
            (
                select(&TOKENS[..]),
                select(&["", ":not"][..]),
                proptest::collection::vec(token_value, 1..3)
            )
                .prop_map(|(name, modifier, values)| Condition::Token(name, modifier, values)),
            (select(&TOKENS[..]), select(&["heart", "ART", "rate", "x"][..]))
                .prop_map(|(name, text)| Condition::Token(name, ":text", vec![(System::Any, text)])),
            dates("date"),
            (
                select(&QUANTITIES[..]),
                proptest::collection::vec((select(&PREFIXES[..]), select(&NUMBERS[..]), select(&UNITS[..])), 1..3)
            )
                .prop_map(|(name, values)| Condition::Quantity(name, values)),
            (
                select(&["", ":Patient", ":identifier"][..]),
                proptest::collection::vec(select(&PEOPLE[..]), 1..3)
            )
                .prop_map(|(modifier, ids)| Condition::Subject(modifier, ids)),
            (
                select(
                    &[
                        "code-value-quantity",
                        "component-code-value-quantity",
                        "combo-code-value-quantity"
                    ][..]
                ),
                select(&CODES[..]),
                select(&PREFIXES[..]),
                select(&NUMBERS[..])
            )
                .prop_map(|(name, code, prefix, number)| Condition::Composite(name, code, prefix, number)),
            (0..PLAIN.len(), any::<bool>()).prop_map(|(at, missing)| Condition::Missing(PLAIN[at], missing)),
            select(&FAMILIES[..]).prop_map(Condition::Chain),
        ]
        .boxed(),
        "Patient" => prop_oneof![
            (
                select(&["", ":exact", ":contains"][..]),
                proptest::collection::vec(select(&["ash", "Ash", "birch", "irc", "á"][..]), 1..3)
            )
                .prop_map(|(modifier, values)| Condition::Family(modifier, values)),
            dates("birthdate"),
            select(&CODES[..]).prop_map(Condition::Has),
            (
                select(&["eq", "ne", "co", "sw", "ew"][..]),
                select(&["ash", "birch", "Birch-ash"][..])
            )
                .prop_map(|(operator, text)| Condition::Filter(operator, text)),
        ]
        .boxed(),
        "ValueSet" => (
            select(&["", ":below", ":above"][..]),
            proptest::collection::vec(select(&URLS[..]), 1..3),
        )
            .prop_map(|(modifier, values)| Condition::Url(modifier, values))
            .boxed(),
        _ => (select(&PREFIXES[..]), select(&NUMBERS[..]))
            .prop_map(|(prefix, number)| Condition::Probability(prefix, number))
            .boxed(),
    }
}

fn join(values: impl IntoIterator<Item = String>) -> String {
    values.into_iter().collect::<Vec<_>>().join(",")
}

fn measured(number: &str, unit: Option<(&str, &str)>) -> String {
    unit.map_or(number.to_owned(), |(system, code)| format!("{number}|{system}|{code}"))
}

impl Condition {
    fn query(&self) -> String {
        match self {
            Self::Token(name, modifier, values) => {
                let value = |(system, code): &(System, &str)| match system {
                    System::Any => (*code).to_owned(),
                    System::Is(system) => format!("{}|{code}", system.unwrap_or_default()),
                };
                format!("{name}{modifier}={}", join(values.iter().map(value)))
            }
            Self::Family(modifier, values) => format!("family{modifier}={}", values.join(",")),
            Self::Date(name, values) => format!(
                "{name}={}",
                join(values.iter().map(|(prefix, date)| format!("{prefix}{date}")))
            ),
            Self::Quantity(name, values) => {
                let value = |(prefix, number, unit): &(&str, &str, Option<(&str, &str)>)| {
                    format!("{prefix}{}", measured(number, *unit))
                };
                format!("{name}={}", join(values.iter().map(value)))
            }
            Self::Probability(prefix, number) => format!("probability={prefix}{number}"),
            Self::Subject(":identifier", ids) => format!(
                "subject:identifier={}",
                join(ids.iter().map(|id| format!("http://mrn|{id}")))
            ),
            Self::Subject(":Patient", ids) => format!("subject:Patient={}", ids.join(",")),
            Self::Subject(_, ids) => format!("subject={}", join(ids.iter().map(|id| format!("Patient/{id}")))),
            Self::Patient(id) => format!("patient={id}"),
            Self::Member(_) => String::new(),
            Self::Url(modifier, values) => format!("url{modifier}={}", values.join(",")),
            Self::Composite(name, code, prefix, number) => format!("{name}={code}${prefix}{number}"),
            Self::Missing(name, missing) => format!("{name}:missing={missing}"),
            Self::Chain(family) => format!("patient.family={family}"),
            Self::Has(code) => format!("_has:Observation:patient:code={code}"),
            Self::Filter(operator, text) => format!("_filter=family {operator} \"{text}\""),
        }
    }

    fn holds(&self, resource: &Value, all: &[Value]) -> bool {
        match self {
            Self::Token(name, ":text", values) => {
                let mut concepts = elements(resource, name).into_iter().map(|element| &element["code"]);
                concepts.any(|concept| values.iter().any(|(_, text)| says(concept, text)))
            }
            Self::Token(name, modifier, values) => {
                let mut concepts = elements(resource, name).into_iter().map(|element| &element["code"]);
                let found = concepts.any(|concept| values.iter().any(|(system, code)| coded(concept, *system, code)));
                found != (*modifier == ":not")
            }
            Self::Family(modifier, values) => families(resource).any(|family| {
                values.iter().any(|value| match *modifier {
                    ":exact" => family == *value,
                    ":contains" => fold(family).contains(&fold(value)),
                    _ => fold(family).starts_with(&fold(value)),
                })
            }),
            Self::Date(name, values) => {
                let periods = match *name {
                    "birthdate" => resource["birthDate"].as_str().map(moment).into_iter().collect(),
                    _ => effective(resource),
                };
                let holds = |period| values.iter().any(|(prefix, date)| dated(prefix, period, moment(date)));
                periods.into_iter().any(holds)
            }
            Self::Quantity(name, values) => elements(resource, name).into_iter().any(|element| {
                values
                    .iter()
                    .any(|(prefix, number, unit)| of_quantity(&element["valueQuantity"], prefix, number, *unit))
            }),
            Self::Probability(prefix, number) => {
                let value = &resource["prediction"][0]["probabilityDecimal"];
                value.is_number() && compared(prefix, scaled(&value.to_string()).0, number, 1)
            }
            Self::Subject(":identifier", ids) => resource["subject"]["identifier"]["value"]
                .as_str()
                .is_some_and(|id| ids.contains(&id)),
            Self::Subject(_, ids) => refers(resource).is_some_and(|id| ids.contains(&id)),
            Self::Patient(id) => refers(resource) == Some(id),
            Self::Member(id) => {
                refers(resource) == Some(id) || resource["performer"][0]["reference"] == format!("Patient/{id}")
            }
            Self::Url(modifier, values) => resource["url"].as_str().is_some_and(|url| {
                values.iter().any(|value| match *modifier {
                    ":below" => !value.starts_with("urn:") && url.starts_with(value),
                    ":above" => !value.starts_with("urn:") && value.starts_with(url),
                    _ => url == *value,
                })
            }),
            Self::Composite(name, code, prefix, number) => elements(resource, name).into_iter().any(|element| {
                coded(&element["code"], System::Any, code)
                    && of_quantity(&element["valueQuantity"], prefix, number, None)
            }),
            Self::Missing(name, missing) => {
                let there = match *name {
                    "date" => !effective(resource).is_empty(),
                    "subject" => resource["subject"].is_object(),
                    name => {
                        let path = if name.ends_with("code") {
                            "code"
                        } else {
                            "valueQuantity"
                        };
                        let mut all = elements(resource, name).into_iter();
                        all.any(|element| element[path].is_object())
                    }
                };
                there != *missing
            }
            Self::Chain(family) => refers(resource).is_some_and(|id| {
                let mut named = all
                    .iter()
                    .filter(|other| other["resourceType"] == "Patient" && other["id"] == *id);
                named.any(|patient| Self::Family("", vec![family]).holds(patient, all))
            }),
            Self::Has(code) => {
                let mut others = all.iter().filter(|other| other["resourceType"] == "Observation");
                others.any(|other| {
                    refers(other).is_some_and(|id| resource["id"] == *id) && coded(&other["code"], System::Any, code)
                })
            }
            Self::Filter(operator, text) => {
                let text = fold(text);
                let any = |test: &dyn Fn(&str) -> bool| families(resource).any(|family| test(&fold(family)));
                match *operator {
                    "eq" => any(&|family| family == text),
                    "ne" => families(resource).next().is_some() && !any(&|family| family == text),
                    "co" => any(&|family| family.contains(&text)),
                    "sw" => any(&|family| family.starts_with(&text)),
                    _ => any(&|family| family.ends_with(&text)),
                }
            }
        }
    }
}

// ---- what values mean

/// What a parameter looks at: the resource, its components, or both.
fn elements<'r>(resource: &'r Value, name: &str) -> Vec<&'r Value> {
    let own = (!name.starts_with("component-")).then_some(resource);
    let components = name.starts_with("component-") || name.starts_with("combo-");
    let components = components.then(|| resource["component"].as_array()).flatten();
    own.into_iter().chain(components.into_iter().flatten()).collect()
}

fn fold(text: &str) -> String {
    text.to_lowercase().replace('á', "a")
}

fn families(resource: &Value) -> impl Iterator<Item = &str> {
    resource["name"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| name["family"].as_str())
}

fn refers(resource: &Value) -> Option<&str> {
    let reference = resource["subject"]["reference"].as_str()?;
    let id = reference.split("Patient/").nth(1)?;
    id.split('/').next()
}

fn coded(concept: &Value, system: System, code: &str) -> bool {
    concept["coding"].as_array().into_iter().flatten().any(|coding| {
        (code.is_empty() || coding["code"] == *code)
            && match system {
                System::Any => true,
                System::Is(system) => coding["system"].as_str() == system,
            }
    })
}

fn says(concept: &Value, text: &str) -> bool {
    let displays = concept["coding"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|coding| &coding["display"]);
    displays
        .chain([&concept["text"]])
        .filter_map(Value::as_str)
        .any(|said| fold(said).starts_with(&fold(text)))
}

/// Billionths, and half a unit of the last digit.
fn scaled(text: &str) -> (i128, i128) {
    let (number, power) = text
        .split_once(['e', 'E'])
        .map_or((text, 0), |(number, power)| (number, power.parse().unwrap()));
    let fraction = number
        .split_once('.')
        .map_or(0, |(_, fraction)| i32::try_from(fraction.len()).unwrap());
    let digits: i128 = number.replace('.', "").parse().unwrap();
    let unit = 10i128.pow(u32::try_from(12 + power - fraction).unwrap());
    (digits * unit, unit / 2)
}

fn compared(prefix: &str, value: i128, number: &str, factor: i128) -> bool {
    let (wanted, half) = scaled(number);
    let (wanted, half) = (wanted * factor, half * factor);
    let equal = (wanted - half..wanted + half).contains(&value);
    match prefix {
        "" | "eq" => equal,
        "ne" => !equal,
        "gt" | "sa" => value > wanted,
        "lt" | "eb" => value < wanted,
        "ge" => value >= wanted,
        "le" => value <= wanted,
        _ => (value - wanted).abs() * 10 <= wanted.abs(),
    }
}

fn of_quantity(quantity: &Value, prefix: &str, number: &str, unit: Option<(&str, &str)>) -> bool {
    if !quantity["value"].is_number() {
        return false;
    }
    let (value, _) = scaled(&quantity["value"].to_string());
    let (system, code) = (
        quantity["system"].as_str().unwrap_or_default(),
        quantity["code"].as_str().unwrap_or_default(),
    );
    let milligrams = |(system, code): (&str, &str)| match (system, code) {
        (UCUM, "mg") => Some(1),
        (UCUM, "g") => Some(1_000),
        _ => None,
    };
    match unit {
        None => compared(prefix, value, number, 1),
        Some(unit) => match (milligrams(unit), milligrams((system, code))) {
            (Some(wanted), Some(own)) => compared(prefix, value * own, number, wanted),
            (Some(_), None) | (None, Some(_)) => false,
            (None, None) => unit == (system, code) && compared(prefix, value, number, 1),
        },
    }
}

/// First and last microsecond.
fn moment(text: &str) -> (i128, i128) {
    const SECOND: i128 = 1_000_000;
    let day = |year: i128, month: i128, day: i128| {
        let shifted = if month <= 2 { year - 1 } else { year };
        let (era, of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        (era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year) * 86_400 * SECOND
    };
    let part = |at: usize, length: usize| text[at..at + length].parse::<i128>().unwrap();
    match text.len() {
        4 => (day(part(0, 4), 1, 1), day(part(0, 4) + 1, 1, 1) - 1),
        7 => {
            let (year, month) = (part(0, 4), part(5, 2));
            let next = if month == 12 {
                day(year + 1, 1, 1)
            } else {
                day(year, month + 1, 1)
            };
            (day(year, month, 1), next - 1)
        }
        10 => {
            let start = day(part(0, 4), part(5, 2), part(8, 2));
            (start, start + 86_400 * SECOND - 1)
        }
        _ => {
            let mut start = day(part(0, 4), part(5, 2), part(8, 2))
                + (part(11, 2) * 3_600 + part(14, 2) * 60 + part(17, 2)) * SECOND;
            if text.ends_with("+02:00") {
                start -= 7_200 * SECOND;
            }
            if text.contains(".5") {
                return (start + 500_000, start + 599_999);
            }
            (start, start + SECOND - 1)
        }
    }
}

/// The dates of an observation.
fn effective(resource: &Value) -> Vec<(i128, i128)> {
    if let Some(at) = resource["effectiveDateTime"].as_str() {
        return vec![moment(at)];
    }
    let timing = &resource["effectiveTiming"];
    let events = timing["event"].as_array().into_iter().flatten();
    let events = events.filter_map(Value::as_str).map(moment);
    let periods = [&resource["effectivePeriod"], &timing["repeat"]["boundsPeriod"]];
    let periods = periods.into_iter().filter_map(|period| {
        let period = period.as_object()?;
        let end = |name: &str| period.get(name).and_then(Value::as_str).map(moment);
        let (low, high) = (
            end("start").map_or(EARLIEST, |start| start.0),
            end("end").map_or(LATEST, |end| end.1),
        );
        // a period that ends before it begins is none
        (low <= high).then_some((low, high))
    });
    periods.chain(events).collect()
}

fn dated(prefix: &str, (low, high): (i128, i128), (start, end): (i128, i128)) -> bool {
    const DAY: i128 = 86_400_000_000;
    match prefix {
        "" | "eq" => low <= end && high >= start,
        "ne" => low < start || high > end,
        "gt" => high > end,
        "lt" => low < start,
        "ge" => high >= start,
        "le" => low <= end,
        "sa" => low > end,
        "eb" => high < start,
        _ => low <= end + DAY && high >= start - DAY,
    }
}

/// A search, and its order: by date, descending or not.
#[derive(Debug, Clone)]
struct Question {
    of: &'static str,
    conditions: Vec<Condition>,
    descending: Option<bool>,
}

impl Question {
    fn target(&self) -> String {
        let owner = self.conditions.iter().find_map(|condition| match condition {
            Condition::Member(id) => Some(format!("Patient/{id}/{}", self.of)),
            _ => None,
        });
        owner.unwrap_or_else(|| self.of.to_owned())
    }

    fn query(&self) -> String {
        let parts = self.conditions.iter().map(Condition::query);
        let sort = self
            .descending
            .map(|down| if down { "_sort=-date" } else { "_sort=date" });
        let parts = parts.chain(sort.map(str::to_owned)).filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join("&")
    }

    /// The ids in order.
    fn answer<'a>(&self, all: &'a [Value]) -> Vec<&'a str> {
        let holds = |resource: &&Value| {
            resource["resourceType"] == self.of
                && self.conditions.iter().all(|condition| condition.holds(resource, all))
        };
        let mut found: Vec<&Value> = all.iter().filter(holds).collect();
        match self.descending {
            // who has no date is last
            Some(true) => found.sort_by_key(|one| std::cmp::Reverse(effective(one).iter().map(|date| date.1).max())),
            Some(false) => found.sort_by_key(|one| effective(one).iter().map(|date| date.0).min()),
            None => {}
        }
        found.iter().map(|resource| resource["id"].as_str().unwrap()).collect()
    }
}

fn question() -> impl Strategy<Value = Question> {
    let any = select(
        &[
            "Observation",
            "Observation",
            "Observation",
            "Patient",
            "Patient",
            "ValueSet",
            "RiskAssessment",
        ][..],
    )
    .prop_flat_map(|of| (Just(of), proptest::collection::vec(condition(of), 1..3)))
    .prop_map(|(of, conditions)| Question {
        of,
        conditions,
        descending: None,
    });
    prop_oneof![any, of_owner()]
}

/// What belongs to a patient, and something else.
fn of_owner() -> impl Strategy<Value = Question> {
    let person = select(&PEOPLE[..]);
    let owner = prop_oneof![
        person.clone().prop_map(Condition::Patient),
        person.clone().prop_map(|id| Condition::Subject("", vec![id])),
        person.prop_map(Condition::Member),
    ];
    let code = (select(&ASKED[..]), proptest::collection::vec(select(&CODES[..]), 1..3)).prop_map(|(system, codes)| {
        let values = codes.into_iter().map(|code| (system, code));
        Condition::Token("code", "", values.collect())
    });
    let date = (select(&PREFIXES[..]), select(&DATES[..])).prop_map(|date| Condition::Date("date", vec![date]));
    let codes = proptest::collection::vec(code, 0..2);
    let dates = proptest::collection::vec(date, 0..3);
    let others = proptest::collection::vec(condition("Observation"), 0..2);
    let order = proptest::option::of(any::<bool>());
    (owner, codes, dates, others, order).prop_map(|(owner, codes, dates, others, descending)| {
        let all = std::iter::once(owner).chain(codes).chain(dates).chain(others);
        Question {
            of: "Observation",
            conditions: all.collect(),
            descending,
        }
    })
}

#[test]
fn searches_agree_with_the_resources() {
    for _ in test_length::rounds("searches", 1, ROUNDS) {
        proptest!(ProptestConfig { max_shrink_iters: 40, ..ProptestConfig::with_cases(SETS) }, |(
            people in proptest::collection::vec(patient(), 3),
            observations in proptest::collection::vec(observation(), 4..25),
            others in proptest::collection::vec(other(), 0..12),
            questions in proptest::collection::vec(question(), 40),
            engine in proptest::sample::select(&[Engine::Sqlite, Engine::Postgres][..]),
        )| agree(people.into_iter().chain(observations).chain(others).collect(), questions, engine)?);
    }
}

/// Asks an engine, and the resources themselves.
fn agree(mut all: Vec<Value>, questions: Vec<Question>, engine: Engine) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for (number, resource) in all.iter_mut().enumerate() {
        resource["id"] = json!(
            PEOPLE
                .get(number)
                .map_or_else(|| format!("r{number:02}"), |id| (*id).to_owned())
        );
    }
    runtime.block_on(async {
        let fixture = Fixture::new(engine).await;
        let puts = all.iter().map(|resource| fixture.put(resource)).collect();
        fixture.commit(puts).await.expect("committed");
        for question in questions {
            let (target, query) = (question.target(), question.query());
            let found = fixture.found(&target, &format!("{query}&_count=4")).await;
            prop_assert_eq!(&found, &question.answer(&all), "{}?{}", target, query);
        }
        Ok(())
    })
}
