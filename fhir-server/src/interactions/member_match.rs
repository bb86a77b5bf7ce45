//! `Patient/$member-match`: who a member of another payer is here, found by what is said of them and of their coverage.

use fhir_definitions::ResourceType;
use fhir_resource::{Document, Limits, Node};
use fhir_search::{Filter, ParamId, Plan, Sort, alike};
use http::StatusCode;

use super::search;
use crate::access::Action;
use crate::http::call::Call;
use crate::http::failure::{Failure, Result};
use crate::http::json::Json;
use crate::http::reply::Reply;
use crate::server::Server;

/// Identifiers of members have this type (HL7 table 0203), the answer's identifier the other one.
const IDENTIFIER_TYPES: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";
const MEMBER: &str = "MB";
const MATCHED: &str = "UMB";

/// Finds the one patient.
pub async fn member_match(server: &Server, call: &Call<'_>, of: ResourceType) -> Result<Reply> {
    call.principal.require(Action::Search, of)?;
    let member = resource(call, "MemberPatient", "Patient")?;
    let coverage = resource(call, "OldCoverage", "Coverage")?;
    let coverages = server
        .definitions
        .resource_type("Coverage")
        .ok_or_else(Failure::unknown_route)?;
    call.principal.require(Action::Search, coverages)?;
    let visible = call.principal.visible();
    let beneficiary = server.definitions.search_parameter(coverages, "beneficiary");
    let beneficiary = beneficiary.ok_or_else(Failure::unknown_route)?;
    let mut filters = alike::filters(&server.extractor.keys(of, member), true);
    filters.push(Filter::LinkedBy {
        url: None,
        param: ParamId::of(beneficiary),
        target: of.name().to_owned(),
        filters: std::iter::once(Filter::Type(vec![coverages.name().to_owned()]))
            .chain(alike::filters(&server.extractor.keys(coverages, coverage), false))
            .chain(visible.conditions(coverages.name()).into_iter().flatten())
            .collect(),
    });
    let mut plan = Plan {
        types: std::iter::once(of.name().to_owned()).collect(),
        filters,
        sort: Sort::Creation,
    };
    visible.limit(&mut plan);
    let page = search::page(server, &plan, 2, None).await?;
    match page.entries.as_slice() {
        [only] => {
            let found = Document::parse(only.body.clone(), Limits::default())?;
            let number = number(found.root()).ok_or_else(no_match)?;
            Ok(Reply::ok(answer(member, &number)))
        }
        [] => Err(no_match()),
        _ => Err(refusal("Found multiple matches, narrow search criteria.")),
    }
}

fn refusal(text: &str) -> Failure {
    Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "processing", text)
}

fn no_match() -> Failure {
    refusal("No match found.")
}

/// The resource of a parameter.
fn resource<'a>(call: &Call<'a>, name: &str, of: &str) -> Result<Node<'a>> {
    let parameters = call.resource.and_then(|resource| resource.get("parameter"));
    let parameter = parameters
        .into_iter()
        .flat_map(Node::items)
        .find(|parameter| parameter.text_of("name").is_some_and(|own| own == name));
    let resource = parameter.and_then(|parameter| parameter.get("resource"));
    resource
        .filter(|resource| resource.text_of("resourceType").is_some_and(|own| own == of))
        .ok_or_else(|| Failure::invalid(format!("The parameter '{name}' with a {of} is required.")))
}

/// The member's number here.
fn number(patient: Node<'_>) -> Option<String> {
    let mut identifiers = patient.get("identifier").into_iter().flat_map(Node::items);
    let is_member = |identifier: &Node<'_>| {
        let codings = identifier.get("type").and_then(|of| of.get("coding"));
        codings.into_iter().flat_map(Node::items).any(|coding| {
            coding.text_of("system").as_deref() == Some(IDENTIFIER_TYPES)
                && coding.text_of("code").as_deref() == Some(MEMBER)
        })
    };
    let identifier = identifiers.find(is_member)?;
    Some(identifier.text_of("value")?.into_owned())
}

/// The member as sent, with the number added.
fn answer(member: Node<'_>, number: &str) -> Vec<u8> {
    let mut json = Json::with_capacity(1024);
    json.object(|json| {
        json.member("resourceType", "Parameters");
        json.name("parameter").array(|json| {
            json.object(|json| {
                json.member("name", "MemberPatient");
                json.name("resource").object(|json| {
                    let others = member.entries().filter(|(name, _)| name != "identifier");
                    for (name, value) in others {
                        json.name(&name).raw(value.raw().as_bytes());
                    }
                    json.name("identifier").array(|json| {
                        for identifier in member.get("identifier").into_iter().flat_map(Node::items) {
                            json.raw(identifier.raw().as_bytes());
                        }
                        json.object(|json| matched(json, number));
                    });
                });
            });
        });
    });
    json.finish()
}

fn matched(json: &mut Json, number: &str) {
    json.name("type").object(|json| {
        json.name("coding").array(|json| {
            json.object(|json| {
                json.member("system", IDENTIFIER_TYPES).member("code", MATCHED);
                json.member("display", "Member Match");
            });
        });
    });
    json.member("value", number);
}
