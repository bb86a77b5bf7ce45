//! FHIR R4 and STU3 as tables: types and their elements, search parameters, compartments.
//!
//! The tables are made by `cargo xtask gen definitions` from HL7's own definitions (CC0, see `data/NOTICE`) and are read
//! in place: opening them parses nothing and allocates next to nothing. Handles are small copies without a lifetime;
//! a name that doesn't exist is `None`, however hostile.

mod binding;
mod cold;
mod compartment;
pub mod layout;
mod parameter;
mod stored;
mod structure;
mod version;

use std::sync::OnceLock;

pub use binding::{Binding, Strength};
use cold::Kind;
pub use cold::{BaseResource, ColdError, ColdText, Invariant, MOST_OPEN, TerminologyKind};
pub use compartment::Compartment;
pub use parameter::{Component, ParamKind, SearchParameter};
pub use stored::{StoredComponent, StoredParameter};
pub use structure::{Element, Max, ResourceType, Structure, StructureKind};
pub use version::{FhirVersion, UnknownVersion};

use layout::{NONE, Section, Tables};

/// The definitions of one FHIR version.
pub struct Definitions {
    version: FhirVersion,
    tables: Tables,
    pack: cold::Pack,
}

impl Definitions {
    /// The definitions of `version`; cheap, also the first time.
    pub fn of(version: FhirVersion) -> &'static Definitions {
        static R4: OnceLock<Definitions> = OnceLock::new();
        static STU3: OnceLock<Definitions> = OnceLock::new();
        let (cell, bytes): (_, &'static [u8]) = match version {
            FhirVersion::R4 => (&R4, include_bytes!("../data/r4.bin")),
            FhirVersion::Stu3 => (&STU3, include_bytes!("../data/stu3.bin")),
        };
        cell.get_or_init(|| Definitions {
            version,
            tables: Tables::open(bytes),
            pack: cold::Pack::default(),
        })
    }

    /// Which FHIR version this is.
    pub fn version(&self) -> FhirVersion {
        self.version
    }

    /// Every concrete resource type, by name.
    pub fn resource_types(&self) -> impl Iterator<Item = ResourceType> + use<> {
        let version = self.version;
        (0..self.tables.count(Section::Types))
            .map(move |id| Structure { version, id })
            .filter_map(Structure::as_resource_type)
    }

    /// The concrete resource type `name`; case matters.
    pub fn resource_type(&self, name: &str) -> Option<ResourceType> {
        self.structure(name)?.as_resource_type()
    }

    /// The type `name`: a resource (`Patient`), a datatype (`HumanName`), a primitive (`date`), an abstract type
    /// (`DomainResource`) or a backbone element by its path (`Patient.contact`).
    pub fn structure(&self, name: &str) -> Option<Structure> {
        let tables = &self.tables;
        let id = tables.search(Section::Types, 0, tables.count(Section::Types), name)?;
        Some(Structure {
            version: self.version,
            id,
        })
    }

    /// The search parameters of a type: its own, then those of every domain resource and of every resource.
    pub fn search_parameters(&self, of: ResourceType) -> impl Iterator<Item = SearchParameter> + use<> {
        debug_assert_eq!(self.version, of.version());
        lineage(of).flat_map(Structure::own_search_parameters)
    }

    /// The search parameter `code` of a type.
    pub fn search_parameter(&self, of: ResourceType, code: &str) -> Option<SearchParameter> {
        lineage(of).find_map(|structure| structure.own_search_parameter(code))
    }

    /// The search parameter `code` that every resource has, such as `_id`; for searches over several types.
    pub fn resource_search_parameter(&self, code: &str) -> Option<SearchParameter> {
        self.structure("Resource")?.own_search_parameter(code)
    }

    /// The search parameters that every resource has.
    pub fn resource_search_parameters(&self) -> impl Iterator<Item = SearchParameter> + use<> {
        self.structure("Resource")
            .into_iter()
            .flat_map(Structure::own_search_parameters)
    }

    /// The search parameter of an id that [`SearchParameter::id`] gave.
    pub fn search_parameter_by_id(&self, id: u32) -> Option<SearchParameter> {
        (id < self.tables.count(Section::Parameters)).then_some(SearchParameter::base_record(self.version, id))
    }

    /// Every search parameter of every type, by type and code.
    pub fn all_search_parameters(&self) -> impl Iterator<Item = SearchParameter> + use<> {
        let version = self.version;
        (0..self.tables.count(Section::Parameters)).map(move |id| SearchParameter::base_record(version, id))
    }

    /// The compartment `name`, such as `Patient`.
    pub fn compartment(&self, name: &str) -> Option<Compartment> {
        let tables = &self.tables;
        let id = tables.search(Section::Compartments, 0, tables.count(Section::Compartments), name)?;
        Some(Compartment {
            version: self.version,
            id,
        })
    }

    /// Every compartment, by name.
    pub fn compartments(&self) -> impl Iterator<Item = Compartment> + use<> {
        let version = self.version;
        (0..self.tables.count(Section::Compartments)).map(move |id| Compartment { version, id })
    }

    /// The rules beyond structure that HL7 states for its types, from the compressed part of the data.
    pub fn invariants(&self) -> Result<Vec<Invariant>, ColdError> {
        self.pack.invariants(&self.tables)
    }

    /// The value set or code system of the base specification with this canonical URL (without version), from the
    /// compressed part of the data. Takes up to some milliseconds where its chunk isn't open.
    pub fn terminology(&self, kind: TerminologyKind, url: &str) -> Result<Option<BaseResource>, ColdError> {
        self.pack.find(&self.tables, Kind::Terminology(kind), url)
    }

    /// The profile, or the definition of an extension, of the specification with this canonical URL (without version), from
    /// the compressed part of the data.
    pub fn profile(&self, url: &str) -> Result<Option<BaseResource>, ColdError> {
        self.pack.find(&self.tables, Kind::Profile, url)
    }

    /// URL and version of every profile and definition of an extension of the specification.
    pub fn profile_list(&self) -> Result<Vec<(String, String)>, ColdError> {
        self.pack.list(&self.tables, Kind::Profile)
    }

    /// URL and version of every value set or code system of the base specification.
    pub fn terminology_list(&self, kind: TerminologyKind) -> Result<Vec<(String, String)>, ColdError> {
        self.pack.list(&self.tables, Kind::Terminology(kind))
    }

    /// The bytes of the compressed part that are open at the moment: at most [`MOST_OPEN`] and one chunk.
    pub fn open_bytes(&self) -> usize {
        self.pack.open_bytes()
    }

    /// The bytes of the data that are read in place.
    pub fn hot_bytes(&self) -> usize {
        self.tables.hot_bytes()
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }
}

impl std::fmt::Debug for Definitions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Definitions({})", self.version)
    }
}

/// A type and what it is derived from.
fn lineage(of: ResourceType) -> impl Iterator<Item = Structure> {
    std::iter::successors(Some(of.structure()), |structure| structure.base())
}

/// `id` unless it says that there is none.
fn some(id: u32) -> Option<u32> {
    (id != NONE).then_some(id)
}
