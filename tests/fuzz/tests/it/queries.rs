//! Query strings: whatever is read has a plan, and whatever is planned runs.

use std::sync::Arc;

use fhir_definitions::FhirVersion;
use fhir_search::{Access, Handling, InForce, Parameters, Parser, Target};
use fhir_storage::{Cursor, Database, Effort, HistoryCursor, ReadError, Store, StoreOptions};

use crate::memory;

const WORDS: &[&str] = &[
    "&",
    "=",
    "?",
    ":",
    ".",
    ",",
    "|",
    "$",
    "\\",
    "\\,",
    "%00",
    "_has:Observation:patient:code=",
    "_has:",
    "patient.name=",
    "subject:Patient.",
    ":not",
    ":missing=true",
    ":exact",
    ":contains",
    ":in=",
    ":above",
    ":below",
    ":of-type=",
    ":identifier=",
    ":text",
    "_include=*",
    "_revinclude=*:*",
    "_include:iterate=",
    "_sort=-date,_id",
    "_count=0",
    "_count=99999999999999999999",
    "_total=accurate",
    "_summary=count",
    "_elements=a",
    "_type=Patient,",
    "_list=",
    "_filter=(name eq \"a\" or not (",
    "_filter=",
    ") and ",
    "near=0|0|1|km",
    "ge",
    "ap",
    "2020-13-45",
    "0000",
    "9999-12-31T23:59:60Z",
    "5.4|http://unitsofmeasure.org|mg",
    "1e400",
    "-0",
    "_lastUpdated=",
    "_id=",
    "_not-referenced=*:*",
    "combo-code-value-quantity=",
    "code-value-quantity=a$lt1,",
    "\u{0}",
    "ä",
    "\u{1f}",
];

#[test]
fn queries_become_plans_that_run() {
    memory::bounded();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let definitions = FhirVersion::R4.definitions();
    let store: Arc<Store> = runtime
        .block_on(Store::open(&StoreOptions {
            database: Database::Sqlite(folder.path().join("test.db")),
            version: FhirVersion::R4,
            readers: 2,
            statement: std::time::Duration::MAX,
        }))
        .expect("a store");
    let parser = Parser {
        definitions,
        in_force: InForce::new(Parameters::base(definitions)),
        bases: vec!["http://own.example/fhir".to_owned()],
        default_count: 10,
        max_count: 100,
    };
    fuzz::run("queries", &fuzz::Corpus::read().queries, WORDS, 3_000, |text| {
        let (path, query) = text.split_once('?').unwrap_or(("", text));
        let of = definitions.resource_type(path.split('/').next().unwrap_or_default());
        let target = of.map_or(Target::System, Target::Type);
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs: Vec<_> = pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        for handling in [Handling::Lenient, Handling::Strict] {
            let Ok(search) = parser.parse(&target, &pairs, handling, &Access::All) else {
                continue;
            };
            let found = runtime.block_on(store.search(&search.plan, search.count.max(1), None, Effort::Any));
            assert!(found.is_ok(), "{found:?}");
            let counted = runtime.block_on(store.count(&search.plan, Effort::Any));
            assert!(counted.is_ok(), "{counted:?}");
        }
    });
}

const PARTS: &[&str] = &[
    "n",
    "i",
    "t",
    "b",
    ".",
    "<",
    "ff",
    "t41",
    "é",
    "-1",
    "ffffffffffffffffff",
];

#[test]
fn places_of_pages() {
    memory::bounded();
    let seeds = [
        "1f",
        "n.i5.12c",
        "t41.b00ff.n.3",
        "<i7fffffffffffffff.1",
        "ffffffffffffffff",
    ]
    .map(str::to_owned);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let store = runtime
        .block_on(Store::open(&StoreOptions {
            database: Database::Sqlite(folder.path().join("test.db")),
            version: FhirVersion::R4,
            readers: 2,
            statement: std::time::Duration::MAX,
        }))
        .expect("a store");
    let plan = fhir_search::Plan {
        types: std::iter::once("Patient".to_owned()).collect(),
        filters: Vec::new(),
        sort: fhir_search::Sort::Creation,
    };
    fuzz::run("places", &seeds, PARTS, 3_000, |text| {
        let _ = text.parse::<HistoryCursor>();
        if let Ok(cursor) = text.parse::<Cursor>() {
            let found = runtime.block_on(store.search(&plan, 1, Some(&cursor), Effort::Any));
            assert!(matches!(found, Ok(_) | Err(ReadError::Cursor)), "{found:?}");
        }
    });
}
