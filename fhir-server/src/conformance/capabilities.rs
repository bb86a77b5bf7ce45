//! The CapabilityStatement, made from the tables when it is asked for: kept, it would be the largest thing in memory.

use fhir_definitions::{FhirVersion, ResourceType};
use fhir_search::Parameters;
use fhir_search::include::Directory;

use super::smart;
use super::supported::{ByType, supported};
use super::terminology::terminology;
use crate::http::call::Call;
use crate::http::failure::{Failure, Result};
use crate::http::json::Json;
use crate::http::negotiation::FORMATS;
use crate::http::operation::{SERVED, Served};
use crate::http::reply::Reply;
use crate::http::routes;
use crate::server::Server;

/// FHIR's codes for what is done with a type (value set type-restful-interaction).
const OF_TYPES: [&str; 9] = [
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
];

/// `GET metadata`
pub async fn capabilities(server: &Server, call: &Call<'_>) -> Result<Reply> {
    match (call.parameter("mode"), server.version) {
        (None | Some("full" | "normative"), _) => {}
        (Some("terminology"), FhirVersion::R4) => return terminology(server, call),
        (Some(other), _) => {
            return Err(Failure::invalid(format!(
                "The 'mode' parameter value '{other}' is not supported, use `full`."
            )));
        }
    }
    let profiles = supported(server).await;
    let mut json = Json::with_capacity(512 << 10);
    json.object(|json| {
        json.member("resourceType", "CapabilityStatement");
        head(call, json);
        json.member("fhirVersion", server.version.release());
        if server.version == FhirVersion::Stu3 {
            json.member("acceptUnknown", "extensions");
        }
        json.name("format").array(|json| {
            for format in FORMATS {
                json.text(format);
            }
        });
        json.name("patchFormat").array(|json| {
            json.text("application/json-patch+json");
            json.text("application/fhir+json").text("application/fhir+xml");
        });
        if server.version == FhirVersion::Stu3 && !profiles.is_empty() {
            json.name("profile").array(|json| {
                for url in profiles.values().flatten() {
                    json.object(|json| {
                        json.member("reference", url);
                    });
                }
            });
        }
        json.name("rest").array(|json| {
            json.object(|json| rest(server, &profiles, json));
        });
    });
    Ok(Reply::ok(json.finish()))
}

const OAUTH_URIS: &str = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris";

/// The statement changes with the release, not with the day.
const RELEASED: &str = "2026-11-01";

/// What statements of every mode begin with.
pub fn head(call: &Call<'_>, json: &mut Json) {
    json.member("url", &format!("{}/metadata", call.base));
    json.member("version", env!("CARGO_PKG_VERSION"))
        .member("name", "fhir-server")
        .member("status", "active");
    json.member("date", RELEASED).member("kind", "instance");
    json.name("software").object(|json| {
        json.member("name", "fhir-server")
            .member("version", env!("CARGO_PKG_VERSION"));
    });
    json.name("implementation").object(|json| {
        json.member("description", "FHIR service").member("url", &call.base);
    });
}

fn rest(server: &Server, profiles: &ByType, json: &mut Json) {
    let known = server.parameters.load();
    json.member("mode", "server");
    if server.cors.is_some() || !server.access.is_anonymous() {
        json.name("security").object(|json| {
            if server.access.is_anonymous() {
                json.flag("cors", true);
            } else {
                security(server, json);
            }
        });
    }
    let rows = routes::rows(server.definitions);
    let served: Vec<&str> = rows.iter().map(|row| row.interaction.code()).collect();
    json.name("resource").array(|json| {
        let includes = Directory::of(&known).by_type;
        for (of, includes) in server.definitions.resource_types().zip(&includes) {
            json.object(|json| resource(server, (&known, &served, profiles), of, includes, json));
        }
    });
    json.name("interaction").array(|json| {
        for code in ["batch", "transaction", "history-system", "search-system"] {
            if code != "transaction" || server.limits.transaction_bundles() {
                json.object(|json| {
                    json.member("code", code);
                });
            }
        }
    });
    json.name("searchParam").array(|json| {
        for parameter in known.common().filter(|found| !found.expression().is_empty()) {
            json.object(|json| {
                json.member("name", parameter.code())
                    .member("definition", parameter.url());
                json.member("type", parameter.kind().code());
            });
        }
    });
    json.name("operation").array(|json| {
        for served in SERVED {
            operation(server.version, served, json);
        }
    });
    json.name("compartment").array(|json| {
        for compartment in server.definitions.compartments() {
            let id = compartment.name().to_ascii_lowercase();
            json.text(&format!("http://hl7.org/fhir/CompartmentDefinition/{id}"));
        }
    });
}

