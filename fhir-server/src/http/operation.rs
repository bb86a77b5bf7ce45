//! The operations that are served: one table, which routes requests and fills the CapabilityStatement.

use fhir_definitions::ResourceType;
use http::Method;

use super::failure::{Failure, Result};

/// An operation's own work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// A patient with all that is about them.
    Everything,
    /// The latest observations of each kind.
    LastN,
    /// What a page of a search includes beyond its limit.
    Includes,
    /// Who a member of another payer is here.
    MemberMatch,
    /// The members of a value set.
    Expand,
    /// Whether a code is in a value set or a code system.
    ValidateCode,
    /// What a code means.
    Lookup,
    /// Which of two codes is the wider one.
    Subsumes,
    /// What a code is in another code system.
    Translate,
    /// Whether a resource keeps all rules.
    Validate,
    /// Profiles, labels and tags.
    Meta,
    /// More of them.
    MetaAdd,
    /// Less of them.
    MetaDelete,
    /// The current version alone stays.
    PurgeHistory,
    /// Index rows for changed search parameters.
    Reindex,
    /// Which search parameters are searched.
    Status,
}

/// Where an operation is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// `$operation`
    System,
    /// `Type/$operation`
    Type,
    /// `Type/id/$operation`
    Instance,
}

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Served {
    /// What it does.
    pub name: Name,
    /// After the `$`.
    pub code: &'static str,
    /// Its definition.
    pub definition: &'static str,
    methods: &'static [Method],
    levels: &'static [Level],
    /// Types that have it; empty: all.
    types: &'static [&'static str],
}

/// Everything that is served.
pub static SERVED: &[Served] = &[
    Served {
        name: Name::Everything,
        code: "everything",
        definition: "http://hl7.org/fhir/OperationDefinition/Patient-everything",
        methods: &[Method::GET, Method::POST],
        levels: &[Level::Instance],
        types: &["Patient"],
    },
    Served {
        name: Name::Includes,
        code: "includes",
        definition: "https://github.com/microsoft/fhir-server/OperationDefinition/includes",
        methods: &[Method::GET],
        levels: &[Level::System, Level::Type],
        types: &[],
    },
    Served {
        name: Name::LastN,
        code: "lastn",
        definition: "http://hl7.org/fhir/OperationDefinition/Observation-lastn",
        methods: &[Method::GET, Method::POST],
        levels: &[Level::Type],
        types: &["Observation"],
    },
    Served {
        name: Name::Meta,
        code: "meta",
        definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta",
        methods: &[Method::GET, Method::POST],
        levels: &[Level::System, Level::Type, Level::Instance],
        types: &[],
    },
    Served {
        name: Name::MetaAdd,
        code: "meta-add",
        definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta-add",
        methods: &[Method::POST],
        levels: &[Level::Instance],
        types: &[],
    },
    Served {
        name: Name::MetaDelete,
        code: "meta-delete",
        definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta-delete",
        methods: &[Method::POST],
        levels: &[Level::Instance],
        types: &[],
    },
    Served {
        name: Name::PurgeHistory,
        code: "purge-history",
        definition: "https://github.com/microsoft/fhir-server/OperationDefinition/purge-history",
        methods: &[Method::DELETE],
        levels: &[Level::Instance],
        types: &[],
    },
    Served {
        name: Name::Reindex,
        code: "reindex",
        definition: "https://github.com/microsoft/fhir-server/OperationDefinition/reindex",
        methods: &[Method::POST],
        levels: &[Level::System],
        types: &[],
    },
    Served {
        name: Name::Reindex,
        code: "reindex",
        definition: "https://github.com/microsoft/fhir-server/OperationDefinition/resource-reindex",
        methods: &[Method::GET, Method::POST],
        levels: &[Level::Instance],
        types: &[],
    },
    Served {
        name: Name::Status,
        code: "status",
        definition: "https://github.com/microsoft/fhir-server/OperationDefinition/search-parameter-status",
        methods: &[Method::GET, Method::POST, Method::PUT],
        levels: &[Level::Type],
        types: &["SearchParameter"],
    },
    Served {
        name: Name::MemberMatch,
        code: "member-match",
        definition: "http://hl7.org/fhir/us/davinci-hrex/OperationDefinition/member-match",
        methods: &[Method::POST],
        levels: &[Level::Type],
        types: &["Patient"],
    },
    Served {
        name: Name::Expand,
        code: "expand",
        definition: "http://hl7.org/fhir/OperationDefinition/ValueSet-expand",
        methods: &[Method::GET, Method::POST],
        levels: &[Level::Type, Level::Instance],
        types: &["ValueSet"],
    },
    Served {
        name: Name::ValidateCode,
        code: "validate-code",
        definition: "http://hl7.org/fhir/OperationDefinition/ValueSet-validate-code",
        methods: &[Method::GET, Method::POST],
        levels: &[Level::Type, Level::Instance],
        types: &["ValueSet"],
    },
    Served {
        name: Name::ValidateCode,
        code: "validate-code",
        definition: "http://hl7.org/fhir/OperationDefinition/CodeSystem-validate-code",
        methods: &[Method::GET, Method::POST],
        levels: &[Level::Type, Level::Instance],
        types: &["CodeSystem"],
    },
    Served {
        name: Name::Lookup,
        code: "lookup",
        definition: "http://hl7.org/fhir/OperationDefinition/CodeSystem-lookup",
        methods: &[Method::GET, Method::POST],
        levels: &[Level::Type],
        types: &["CodeSystem"],
    },
    Served {
        name: Name::Subsumes,
        code: "subsumes",
        definition: "http://hl7.org/fhir/OperationDefinition/CodeSystem-subsumes",
        methods: &[Method::GET, Method::POST],
        levels: &[Level::Type, Level::Instance],
        types: &["CodeSystem"],
    },
    Served {
        name: Name::Translate,
        code: "translate",
        definition: "http://hl7.org/fhir/OperationDefinition/ConceptMap-translate",
        methods: &[Method::GET, Method::POST],
        levels: &[Level::Type, Level::Instance],
        types: &["ConceptMap"],
    },
    Served {
        name: Name::Validate,
        code: "validate",
        definition: "http://hl7.org/fhir/OperationDefinition/Resource-validate",
        methods: &[Method::GET, Method::POST],
        levels: &[Level::Type, Level::Instance],
        types: &[],
    },
];

