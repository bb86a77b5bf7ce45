//! fhir-server on SQLite: CPU per operation of the server process under a closed loop of 16 connections.

use std::path::Path;

use anyhow::Result;

use crate::load::{closed_loop, get, with_body};
use crate::report::{Report, Wanted};
use crate::server::Server;

const CONNECTIONS: usize = 16;
const PATIENTS: usize = 500;

/// How much to load.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Observations to create
    #[arg(long, default_value_t = 20_000)]
    pub resources: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { resources: 20_000 }
    }
}

/// Measures and reports.
pub async fn run(programs: &Path, options: &Options, report: &mut Report) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("fhir-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = measure(programs, &folder, options.resources, report).await;
    std::fs::remove_dir_all(&folder)?;
    outcome
}

async fn measure(programs: &Path, folder: &Path, resources: usize, report: &mut Report) -> Result<()> {
    let path = folder.join("bench.db");
    let database = format!("sqlite:{}", path.display());
    let arguments = ["serve", "--fhir-version", "R4", "--database", &database, "--anonymous"];
    let program = programs.join("fhir-server");
    drop(Server::start(&program, &arguments).await?); // makes the database
    let server = Server::start(&program, &arguments).await?;
    report.add(
        "fhir-server start-up",
        server.start_up.as_secs_f64() * 1e3,
        "ms",
        Wanted::AtMost(100.0),
        "to the first 200 of /health/ready".into(),
    );
    report.add(
        "fhir-server idle RSS",
        server.rss()?,
        "MiB",
        Wanted::AtMost(15.0),
        "after start on an empty database".into(),
    );

    let address = server.address.clone();
    closed_loop(&address, CONNECTIONS, PATIENTS, 201, |n| {
        with_body("PUT", &format!("Patient/p{n}"), &patient(n))
    })
    .await?;
    let before = server.cpu()?;
    closed_loop(&address, CONNECTIONS, resources, 201, |n| {
        with_body("POST", "Observation", &observation(n))
    })
    .await?;
    rate(report, "create, durable", resources, server.cpu()? - before, 4_000.0);

    let reads = resources * 5;
    let before = server.cpu()?;
    closed_loop(&address, CONNECTIONS, reads, 200, |n| {
        get(&format!("Patient/p{}", n % PATIENTS))
    })
    .await?;
    rate(report, "read by id", reads, server.cpu()? - before, 25_000.0);

    let queries = resources / 4;
    for (what, wanted, query) in [
        (
            "search by token, page of 20",
            8_000.0,
            query_by_code as fn(usize) -> String,
        ),
        ("search by patient and code", 8_000.0, query_by_patient_and_code),
        ("count by code", 15_000.0, query_count),
    ] {
        let before = server.cpu()?;
        closed_loop(&address, CONNECTIONS, queries, 200, move |n| get(&query(n))).await?;
        rate(report, what, queries, server.cpu()? - before, wanted);
    }
    report.add(
        "fhir-server RSS after the load",
        server.rss()?,
        "MiB",
        Wanted::AtMost(64.0),
        format!("{resources} resources"),
    );
    // folds the log into the database file
    server.stop().await?;
    let bytes: u64 = std::fs::read_dir(folder)?
        .flatten()
        .filter_map(|f| f.metadata().ok())
        .map(|m| m.len())
        .sum();
    let each = bytes as f64 / (resources + PATIENTS) as f64;
    report.add(
        "bytes a resource, all indexes",
        each,
        "B",
        Wanted::AtMost(1_000.0),
        "files of the database / resources".into(),
    );
    Ok(())
}

fn rate(report: &mut Report, what: &str, operations: usize, cpu: f64, wanted: f64) {
    let per_second = operations as f64 / cpu;
    let micros = cpu * 1e6 / operations as f64;
    report.add(
        what,
        per_second,
        "per core-s",
        Wanted::AtLeast(wanted),
        format!("{micros:.0} µs CPU each, {operations} operations"),
    );
}

fn query_by_code(n: usize) -> String {
    format!("Observation?code=http://loinc.org|{}&_count=20", code(n))
}

fn query_by_patient_and_code(n: usize) -> String {
    format!(
        "Observation?patient=Patient/p{}&code={}&_count=20",
        n % PATIENTS,
        code(n)
    )
}

fn query_count(n: usize) -> String {
    format!("Observation?code={}&_summary=count", code(n))
}

fn code(n: usize) -> &'static str {
    [
        "8867-4", "8480-6", "8462-4", "29463-7", "8302-2", "2339-0", "718-7", "2093-3", "2085-9", "4548-4", "9279-1",
        "8310-5",
    ][n % 12]
}

fn patient(n: usize) -> String {
    format!(
        r#"{{"resourceType":"Patient","id":"p{n}","identifier":[{{"system":"http://hospital.example.org/mrn","value":"{n:08}"}}],"active":true,"name":[{{"use":"official","family":"Family{}","given":["Given{}"]}}],"gender":"{}","birthDate":"19{:02}-0{}-1{}"}}"#,
        n % 97,
        n % 89,
        if n.is_multiple_of(2) { "female" } else { "male" },
        n % 90 + 10,
        n % 9 + 1,
        n % 10,
    )
}

fn observation(n: usize) -> String {
    format!(
        r#"{{"resourceType":"Observation","status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"Vital signs"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"{code}","display":"A measurement"}}],"text":"A measurement"}},"subject":{{"reference":"Patient/p{patient}"}},"effectiveDateTime":"20{year:02}-0{month}-1{day}T08:{minute:02}:00+01:00","issued":"20{year:02}-0{month}-1{day}T08:{minute:02}:30.123+01:00","valueQuantity":{{"value":{value}.{day},"unit":"mg/dL","system":"http://unitsofmeasure.org","code":"mg/dL"}}}}"#,
        code = code(n),
        patient = (n * 7) % PATIENTS,
        year = n % 20 + 5,
        month = n % 9 + 1,
        day = n % 10,
        minute = n % 60,
        value = n % 300,
    )
}