fn operation(version: FhirVersion, served: &Served, json: &mut Json) {
    json.object(|json| {
        json.member("name", served.code);
        match version {
            FhirVersion::R4 => json.member("definition", served.definition),
            FhirVersion::Stu3 => json.name("definition").object(|json| {
                json.member("reference", served.definition);
            }),
        };
    });
}

fn resource(
    server: &Server,
    (known, served, profiles): (&Parameters, &[&str], &ByType),
    of: ResourceType,
    (includes, reverse): &(Vec<String>, Vec<String>),
    json: &mut Json,
) {
    json.member("type", of.name());
    let profile = of.structure().url();
    match of.version() {
        FhirVersion::R4 => {
            json.member("profile", profile);
            if let Some(supported) = profiles.get(of.name()) {
                json.name("supportedProfile").array(|json| {
                    for url in supported {
                        json.text(url);
                    }
                });
            }
        }
        FhirVersion::Stu3 => {
            json.name("profile").object(|json| {
                json.member("reference", profile);
            });
        }
    }
    json.name("interaction").array(|json| {
        for code in OF_TYPES.into_iter().filter(|code| served.contains(code)) {
            json.object(|json| {
                json.member("code", code);
            });
        }
    });
    json.member("versioning", server.history.of(of.name()).code())
        .flag("readHistory", true)
        .flag("updateCreate", true);
    json.flag("conditionalCreate", true)
        .member("conditionalRead", "full-support");
    json.flag("conditionalUpdate", true)
        .member("conditionalDelete", "multiple");
    for (name, values) in [("searchInclude", includes), ("searchRevInclude", reverse)] {
        if !values.is_empty() {
            json.name(name).array(|json| {
                json.text("*");
                for value in values {
                    json.text(value);
                }
            });
        }
    }
    json.name("searchParam").array(|json| {
        for parameter in known.searched(of).filter(|found| !found.expression().is_empty()) {
            json.object(|json| {
                json.member("name", parameter.code())
                    .member("definition", parameter.url());
                json.member("type", parameter.kind().code());
            });
        }
    });
    // STU3 lists operations once, for all types
    if of.version() == FhirVersion::R4 && SERVED.iter().any(|served| served.is_of(of.name())) {
        json.name("operation").array(|json| {
            for served in SERVED.iter().filter(|served| served.is_of(of.name())) {
                operation(of.version(), served, json);
            }
        });
    }
}

/// How to get in; SMART apps of the first version look for the endpoints here.
fn security(server: &Server, json: &mut Json) {
    let endpoints = smart::endpoints(server);
    if let Some(endpoints) = &endpoints {
        json.name("extension").array(|json| {
            json.object(|json| {
                json.member("url", OAUTH_URIS);
                json.name("extension").array(|json| {
                    let uris = [("authorize", &endpoints.authorization), ("token", &endpoints.token)];
                    for (name, uri) in uris {
                        let Some(uri) = uri else { continue };
                        json.object(|json| {
                            json.member("url", name).member("valueUri", uri);
                        });
                    }
                });
            });
        });
    }
    if server.cors.is_some() {
        json.flag("cors", true);
    }
    let system = match server.version {
        FhirVersion::R4 => "http://terminology.hl7.org/CodeSystem/restful-security-service",
        FhirVersion::Stu3 => "http://hl7.org/fhir/restful-security-service",
    };
    json.name("service").array(|json| {
        let smart = endpoints.as_ref().map(|_| "SMART-on-FHIR");
        for code in std::iter::once("OAuth").chain(smart) {
            json.object(|json| {
                json.name("coding").array(|json| {
                    json.object(|json| {
                        json.member("system", system).member("code", code);
                    });
                });
            });
        }
    });
}
