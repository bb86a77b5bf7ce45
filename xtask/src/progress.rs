//! What a long command tells while it works: one line a step, with the time that it took.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Steps that were done, in order.
#[derive(Debug)]
pub struct Progress {
    begun: Instant,
    steps: Vec<(String, Duration)>,
}

impl Progress {
    /// The clock starts now.
    pub fn start() -> Self {
        Self {
            begun: Instant::now(),
            steps: Vec::new(),
        }
    }

    /// Does one step, and prints a line when it is done.
    pub fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let begun = Instant::now();
        let outcome = work().map_err(|error| error.context(format!("step `{name}`")))?;
        self.done(name, begun.elapsed());
        Ok(outcome)
    }

    fn done(&mut self, name: &str, took: Duration) {
        println!(
            "{:7.1} s  {name} ({})",
            self.begun.elapsed().as_secs_f64(),
            seconds(took)
        );
        self.steps.push((name.to_owned(), took));
    }

    /// A line within a step.
    pub fn note(&self, text: &str) {
        println!("{:7.1} s    {text}", self.begun.elapsed().as_secs_f64());
    }

    /// The steps with their times, as a table, and the whole.
    pub fn table(&self) -> String {
        let width = self.steps.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let rows = self
            .steps
            .iter()
            .map(|(name, took)| format!("  {name:width$}  {:>8}\n", seconds(*took)));
        format!(
            "{}  {:width$}  {:>8}",
            rows.collect::<String>(),
            "in all",
            seconds(self.begun.elapsed())
        )
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Looks until there is something, twenty times a second; the last failure is the reason why it never came.
pub fn await_some<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + patience;
    loop {
        let outcome = look();
        if let Ok(Some(found)) = outcome {
            return Ok(found);
        }
        if Instant::now() > end {
            let limit = seconds(patience);
            return match outcome {
                Err(error) => Err(error.context(format!("{what}: not within {limit}"))),
                Ok(_) => bail!("{what}: not within {limit}"),
            };
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
