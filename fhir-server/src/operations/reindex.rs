//! `$reindex`: makes index rows for changed search parameters when somebody asks for it, and shows how far that is. The
//! server does the same by itself after each change.

use fhir_definitions::{Definitions, ResourceType, SearchParameter};
use fhir_resource::{Document, Limits, temporal};
use fhir_search::{Keys, ParamId};
use fhir_storage::{Filling, Job, JobChange, JobStatus};
use http::{Method, StatusCode};

use super::parameters;
use crate::access::Action;
use crate::conformance::SEARCH_PARAMETER;
use crate::http::call::Call;
use crate::http::failure::{Failure, Result};
use crate::http::json::Json;
use crate::http::reply::Reply;
use crate::interactions::{read, search};
use crate::jobs::reindex::{Input, KIND, Position};
use crate::server::Server;
use crate::writes;

/// Who may change search parameters may index by them.
fn require(server: &Server, call: &Call<'_>) -> Result<()> {
    let of = server.definitions.resource_type(SEARCH_PARAMETER);
    call.principal
        .require(Action::Update, of.ok_or_else(Failure::unknown_route)?)
}

/// `POST $reindex`: begins, or takes over what the server has begun by itself.
pub async fn start(server: &Server, call: &Call<'_>) -> Result<Reply> {
    require(server, call)?;
    let input = input(server, call)?;
    let jobs = server.store.jobs(KIND).await.map_err(|error| search::storage(&error))?;
    let open: Vec<&Job> = jobs.iter().filter(|job| job.status.is_open()).collect();
    if let Some(job) = open.iter().find(|job| Input::of(job).requested) {
        return Err(one_at_a_time(job));
    }
    // rows of all parameters are more than what is being filled
    let own = open.first().filter(|_| input.types.is_empty());
    let change = match own {
        Some(job) => JobChange::Amend {
            id: job.id.clone(),
            input: input.text(),
        },
        None => JobChange::Add(input.job()),
    };
    let job = match changed(server, change).await? {
        Some(job) => job,
        // the server's own has ended meanwhile
        None => changed(server, JobChange::Add(input.job()))
            .await?
            .ok_or_else(Failure::unknown_route)?,
    };
    server.jobs.wake();
    Ok(Reply {
        status: StatusCode::CREATED,
        ..shown(call, &job)
    })
}

async fn changed(server: &Server, change: JobChange) -> Result<Option<Job>> {
    let changed = server.store.change_job(change).await;
    changed.map_err(|error| writes::refusal(server, error, None))
}

fn one_at_a_time(job: &Job) -> Failure {
    let text = format!(
        "Only one active or paused reindex job allowed. Cancel job with id: {} before submitting a new job.",
        job.id
    );
    Failure::new(StatusCode::CONFLICT, "conflict", text)
}

/// `GET` and `DELETE _operations/reindex/ID`
pub async fn job(server: &Server, call: &Call<'_>, id: &str) -> Result<Reply> {
    require(server, call)?;
    let missing = || {
        let text = format!("The requested job \"{id}\" was not found.");
        Failure::new(StatusCode::NOT_FOUND, "not-found", text)
    };
    let found = server.store.job(id).await.map_err(|error| search::storage(&error))?;
    let job = found.filter(|job| job.kind == KIND).ok_or_else(missing)?;
    if call.method != Method::DELETE {
        return Ok(shown(call, &job));
    }
    match changed(server, JobChange::Cancel { id: id.to_owned() }).await? {
        Some(job) => Ok(Reply {
            status: StatusCode::ACCEPTED,
            ..shown(call, &job)
        }),
        None => Err(Failure::invalid(format!(
            "Reindex job id {id} is in state {} and cannot be cancelled.",
            status(job.status)
        ))),
    }
}

