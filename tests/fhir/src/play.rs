//! Plays a library of cases against one server and counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::cases::{Case, Library};
use crate::checks;
use crate::client::{Answer, Client};
use crate::expect::{self, Problem};
use crate::path;
use crate::scope::{Scope, Variable, percent};

/// What to play, against what.
#[derive(Debug, Clone)]
pub struct Options {
    /// Service base of the server.
    pub base: String,
    /// `R4` or `STU3`.
    pub version: String,
    /// Only areas with one of these prefixes; empty: all.
    pub areas: Vec<String>,
    /// Only ids with one of these prefixes; empty: all.
    pub ids: Vec<String>,
    /// Capabilities of the set-up that are there.
    pub capabilities: BTreeSet<String>,
    /// Capabilities that the server lacks: their cases are skipped.
    pub without: BTreeSet<String>,
    /// Bearer tokens by name.
    pub tokens: BTreeMap<String, String>,
    /// Cases at a time.
    pub jobs: usize,
}

/// How one case went.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The case.
    pub id: String,
    /// Its area.
    pub area: String,
    /// Everything that wasn't as expected.
    pub problems: Vec<Problem>,
}

impl Verdict {
    /// Statuses, headers and contents are right.
    pub fn passed(&self) -> bool {
        self.problems.iter().all(|problem| problem.strict)
    }

    /// Microsoft's codes and texts are, too.
    pub fn exact(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Plays every case that concerns this run; the second value counts those left out for want of a capability.
pub async fn play(library: &Library, options: &Options) -> Result<(Vec<Verdict>, usize)> {
    let player = Player {
        library,
        options,
        client: Client::new(&options.base, options.tokens.clone())?,
        fixtures: library
            .fixtures
            .keys()
            .map(|name| (name.clone(), OnceCell::new()))
            .collect(),
    };
    let named =
        |wanted: &[String], name: &str| wanted.is_empty() || wanted.iter().any(|w| name.starts_with(w.as_str()));
    let (mut beside, mut alone, mut skipped) = (Vec::new(), Vec::new(), 0);
    for case in &library.cases {
        if !case.concerns(&options.version) || !named(&options.areas, &case.area) || !named(&options.ids, &case.id) {
            continue;
        }
        if !case.possible(&options.capabilities, &options.without) {
            skipped += 1;
        } else if case.serial {
            alone.push(case);
        } else {
            beside.push(case);
        }
    }
    let running = futures::stream::iter(beside).map(|case| player.case(case));
    let mut verdicts: Vec<_> = running.buffer_unordered(options.jobs.max(1)).collect().await;
    for case in alone {
        verdicts.push(player.case(case).await);
    }
    verdicts.sort_by(|a, b| a.id.cmp(&b.id));
    Ok((verdicts, skipped))
}

struct Player<'a> {
    library: &'a Library,
    options: &'a Options,
    client: Client,
    fixtures: BTreeMap<String, OnceCell<Result<Arc<Scope>, String>>>,
}

impl Player<'_> {
    async fn case(&self, case: &Case) -> Verdict {
        let mut problems = Vec::new();
        if let Err(error) = self.steps(&case.uses, &case.steps, &mut problems).await {
            problems.push(Problem {
                strict: false,
                message: format!("{error:#}"),
            });
        }
        Verdict {
            id: case.id.clone(),
            area: case.area.clone(),
            problems,
        }
    }

    async fn steps(&self, uses: &[String], steps: &[Value], problems: &mut Vec<Problem>) -> Result<Scope> {
        let mut scope = Scope::new(&self.options.version, &self.client.base);
        for name in uses {
            let fixture = Box::pin(self.fixture(name)).await?;
            scope.adopt(name, &fixture);
        }
        for step in steps {
            self.step(&mut scope, step, problems).await?;
        }
        Ok(scope)
    }

