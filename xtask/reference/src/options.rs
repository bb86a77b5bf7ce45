//! A page: the options of a program, then what is in the options and files that have a form of their own.

use std::fmt;

use clap::Command;
use daemon::options::{Declaration, Declared};
use serde_json::Value;

use crate::schema::{self, Member};
use crate::table::{Table, code};

/// What a page is made of.
pub struct Page {
    /// The program and its command.
    pub command: &'static str,
    /// Prefix of the environment variables.
    pub prefix: &'static str,
    /// Of the settings.
    pub schema: Value,
    /// How the settings file is named.
    pub settings: &'static str,
    /// Forms of the files that options name.
    pub files: Vec<File>,
}

/// A file that an option names.
pub struct File {
    /// Its heading.
    pub title: &'static str,
    /// Who names it, and for what.
    pub about: &'static str,
    /// A file, YAML.
    pub example: &'static str,
    /// Its form.
    pub schema: Value,
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let declared = Declared::from_schema(self.prefix, &self.schema);
        writeln!(f, "# Options of `{}`\n", self.command)?;
        writeln!(
            f,
            "<!-- Made by `cargo xtask gen` from the settings' JSON schema: change their descriptions there. -->\n"
        )?;
        writeln!(
            f,
            "Each option is a member of the settings file ({}; YAML or JSON), an environment variable and a flag. A flag wins over the \
            variable, and the variable over the file. `a.b` in the file is member `b` of `a`: `a: {{ b: … }}`. Options that this release \
            doesn't know are ignored with a warning.\n",
            self.settings
        )?;
        writeln!(
            f,
            "`TEXT,…` is a list of texts, by flag and variable with commas between them. `YAML` is a structure, by flag and variable as \
            YAML or JSON. A flag that takes `true` or `false` stands for `true` alone."
        )?;
        self.options(f, &declared)?;
        for option in declared.options() {
            self.structure(f, option)?;
        }
        self.files.iter().try_for_each(|file| write!(f, "\n{file}"))
    }
}

impl Page {
    /// A table for each structure of options, those without one first.
    fn options(&self, f: &mut fmt::Formatter<'_>, declared: &Declared) -> fmt::Result {
        let mut groups: Vec<&[String]> = vec![&[]];
        for option in declared.options() {
            let group = structure_of(option);
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        // What an option takes is said as `--help` says it.
        let command = declared.add_to(Command::new(self.command));
        for group in groups {
            if !group.is_empty() {
                let about = schema::about(&self.schema, group);
                writeln!(f, "\n## {}\n\n{about}", code(&group.join(".")))?;
            }
            let mut table = Table::new(&["Option", "Flag and variable", "Takes", "Default", "Meaning"]);
            for option in declared.options().iter().filter(|option| structure_of(option) == group) {
                table.row(self.row(option, &command));
            }
            write!(f, "\n{table}")?;
        }
        Ok(())
    }

    fn row(&self, option: &Declaration, command: &Command) -> [String; 5] {
        let path = option.path.join(".");
        let argument = command
            .get_arguments()
            .find(|argument| argument.get_id() == path.as_str());
        let names = argument
            .and_then(|argument| argument.get_value_names())
            .unwrap_or_default();
        let node = schema::at(&self.schema, &option.path);
        let takes = names
            .iter()
            .flat_map(|name| name.split('|'))
            .map(code)
            .collect::<Vec<_>>();
        let bounds = schema::bounds(node).map(|(least, most)| format!(", {least} to {most}"));
        let default = schema::default(&self.schema, &option.path);
        [
            code(&path),
            format!("{}<br>{}", code(&format!("--{}", option.flag)), code(&option.variable)),
            format!("{}{}", takes.join(", "), bounds.unwrap_or_default()),
            default.map_or_else(String::new, |default| code(&default)),
            format!("{}{}", option.help, schema::values(&self.schema, node)),
        ]
    }

    /// What is in an option that is a list of structures, unless a file with the same is described.
    fn structure(&self, f: &mut fmt::Formatter<'_>, option: &Declaration) -> fmt::Result {
        let items = &schema::at(&self.schema, &option.path)["items"];
        let Some(name) = schema::name(items) else { return Ok(()) };
        let described = self.files.iter().any(|file| !file.schema["$defs"][name].is_null());
        let members = schema::members(&self.schema, items);
        if described || members.is_empty() {
            return Ok(());
        }
        write!(
            f,
            "\n## Entries of `{}`\n\n{}",
            option.path.join("."),
            table_of(&members)
        )
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = schema::members(&self.schema, &self.schema);
        writeln!(
            f,
            "## {}\n\n{}\n\n```yaml\n{}```\n",
            self.title, self.about, self.example
        )?;
        write!(f, "{}", table_of(&members))
    }
}

/// Path of the structure that an option is in.
fn structure_of(option: &Declaration) -> &[String] {
    option.path.split_last().map_or(&[], |(_, before)| before)
}

fn table_of(members: &[Member]) -> Table {
    let mut table = Table::new(&["Member", "Takes", "", "Meaning"]);
    for member in members {
        let required = if member.required { "required" } else { "" };
        table.row([
            code(&member.path),
            member.takes.clone(),
            required.to_owned(),
            member.meaning.clone(),
        ]);
    }
    table
}
