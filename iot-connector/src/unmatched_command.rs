//! `iot-connector unmatched`: what messages look like that no template is for.

use clap::{ArgMatches, Command};
use reqwest::Method;
use serde_json::Value;

use crate::management::{self, Failure, ask, say};

/// The subcommand.
pub fn declare() -> Command {
    Command::new("unmatched")
        .about("Shows the shapes of messages that no device template matched, and what they lack")
        .arg(management::argument())
}

/// Runs it.
pub async fn command(matches: &ArgMatches) -> Result<(), Failure> {
    daemon::tls::install_provider();
    let page = ask(Method::GET, management::url(matches, "unmatched")?).await?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let shapes = list(&page["shapes"]);
    if shapes.is_empty() {
        say!("every message since the start matched a template");
    }
    for shape in shapes {
        say!(
            "{}\t{}\t{}",
            shape["count"],
            text(&shape["last"]),
            text(&shape["shape"])
        );
        for template in list(&shape["templates"]) {
            say!("\t{}: {}", text(&template["typeName"]), text(&template["reason"]));
        }
    }
    if page["others"] != 0 {
        say!("{} more of other shapes", page["others"]);
    }
    Ok(())
}
