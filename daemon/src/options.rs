//! Options by flag, environment and file, in this order of precedence, from one declaration.
//!
//! A program's `settings` crate declares its options as types with a JSON schema. [`Declared`] lists the leaves of that
//! schema; each is a flag (`limits.count` → `--limits-count`), an environment variable (`PREFIX_LIMITS_COUNT`) and a
//! member of the settings file (YAML or JSON). What the file holds beyond them is reported, never refused, so that a
//! newer operator can configure an older program.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, parser::ValueSource};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use thiserror::Error;
use tracing::warn;

/// Why options can't be used.
#[derive(Debug, Error)]
pub enum OptionsError {
    /// The settings file can't be read.
    #[error("settings file `{path}` can't be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The settings file isn't YAML.
    #[error("settings file `{path}` isn't valid YAML")]
    Yaml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_yaml::Error,
    },
    /// A flag or variable holds a text that its option can't take.
    #[error("option `{option}`: `{text}` isn't {expected}")]
    Text {
        /// The option's path.
        option: String,
        /// As given.
        text: String,
        /// What it takes.
        expected: &'static str,
    },
    /// The options together don't fit their types.
    #[error("option `{option}`: {reason}")]
    Invalid {
        /// The option's path.
        option: String,
        /// What is wrong.
        reason: String,
    },
}

/// What was read, and what of it nobody knows.
#[derive(Debug)]
pub struct Resolved<T> {
    /// The options in force.
    pub settings: T,
    /// Paths in the file that aren't options of this release.
    pub unknown: Vec<String>,
}

impl<T> Resolved<T> {
    /// Logs a warning for each unknown option and gives the settings.
    pub fn warn_unknown(self) -> T {
        for option in &self.unknown {
            warn!("option `{option}` isn't known to this release and is ignored");
        }
        self.settings
    }
}

/// One option: a leaf of the schema.
#[derive(Debug, Clone)]
pub struct Declaration {
    /// Member names from the root, as in the file.
    pub path: Vec<String>,
    /// The flag without its two hyphens.
    pub flag: String,
    /// The environment variable.
    pub variable: String,
    /// The schema's description, first paragraph.
    pub help: String,
    kind: Kind,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Number,
    Boolean,
    /// A list of texts: separated by commas.
    Texts,
    /// Anything else: YAML or JSON text.
    Structure,
}

/// The options of a program.
#[derive(Debug, Clone)]
pub struct Declared {
    options: Vec<Declaration>,
}

impl Declared {
    /// Lists the leaves of a JSON schema (schemars 1: `$defs`, `$ref`, nullable by `anyOf` or a type list).
    pub fn from_schema(prefix: &str, schema: &Value) -> Self {
        let mut options = Vec::new();
        collect(prefix, schema, schema, &mut Vec::new(), &mut options);
        Self { options }
    }

    /// Gives the option at `path` (`a.b`) another flag.
    #[must_use]
    pub fn flag(mut self, path: &str, flag: &str) -> Self {
        for option in self.options.iter_mut().filter(|option| option.path.join(".") == path) {
            flag.clone_into(&mut option.flag);
        }
        self
    }

    /// All options, in the schema's order.
    pub fn options(&self) -> &[Declaration] {
        &self.options
    }

    /// Adds a flag with its environment variable for each option.
    pub fn add_to(&self, command: Command) -> Command {
        self.options
            .iter()
            .fold(command, |command, option| command.arg(option.argument()))
    }

    /// Puts file, environment and flags together.
    pub fn resolve<T: DeserializeOwned>(
        &self,
        matches: &ArgMatches,
        file: Option<&Path>,
    ) -> Result<Resolved<T>, OptionsError> {
        let mut root = match file {
            Some(path) => read(path)?,
            None => Value::Object(Map::new()),
        };
        for option in &self.options {
            let id = option.path.join(".");
            let given = matches!(
                matches.value_source(&id),
                Some(ValueSource::CommandLine | ValueSource::EnvVariable)
            );
            if let Some(text) = matches.get_one::<String>(&id).filter(|_| given) {
                place(&mut root, &option.path, option.value(text)?);
            }
        }
        deserialize(root)
    }
}

/// Reads a settings file alone.
pub fn from_file<T: DeserializeOwned>(path: &Path) -> Result<Resolved<T>, OptionsError> {
    deserialize(read(path)?)
}

