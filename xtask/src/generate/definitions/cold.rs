//! The cold pack: invariants, value sets, code systems and profiles, in chunks that are opened one by one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use fhir_definitions::layout::chunk;

use super::facts::Facts;
use super::writer::Writer;

/// A chunk is closed when it has grown to this: opening one takes about a millisecond.
const CHUNK: usize = 128 << 10;

pub fn write(facts: &Facts, writer: &mut Writer) -> Result<()> {
    let number = writer.chunk(&invariants(facts)?)?;
    ensure!(number == chunk::INVARIANTS, "the invariants are chunk {number}");
    let (directory, contents) = resources(facts)?;
    let number = writer.chunk(&directory)?;
    ensure!(number == chunk::DIRECTORY, "the directory is chunk {number}");
    for content in contents {
        writer.chunk(&content)?;
    }
    Ok(())
}

/// A line for each resource, by type and URL: `type url version chunk start length`, separated by tabs; and the chunks.
fn resources(facts: &Facts) -> Result<(String, Vec<String>)> {
    let mut resources = BTreeMap::new();
    for resource in facts.terminology.iter().chain(&facts.profiles) {
        let text = |name: &str| resource.get(name).and_then(serde_json::Value::as_str);
        let (Some(of), Some(url)) = (text("resourceType"), text("url")) else {
            continue;
        };
        ensure!(!url.contains(['\t', '\n']), "a URL with a control character: {url}");
        let of = match of {
            "CodeSystem" => 'C',
            "StructureDefinition" => 'P',
            _ => 'V',
        };
        resources
            .entry((of, url))
            .or_insert((text("version").unwrap_or_default(), resource));
    }
    let (mut lines, mut chunks) = (String::new(), vec![String::new()]);
    for ((of, url), (version, resource)) in resources {
        let json = resource.to_string();
        if chunks.last().is_some_and(|last| last.len() + json.len() > CHUNK) {
            chunks.push(String::new());
        }
        let number = chunk::DIRECTORY as usize + chunks.len();
        let open = chunks.last_mut().context("there is a chunk")?;
        let (start, length) = (open.len(), json.len());
        writeln!(lines, "{of}\t{url}\t{version}\t{number}\t{start}\t{length}")?;
        open.push_str(&json);
    }
    Ok((lines, chunks))
}

/// Each rule once, at the type that states it: an element repeats those of its type.
fn invariants(facts: &Facts) -> Result<String> {
    let mut lines = String::new();
    for structure in facts
        .structures
        .iter()
        .filter(|fact| fact.derivation.as_deref() != Some("constraint"))
    {
        for fact in &structure.elements {
            for constraint in &fact.constraints {
                let Some(expression) = &constraint.expression else {
                    continue;
                };
                let general = ["ele-", "ext-", "dom-"]
                    .iter()
                    .any(|prefix| constraint.key.starts_with(prefix));
                if general && fact.path.contains('.') {
                    continue;
                }
                let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
                let (expression, human) = (flat(expression), flat(&constraint.human));
                writeln!(
                    lines,
                    "{}\t{}\t{}\t{expression}\t{human}",
                    fact.path, constraint.key, constraint.severity
                )?;
            }
        }
    }
    Ok(lines)
}
