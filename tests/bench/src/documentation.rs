//! The tables of `docs/performance.md`, measured and put between the marks that stand there for them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::fhir::{self, growth};
use crate::report::Report;
use crate::{connector, mapping};

/// What is measured, and where the tables go.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The document
    #[arg(long, default_value = "docs/performance.md")]
    into: PathBuf,
    /// Resources to load before operations are measured
    #[arg(long, default_value_t = 20_000)]
    resources: usize,
    /// Resources of the databases whose growth is measured
    #[arg(long, value_delimiter = ',', default_value = "20000,200000")]
    sizes: Vec<usize>,
    /// Only these tables: sqlite, postgres, growth, growth-postgres, mapping, connector
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "sqlite,postgres,growth,growth-postgres,mapping,connector"
    )]
    only: Vec<String>,
}

/// Measures, and writes each table as soon as it is there.
pub async fn write(programs: &Path, options: &Options) -> Result<()> {
    let profile = programs.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for table in &options.only {
        let mut report = Report::default();
        let (name, database) = match table.as_str() {
            "postgres" | "growth-postgres" => (table.as_str(), "postgres"),
            _ => (table.as_str(), "sqlite"),
        };
        let command = if name == "mapping" {
            mapping::run(&mut report)?;
            "mapping".to_owned()
        } else if name == "connector" {
            connector::run(programs, &connector::Options::default(), &mut report).await?;
            "connector".to_owned()
        } else if name.starts_with("growth") {
            let options = growth::Options {
                database: database.to_owned(),
                ..growth::Options::of(options.sizes.clone())
            };
            growth::run(programs, &options, &mut report).await?;
            let sizes: Vec<String> = options.sizes.iter().map(ToString::to_string).collect();
            format!("growth --database {database} --sizes {}", sizes.join(","))
        } else {
            let options = fhir::Options {
                database: database.to_owned(),
                resources: options.resources,
                ..fhir::Options::default()
            };
            fhir::run(programs, &options, &mut report).await?;
            format!("fhir --database {database} --resources {}", options.resources)
        };
        let how = format!(
            "`cargo xtask bench --profile {profile} {command}`, {processors} processors, load {} at the end.",
            load_average()
        );
        let document =
            std::fs::read_to_string(&options.into).with_context(|| format!("reading `{}`", options.into.display()))?;
        let document = replaced(&document, name, &format!("{how}\n\n{report}"))?;
        std::fs::write(&options.into, document)?;
        println!("{name}: written into {}", options.into.display());
    }
    Ok(())
}

/// The machine's load of the last minute: more than its processors says that others were at work.
fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("–").to_owned()
}

/// The document with something else between the marks of a table.
fn replaced(document: &str, name: &str, table: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- bench {name} -->"), format!("<!-- end of {name} -->"));
    let missing = || format!("the document has no `{begin}` … `{end}`");
    let (before, rest) = document.split_once(&begin).with_context(missing)?;
    let (_, after) = rest.split_once(&end).with_context(missing)?;
    Ok(format!("{before}{begin}\n{}\n{end}{after}", table.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let document = "a\n<!-- bench x -->\nold\n<!-- end of x -->\nb\n<!-- bench y -->\n<!-- end of y -->\n";
        let new = replaced(document, "x", "new\n").expect("its marks");
        assert_eq!(new, document.replace("old", "new"));
        assert!(replaced(document, "z", "new").is_err());
    }
}
