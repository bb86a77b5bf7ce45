//! `cargo xtask test`: everything that must hold, cheapest first, and the totals at the end.
//!
//! Stages are independent commands, so that each can be run by hand. A failed stage ends the run, but what the cluster
//! stage started is taken down whatever happens.

mod cluster;
mod long;
mod totals;

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Result, bail};

use cluster::TestCluster;
use totals::Totals;

use crate::cluster::{kafka, nats_server, otel_collector};
use crate::{generate, packages, tidy};

/// What to run.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Leave out the end-to-end scenarios on the real cluster
    #[arg(long)]
    pub no_cluster: bool,
    /// Only the end-to-end scenarios
    #[arg(long, conflicts_with = "no_cluster")]
    pub only_cluster: bool,
    #[command(flatten)]
    long: long::Length,
    /// Build profile of the programs in the cluster; that of the other tests needs no second build of everything
    #[arg(long, default_value = "dev")]
    pub profile: String,
}

/// The HTTP tests whose answers come out of the database: they run on both engines.
const ON_BOTH: [&str; 11] = [
    "bundles::",
    "everything::",
    "includes::",
    "invisible::",
    "life::",
    "pages::",
    "patch::",
    "provenance::",
    "search_parameters::",
    "terminology::",
    "versions::",
];

/// Runs the stages in order.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let mut run = Run {
        root,
        totals: Totals::default(),
        begun: Instant::now(),
    };
    packages::ensure(if options.no_cluster || options.long.only_long {
        packages::For::Build
    } else {
        packages::For::Cluster
    })?;
    if !options.only_cluster && !options.long.only_long {
        run.stage("formatting", |run| run.cargo(&["fmt", "--all", "--check"]))?;
        run.stage("drift of generated files", |run| generate::run(run.root, true))?;
        run.stage("rules of dependence", |run| tidy::run(run.root))?;
        run.stage("lints", |run| {
            run.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
        })?;
        run.stage("unit, property, case and HTTP tests", |run| {
            // built for the tests of their own packages, with the same features: nothing is built a second time
            let programs = crate::target_folder(run.root)?.join("debug");
            let environment = [
                ("TEST_PROGRAMS".to_owned(), programs.into()),
                ("NATS_SERVER".to_owned(), nats_server(run.root)?.into()),
                ("KAFKA_JARS".to_owned(), kafka(run.root)?.into()),
                ("OTEL_COLLECTOR".to_owned(), otel_collector(run.root)?.into()),
            ];
            run.cargo_test(
                &["test", "--workspace", "--exclude", "e2e", "--no-fail-fast"],
                &environment,
            )
        })?;
        run.stage("HTTP tests on PostgreSQL", |run| {
            // the workspace again, so that nothing has to be built with other features
            let mut arguments = vec![
                "test",
                "--workspace",
                "--exclude",
                "e2e",
                "--no-fail-fast",
                "--test",
                "it",
                "--",
            ];
            arguments.extend(ON_BOTH);
            run.cargo_test(&arguments, &[("HTTP_TESTS_ON".to_owned(), "postgres".into())])
        })?;
    }
    if options.long.long || options.long.only_long {
        run.stage("tests at full length", |run| long::run(run, &options.long))?;
    }
    if !options.no_cluster && !options.long.only_long {
        run.stage("end to end on a real cluster", |run| {
            let cluster = TestCluster::up(run.root, &options.profile)?;
            run.cargo_test(&["test", "-p", "e2e", "--no-fail-fast"], &cluster.environment()?)
        })?;
    }
    run.close()
}

struct Run<'a> {
    root: &'a Path,
    totals: Totals,
    begun: Instant,
}

impl Run<'_> {
    fn stage(&mut self, name: &str, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let begun = Instant::now();
        println!("\n== {name}");
        let outcome = work(self);
        let seconds = begun.elapsed().as_secs();
        match &outcome {
            Ok(()) => println!("== {name}: passed in {seconds} s"),
            Err(error) => println!("== {name}: FAILED after {seconds} s: {error:#}\n{}", self.totals),
        }
        outcome
    }

    fn cargo(&mut self, arguments: &[&str]) -> Result<()> {
        let status = Command::new(env!("CARGO"))
            .args(arguments)
            .current_dir(self.root)
            .stdin(Stdio::null())
            .status()?;
        if !status.success() {
            bail!("`cargo {}` failed", arguments.join(" "));
        }
        Ok(())
    }

    /// Runs tests, shows their output as it comes, and counts what their closing lines say.
    fn cargo_test(&mut self, arguments: &[&str], environment: &[(String, OsString)]) -> Result<()> {
        let mut command = Command::new(env!("CARGO"));
        command
            .args(arguments)
            .envs(environment.iter().cloned())
            .current_dir(self.root)
            .stdin(Stdio::null());
        let (status, counted) = totals::watch(&mut command)?;
        self.totals.add(&counted);
        if !status.success() {
            bail!("`cargo {}` failed", arguments.join(" "));
        }
        Ok(())
    }

    fn close(self) -> Result<()> {
        println!("\nall stages passed in {} s", self.begun.elapsed().as_secs());
        println!("{}", self.totals);
        if self.totals.passed == 0 {
            bail!("no test ran");
        }
        Ok(())
    }
}