/// Reads what is asked for.
fn input(server: &Server, call: &Call<'_>) -> Result<Input> {
    let mut input = Input {
        requested: true,
        ..Input::default()
    };
    for parameter in parameters::of(call)? {
        let (name, value) = (parameters::name(parameter), parameters::value(parameter));
        let value = value.unwrap_or_default();
        match name.as_str() {
            "maximumConcurrency" => input.maximum_concurrency = number(&name, &value, 1, 10)?,
            "maximumNumberOfResourcesPerQuery" => input.per_query = number(&name, &value, 1, 5_000)?,
            "maximumNumberOfResourcesPerWrite" => {
                number(&name, &value, 1, 5_000)?;
            }
            "queryDelayIntervalInMilliseconds" => input.delay_milliseconds = number(&name, &value, 50, 500_000)?,
            "targetDataStoreUsagePercentage" => {
                number(&name, &value, 0, 100)?;
            }
            "targetResourceTypes" => {
                for name in listed(&value) {
                    let of = server.definitions.resource_type(name);
                    let of = of.ok_or_else(|| Failure::invalid(format!("Resource type '{name}' is not supported.")))?;
                    input.types.push(of.name().to_owned());
                }
            }
            "targetSearchParameterTypes" => {
                for url in listed(&value) {
                    input.types.extend(types_of(server, url)?);
                }
            }
            _ => {
                let text = format!("Reindex job does not support the following parameter {name} for a POST operation.");
                return Err(Failure::invalid(text));
            }
        }
    }
    input.types.sort_unstable();
    input.types.dedup();
    Ok(input)
}

fn listed(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// The types that have a parameter with this URL.
fn types_of(server: &Server, url: &str) -> Result<Vec<String>> {
    let known = server.parameters.load();
    let definitions: &'static Definitions = server.definitions;
    let has = |of: &ResourceType| known.indexed(*of).any(|parameter| parameter.url() == url);
    let types: Vec<String> = definitions
        .resource_types()
        .filter(has)
        .map(|of| of.name().to_owned())
        .collect();
    if types.is_empty() {
        return Err(Failure::invalid(format!("There is no search parameter '{url}'.")));
    }
    Ok(types)
}

fn number(name: &str, value: &str, least: u32, most: u32) -> Result<u32> {
    let number = value.parse::<f64>().ok().filter(|number| number.fract() == 0.0);
    let within = number.filter(|number| (f64::from(least)..=f64::from(most)).contains(number));
    let whole = within.and_then(|number| format!("{number:.0}").parse().ok());
    whole.ok_or_else(|| {
        Failure::invalid(format!(
            "Reindex operation parameter '{name}' was out of the range of valid values. Please specify different value \
             within a range '{least}' - '{most}'."
        ))
    })
}

fn status(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Queued => "Queued",
        JobStatus::Running => "Running",
        JobStatus::Completed => "Completed",
        JobStatus::Failed => "Failed",
        JobStatus::Cancelled => "Canceled",
    }
}

/// A job as Microsoft's server shows it.
fn shown(call: &Call<'_>, job: &Job) -> Reply {
    let input = Input::of(job);
    let position = Position::of(job);
    let mut json = Json::with_capacity(1024);
    json.object(|json| {
        json.member("resourceType", "Parameters").member("id", &job.id);
        json.name("meta").object(|json| {
            json.member("lastUpdated", &temporal::instant(job.modified));
        });
        json.name("parameter").array(|json| {
            let mut text = |name: &str, kind: &str, value: &str| {
                json.object(|json| {
                    json.member("name", name).member(kind, value);
                });
            };
            text("id", "valueString", &job.id);
            text("status", "valueString", status(job.status));
            let moments = [
                ("queuedTime", Some(job.queued)),
                ("startTime", job.started),
                ("endTime", job.ended),
                ("lastModified", Some(job.modified)),
            ];
            for (name, moment) in moments {
                if let Some(moment) = moment {
                    text(name, "valueDateTime", &temporal::instant(moment));
                }
            }
            if !job.problem.is_empty() {
                text("failureDetails", "valueString", &job.problem);
            }
            if let Some(position) = &position {
                text("resources", "valueString", &position.types.join(","));
            }
            let progress = match (job.status, job.total) {
                (JobStatus::Completed, _) => 100,
                (_, 0) => 0,
                (_, total) => (job.done.min(total)) * 100 / total,
            };
            let numbers = [
                ("totalResourcesToReindex", job.total),
                ("resourcesSuccessfullyReindexed", job.done),
                ("progress", progress),
                ("maximumConcurrency", input.maximum_concurrency.into()),
                ("maximumNumberOfResourcesPerQuery", input.per_query.into()),
                ("queryDelayIntervalInMilliseconds", input.delay_milliseconds.into()),
            ];
            for (name, value) in numbers {
                json.object(|json| {
                    json.member("name", name).number("valueDecimal", value);
                });
            }
        });
    });
    let location = format!("{}/_operations/{KIND}/{}", call.base, job.id);
    Reply {
        location: Some(location.clone()),
        content_location: Some(location),
        ..Reply::ok(json.finish())
    }
}

