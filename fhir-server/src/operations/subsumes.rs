//! `CodeSystem/$subsumes`: which of two codes is the wider one.

use fhir_definitions::ResourceType;

use super::asked::{self, Asked, Coding};
use super::validate_code::code_system;
use crate::access::Action;
use crate::http::call::Call;
use crate::http::failure::{Failure, Result};
use crate::http::reply::Reply;
use crate::server::Server;

/// Compares two codes of one system.
pub async fn subsumes(server: &Server, call: &Call<'_>, of: ResourceType, id: Option<&str>) -> Result<Reply> {
    call.principal.require(Action::Read, of)?;
    let asked = Asked::of(call, "")?;
    let code = |name: &str, coding: &str| -> Result<Coding> {
        if let Some(coding) = asked.coding(coding) {
            return Ok(coding);
        }
        let code = asked
            .one(name)?
            .ok_or_else(|| Failure::invalid(format!("The parameter '{name}', or by POST '{coding}', is required.")))?;
        Ok(Coding {
            code: code.to_owned(),
            ..Coding::default()
        })
    };
    let codings = [code("codeA", "codingA")?, code("codeB", "codingB")?];
    let system = code_system(server, call, &asked, id, &codings).await?;
    let find = |coding: &Coding| {
        let number = system.find(&coding.code);
        let number = number.filter(|_| coding.system.as_deref().is_none_or(|own| own == system.url));
        number.ok_or_else(|| {
            let text = format!("The code system '{}' has no code '{}' here.", system.url, coding.text());
            Failure::new(http::StatusCode::NOT_FOUND, "not-found", text)
        })
    };
    let [left, right] = &codings;
    let (left, right) = (find(left)?, find(right)?);
    let outcome = if left == right {
        "equivalent"
    } else if system.subsumes(left, right) {
        "subsumes"
    } else if system.subsumes(right, left) {
        "subsumed-by"
    } else {
        "not-subsumed"
    };
    Ok(Reply::ok(asked::answer(|json| {
        asked::parameter(json, "outcome", "valueCode", outcome);
    })))
}
