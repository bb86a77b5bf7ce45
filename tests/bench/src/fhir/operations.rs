//! The rows of the table, as requests.

use std::sync::Arc;
use std::time::SystemTime;

use super::data::{Bundle, Known, about, frequent};
use crate::load::Place;

/// Hits of what is counted.
const COUNTED: usize = 1_600;
/// Creates before anything is asked.
const CREATES: usize = 10_000;
const READS: usize = 60_000;
const SEARCHES: usize = 8_000;
const UPDATES: usize = 8_000;

/// Whole patients, as they are loaded.
pub const TRANSACTION: &str = "transactions, resources";
/// What has to be reached of them.
pub const TRANSACTION_WANTED: (f64, f64) = (10_000.0, 6_000.0);

type Request = Arc<dyn Fn(usize) -> Vec<u8> + Send + Sync>;

/// Something done again and again.
pub struct Operation {
    /// What the table calls it.
    pub name: &'static str,
    /// How often.
    pub count: usize,
    /// What has to be reached per core-second: SQLite, PostgreSQL.
    pub wanted: (f64, f64),
    /// Good answers.
    pub statuses: &'static [u16],
    /// Its n-th request.
    pub request: Request,
    /// Resources that it adds.
    pub creates: usize,
    /// Whether others ask for what it adds.
    pub is_needed: bool,
}

fn reading(
    name: &'static str,
    count: usize,
    wanted: (f64, f64),
    place: &Place,
    path: impl Fn(usize) -> String + Send + Sync + 'static,
) -> Operation {
    let place = place.clone();
    Operation {
        name,
        count,
        wanted,
        statuses: &[200],
        request: Arc::new(move |n| place.get(&path(n))),
        creates: 0,
        is_needed: false,
    }
}

/// Patients, one after the other; the first is for caches, and `creates` counts the resources of the others.
pub fn transactions(bundles: &[Bundle], place: &Place) -> Operation {
    let creates = bundles.iter().skip(1).map(|bundle| bundle.resources).sum();
    let requests: Vec<Vec<u8>> = bundles
        .iter()
        .map(|bundle| place.with_body("POST", "", &bundle.text, None))
        .collect();
    Operation {
        name: TRANSACTION,
        count: requests.len(),
        wanted: TRANSACTION_WANTED,
        statuses: &[200],
        request: Arc::new(move |n| requests[n % requests.len()].clone()),
        creates,
        is_needed: false,
    }
}

/// Another person with each n, without a pattern that a cache likes.
fn people(known: &[Known]) -> impl Fn(usize) -> Known + Clone + Send + Sync + 'static {
    let people: Arc<[Known]> = known.into();
    move |n: usize| people[n.wrapping_mul(7_919) % people.len()].clone()
}

/// All of them, in order: what is asked for later is created first. Those of `known` are asked for, those of `written`
/// are written about.
pub fn all(known: &[Known], written: &[Known], place: &Place) -> Vec<Operation> {
    let codes: Arc<[String]> = frequent(known).into_iter().take(20).collect();
    let code = move |n: usize| codes[n % codes.len()].clone();
    let person = people(known);
    // and another of their observations
    let seen = {
        let person = person.clone();
        move |n: usize| {
            let person = person(n);
            let (code, date, _) = person.observations[n.wrapping_mul(31) % person.observations.len()].clone();
            (person.id, code, date)
        }
    };
    let mut all = writes(place, &people(written));
    let by = person.clone();
    all.push(reading("read by id", READS, (40_000.0, 15_000.0), place, move |n| {
        format!("Patient/{}", by(n).id)
    }));
    let by_code = code.clone();
    all.push(reading(
        "search by token, page of 20",
        SEARCHES,
        (8_000.0, 5_000.0),
        place,
        move |n| format!("Observation?code=http://loinc.org|{}&_count=20", by_code(n)),
    ));
    let by = seen.clone();
    all.push(reading(
        "search by patient and code",
        SEARCHES,
        (8_000.0, 4_000.0),
        place,
        move |n| {
            let (patient, code, _) = by(n);
            format!("Observation?patient={patient}&code={code}&_count=20")
        },
    ));
    let by = seen.clone();
    all.push(reading(
        "patient, `_sort=-date`",
        SEARCHES,
        (6_000.0, 3_000.0),
        place,
        move |n| format!("Observation?patient={}&_sort=-date&_count=20", by(n).0),
    ));
    let by = seen;
    all.push(reading(
        "patient, code and date range",
        SEARCHES,
        (6_000.0, 3_000.0),
        place,
        move |n| {
            let (patient, code, date) = by(n);
            let year = date.get(..4).and_then(|year| year.parse().ok()).unwrap_or(2010);
            format!(
                "Observation?patient={patient}&code={code}&date=ge{year}&date=lt{}&_count=20",
                year + 1
            )
        },
    ));
    let by = person;
    all.push(reading(
        "chain `patient.identifier`",
        SEARCHES / 2,
        (3_000.0, 2_000.0),
        place,
        move |n| format!("Observation?patient.identifier={}&_count=20", by(n).identifier),
    ));
    all.push(reading("`_has`", SEARCHES / 2, (3_000.0, 2_000.0), place, move |n| {
        format!("Patient?_has:Observation:patient:code={}&_count=20", code(n))
    }));
    all.push(reading(
        "`_summary=count`, 1,600 hits",
        SEARCHES,
        (15_000.0, 8_000.0),
        place,
        |_| "Observation?code=http://bench.example|counted&_summary=count".to_owned(),
    ));
    all
}