/// `GET` and `POST Type/id/$reindex`: the values that a resource is found by; POST writes them, too.
pub async fn instance(server: &Server, call: &Call<'_>, of: ResourceType, id: &str) -> Result<Reply> {
    let writes_rows = call.method == Method::POST;
    let action = if writes_rows { Action::Update } else { Action::Read };
    call.principal.require(action, of)?;
    let current = read::seen(server, &call.principal.access(action), of.name(), id).await?;
    let current = current.filter(fhir_storage::Version::is_live);
    let current = current.ok_or_else(|| Failure::not_found(of.name(), id))?;
    let document = Document::parse(current.body.clone(), Limits::default())?;
    let keys = server.extractor.keys(of, document.root());
    let values = values(server, of, &keys);
    if writes_rows {
        let pk = server
            .store
            .pk(of.name(), id)
            .await
            .map_err(|error| search::storage(&error))?;
        let filling = Filling {
            pk: pk.ok_or_else(|| Failure::not_found(of.name(), id))?,
            version: current.version,
            keys,
        };
        let left = server.store.fill(vec![filling], &[]).await;
        let left = left.map_err(|error| writes::refusal(server, error, None))?;
        if !left.is_empty() {
            return Err(Failure::unavailable("The search parameters have changed, try again."));
        }
    }
    let version = current.version.to_string();
    let mut json = Json::with_capacity(1024);
    json.object(|json| {
        json.member("resourceType", "Parameters");
        json.name("parameter").array(|json| {
            let mut text = |name: &str, value: &str| {
                json.object(|json| {
                    json.member("name", name).member("valueString", value);
                });
            };
            text("originalResourceId", id);
            text("originalResourceVersion", &version);
            if writes_rows {
                text("updatedResourceId", id);
                text("updatedResourceVersion", &version);
            }
            for (code, value) in &values {
                text(code, value);
            }
        });
    });
    Ok(Reply::ok(json.finish()))
}

/// Code and value of each key, for people.
fn values(server: &Server, of: ResourceType, keys: &Keys) -> Vec<(&'static str, String)> {
    let known = server.parameters.load();
    let codes = |param: ParamId| {
        let all = known.indexed(of);
        all.filter(move |parameter| fhir_search::rows(*parameter).contains(&param))
            .map(SearchParameter::code)
    };
    let exact = keys
        .exact
        .iter()
        .map(|(param, key)| (*param, fhir_search::key::shown(key)));
    let dates = keys.dates.iter().map(|(param, low, high)| {
        let period = format!("{} - {}", temporal::instant(*low), temporal::instant(*high));
        (*param, period)
    });
    let strings = keys.strings.iter().map(|(param, _, exact)| (*param, exact.clone()));
    let all = exact.chain(dates).chain(strings);
    all.flat_map(|(param, text)| codes(param).map(move |code| (code, text.clone())))
        .collect()
}
