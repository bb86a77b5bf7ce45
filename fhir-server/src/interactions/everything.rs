//! `Patient/id/$everything`: the patient, whom and what the patient refers to, the compartment, and devices; also of the
//! patients that are the same person (`link.type=seealso`). Pages go through these phases one after the other.

mod asked;
mod people;

use fhir_definitions::ResourceType;
use fhir_search::parse::{Summary, Target};
use fhir_search::{Access, Filter, Handling, Plan, Sort};
use fhir_storage::{Cursor, Version};
use http::StatusCode;

use self::asked::Asked;
use self::people::People;
use super::search;
use super::searchset::{Mode, Searchset};
use crate::access::Action;
use crate::http::call::{CURSOR, Call};
use crate::http::failure::{Failure, OutcomeIssue, Result};
use crate::http::place::BAD_PLACE;
use crate::http::reply::Reply;
use crate::server::Server;

/// Types whose `date` says when something happened clinically; `start` and `end` are about them alone.
const CLINICAL: [&str; 17] = [
    "AllergyIntolerance",
    "CarePlan",
    "CareTeam",
    "ClinicalImpression",
    "Composition",
    "Consent",
    "DiagnosticReport",
    "Encounter",
    "EpisodeOfCare",
    "FamilyMemberHistory",
    "Flag",
    "Immunization",
    "List",
    "Observation",
    "Procedure",
    "RiskAssessment",
    "SupplyRequest",
];

/// Where a page begins: in which phase, and behind what.
#[derive(Default)]
struct Place {
    phase: usize,
    cursor: Option<Cursor>,
}

impl Place {
    async fn of(server: &Server, call: &Call<'_>, bound: &str) -> Result<Self> {
        let Some(token) = call.parameter(CURSOR) else {
            return Ok(Self::default());
        };
        let bad = || Failure::invalid(BAD_PLACE);
        let text = server.places.open(bound, token).await?;
        let (phase, cursor) = text.split_once('~').ok_or_else(bad)?;
        let cursor = (!cursor.is_empty()).then(|| cursor.parse()).transpose();
        Ok(Self {
            phase: phase.parse().map_err(|_| bad())?,
            cursor: cursor.map_err(|_| bad())?,
        })
    }

    fn token(&self) -> String {
        let cursor = self.cursor.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{}~{cursor}", self.phase)
    }
}

/// Shows a page of everything.
pub async fn everything(server: &Server, call: &Call<'_>, of: ResourceType, id: &str) -> Result<Reply> {
    call.principal.require(Action::Read, of)?;
    let asked = Asked::of(server, call)?;
    let applied = asked.applied.iter();
    let bound = call.bound(applied.map(|(name, value)| (name.as_str(), value.as_str())));
    let place = Place::of(server, call, &bound).await?;
    let visible = call.principal.visible();
    let people = People::of(server, &call.principal.access(Action::Read), id).await?;
    let mut issues = asked.issues.clone();
    if let Some(successor) = &people.replaced_by {
        let text =
            format!("The patient with id `{id}` is no longer relevant. Use patient with id `{successor}` instead.");
        if call.prefer.strict {
            return Ok(moved(call, successor, &text));
        }
        issues.push(OutcomeIssue::warning("conflict", text));
    }
    let phases = phases(server, &people, &asked, &visible)?;
    let mut entries: Vec<(Version, Mode)> = Vec::new();
    if place.phase == 0 && place.cursor.is_none() {
        let shown = people.shown(server, &visible).await?.into_iter();
        entries.extend(shown.filter(|(version, _)| asked.wants(version)));
    }
    let (found, next) = page(server, phases, place).await?;
    entries.extend(found.into_iter().map(|version| (version, Mode::Match)));
    let next = match next {
        Some(next) => Some(server.places.seal(&bound, &next.token()).await?),
        None => None,
    };
    let next = next.map(|next| ("next", call.url(asked.applied.iter(), Some(&next))));
    let set = Searchset {
        base: &call.base,
        links: next
            .into_iter()
            .chain([("self", call.url(asked.applied.iter(), None))])
            .collect(),
        total: None,
        issues,
        entries: entries.iter().map(|(version, mode)| (version, *mode)).collect(),
        summary: Summary::False,
        elements: &[],
    };
    Ok(Reply::ok(set.write(server)))
}

