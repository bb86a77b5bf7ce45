//! The table of paths and methods: it routes requests and entries of bundles, and is what the CapabilityStatement and the
//! OpenAPI document say.

use fhir_definitions::{Definitions, ResourceType};
use http::Method;

use super::failure::{Failure, Result};
use super::operation::{Operation, allow, served_as};
use super::route::Interaction;
use crate::jobs::reindex;

/// A segment of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// This word.
    Word(&'static str),
    /// A resource type.
    Type,
    /// A resource type that is a compartment.
    Compartment,
    /// A resource type whose members of a compartment are asked for.
    Member,
    /// The id of a resource.
    Id,
    /// A version of a resource.
    Version,
    /// `$operation`
    Operation,
}

/// What the parts of a path are.
pub struct Found<'p> {
    method: &'p Method,
    of: Option<ResourceType>,
    member: Option<ResourceType>,
    id: &'p str,
    version: &'p str,
    operation: &'p str,
}

impl Found<'_> {
    /// The type in the path, which rows with [`Part::Type`] have.
    fn of(&self) -> Result<ResourceType> {
        self.of.ok_or_else(Failure::unknown_route)
    }

    fn id(&self) -> String {
        self.id.to_owned()
    }

    fn operation(&self, id: Option<&str>) -> Result<Interaction> {
        Operation::of(self.method, self.operation, self.of, id).map(Interaction::Operation)
    }
}

fn compartment(found: &Found<'_>) -> Result<Interaction> {
    Ok(Interaction::SearchCompartment {
        name: found.of()?.name().to_owned(),
        id: found.id(),
        of: found.member,
    })
}

fn job(found: &Found<'_>) -> Interaction {
    Interaction::Job(reindex::KIND.to_owned(), found.id())
}

