//! What SMART apps are told: where to ask for authorization, and what is enforced here.

use crate::access::Endpoints;
use crate::http::failure::{Failure, Result};
use crate::http::json::Json;
use crate::http::reply::Reply;
use crate::server::Server;

/// What this server enforces (SMART App Launch 2.2, "Capability sets"). What the authorization server does, it says itself.
const CAPABILITIES: [&str; 4] = [
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
];
const SCOPES: [&str; 8] = [
    "openid",
    "fhirUser",
    "launch/patient",
    "offline_access",
    "patient/*.cruds",
    "user/*.cruds",
    "system/*.cruds",
    "patient/*.read",
];

/// The endpoints by settings, or else by the first issuer's discovery document.
pub fn endpoints(server: &Server) -> Option<Endpoints> {
    if !server.smart.enabled {
        return None;
    }
    let found = server.access.endpoints();
    let found = found.unwrap_or_default();
    Some(Endpoints {
        authorization: server.smart.authorization_endpoint.clone().or(found.authorization),
        token: server.smart.token_endpoint.clone().or(found.token),
    })
}

/// `GET .well-known/smart-configuration`
pub fn smart_configuration(server: &Server) -> Result<Reply> {
    let endpoints = endpoints(server).ok_or_else(Failure::unknown_route)?;
    let token = endpoints
        .token
        .ok_or_else(|| Failure::unavailable("The issuer hasn't said yet where its endpoints are."))?;
    let mut json = Json::with_capacity(1024);
    json.object(|json| {
        if let Some(authorization) = &endpoints.authorization {
            json.member("authorization_endpoint", authorization);
        }
        json.member("token_endpoint", &token);
        let mut list = |name: &str, values: &[&str]| {
            json.name(name).array(|json| {
                for value in values {
                    json.text(value);
                }
            });
        };
        list("grant_types_supported", &["authorization_code", "client_credentials"]);
        list("scopes_supported", &SCOPES);
        list("response_types_supported", &["code"]);
        list("code_challenge_methods_supported", &["S256"]);
        list("capabilities", &CAPABILITIES);
    });
    Ok(Reply {
        foreign: Some("application/json"),
        ..Reply::ok(json.finish())
    })
}
