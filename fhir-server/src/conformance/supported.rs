//! The profiles that are stored, as the CapabilityStatement names them. Anybody may ask for it, so they are read again only
//! where a profile was stored, changed or deleted since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use fhir_resource::{Document, Limits};
use fhir_search::{Access, Plan};
use fhir_storage::{HistoryQuery, Order, ReadError, Scope};

use crate::interactions::search;
use crate::server::Server;
use crate::terminology::reader;

const TYPE: &str = "StructureDefinition";
/// Profiles that are named at most.
const MOST: usize = 1000;

/// URLs of profiles by the type that they are of.
pub type ByType = BTreeMap<String, BTreeSet<String>>;

/// What was read, and of which state of the database that is.
#[derive(Default)]
pub struct Supported(Mutex<Option<(State, Arc<ByType>)>>);

/// How many profiles there are, and the last change of any definition. The count is for what is deleted without a trace.
#[derive(PartialEq)]
struct State {
    count: u64,
    last: Option<(String, u32)>,
}

/// The profiles now. Without a database there are none.
pub async fn supported(server: &Server) -> Arc<ByType> {
    let wanted: [(&str, &[&str]); 2] = [("derivation", &["constraint"]), ("kind", &["resource"])];
    let Ok(plan) = reader::plan(server, &Access::All, TYPE, &wanted) else {
        return Arc::default();
    };
    let Ok(state) = state(server, &plan).await else {
        return Arc::default();
    };
    let known = || server.supported.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((of, profiles)) = &*known()
        && *of == state
    {
        return Arc::clone(profiles);
    }
    // What changes while it is read is of a later state, for which it is read once more.
    let Ok(profiles) = read(server, &plan).await else {
        return Arc::default();
    };
    let profiles = Arc::new(profiles);
    *known() = Some((state, Arc::clone(&profiles)));
    profiles
}

async fn state(server: &Server, plan: &Plan) -> Result<State, ReadError> {
    let newest = HistoryQuery {
        scope: Scope::Type(TYPE.to_owned()),
        access: Access::All,
        since: None,
        before: None,
        order: Order::NewestFirst,
        count: 1,
        after: None,
    };
    let newest = server.store.history(&newest, server.effort()).await?;
    Ok(State {
        count: server.store.count(plan, server.effort()).await?,
        last: newest.entries.into_iter().next().map(|last| (last.id, last.version)),
    })
}

async fn read(server: &Server, plan: &Plan) -> crate::http::failure::Result<ByType> {
    let mut found = ByType::new();
    for version in search::page(server, plan, MOST, None).await?.entries {
        let Ok(document) = Document::parse(version.body, Limits::default()) else {
            continue;
        };
        let text = |name| document.root().text_of(name).map(std::borrow::Cow::into_owned);
        if let (Some(of), Some(url)) = (text("type"), text("url")) {
            found.entry(of).or_default().insert(url);
        }
    }
    Ok(found)
}
