//! Asking a running connector on its management port, for commands.

use std::{error::Error, fmt, io::Write};

use clap::{Arg, ArgMatches};
use iot_connector_settings::MANAGEMENT_PORT;
use reqwest::{Client, Method, Url};
use serde_json::Value;

/// Why a command fails.
pub type Failure = Box<dyn Error>;

/// `--management ADDRESS`
pub fn argument() -> Arg {
    Arg::new("management")
        .long("management")
        .value_name("ADDRESS")
        .global(true)
        .env("IOT_CONNECTOR_MANAGEMENT")
        .help("The connector's management address [default: port 9090 of this machine]")
}

/// Prints a line; whoever reads no further ends the program, without a complaint.
pub fn print_line(line: fmt::Arguments<'_>) {
    if writeln!(std::io::stdout().lock(), "{line}").is_err() {
        std::process::exit(0);
    }
}

/// [`print_line`] with the arguments of `println!`.
macro_rules! say {
    ($($line:tt)*) => {
        $crate::management::print_line(format_args!($($line)*))
    };
}
pub(crate) use say;

/// A path there.
pub fn url(arguments: &ArgMatches, path: &str) -> Result<Url, Failure> {
    let default = format!("127.0.0.1:{MANAGEMENT_PORT}");
    let address = arguments.get_one::<String>("management").unwrap_or(&default);
    Ok(Url::parse(&format!("http://{address}/{path}"))?)
}

/// The answer; a refusal is an error that says why. Needs the TLS provider installed.
pub async fn ask(method: Method, url: Url) -> Result<Value, Failure> {
    let unreachable = |error: reqwest::Error| {
        let cause = daemon::process::describe(&error.without_url());
        let address = url.authority();
        format!("no connector answers at `{address}`: {cause}; name its management address with `--management`")
    };
    let response = Client::new()
        .request(method, url.clone())
        .send()
        .await
        .map_err(unreachable)?;
    let status = response.status();
    let answer: Value = response.json().await?;
    if status.is_success() {
        return Ok(answer);
    }
    Err(format!(
        "`{url}` answers {status}: {}",
        answer["error"].as_str().unwrap_or("no reason is given")
    )
    .into())
}