fn read(path: &Path) -> Result<Value, OptionsError> {
    let text = std::fs::read_to_string(path).map_err(|source| OptionsError::Read {
        path: path.to_owned(),
        source,
    })?;
    if text.trim().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    serde_yaml::from_str(&text).map_err(|source| OptionsError::Yaml {
        path: path.to_owned(),
        source,
    })
}

fn deserialize<T: DeserializeOwned>(root: Value) -> Result<Resolved<T>, OptionsError> {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let located = serde_path_to_error::Deserializer::new(root, &mut track);
    let result = serde_ignored::deserialize(located, |path| unknown.push(path.to_string().replace(".?", "")));
    match result {
        Ok(settings) => Ok(Resolved { settings, unknown }),
        Err(error) => Err(OptionsError::Invalid {
            option: track.path().to_string(),
            reason: error.to_string(),
        }),
    }
}

fn place(root: &mut Value, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        *root = value;
        return;
    };
    if !root.is_object() {
        *root = Value::Object(Map::new());
    }
    if let Value::Object(members) = root {
        place(members.entry(first.clone()).or_insert(Value::Null), rest, value);
    }
}

impl Declaration {
    fn argument(&self) -> Arg {
        // clap keeps names for the life of the process; options are declared once a process, so leaking them is that.
        let argument = Arg::new(&*self.path.join(".").leak())
            .long(&*self.flag.clone().leak())
            .env(&*self.variable.clone().leak())
            .hide_env_values(true)
            .help(self.help.clone());
        match self.kind {
            Kind::Boolean => argument
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .value_name("true|false"),
            Kind::Integer | Kind::Number => argument.value_name("NUMBER").allow_negative_numbers(true),
            Kind::Text if !self.values.is_empty() => argument.value_name(&*self.values.join("|").leak()),
            Kind::Text => argument.value_name("TEXT"),
            Kind::Texts => argument.value_name("TEXT,…"),
            Kind::Structure => argument.value_name("YAML"),
        }
    }

    fn value(&self, text: &str) -> Result<Value, OptionsError> {
        let refused = |expected| OptionsError::Text {
            option: self.path.join("."),
            text: text.to_owned(),
            expected,
        };
        match self.kind {
            Kind::Text => Ok(Value::from(text)),
            Kind::Integer => text
                .trim()
                .parse::<i64>()
                .map(Value::from)
                .map_err(|_| refused("a whole number")),
            Kind::Number => text
                .trim()
                .parse::<f64>()
                .map(Value::from)
                .map_err(|_| refused("a number")),
            Kind::Boolean => text
                .trim()
                .parse::<bool>()
                .map(Value::from)
                .map_err(|_| refused("`true` or `false`")),
            Kind::Texts => Ok(text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(Value::from)
                .collect()),
            Kind::Structure => serde_yaml::from_str(text).map_err(|_| refused("valid YAML")),
        }
    }
}

/// Deeper settings than this are given by file only.
const DEPTH: usize = 6;

fn collect(prefix: &str, root: &Value, node: &Value, path: &mut Vec<String>, options: &mut Vec<Declaration>) {
    let description = node["description"].as_str().map(str::to_owned);
    let node = plain(root, node);
    let properties = node["properties"]
        .as_object()
        .filter(|_| node["oneOf"].is_null() && path.len() < DEPTH);
    if let Some(properties) = properties {
        for (name, property) in properties {
            path.push(name.clone());
            collect(prefix, root, property, path, options);
            path.pop();
        }
        return;
    }
    if path.is_empty() {
        return;
    }
    let help = description
        .or_else(|| node["description"].as_str().map(str::to_owned))
        .unwrap_or_default();
    let (kind, values) = kind(root, node);
    let flag = path.iter().map(|name| words(name, '-')).collect::<Vec<_>>().join("-");
    let variable = format!("{prefix}_{}", flag.replace('-', "_").to_uppercase());
    let help = help.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    options.push(Declaration {
        path: path.clone(),
        flag,
        variable,
        help,
        kind,
        values,
    });
}

/// Follows references and takes the one alternative that isn't `null`.
fn plain<'a>(root: &'a Value, node: &'a Value) -> &'a Value {
    if let Some(name) = node["$ref"]
        .as_str()
        .and_then(|reference| reference.strip_prefix("#/$defs/"))
    {
        return plain(root, &root["$defs"][name]);
    }
    for list in ["anyOf", "oneOf", "allOf"] {
        let Some(alternatives) = node[list].as_array() else {
            continue;
        };
        let mut real = alternatives.iter().filter(|alternative| alternative["type"] != "null");
        if let (Some(only), None) = (real.next(), real.next()) {
            return plain(root, only);
        }
    }
    node
}

