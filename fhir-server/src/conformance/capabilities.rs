//! The CapabilityStatement, made from the tables when it is asked for: kept, it would be the largest thing in memory.

use fhir_definitions::{FhirVersion, ResourceType};

use fhir_search::Parameters;
use fhir_search::include::Directory;

use crate::http::call::Call;
use crate::http::failure::{Failure, Result};
use crate::http::json::Json;
use crate::http::negotiation::FORMATS;
use crate::http::operation::SERVED;
use crate::http::reply::Reply;
use crate::server::Server;

const INTERACTIONS: [&str; 8] = [
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
];

/// `GET metadata`
pub fn capabilities(server: &Server, call: &Call<'_>) -> Result<Reply> {
    match call.parameter("mode") {
        None | Some("full" | "normative") => {}
        Some(other) => {
            return Err(Failure::invalid(format!(
                "The 'mode' parameter value '{other}' is not supported, use `full`."
            )));
        }
    }
    let mut json = Json::with_capacity(512 << 10);
    json.object(|json| {
        json.member("resourceType", "CapabilityStatement")
            .member("url", &format!("{}/metadata", call.base));
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
            json.text("application/json-patch+json").text("application/fhir+json");
        });
        json.name("rest").array(|json| {
            json.object(|json| rest(server, json));
        });
    });
    Ok(Reply::ok(json.finish()))
}

/// The statement changes with the release, not with the day.
const RELEASED: &str = "2026-11-01";

fn rest(server: &Server, json: &mut Json) {
    let known = server.parameters.load();
    json.member("mode", "server");
    if !server.access.is_anonymous() {
        json.name("security").object(|json| {
            json.name("service").array(|json| {
                json.object(|json| {
                    json.name("coding").array(|json| {
                        json.object(|json| {
                            let system = match server.version {
                                FhirVersion::R4 => "http://terminology.hl7.org/CodeSystem/restful-security-service",
                                FhirVersion::Stu3 => "http://hl7.org/fhir/restful-security-service",
                            };
                            json.member("system", system).member("code", "OAuth");
                        });
                    });
                });
            });
        });
    }
    json.name("resource").array(|json| {
        let includes = Directory::of(&known).by_type;
        for (of, includes) in server.definitions.resource_types().zip(&includes) {
            json.object(|json| resource(&known, of, includes, json));
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
        for operation in &SERVED {
            json.object(|json| {
                json.member("name", operation.code);
                match server.version {
                    FhirVersion::R4 => json.member("definition", operation.definition),
                    FhirVersion::Stu3 => json.name("definition").object(|json| {
                        json.member("reference", operation.definition);
                    }),
                };
            });
        }
    });
}

fn resource(known: &Parameters, of: ResourceType, (includes, reverse): &(Vec<String>, Vec<String>), json: &mut Json) {
    json.member("type", of.name());
    let profile = of.structure().url();
    match of.version() {
        FhirVersion::R4 => {
            json.member("profile", profile);
        }
        FhirVersion::Stu3 => {
            json.name("profile").object(|json| {
                json.member("reference", profile);
            });
        }
    }
    json.name("interaction").array(|json| {
        for code in INTERACTIONS.into_iter().chain(["search-type"]) {
            json.object(|json| {
                json.member("code", code);
            });
        }
    });
    json.member("versioning", "versioned-update")
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
}
