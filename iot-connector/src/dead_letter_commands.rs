//! `iot-connector dead-letters`: the management port's dead letters from a shell.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use reqwest::{Method, Url};
use serde_json::Value;

use crate::management::{self, Failure, ask, say};

/// The subcommand.
pub fn declare() -> Command {
    let filters = || {
        [
            (
                "stage",
                "Only those that failed there: normalise, group, identity, observation or write",
            ),
            ("reason", "Only those with this error's name, as the list shows it"),
            ("template", "Only those of this type of measurement"),
        ]
        .map(|(name, help)| Arg::new(name).long(name).value_name("NAME").help(help))
    };
    let id = || {
        Arg::new("id")
            .value_name("ID")
            .value_parser(value_parser!(i64))
            .help("The number that the list begins with")
    };
    let all = || {
        Arg::new("all")
            .long("all")
            .action(ArgAction::SetTrue)
            .conflicts_with_all(["id", "stage", "reason", "template"])
            .help("All of them")
    };
    // one letter, or those that a filter leaves, or all
    let one = || id().conflicts_with_all(["stage", "reason", "template"]);
    Command::new("dead-letters")
        .about("Lists, shows, replays or discards what could not be used")
        .subcommand_required(true)
        .arg(management::argument())
        .subcommand(Command::new("list").about("Lists them, oldest first").args(filters()))
        .subcommand(
            Command::new("show")
                .about("Shows one with its payload")
                .arg(id().required(true)),
        )
        .subcommand(
            Command::new("replay")
                .about("Puts them back into the queue")
                .arg(one())
                .args(filters())
                .arg(all()),
        )
        .subcommand(
            Command::new("discard")
                .about("Deletes them")
                .arg(one())
                .args(filters())
                .arg(all()),
        )
}

/// Runs it.
pub async fn command(matches: &ArgMatches) -> Result<(), Failure> {
    daemon::tls::install_provider();
    let Some((action, arguments)) = matches.subcommand() else {
        return Ok(());
    };
    let base = management::url(arguments, "dead-letters")?;
    match action {
        "list" => list(base, arguments).await,
        "show" => {
            let letter = ask(Method::GET, with_id(base, arguments)).await?;
            say!("{}", serde_json::to_string_pretty(&letter)?);
            Ok(())
        }
        "replay" => {
            let mut url = with_id(base, arguments);
            push(&mut url, "replay");
            select(&mut url, arguments);
            say!("{} replayed", ask(Method::POST, url).await?["replayed"]);
            Ok(())
        }
        _ => {
            let mut url = with_id(base, arguments);
            select(&mut url, arguments);
            say!("{} discarded", ask(Method::DELETE, url).await?["discarded"]);
            Ok(())
        }
    }
}

async fn list(mut url: Url, arguments: &ArgMatches) -> Result<(), Failure> {
    select(&mut url, arguments);
    let mut after = Value::from(0);
    loop {
        let mut page = url.clone();
        page.query_pairs_mut().append_pair("after", &after.to_string());
        let mut answer = ask(Method::GET, page).await?;
        for letter in answer["deadLetters"].as_array().map_or(&[][..], Vec::as_slice) {
            let text = |name: &str| letter[name].as_str().unwrap_or("-").to_owned();
            say!(
                "{}\t{}\t{}\t{}\t{}\t{}",
                letter["id"],
                text("died"),
                text("stage"),
                text("reason"),
                text("template"),
                text("detail")
            );
        }
        after = answer["next"].take();
        if after.is_null() {
            return Ok(());
        }
    }
}

fn with_id(mut url: Url, arguments: &ArgMatches) -> Url {
    if let Ok(Some(id)) = arguments.try_get_one::<i64>("id") {
        push(&mut url, &id.to_string());
    }
    url
}

fn push(url: &mut Url, segment: &str) {
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.push(segment);
    }
}

fn select(url: &mut Url, arguments: &ArgMatches) {
    for name in ["stage", "reason", "template"] {
        if let Ok(Some(value)) = arguments.try_get_one::<String>(name) {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    if arguments.try_get_one::<bool>("all").ok().flatten() == Some(&true) {
        url.query_pairs_mut().append_pair("all", "true");
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::one("discard 2", true)]
    #[case::a_filter("discard --reason NotFound --stage identity", true)]
    #[case::all("replay --all", true)]
    #[case::one_and_a_filter("discard 2 --reason NotFound", false)]
    #[case::one_and_all("replay 1 --all", false)]
    #[case::a_filter_and_all("discard --template hr --all", false)]
    fn what_is_meant_is_said_in_one_way(#[case] arguments: &str, #[case] taken: bool) {
        let words = std::iter::once("dead-letters").chain(arguments.split(' '));
        let matches = declare().try_get_matches_from(words);
        assert_eq!(matches.is_ok(), taken, "{matches:?}");
    }
}