    /// A fixture is made once a run, by whoever needs it first.
    async fn fixture(&self, name: &str) -> Result<Arc<Scope>> {
        let cell = self
            .fixtures
            .get(name)
            .with_context(|| format!("no fixture `{name}`"))?;
        let made = cell.get_or_init(|| async {
            let fixture = &self.library.fixtures[name];
            let texts = |v: &Value| {
                v.as_array()
                    .into_iter()
                    .flatten()
                    .map(path::text_of)
                    .collect::<Vec<_>>()
            };
            let steps = fixture["steps"].as_array().cloned().unwrap_or_default();
            let mut problems = Vec::new();
            match self.steps(&texts(&fixture["use"]), &steps, &mut problems).await {
                Ok(scope) => Ok(Arc::new(scope)),
                Err(error) => Err(format!("fixture `{name}`: {error:#}")),
            }
        });
        made.await.clone().map_err(anyhow::Error::msg)
    }

    async fn step(&self, scope: &mut Scope, step: &Value, problems: &mut Vec<Problem>) -> Result<()> {
        if step
            .get("when")
            .is_some_and(|version| *version != *self.options.version)
        {
            return Ok(());
        }
        if let Some(pause) = step.get("sleepMs").and_then(Value::as_u64) {
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        if let Some(values) = step.get("set") {
            let values = scope.substitute(values)?.unwrap_or(Value::Null);
            let values = values.as_object().into_iter().flatten();
            scope
                .variables
                .extend(values.map(|(k, v)| (k.clone(), Variable::Value(v.clone()))));
            return Ok(());
        }
        let request = step.get("request").context("a step needs a request")?;
        let rounds = step
            .get("repeat")
            .and_then(Value::as_u64)
            .map(usize::try_from)
            .transpose()?;
        let answers = if step.get("parallel") == Some(&Value::Bool(true)) {
            self.at_once(scope, request, rounds.unwrap_or(1)).await?
        } else {
            Vec::new()
        };
        for round in 0..rounds.unwrap_or(1) {
            scope.round = round;
            let answer = match answers.get(round) {
                Some(answer) => answer.clone(),
                None => self.polled(scope, step, request).await?,
            };
            let answer = Arc::new(answer);
            if let Some(name) = step.get("save").and_then(Value::as_str) {
                let name = rounds.map_or_else(|| name.to_owned(), |_| format!("{name}{round}"));
                scope.variables.insert(name, Variable::Answer(Arc::clone(&answer)));
            }
            let expectation = step.get("expect").unwrap_or(&Value::Null);
            let what = format!(
                "{} {}",
                method(request),
                request
                    .get("path")
                    .or(request.get("url"))
                    .map(path::text_of)
                    .unwrap_or_default()
            );
            let before = problems.len();
            let judged = expect::judge(&self.client, scope, expectation, &answer, problems).await;
            for problem in &mut problems[before..] {
                problem.message = format!("{what}: {}", problem.message);
            }
            judged.context(what)?;
        }
        Ok(())
    }

    async fn at_once(&self, scope: &Scope, request: &Value, rounds: usize) -> Result<Vec<Answer>> {
        let sends = (0..rounds).map(|round| {
            let mut scope = scope.clone();
            scope.round = round;
            async move { self.request(&mut scope, request).await }
        });
        futures::future::try_join_all(sends).await
    }

    /// Repeats the request until the step's `poll` is content or its time is over.
    async fn polled(&self, scope: &mut Scope, step: &Value, request: &Value) -> Result<Answer> {
        let mut answer = self.request(scope, request).await?;
        let Some(poll) = step.get("poll") else {
            return Ok(answer);
        };
        let statuses = match &poll["until"] {
            Value::Array(list) => list.iter().filter_map(Value::as_u64).collect(),
            Value::Number(one) => one.as_u64().into_iter().collect(),
            _ => vec![200],
        };
        let seconds = |name: &str, default: f64| poll.get(name).and_then(Value::as_f64).unwrap_or(default);
        let end = Instant::now() + Duration::from_secs_f64(seconds("timeoutS", 60.0));
        while !(statuses.contains(&u64::from(answer.status)) && poll_holds(scope, poll, &answer)?)
            && Instant::now() < end
        {
            tokio::time::sleep(Duration::from_secs_f64(seconds("intervalS", 0.5))).await;
            answer = self.request(scope, request).await?;
        }
        Ok(answer)
    }

    async fn request(&self, scope: &mut Scope, request: &Value) -> Result<Answer> {
        let url = self.url(scope, request)?;
        let (body, content_type) = self.body(scope, request)?;
        let mut headers = vec![("accept".to_owned(), "application/fhir+json".to_owned())];
        if body.is_some() {
            headers.push(("content-type".to_owned(), content_type.to_owned()));
        }
        let given = request
            .get("headers")
            .map(|h| scope.substitute(h))
            .transpose()?
            .flatten();
        for (name, value) in given.as_ref().and_then(Value::as_object).into_iter().flatten() {
            let name = name.to_lowercase();
            headers.retain(|(other, _)| *other != name);
            headers.push((name, path::text_of(value)));
        }
        let auth = request.get("auth").and_then(Value::as_str);
        self.client.send(method(request), &url, &headers, body, auth).await
    }

    fn url(&self, scope: &mut Scope, request: &Value) -> Result<String> {
        if let Some(url) = request.get("url") {
            let url = scope
                .substitute(url)?
                .filter(|url| !url.is_null())
                .context("no link to follow")?;
            return Ok(path::text_of(&url));
        }
        let raw = request.get("path").and_then(Value::as_str).unwrap_or_default();
        let path = percent(&scope.substitute_path(raw)?, "/?&=%:$,;@!~*'()-._+");
        let base = &self.client.base;
        Ok(if path.is_empty() {
            base.clone()
        } else if path.starts_with('?') {
            format!("{base}{path}")
        } else {
            format!("{base}/{path}")
        })
    }

    fn body(&self, scope: &mut Scope, request: &Value) -> Result<(Option<Vec<u8>>, &'static str)> {
        const FHIR: &str = "application/fhir+json";
        if let Some(text) = request.get("bodyText") {
            let text = scope.substitute(text)?.unwrap_or(Value::Null);
            return Ok((Some(path::text_of(&text).into_bytes()), FHIR));
        }
        if let Some(form) = request.get("form") {
            let form = scope.substitute(form)?.unwrap_or(Value::Null);
            let pairs = form.as_array().into_iter().flatten();
            let text: Vec<_> = pairs
                .map(|pair| {
                    let part = |i: usize| percent(&pair.get(i).map(path::text_of).unwrap_or_default(), "-._");
                    format!("{}={}", part(0), part(1))
                })
                .collect();
            return Ok((Some(text.join("&").into_bytes()), "application/x-www-form-urlencoded"));
        }
        let mut body = if let Some(file) = request.get("bodyFile") {
            let name = scope.substitute(file)?.map(|f| path::text_of(&f)).unwrap_or_default();
            let text = self.library.data_file(&self.options.version, &name)?;
            serde_json::from_str(text.trim_start_matches('\u{feff}'))?
        } else if let Some(saved) = request.get("bodyFrom").and_then(Value::as_str) {
            match scope.variables.get(saved) {
                Some(Variable::Answer(answer)) => answer.body.clone().unwrap_or(Value::Null),
                _ => bail!("no saved answer `{saved}`"),
            }
        } else if let Some(body) = request.get("body") {
            scope.substitute(body)?.unwrap_or(Value::Null)
        } else {
            return Ok((None, FHIR));
        };
        if let Some(operations) = request.get("bodyPatch") {
            let operations = scope.substitute(operations)?.unwrap_or(Value::Null);
            path::patch(&mut body, &operations)?;
        }
        if request.get("bodyFile").is_some() {
            body = scope.substitute(&body)?.unwrap_or(Value::Null);
        }
        Ok((Some(serde_json::to_vec(&body)?), FHIR))
    }
}

fn method(request: &Value) -> &str {
    request.get("method").and_then(Value::as_str).unwrap_or("GET")
}

fn poll_holds(scope: &mut Scope, poll: &Value, answer: &Answer) -> Result<bool> {
    for check in poll.get("checks").and_then(Value::as_array).into_iter().flatten() {
        let check = scope.substitute(check)?.unwrap_or(Value::Null);
        let check = check.as_object().context("a check must be an object")?;
        if checks::failure(check, &answer.text, answer.body.as_ref())?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}
