//! `iot-connector trace`: what became of a message.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use reqwest::Method;
use serde_json::Value;

use crate::management::{self, Failure, ask, say};

/// The subcommand.
pub fn declare() -> Command {
    Command::new("trace")
        .about("Shows what became of a message, or of the latest ones")
        .arg(
            Arg::new("id")
                .value_name("ID")
                .value_parser(value_parser!(i64).range(1..))
                .help("The message's id, as in the answer to the device; none: the latest messages"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Print JSON"),
        )
        .arg(management::argument())
}

/// Runs it.
pub async fn command(matches: &ArgMatches) -> Result<(), Failure> {
    daemon::tls::install_provider();
    let path = match matches.get_one::<i64>("id") {
        Some(id) => format!("traces/{id}"),
        None => "traces".to_owned(),
    };
    let answer = ask(Method::GET, management::url(matches, &path)?).await?;
    if matches.get_flag("json") {
        say!("{answer:#}");
        return Ok(());
    }
    match answer.as_array() {
        Some(pages) if pages.is_empty() => say!("no message is done with yet, or none is kept (`trace.keep`)"),
        Some(pages) => pages.iter().for_each(|page| say!("{}", describe(page).trim_end())),
        None => say!("{}", describe(&answer).trim_end()),
    }
    Ok(())
}

fn describe(page: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let optional = |before: &str, value: &Value| value.as_str().map(|value| format!("{before}{value}"));
    let mut out = format!(
        "message {}: {}{}, received {}{}\n",
        page["id"],
        text(&page["state"]),
        optional(" for ", &page["waitsFor"]).unwrap_or_default(),
        text(&page["received"]),
        optional(", finished ", &page["finished"]).unwrap_or_default(),
    );
    let mut line = |content: String| {
        out.push_str("  ");
        out.push_str(&content);
        out.push('\n');
    };
    let mapping = &page["mapping"];
    if mapping["changedSince"] == true {
        line("the mappings were changed since then; these are what it becomes with those in force:".to_owned());
    }
    for template in list(&mapping["templates"]) {
        let reason = optional(", ", &template["reason"]).unwrap_or_default();
        line(format!(
            "template `{}`: {} matched{reason}",
            text(&template["typeName"]),
            template["matched"]
        ));
    }
    for measurement in list(&mapping["measurements"]) {
        line(format!("measurement {measurement}"));
    }
    for error in list(&mapping["errors"]) {
        line(format!("error: {}", text(&error["message"])));
    }
    for written in list(&page["observations"]) {
        let version = optional("/_history/", &written["version"]).unwrap_or_default();
        line(format!(
            "Observation/{}{version} ({}, template `{}`)",
            text(&written["observation"]),
            text(&written["operation"]),
            text(&written["template"])
        ));
    }
    for letter in list(&page["deadLetters"]) {
        line(format!(
            "dead letter {}: {} ({})",
            letter["id"],
            text(&letter["detail"]),
            text(&letter["reason"])
        ));
    }
    out
}