fn kind(root: &Value, node: &Value) -> (Kind, Vec<String>) {
    let texts = |values: &Vec<Value>| {
        values
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    if let Some(values) = node["enum"].as_array() {
        return (Kind::Text, texts(values));
    }
    // Enumerations with documented values come as a list of constants.
    if let Some(values) = node["oneOf"]
        .as_array()
        .filter(|values| values.iter().all(|value| !value["const"].is_null()))
    {
        return (
            Kind::Text,
            texts(&values.iter().map(|value| value["const"].clone()).collect()),
        );
    }
    let name = match &node["type"] {
        Value::Array(names) => names.iter().find(|name| *name != "null").and_then(Value::as_str),
        name => name.as_str(),
    };
    let kind = match name {
        Some("string") => Kind::Text,
        Some("integer") => Kind::Integer,
        Some("number") => Kind::Number,
        Some("boolean") => Kind::Boolean,
        Some("array") if plain(root, &node["items"])["type"] == "string" => Kind::Texts,
        _ => Kind::Structure,
    };
    (kind, Vec::new())
}

/// `messagesPerSecond` → `messages-per-second`.
fn words(name: &str, separator: char) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for (index, character) in name.chars().enumerate() {
        if character.is_uppercase() && index > 0 {
            out.push(separator);
        }
        out.extend(character.to_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "camelCase")]
    struct Settings {
        listen: String,
        limits: Option<Limits>,
        #[serde(default)]
        anonymous: bool,
        #[serde(default)]
        namespaces: Vec<String>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "camelCase")]
    struct Limits {
        max_count: Option<u32>,
    }

    fn declared() -> Declared {
        let schema = json!({
            "properties": {
                "listen": {"type": "string", "description": "Where to listen"},
                "limits": {"anyOf": [{"$ref": "#/$defs/Limits"}, {"type": "null"}]},
                "anonymous": {"type": "boolean"},
                "namespaces": {"type": "array", "items": {"type": "string"}}
            },
            "$defs": {"Limits": {"properties": {"maxCount": {"type": ["integer", "null"]}}}}
        });
        Declared::from_schema("DEMO", &schema)
    }

    fn resolve(arguments: &[&str], file: Option<&str>) -> Result<Resolved<Settings>, OptionsError> {
        let declared = declared();
        let matches = declared
            .add_to(Command::new("demo"))
            .try_get_matches_from(arguments)
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.yaml");
        std::fs::write(&path, file.unwrap_or_default()).unwrap();
        declared.resolve(&matches, Some(&path))
    }

    #[test]
    fn names_come_from_the_schema() {
        let names: Vec<_> = declared()
            .options()
            .iter()
            .map(|o| (o.flag.clone(), o.variable.clone()))
            .collect();
        assert!(
            names.contains(&("limits-max-count".to_owned(), "DEMO_LIMITS_MAX_COUNT".to_owned())),
            "{names:?}"
        );
        assert_eq!(declared().flag("limits.maxCount", "count").options()[1].flag, "count");
    }

    #[test]
    fn a_flag_beats_the_file_and_the_rest_stays() {
        let file = "listen: 127.0.0.1:1\nlimits: {maxCount: 7, unheard: 1}\nfuture: true\n";
        let resolved = resolve(
            &["demo", "--limits-max-count", "9", "--anonymous", "--namespaces=a,b"],
            Some(file),
        )
        .unwrap();
        assert_eq!(
            resolved.settings,
            Settings {
                listen: "127.0.0.1:1".to_owned(),
                limits: Some(Limits { max_count: Some(9) }),
                anonymous: true,
                namespaces: vec!["a".to_owned(), "b".to_owned()],
            }
        );
        assert_eq!(resolved.unknown, ["limits.unheard", "future"]);
    }

    #[test]
    fn a_wrong_value_is_located() {
        let error = resolve(&["demo"], Some("listen: x\nlimits: {maxCount: many}\n"))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("option `limits.maxCount`: "), "{error}");
        let error = resolve(&["demo", "--listen=x", "--limits-max-count", "many"], None)
            .unwrap_err()
            .to_string();
        assert_eq!(error, "option `limits.maxCount`: `many` isn't a whole number");
    }
}
