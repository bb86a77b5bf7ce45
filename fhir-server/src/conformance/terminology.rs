//! The `TerminologyCapabilities` of R4 (`GET metadata?mode=terminology`): which code systems the server knows, and what it
//! does with them.

use fhir_definitions::TerminologyKind;

use super::capabilities::head;
use crate::http::call::Call;
use crate::http::failure::{Failure, Result};
use crate::http::json::Json;
use crate::http::operation::SERVED;
use crate::http::reply::Reply;
use crate::server::Server;

/// `GET metadata?mode=terminology`
pub fn terminology(server: &Server, call: &Call<'_>) -> Result<Reply> {
    let known = server.definitions.terminology_list(TerminologyKind::CodeSystem);
    let known = known.map_err(|error| Failure::internal(&error))?;
    let serves = |code: &str| SERVED.iter().any(|served| served.code == code);
    let mut json = Json::with_capacity(256 << 10);
    json.object(|json| {
        json.member("resourceType", "TerminologyCapabilities");
        head(call, json);
        json.name("codeSystem").array(|json| {
            for (url, version) in &known {
                json.object(|json| {
                    json.member("uri", url);
                    if !version.is_empty() {
                        json.name("version").array(|json| {
                            json.object(|json| {
                                json.member("code", version).flag("isDefault", true);
                            });
                        });
                    }
                    json.flag("subsumption", serves("subsumes"));
                });
            }
        });
        if serves("expand") {
            json.name("expansion").object(|json| {
                json.flag("hierarchical", false).flag("paging", true);
            });
        }
        json.member("codeSearch", "explicit");
        if serves("validate-code") {
            json.name("validateCode").object(|json| {
                json.flag("translations", false);
            });
        }
    });
    Ok(Reply::ok(json.finish()))
}
