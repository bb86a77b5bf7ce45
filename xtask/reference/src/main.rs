//! `option-reference`: every option of our programs and the form of the files that they name, as Markdown made of the
//! settings' JSON schemas. `cargo xtask gen` starts it and puts what it writes into docs/reference.
//!
//! A package of its own: a program that ships shouldn't link the options of the others for a document, and xtask links no
//! program.

mod options;
mod pages;
mod schema;
mod table;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;

/// Writes the reference of all options
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder for the pages
    #[arg(long)]
    directory: PathBuf,
}

fn main() -> Result<()> {
    let Arguments { directory } = Arguments::parse();
    for (name, text) in pages::all()? {
        let path = directory.join(name);
        std::fs::write(&path, text).with_context(|| format!("can't write `{}`", path.display()))?;
    }
    Ok(())
}