/// What a method asks for.
pub type Make = fn(&Found<'_>) -> Result<Interaction>;

/// A path, and what its methods ask for; HEAD counts as GET.
pub struct Route {
    /// Below the base.
    pub path: &'static [Part],
    /// In the order of documents.
    pub methods: &'static [(Method, Make)],
}

use Part::{Compartment, Id, Member, Type, Version, Word};

/// Everything that is served, but for operations, which have a table of their own. The first path that fits is taken.
pub static ROUTES: &[Route] = &[
    Route {
        path: &[],
        methods: &[
            (Method::GET, |_| Ok(Interaction::SearchSystem)),
            (Method::POST, |_| Ok(Interaction::Bundle)),
        ],
    },
    Route {
        path: &[Word("metadata")],
        methods: &[(Method::GET, |_| Ok(Interaction::Capabilities))],
    },
    Route {
        path: &[Word("openapi.json")],
        methods: &[(Method::GET, |_| Ok(Interaction::OpenApi))],
    },
    Route {
        path: &[Word(".well-known"), Word("smart-configuration")],
        methods: &[(Method::GET, |_| Ok(Interaction::SmartConfiguration))],
    },
    Route {
        path: &[Word("$versions")],
        methods: &[(Method::GET, |_| Ok(Interaction::Versions))],
    },
    Route {
        path: &[Word("_history")],
        methods: &[(Method::GET, |_| Ok(Interaction::HistorySystem))],
    },
    Route {
        path: &[Word("_search")],
        methods: &[
            (Method::GET, |_| Ok(Interaction::SearchSystem)),
            (Method::POST, |_| Ok(Interaction::SearchSystem)),
        ],
    },
    Route {
        path: &[Word("_operations"), Word(reindex::KIND), Id],
        methods: &[
            (Method::GET, |found| Ok(job(found))),
            (Method::DELETE, |found| Ok(job(found))),
        ],
    },
    Route {
        path: &[Type],
        methods: &[
            (Method::GET, |found| Ok(Interaction::SearchType(found.of()?))),
            (Method::POST, |found| Ok(Interaction::Create(found.of()?))),
            (Method::PUT, |found| Ok(Interaction::ConditionalUpdate(found.of()?))),
            (Method::PATCH, |found| Ok(Interaction::ConditionalPatch(found.of()?))),
            (Method::DELETE, |found| Ok(Interaction::ConditionalDelete(found.of()?))),
        ],
    },
    Route {
        path: &[Type, Word("_search")],
        methods: &[
            (Method::GET, |found| Ok(Interaction::SearchType(found.of()?))),
            (Method::POST, |found| Ok(Interaction::SearchType(found.of()?))),
        ],
    },
    Route {
        path: &[Type, Word("_history")],
        methods: &[(Method::GET, |found| Ok(Interaction::HistoryType(found.of()?)))],
    },
    Route {
        path: &[Type, Id],
        methods: &[
            (Method::GET, |found| Ok(Interaction::Read(found.of()?, found.id()))),
            (Method::PUT, |found| Ok(Interaction::Update(found.of()?, found.id()))),
            (Method::PATCH, |found| Ok(Interaction::Patch(found.of()?, found.id()))),
            (Method::DELETE, |found| Ok(Interaction::Delete(found.of()?, found.id()))),
        ],
    },
    Route {
        path: &[Type, Id, Word("_history")],
        methods: &[(Method::GET, |found| {
            Ok(Interaction::HistoryInstance(found.of()?, found.id()))
        })],
    },
    Route {
        path: &[Type, Id, Word("_history"), Version],
        methods: &[(Method::GET, |found| {
            let version = found.version.to_owned();
            Ok(Interaction::VersionRead(found.of()?, found.id(), version))
        })],
    },
    Route {
        path: &[Compartment, Id, Word("*")],
        methods: &[(Method::GET, compartment)],
    },
    Route {
        path: &[Compartment, Id, Member],
        methods: &[(Method::GET, compartment)],
    },
    Route {
        path: &[Compartment, Id, Member, Word("_search")],
        methods: &[(Method::GET, compartment), (Method::POST, compartment)],
    },
];

/// Where operations are called: which methods and types they have is said by their own table.
const OPERATIONS: [&[Part]; 3] = [
    &[Part::Operation],
    &[Type, Part::Operation],
    &[Type, Id, Part::Operation],
];

impl Part {
    fn fits(self, segment: &str, definitions: &'static Definitions) -> bool {
        match self {
            Self::Word(word) => word == segment,
            Self::Compartment => definitions.compartment(segment).is_some(),
            Self::Type | Self::Member => !segment.starts_with(['$', '_', '.']),
            Self::Id => !segment.starts_with(['$', '_']),
            Self::Version => true,
            Self::Operation => segment.starts_with('$'),
        }
    }
}

/// Finds the interaction of a path below the base.
pub fn interaction(method: &Method, path: &[String], definitions: &'static Definitions) -> Result<Interaction> {
    let fits = |parts: &[Part]| {
        parts.len() == path.len()
            && parts
                .iter()
                .zip(path)
                .all(|(part, segment)| part.fits(segment, definitions))
    };
    if let Some(route) = ROUTES.iter().find(|route| fits(route.path)) {
        let found = found(route.path, method, path, definitions)?;
        let method = served_as(method);
        let served = route.methods.iter().find(|(served, _)| served == method);
        let (_, make) = served.ok_or_else(|| {
            let methods = route.methods.iter().map(|(method, _)| method);
            Failure::method_not_allowed(allow(methods))
        })?;
        return make(&found);
    }
    let parts = OPERATIONS.into_iter().find(|parts| fits(parts));
    let parts = parts.ok_or_else(Failure::unknown_route)?;
    let found = found(parts, method, path, definitions)?;
    found.operation(parts.contains(&Id).then_some(found.id))
}

/// The `Allow` of a path below the base.
pub fn allowed(path: &[String], definitions: &'static Definitions) -> Result<String> {
    // no row has OPTIONS, so what refuses it tells what there is
    match interaction(&Method::OPTIONS, path, definitions) {
        Ok(_) => Err(Failure::unknown_route()),
        Err(failure) => failure.allow.clone().ok_or(failure),
    }
}

fn found<'p>(
    parts: &[Part],
    method: &'p Method,
    path: &'p [String],
    definitions: &'static Definitions,
) -> Result<Found<'p>> {
    let mut found = Found {
        method,
        of: None,
        member: None,
        id: "",
        version: "",
        operation: "",
    };
    for (part, segment) in parts.iter().zip(path) {
        let of_type = || {
            let known = definitions.resource_type(segment);
            known.ok_or_else(|| Failure::unknown_type(segment)).map(Some)
        };
        match part {
            Part::Word(_) => {}
            Part::Type | Part::Compartment => found.of = of_type()?,
            Part::Member => found.member = of_type()?,
            Part::Id => found.id = segment,
            Part::Version => found.version = segment,
            Part::Operation => found.operation = segment.strip_prefix('$').unwrap_or(segment),
        }
    }
    Ok(found)
}

/// A line of the table for documents.
pub struct Row {
    /// The path as a template: `/{type}/{id}`.
    pub path: String,
    /// The method.
    pub method: &'static Method,
    /// What it asks for, of a Patient where a type is asked for.
    pub interaction: Interaction,
}

/// The table for documents, without operations.
pub fn rows(definitions: &'static Definitions) -> Vec<Row> {
    let sample = definitions.resource_type("Patient");
    let mut rows = Vec::new();
    for route in ROUTES {
        let parts: Vec<&str> = route.path.iter().map(|part| part.template()).collect();
        let path = format!("/{}", parts.join("/"));
        for (method, make) in route.methods {
            let found = Found {
                method,
                of: sample,
                member: sample.filter(|_| route.path.contains(&Member)),
                id: "id",
                version: "1",
                operation: "",
            };
            rows.extend(make(&found).ok().map(|interaction| Row {
                path: path.clone(),
                method,
                interaction,
            }));
        }
    }
    rows
}

impl Part {
    fn template(self) -> &'static str {
        match self {
            Self::Word(word) => word,
            Self::Type => "{type}",
            Self::Compartment => "{compartment}",
            Self::Member => "{member}",
            Self::Id => "{id}",
            Self::Version => "{version}",
            Self::Operation => "{operation}",
        }
    }
}
