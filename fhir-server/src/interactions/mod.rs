//! One file an interaction. Each takes a [`Call`] and gives a [`Reply`]; none knows HTTP's headers or bytes.

mod batch;
mod create;
mod delete;
mod everything;
mod history;
mod member_match;
mod pages;
pub mod patch;
pub mod read;
pub mod search;
pub mod searchset;
mod subset;
mod transaction;
pub mod update;

use std::sync::Arc;

use crate::conformance;
use crate::http::call::Call;
use crate::http::failure::{Failure, Result};
use crate::http::openapi;
use crate::http::operation::{Name, Operation};
use crate::http::reply::Reply;
use crate::http::route::Interaction;
use crate::operations::{self, last_n, meta, meta_in_use, purge_history, reindex, search_parameter_status};
use crate::server::Server;

/// Does what is asked.
pub async fn perform(server: &Arc<Server>, interaction: &Interaction, call: &Call<'_>) -> Result<Reply> {
    if !interaction.is_open() {
        call.principal.require_any_role()?;
    }
    match interaction {
        // done in place: the futures of all others are several times as large, and every request would carry them
        Interaction::Read(of, id) => read::read(server, call, *of, id).await,
        Interaction::Bundle => Box::pin(batch::bundle(server, call)).await,
        other => Box::pin(single(server, other, call)).await,
    }
}

/// Everything but bundles, which are made of these.
async fn single(server: &Arc<Server>, interaction: &Interaction, call: &Call<'_>) -> Result<Reply> {
    match interaction {
        Interaction::Capabilities => read::shown(server, call, conformance::capabilities(server, call).await?),
        Interaction::Versions => Ok(conformance::versions(server, call)),
        Interaction::OpenApi => Ok(openapi::openapi(server.definitions, &call.base)),
        Interaction::SmartConfiguration => conformance::smart_configuration(server),
        Interaction::Read(of, id) => read::read(server, call, *of, id).await,
        Interaction::VersionRead(of, id, version) => read::version(server, call, *of, id, version).await,
        Interaction::Create(of) => create::create(server, call, *of).await,
        Interaction::Update(of, id) => update::update(server, call, *of, id).await,
        Interaction::ConditionalUpdate(of) => update::conditional(server, call, *of).await,
        Interaction::Patch(of, id) => patch::patch(server, call, *of, id).await,
        Interaction::ConditionalPatch(of) => patch::conditional(server, call, *of).await,
        Interaction::Delete(of, id) => {
            let reply = delete::delete(server, call, *of, id).await?;
            Ok(update::removed(call, reply))
        }
        Interaction::ConditionalDelete(of) => {
            let reply = delete::conditional(server, call, *of).await?;
            Ok(update::removed(call, reply))
        }
        Interaction::HistoryInstance(..) | Interaction::HistoryType(_) | Interaction::HistorySystem => {
            history::history(server, call, interaction).await
        }
        Interaction::SearchSystem | Interaction::SearchType(_) | Interaction::SearchCompartment { .. } => {
            search::search(server, call, interaction).await
        }
        Interaction::Operation(operation) => perform_operation(server, operation, call).await,
        Interaction::Job(kind, id) if kind == crate::jobs::reindex::KIND => reindex::job(server, call, id).await,
        Interaction::Job(..) => Err(Failure::unknown_route()),
        Interaction::Bundle => batch::nested(),
    }
}

async fn perform_operation(server: &Arc<Server>, operation: &Operation, call: &Call<'_>) -> Result<Reply> {
    match (operation.served.name, operation.of, operation.id.as_deref()) {
        (Name::Everything, Some(of), Some(id)) => everything::everything(server, call, of, id).await,
        (Name::LastN, Some(of), None) => last_n::last_n(server, call, of).await,
        (Name::Meta, Some(of), Some(id)) => meta::of_instance(server, call, of, id).await,
        (Name::Meta, of, None) => meta_in_use::in_use(server, call, of).await,
        (Name::MetaAdd, Some(of), Some(id)) => meta::edit(server, call, of, id, meta::Edit::Add).await,
        (Name::MetaDelete, Some(of), Some(id)) => meta::edit(server, call, of, id, meta::Edit::Delete).await,
        (Name::PurgeHistory, Some(of), Some(id)) => purge_history::purge_history(server, call, of, id).await,
        (Name::Reindex, None, _) => reindex::start(server, call).await,
        (Name::Reindex, Some(of), Some(id)) => reindex::instance(server, call, of, id).await,
        (Name::Status, Some(of), None) => search_parameter_status::status(server, call, of).await,
        (Name::MemberMatch, Some(of), None) => member_match::member_match(server, call, of).await,
        (Name::Expand, Some(of), id) => operations::expand::expand(server, call, of, id).await,
        (Name::ValidateCode, Some(of), id) => operations::validate_code::validate_code(server, call, of, id).await,
        (Name::Lookup, Some(of), None) => operations::lookup::lookup(server, call, of).await,
        (Name::Translate, Some(of), id) => operations::translate::translate(server, call, of, id).await,
        (Name::Subsumes, Some(of), id) => operations::subsumes::subsumes(server, call, of, id).await,
        (Name::Validate, Some(of), id) => operations::validate::validate(server, call, of, id).await,
        (Name::Includes, _, None) => {
            let interaction = Interaction::Operation(operation.clone());
            search::search(server, call, &interaction).await
        }
        _ => Err(Failure::unknown_route()),
    }
}
