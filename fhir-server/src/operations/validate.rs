//! `$validate`: structure, invariants, bindings and profiles of a resource, as an OperationOutcome. The answer is 200
//! whatever is found, even for a body that is no resource at all, as Microsoft's server does.

use fhir_definitions::ResourceType;
use fhir_resource::validation::{self, Issue};
use fhir_resource::{Document, Limits, Node};
use fhir_storage::Kind;

use crate::access::Action;
use crate::conformance::profiles;
use crate::http::call::Call;
use crate::http::failure::{Failure, OutcomeIssue, Result, outcome};
use crate::http::reply::Reply;
use crate::interactions::read;
use crate::server::Server;

/// Microsoft's word for a resource without fault.
const ALL_OK: &str = "All OK";

/// What the resource is validated for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Create,
    Update,
    Delete,
}

/// What is asked.
struct Asked<'a> {
    resource: Option<Node<'a>>,
    profile: Option<String>,
    mode: Option<Mode>,
}

/// Validates what was sent, or the stored resource `id`.
pub async fn validate(server: &Server, call: &Call<'_>, of: ResourceType, id: Option<&str>) -> Result<Reply> {
    call.principal.require(Action::Read, of)?;
    let asked = asked(call)?;
    if asked.mode == Some(Mode::Delete) {
        let id = id.ok_or_else(|| {
            Failure::invalid("A resource is validated for its deletion under its own URL: Type/id/$validate.")
        })?;
        stored(server, call, of, id).await?;
        return Ok(answer(&[]));
    }
    if asked.mode == Some(Mode::Create) && id.is_some() {
        let text = "A resource that is there can't be created: validate it with the mode 'update', or without its id in the URL.";
        return Err(Failure::invalid(text));
    }
    let document = match (asked.resource, id) {
        (Some(resource), _) => Document::parse(resource.raw(), Limits::default())?,
        (None, Some(id)) => stored(server, call, of, id).await?,
        (None, None) => return Err(Failure::invalid("A resource to validate is required.")),
    };
    if let Some(problem) = misplaced(document.root(), of, id, asked.mode) {
        return Ok(answer(&[problem]));
    }
    let issues = all_issues(server, call, document, asked.profile.into_iter().collect()).await?;
    let issues: Vec<OutcomeIssue> = issues.iter().map(OutcomeIssue::of).collect();
    Ok(answer(&issues))
}

/// Structure first; what is wrong there would be said again by rules.
async fn all_issues(server: &Server, call: &Call<'_>, document: Document, asked: Vec<String>) -> Result<Vec<Issue>> {
    let mut issues = validation::validate(server.definitions, document.root());
    if validation::refuses(&issues) {
        return Ok(issues);
    }
    for issue in profiles::issues(server, &call.principal.visible(), document, asked).await? {
        if !issues.contains(&issue) {
            issues.push(issue);
        }
    }
    Ok(issues)
}

/// A body that can't be read, as the outcome of its validation.
pub fn unreadable(failure: &Failure) -> Reply {
    answer(&failure.issues)
}

fn answer(issues: &[OutcomeIssue]) -> Reply {
    if issues.is_empty() {
        return Reply::ok(outcome(&[OutcomeIssue::information(ALL_OK)]));
    }
    Reply::ok(outcome(issues))
}

/// From the query and from `Parameters`.
fn asked<'a>(call: &Call<'a>) -> Result<Asked<'a>> {
    let sent = call
        .resource
        .filter(|node| node.text_of("resourceType").as_deref() == Some("Parameters"));
    let parameters = sent.and_then(|sent| sent.get("parameter"));
    // A Parameters resource without the parameter `resource` is itself what is validated.
    let of = |wanted: &str| {
        let mut all = parameters.into_iter().flat_map(Node::each);
        all.find(|parameter| parameter.text_of("name").is_some_and(|name| name == wanted))
    };
    let text = |wanted: &str| {
        let parameter = of(wanted)?;
        let mut members = parameter.entries();
        let value = members.find(|(name, _)| name.starts_with("value"))?;
        Some(value.1.as_str()?.into_owned())
    };
    let wrapped = of("resource").and_then(|parameter| parameter.get("resource"));
    let is_wrapper = wrapped.is_some() || of("mode").is_some() || of("profile").is_some();
    let resource = if is_wrapper { wrapped } else { call.resource };
    let one = |name: &str| {
        let query = call
            .parameter(name)
            .filter(|value| !value.is_empty())
            .map(str::to_owned);
        let own = if is_wrapper { text(name) } else { None };
        match (query, own) {
            (Some(_), Some(_)) => Err(Failure::invalid(format!(
                "The {name} is given in the URL and in the Parameters: give one of them."
            ))),
            (query, own) => Ok(query.or(own)),
        }
    };
    let profile = one("profile")?;
    if let Some(profile) = profile.as_deref().filter(|profile| !is_canonical(profile)) {
        let shown: String = profile.chars().take(200).collect();
        return Err(Failure::invalid(format!(
            "The given profile '{shown}' is invalid: it must be an absolute URL."
        )));
    }
    let mode = match one("mode")?.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None => None,
        Some("create") => Some(Mode::Create),
        Some("update") => Some(Mode::Update),
        Some("delete") => Some(Mode::Delete),
        Some(other) => {
            let shown: String = other.chars().take(64).collect();
            let text = format!("The mode '{shown}' is not supported: use create, update or delete.");
            return Err(Failure::invalid(text));
        }
    };
    Ok(Asked {
        resource,
        profile,
        mode,
    })
}

fn is_canonical(url: &str) -> bool {
    let scheme = url.split_once(':').map(|(scheme, rest)| (scheme, !rest.is_empty()));
    scheme.is_some_and(|(scheme, rest)| {
        rest && scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && !url.contains(char::is_whitespace)
    })
}

/// What the URL or the mode doesn't allow.
fn misplaced(resource: Node<'_>, of: ResourceType, id: Option<&str>, mode: Option<Mode>) -> Option<OutcomeIssue> {
    let error = |text: &str| {
        Some(OutcomeIssue {
            severity: "error",
            code: "invalid",
            diagnostics: text.to_owned(),
            expression: String::new(),
        })
    };
    if resource.text_of("resourceType").is_some_and(|name| name != of.name()) {
        return error("Resource type in the URL must match resourceType in the resource.");
    }
    let own = resource.text_of("id");
    match (id, own.as_deref()) {
        (Some(id), Some(own)) if id != own => error("Id in the URL must match id in the resource."),
        (_, None) if mode == Some(Mode::Update) => error("Resource id is required for updates."),
        _ => None,
    }
}

async fn stored(server: &Server, call: &Call<'_>, of: ResourceType, id: &str) -> Result<Document> {
    let found = read::seen(server, &call.principal.access(Action::Read), of.name(), id).await?;
    let version = found.ok_or_else(|| Failure::not_found(of.name(), id))?;
    if version.kind == Kind::Deleted {
        return Err(Failure::gone(of.name(), id, version.version));
    }
    Ok(Document::parse(version.body, Limits::default())?)
}
