//! `iot-connector dry-run`: what mappings make of messages, without a server.

use std::{
    error::Error,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use bytes::Bytes;
use clap::ArgMatches;
use iot_mapping::{Compatibility, DryRun, Finding, Message, dry_run};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::ingest::{
    body::{self, BodyLimits},
    context,
};

/// Runs the subcommand: exit code 1 when mappings or messages have errors.
pub fn command(matches: &ArgMatches) -> ExitCode {
    match run(matches) {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", daemon::process::describe(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(matches: &ArgMatches) -> Result<bool, Box<dyn Error>> {
    let text = |name: &str| -> Result<Option<String>, Box<dyn Error>> {
        matches.get_one::<PathBuf>(name).map(|path| read(path)).transpose()
    };
    let (device, fhir) = (text("device-mapping")?, text("fhir-mapping")?);
    let messages = text("messages")?.unwrap_or_default();
    let compatibility = match matches.get_one::<String>("compatibility").map(String::as_str) {
        Some("upstream") => Compatibility::Upstream,
        _ => Compatibility::Standard,
    };
    let report = report(
        device.as_deref(),
        fhir.as_deref(),
        messages.into_bytes(),
        &Envelope::default(),
        compatibility,
    );
    let mut out = std::io::stdout().lock();
    if matches.get_flag("json") {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        out.write_all(describe(&report).as_bytes())?;
    }
    Ok(report.has_errors())
}

/// What stands beside a message's body; members that are named here go before those of a message that comes by HTTP.
#[derive(Debug, Clone, Default)]
pub struct Envelope {
    /// By the sender.
    pub properties: Map<String, Value>,
    /// By the way of the message.
    pub system_properties: Map<String, Value>,
}

/// A dry run on a text with messages; the places of their errors are in that text. A message that is an envelope (`Body`
/// with `Properties` or `SystemProperties`) is
/// taken as it is; any other gets one as if it came by HTTP.
pub fn report(
    device: Option<&str>,
    fhir: Option<&str>,
    messages: Vec<u8>,
    envelope: &Envelope,
    compatibility: Compatibility,
) -> DryRun {
    let now = Timestamp::now();
    // Without messages the mappings alone are judged.
    let text = Bytes::from(messages);
    let bodies = body::messages(&text, None, &BodyLimits::default()).unwrap_or_default();
    let context = envelope.context(now);
    let messages: Vec<Message<'_>> = bodies
        .iter()
        .map(|body| {
            if is_envelope(body) {
                Message::Whole(body)
            } else {
                let context = &context;
                Message::Body { body, context }
            }
        })
        .collect();
    let mut report = dry_run(device, fhir, &messages, compatibility, now);
    for (tried, body) in report.messages.iter_mut().zip(&bodies) {
        // A message is a part of the text.
        let begin = body.as_ptr().addr() - text.as_ptr().addr();
        let before = &text[..begin];
        let mut lines = before.split(|byte| *byte == b'\n').rev();
        let column = lines.next().unwrap_or_default().len();
        let lines = lines.count();
        for error in &mut tried.errors {
            if error.line == Some(1) {
                error.position = error.position.map(|position| position + column);
            }
            error.line = error.line.map(|line| line + lines);
        }
    }
    report
}

impl Envelope {
    /// JSON text of an object with `Properties` and `SystemProperties`.
    fn context(&self, now: Timestamp) -> String {
        let http = context::of_request(
            &axum::http::Method::POST,
            &axum::http::Uri::from_static("/messages"),
            &axum::http::HeaderMap::new(),
            Some("dry-run"),
            now,
        );
        let Ok(Value::Object(mut context)) = serde_json::from_str(&http) else {
            return http;
        };
        for (part, named) in [
            ("Properties", &self.properties),
            ("SystemProperties", &self.system_properties),
        ] {
            if let Some(Value::Object(members)) = context.get_mut(part) {
                members.extend(named.clone());
            }
        }
        Value::Object(context).to_string()
    }
}

fn is_envelope(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|value| {
        value.get("Body").is_some() && (value.get("Properties").is_some() || value.get("SystemProperties").is_some())
    })
}

fn read(path: &Path) -> Result<String, Box<dyn Error>> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(path).map_err(|error| format!("`{}` can't be read: {error}", path.display()).into())
}

fn describe(report: &DryRun) -> String {
    let mut text = String::new();
    let mut line = |indent: usize, content: String| {
        text.push_str(&"  ".repeat(indent));
        text.push_str(&content);
        text.push('\n');
    };
    let findings = |line: &mut dyn FnMut(usize, String), indent: usize, kind: &str, findings: &[Finding]| {
        for finding in findings {
            line(indent, format!("{kind}: {}", finding.message));
        }
    };
    findings(&mut line, 0, "error", &report.template_errors);
    findings(&mut line, 0, "warning", &report.template_warnings);
    if report.template_errors.is_empty() {
        line(0, "the mappings are valid".to_owned());
    }
    for message in &report.messages {
        line(0, format!("message {}", message.message));
        for template in &message.templates {
            let name = template["typeName"].as_str().unwrap_or_default();
            let expression = template["typeMatchExpression"].as_str().unwrap_or_default();
            let reason = template["reason"].as_str().map(|reason| format!(", {reason}"));
            let matched = &template["matched"];
            let reason = reason.unwrap_or_default();
            line(
                1,
                format!("template `{name}` ({expression}): {matched} matched{reason}"),
            );
        }
        for measurement in &message.measurements {
            line(1, format!("measurement {measurement}"));
        }
        for observation in &message.observations {
            line(1, format!("observation {observation}"));
        }
        findings(&mut line, 1, "error", &message.errors);
        findings(&mut line, 1, "warning", &message.warnings);
    }
    text
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::one("{\"device\":\n 1,}", &[(2, 4)])]
    #[case::lines("{\"a\": 1}\n{\"b\": }\n  {\"c\": }", &[(2, 7), (3, 9)])]
    #[case::all_are_json("[{\"a\": 1},\n 2]", &[])]
    fn errors_of_messages_have_a_place_in_their_text(#[case] text: &str, #[case] expected: &[(usize, usize)]) {
        let device = r#"{"templateType": "CollectionContent", "template": []}"#;
        let report = report(
            Some(device),
            None,
            text.into(),
            &Envelope::default(),
            Compatibility::Standard,
        );
        let errors = report.messages.iter().flat_map(|message| &message.errors);
        let places: Vec<_> = errors
            .map(|error| (error.line.unwrap(), error.position.unwrap()))
            .collect();
        assert_eq!(places, expected);
    }
}
