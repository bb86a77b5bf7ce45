//! What operations do on databases of several sizes. None may grow faster than the logarithm of the size, but for the
//! size of its result. Counts are compared, so a busy machine changes nothing.

use std::path::Path;

use anyhow::{Result, bail, ensure};

use super::data::{Data, Known, Version};
use super::database::Database;
use super::target::Target;
use super::work::{self, Work};
use super::{fill, in_folder, operations};
use crate::load::closed_loop;
use crate::report::{Report, Table, figure};

/// What may differ for other reasons: where rows lie, which of them a page was made of.
const TOLERANCE: f64 = 1.1;

/// Which sizes.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Resources of each database, the smallest first; 2000000 takes some 20 minutes more
    #[arg(long, value_delimiter = ',', default_value = "20000,200000")]
    pub sizes: Vec<usize>,
    /// `sqlite` for a file of its own, `postgres` to start one, or the URL of an empty database
    #[arg(long, default_value = "sqlite")]
    pub database: String,
    /// FHIR version: R4 or STU3
    #[arg(long, default_value = "R4")]
    pub fhir_version: Version,
    /// Only operations whose name contains this
    #[arg(long)]
    pub only: Option<String>,
}

impl Options {
    /// SQLite and R4, at these sizes.
    pub fn of(sizes: Vec<usize>) -> Self {
        Self {
            sizes,
            database: "sqlite".to_owned(),
            fhir_version: Version::R4,
            only: None,
        }
    }
}

/// Measures, reports, and says which operations grow too fast.
pub async fn run(programs: &Path, options: &Options, report: &mut Report) -> Result<Vec<String>> {
    ensure!(
        options.sizes.len() > 1 && options.sizes.is_sorted(),
        "`--sizes` are at least two, the smallest first: 20000,200000"
    );
    in_folder(async |folder| {
        let database = Database::of(&options.database, None, folder);
        let sizes = grown(programs, &database, options).await?;
        let (table, fast) = compared(&sizes);
        report.table(table);
        Ok(fast)
    })
    .await
}

async fn grown(programs: &Path, database: &Database, options: &Options) -> Result<Vec<(usize, Vec<Work>)>> {
    let version = options.fhir_version;
    let mut data = Data::read(version)?;
    let mut known: Vec<Known> = Vec::new();
    // the same people and codes in each size: these are asked for, the others are written about
    let mut first = 0;
    let mut sizes = Vec::new();
    for (index, size) in options.sizes.iter().enumerate() {
        eprintln!("loading {size} resources");
        let target = Target::start(programs, database, version, index == 0).await?;
        if index == 0 {
            fill::first(&target, &data).await?;
        }
        fill::fill(&target, &mut data, &mut known, *size).await?;
        if index == 0 {
            first = known.len();
            counted_later(&target, &known).await?;
        }
        target.stop().await?;
        let people = known.get(..first).unwrap_or_default().split_at(first.div_ceil(2));
        let people = if people.1.is_empty() {
            (people.0, people.0)
        } else {
            people
        };
        let counted = work::count(programs, database, version, &mut data, people, options.only.as_deref()).await?;
        sizes.push((data.loaded, counted));
    }
    Ok(sizes)
}

/// Makes what is needed for what is asked.
async fn counted_later(target: &Target<'_>, known: &[Known]) -> Result<()> {
    for operation in operations::all(known, known, &target.place) {
        if operation.is_needed {
            let (address, request) = (&target.place.address, operation.request);
            closed_loop(
                address,
                4,
                0..operation.count,
                operation.statuses,
                move |n| request(n),
                |_, _| {},
            )
            .await?;
        }
    }
    Ok(())
}

/// The table, and the names of operations that grow too fast.
fn compared(sizes: &[(usize, Vec<Work>)]) -> (Table, Vec<String>) {
    let Some(((smallest, first), larger)) = sizes.split_first() else {
        return (Table::default(), Vec::new());
    };
    let (mut rows, mut fast) = (Vec::new(), Vec::new());
    for (at, work) in first.iter().enumerate() {
        let mut row = vec![work.name.clone(), figure(work.visited), figure(work.results)];
        let mut verdict = "reached";
        for (size, all) in larger {
            let Some(now) = all.get(at) else { continue };
            row.extend([figure(now.visited), figure(now.results)]);
            if now.visited > most((*smallest, work), *size, now.results) {
                verdict = "missed";
            }
        }
        if verdict == "missed" {
            fast.push(work.name.clone());
        }
        row.push(verdict.to_owned());
        rows.push(row);
    }
    let sized = sizes
        .iter()
        .flat_map(|(size, _)| [format!("at {size}"), "results".to_owned()]);
    let columns = std::iter::once("Operation".to_owned()).chain(sized);
    let table = Table {
        about: "What an operation looks at (steps of SQLite's machine, pages of PostgreSQL), by resources in the \
                database; no more than log n for each result:"
            .to_owned(),
        columns: columns.chain(std::iter::once("log n".to_owned())).collect(),
        rows,
    };
    (table, fast)
}

/// What an operation may look at in a database of `size`, where it looked at that much in the smallest one.
fn most((smallest, work): (usize, &Work), size: usize, results: f64) -> f64 {
    let deeper = (size as f64).ln() / (smallest as f64).ln();
    let more_results = if work.results > 0.0 {
        (results / work.results).max(1.0)
    } else {
        1.0
    };
    work.visited * deeper * more_results * TOLERANCE
}

/// Ends a measurement that found operations that grow too fast.
pub fn verdict(fast: &[String]) -> Result<()> {
    if !fast.is_empty() {
        bail!("faster than log n grow: {}", fast.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::constant(100.0, 20.0, true)]
    #[case::logarithm(123.0, 20.0, true)]
    #[case::a_little_more(150.0, 20.0, false)]
    #[case::linear(1000.0, 20.0, false)]
    #[case::linear_in_results(1000.0, 200.0, true)]
    #[case::fewer_results(150.0, 10.0, false)]
    fn growth(#[case] visited: f64, #[case] results: f64, #[case] good: bool) {
        let work = |visited, results| Work {
            name: "search".to_owned(),
            visited,
            results,
            ..Work::default()
        };
        let sizes = [
            (20_000, vec![work(100.0, 20.0)]),
            (200_000, vec![work(visited, results)]),
        ];
        assert_eq!(compared(&sizes).1.is_empty(), good);
    }
}