/// 301 to the patient who has replaced this one.
fn moved(call: &Call<'_>, successor: &str, text: &str) -> Reply {
    let failure = Failure::new(StatusCode::MOVED_PERMANENTLY, "conflict", text);
    let there = format!("{}/Patient/{successor}/$everything", call.base);
    Reply {
        location: Some(there.clone()),
        // where clients of Microsoft's server look
        content_location: Some(there),
        ..Reply::from(&failure)
    }
}

/// Fills a page from a phase on; and where the next one begins.
async fn page(server: &Server, phases: Vec<Plan>, place: Place) -> Result<(Vec<Version>, Option<Place>)> {
    let most = server.parser.max_count;
    let mut found = Vec::new();
    let mut cursor = place.cursor;
    let last = phases.len();
    for (phase, plan) in phases.into_iter().enumerate().skip(place.phase) {
        let page = search::page(server, &plan, most - found.len(), cursor.take().as_ref()).await?;
        found.extend(page.entries);
        if page.next.is_some() {
            let cursor = page.next;
            return Ok((found, Some(Place { phase, cursor })));
        }
        if found.len() >= most && phase + 1 < last {
            return Ok((
                found,
                Some(Place {
                    phase: phase + 1,
                    cursor: None,
                }),
            ));
        }
    }
    Ok((found, None))
}

/// The searches that make up everything, in order.
fn phases(server: &Server, people: &People, asked: &Asked, visible: &Access) -> Result<Vec<Plan>> {
    let wanted = |of: &ResourceType| asked.types.as_ref().is_none_or(|types| types.contains(&of.name()));
    let device = server.definitions.resource_type("Device").filter(wanted);
    let in_compartment = server
        .definitions
        .compartment("Patient")
        .zip(device)
        .is_some_and(|(compartment, device)| compartment.contains(device));
    let mut phases = Vec::new();
    for id in &people.ids {
        let types: Vec<ResourceType> = server.definitions.resource_types().filter(wanted).collect();
        if asked.period.is_empty() {
            phases.push(compartment(server, id, &types, asked, visible)?);
        } else {
            let (dated, undated): (Vec<_>, Vec<_>) = types.into_iter().partition(|of| CLINICAL.contains(&of.name()));
            phases.push(compartment(server, id, &undated, asked, visible)?);
            for of in dated {
                let target = Target::Compartment {
                    name: "Patient".to_owned(),
                    id: id.clone(),
                    of: Some(of),
                };
                phases.push(plan(server, &target, asked.since.iter().chain(&asked.period), visible)?);
            }
        }
        if let Some(device) = device.filter(|_| !in_compartment) {
            let owner = ("patient".to_owned(), format!("Patient/{id}"));
            let pairs = asked.since.iter().chain(std::iter::once(&owner));
            phases.push(plan(server, &Target::Type(device), pairs, visible)?);
        }
    }
    // whom the first page has shown
    let shown = Filter::Not(Box::new(Filter::All(vec![
        Filter::Type(vec!["Patient".to_owned()]),
        Filter::Id(people.ids.clone()),
    ])));
    for plan in &mut phases {
        plan.filters.push(shown.clone());
    }
    Ok(phases)
}

fn compartment(server: &Server, id: &str, types: &[ResourceType], asked: &Asked, visible: &Access) -> Result<Plan> {
    let target = Target::Compartment {
        name: "Patient".to_owned(),
        id: id.to_owned(),
        of: None,
    };
    let mut plan = plan(server, &target, asked.since.iter(), visible)?;
    plan.types = types
        .iter()
        .filter(|of| visible.sees(of.name()))
        .map(|of| of.name().to_owned())
        .collect();
    if plan.types.is_empty() {
        plan.filters.push(Filter::Any(Vec::new()));
    }
    Ok(plan)
}

fn plan<'p>(
    server: &Server,
    target: &Target,
    pairs: impl Iterator<Item = &'p (String, String)>,
    visible: &Access,
) -> Result<Plan> {
    let pairs: Vec<_> = pairs.cloned().collect();
    let search = server.parser.parse(target, &pairs, Handling::Strict, visible);
    let plan = search.map_err(|error| search::refusal(&error))?.plan;
    Ok(Plan {
        sort: Sort::Creation,
        ..plan
    })
}