/// An operation as it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Which one.
    pub served: &'static Served,
    /// The type in the path.
    pub of: Option<ResourceType>,
    /// The id in the path.
    pub id: Option<String>,
}

impl Operation {
    /// Finds the operation `$code` of a type or an instance of it.
    pub fn of(method: &Method, code: &str, of: Option<ResourceType>, id: Option<&str>) -> Result<Self> {
        let level = match (of, id) {
            (None, _) => Level::System,
            (Some(_), None) => Level::Type,
            (Some(_), Some(_)) => Level::Instance,
        };
        let fits = |served: &&Served| {
            let has_type = of.is_none_or(|of| served.types.is_empty() || served.types.contains(&of.name()));
            served.code == code && has_type && served.levels.contains(&level)
        };
        let served = SERVED.iter().find(fits).ok_or_else(Failure::unknown_route)?;
        if !served.methods.contains(served_as(method)) {
            return Err(Failure::method_not_allowed(allow(served.methods)));
        }
        Ok(Self {
            served,
            of,
            id: id.map(str::to_owned),
        })
    }
}

/// The method whose row a request takes: HEAD counts as GET.
pub fn served_as(method: &Method) -> &Method {
    if *method == Method::HEAD { &Method::GET } else { method }
}

/// The `Allow` of a path with these methods.
pub fn allow<'m>(methods: impl IntoIterator<Item = &'m Method>) -> String {
    let mut names: Vec<&str> = Vec::new();
    for method in methods {
        names.push(method.as_str());
        if *method == Method::GET {
            names.push(Method::HEAD.as_str());
        }
    }
    names.push(Method::OPTIONS.as_str());
    names.join(", ")
}

impl Served {
    /// Whether it belongs to a type, or resources of it.
    pub fn is_of(&self, type_name: &str) -> bool {
        self.types.contains(&type_name)
    }

    /// Its paths, as templates.
    pub fn paths(&self) -> Vec<String> {
        let types: &[&str] = if self.types.is_empty() { &["{type}"] } else { self.types };
        let code = self.code;
        let of_level = |level: &Level| match level {
            Level::System => vec![format!("/${code}")],
            Level::Type => types.iter().map(|of| format!("/{of}/${code}")).collect(),
            Level::Instance => types.iter().map(|of| format!("/{of}/{{id}}/${code}")).collect(),
        };
        self.levels.iter().flat_map(of_level).collect()
    }

    /// Its methods.
    pub fn methods(&self) -> &'static [Method] {
        self.methods
    }
}
