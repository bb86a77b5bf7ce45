//! Variables of one case and their substitution into requests and expectations.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::client::Answer;
use crate::path;

/// What a variable may stand for.
#[derive(Debug, Clone)]
pub enum Variable {
    /// A saved answer.
    Answer(Arc<Answer>),
    /// A fixture's whole scope.
    Fixture(Arc<Scope>),
    /// A plain value (`set`).
    Value(Value),
}

/// The names that a case can use.
#[derive(Debug, Clone)]
pub struct Scope {
    /// `R4` or `STU3`.
    pub version: String,
    /// The service base.
    pub base: String,
    /// Unique for the case: what it tags its data with.
    pub uid: String,
    /// The round of a repeated step.
    pub round: usize,
    /// Saved answers, fixtures and values.
    pub variables: BTreeMap<String, Variable>,
    uuids: BTreeMap<String, String>,
}

impl Scope {
    /// A fresh scope with a uid of its own.
    pub fn new(version: &str, base: &str) -> Self {
        Self {
            version: version.to_owned(),
            base: base.to_owned(),
            uid: Uuid::new_v4().simple().to_string(),
            round: 0,
            variables: BTreeMap::new(),
            uuids: BTreeMap::new(),
        }
    }

    /// Takes over a fixture's names, and the fixture under its own name.
    pub fn adopt(&mut self, name: &str, fixture: &Arc<Scope>) {
        self.variables.extend(fixture.variables.clone());
        self.variables
            .insert(name.to_owned(), Variable::Fixture(Arc::clone(fixture)));
    }

    /// `${…}` in every string; a member or item whose `$v` lacks this version disappears.
    pub fn substitute(&mut self, value: &Value) -> Result<Option<Value>> {
        self.replace(value, None)
    }

    /// The same inside a request path: what is inserted gets percent-encoded.
    pub fn substitute_path(&mut self, text: &str) -> Result<String> {
        let value = self.replace(&Value::String(text.to_owned()), Some(encode_inserted))?;
        Ok(value.as_ref().map(path::text_of).unwrap_or_default())
    }

    fn replace(&mut self, value: &Value, encode: Option<fn(&str) -> String>) -> Result<Option<Value>> {
        Ok(Some(match value {
            Value::Object(map) if map.len() == 1 && map.contains_key("$v") => {
                let Some(chosen) = map["$v"].get(&self.version).cloned() else {
                    return Ok(None);
                };
                return self.replace(&chosen, encode);
            }
            Value::Object(map) => {
                let mut out = Map::new();
                for (key, value) in map {
                    let key = self.text(key, None)?;
                    if let Some(value) = self.replace(value, encode)? {
                        out.insert(path::text_of(&key), value);
                    }
                }
                Value::Object(out)
            }
            Value::Array(list) => {
                let mut out = Vec::new();
                for value in list {
                    out.extend(self.replace(value, encode)?);
                }
                Value::Array(out)
            }
            Value::String(text) if text.contains("${") => self.text(text, encode)?,
            other => other.clone(),
        }))
    }

    fn text(&mut self, text: &str, encode: Option<fn(&str) -> String>) -> Result<Value> {
        if encode.is_none()
            && let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'))
            && !name.contains('}')
        {
            return self.lookup(name);
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after
                .split_once('}')
                .with_context(|| format!("unclosed variable in `{text}`"))?;
            let inserted = path::text_of(&self.lookup(name)?);
            out.push_str(before);
            out.push_str(&encode.map_or_else(|| inserted.clone(), |encode| encode(&inserted)));
            rest = after;
        }
        out.push_str(rest);
        Ok(Value::String(out))
    }

    fn lookup(&mut self, name: &str) -> Result<Value> {
        match name {
            "uid" => return Ok(self.uid.clone().into()),
            "base" => return Ok(self.base.clone().into()),
            "i" => return Ok(self.round.into()),
            "i2" => return Ok(format!("{:02}", self.round).into()),
            _ => {}
        }
        if let Some(offset) = name.strip_prefix("now") {
            return now(offset);
        }
        if name.starts_with("uuid.") {
            let made = self
                .uuids
                .entry(name.to_owned())
                .or_insert_with(|| Uuid::new_v4().to_string());
            return Ok(made.clone().into());
        }
        let (head, rest) = name.split_once('.').unwrap_or((name, ""));
        match self.variables.get(head).cloned() {
            None => bail!("no variable `{name}`"),
            Some(Variable::Value(value)) => Ok(value),
            Some(Variable::Fixture(scope)) => scope.as_ref().clone().lookup(rest),
            Some(Variable::Answer(answer)) => of_answer(&answer, name, rest),
        }
    }
}

fn of_answer(answer: &Answer, name: &str, rest: &str) -> Result<Value> {
    if rest == "status" {
        return Ok(answer.status.into());
    }
    if let Some(header) = rest.strip_prefix("header.") {
        return Ok(answer.header(header).map_or(Value::Null, Value::from));
    }
    if let Some(relation) = rest.strip_prefix("link.") {
        return Ok(answer.link(relation).map_or(Value::Null, Value::from));
    }
    let found = path::all(answer.body.as_ref().unwrap_or(&Value::Null), rest)?;
    found.into_iter().next().with_context(|| {
        let shown: String = answer.text.chars().take(300).collect();
        format!("nothing at `{name}`: status {}, body {shown}", answer.status)
    })
}

fn now(offset: &str) -> Result<Value> {
    let seconds: f64 = if offset.is_empty() {
        0.0
    } else {
        offset.parse().context("bad offset of `now`")?
    };
    let time = Timestamp::now() + SignedDuration::from_secs_f64(seconds);
    Ok(time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string().into())
}

fn encode_inserted(text: &str) -> String {
    percent(text, "/:,|-_.~")
}

/// Percent-encodes all but letters, digits and the characters of `safe`.
pub fn percent(text: &str, safe: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || safe.as_bytes().contains(&byte) {
            out.push(byte.into());
        } else {
            out.push('%');
            out.extend([byte >> 4, byte & 15].map(|nibble| char::from(b"0123456789ABCDEF"[usize::from(nibble)])));
        }
    }
    out
}