fn writes(place: &Place, person: &(impl Fn(usize) -> Known + Clone + Send + Sync + 'static)) -> Vec<Operation> {
    let mut all = Vec::new();
    // made beforehand: whoever loads shares the processors with the server
    let created: Vec<Vec<u8>> = (0..2_000)
        .map(|n| {
            let person = person(n);
            let (_, _, observation) = &person.observations[n.wrapping_mul(13) % person.observations.len()];
            place.with_body("POST", "Observation", &about(observation, &person.id), None)
        })
        .collect();
    let (counting, by) = (place.clone(), person.clone());
    all.push(Operation {
        name: "create of small Observations",
        count: COUNTED,
        wanted: (6_000.0, 3_500.0),
        statuses: &[201],
        request: Arc::new(move |n| {
            let patient = by(n).id;
            // no more than that are counted, however often this is done
            let code = if n < COUNTED { "counted" } else { "other" };
            let body = format!(
                r#"{{"resourceType":"Observation","status":"final","code":{{"coding":[{{"system":"http://bench.example","code":"{code}"}}]}},"subject":{{"reference":"Patient/{patient}"}},"effectiveDateTime":"2020-01-01"}}"#
            );
            counting.with_body("POST", "Observation", &body, None)
        }),
        creates: COUNTED,
        is_needed: true,
    });
    all.push(Operation {
        name: "create, durable",
        count: CREATES,
        wanted: (6_000.0, 3_500.0),
        statuses: &[201],
        request: Arc::new(move |n| created[n % created.len()].clone()),
        creates: CREATES,
        is_needed: false,
    });
    let (updating, by) = (place.clone(), person.clone());
    all.push(Operation {
        name: "update",
        count: UPDATES,
        wanted: (4_000.0, 2_500.0),
        statuses: &[200],
        request: Arc::new(move |n| {
            let person = by(n);
            let own = format!(r#""id":"{}""#, person.identifier);
            let born = format!(r#""birthDate":"19{:02}-0{}-1{}""#, n % 90 + 10, n % 9 + 1, n / 7 % 10);
            let body = person.patient.replacen(&own, &format!(r#""id":"{}""#, person.id), 1);
            let body = if body.contains(r#""id":"#) {
                body
            } else {
                body.replacen('{', &format!(r#"{{"id":"{}","#, person.id), 1)
            };
            let body = replace_birth(&body, &born);
            updating.with_body("PUT", &format!("Patient/{}", person.id), &body, None)
        }),
        creates: 0,
        is_needed: false,
    });
    let placed = place.clone();
    // nobody's so far, whichever run this is
    let run = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    all.push(Operation {
        name: "conditional create",
        count: UPDATES,
        wanted: (4_000.0, 2_500.0),
        statuses: &[200, 201],
        request: Arc::new(move |n| {
            let value = format!("{run}-{n}");
            let body = format!(
                r#"{{"resourceType":"Patient","identifier":[{{"system":"http://bench.example/mrn","value":"{value}"}}],"active":true,"name":[{{"family":"Conditional","given":["Given{n}"]}}],"gender":"female","birthDate":"1970-01-01"}}"#
            );
            let criteria = format!("identifier=http://bench.example/mrn|{value}");
            placed.with_body("POST", "Patient", &body, Some(&criteria))
        }),
        creates: UPDATES,
        is_needed: false,
    });
    all
}

/// The resource with another birth date.
fn replace_birth(body: &str, born: &str) -> String {
    match body.find(r#""birthDate":""#) {
        Some(at) => format!(
            "{}{born}{}",
            &body[..at],
            &body[at + r#""birthDate":"1970-01-01""#.len()..]
        ),
        None => body.to_owned(),
    }
}
