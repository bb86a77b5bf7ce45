use fhir_search::{InForce, Parameters};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

/// `cruds` letters by type, for Observation, Patient and Organization.
fn granted_to(claims: &Value) -> Result<[String; 3], String> {
    let version = FhirVersion::R4;
    let parser = Parser {
        definitions: version.definitions(),
        in_force: InForce::new(Parameters::base(version.definitions())),
        bases: Vec::new(),
        default_count: 10,
        max_count: 100,
    };
    let Value::Object(members) = claims.clone() else {
        panic!("claims are an object");
    };
    let claims = Claims::new(
        "https://issuer.example.org".to_owned(),
        "https://issuer.example.org".to_owned(),
        0,
        members,
    );
    let scopes = Scopes::of(&claims, version, &parser).map_err(|failure| {
        assert_eq!(failure.status.as_u16(), 400);
        failure.issues[0].diagnostics.clone()
    })?;
    let actions = [
        Action::Create,
        Action::Read,
        Action::Update,
        Action::Delete,
        Action::Search,
    ];
    let letters = |of: &str| {
        let allowed = actions
            .into_iter()
            .zip("cruds".chars())
            .filter(|(action, _)| Access::Rules(scopes.rules(*action)).sees(of));
        allowed.map(|(_, letter)| letter).collect()
    };
    Ok(["Observation", "Patient", "Organization"].map(letters))
}

#[rstest]
#[case::v1_read("patient/Observation.read", ["rs", "", ""])]
#[case::v1_write("patient/Observation.write", ["cud", "", ""])]
#[case::v1_all("patient/*.*", ["cruds", "cruds", "rs"])]
#[case::v2("patient/Observation.rs", ["rs", "", ""])]
#[case::v2_all("patient/*.cruds", ["cruds", "cruds", "rs"])]
#[case::read_without_search("user/Patient.r", ["", "r", ""])]
#[case::system("system/*.cruds", ["cruds", "cruds", "cruds"])]
#[case::a_union("patient/Observation.r patient/Observation.s patient/Patient.r", ["rs", "r", ""])]
#[case::search_parameters("patient/Observation.rs?category=laboratory&status=final", ["rs", "", ""])]
#[case::as_entra_writes_it("patient%2fObservation.rs", ["rs", "", ""])]
#[case::others_are_ignored("openid fhirUser launch launch/patient offline_access patient/Patient.r api://x/y", ["", "r", ""])]
#[case::nothing("", ["", "", ""])]
fn scopes(#[case] scope: &str, #[case] expected: [&str; 3]) {
    let claims = json!({"scope": scope, "fhirUser": "Patient/a"});
    assert_eq!(granted_to(&claims), Ok(expected.map(str::to_owned)));
}

#[rstest]
#[case::order("patient/Observation.sr")]
#[case::twice("patient/Observation.rr")]
#[case::no_letter("patient/Observation.x")]
#[case::none("patient/Observation.")]
#[case::no_permissions("patient/Observation")]
#[case::unknown_type("patient/Observaton.rs")]
#[case::empty_query("patient/Observation.rs?")]
#[case::no_value("patient/Observation.rs?category")]
#[case::v1_with_query("patient/Observation.read?category=laboratory")]
#[case::modifier("patient/Observation.rs?category:not=laboratory")]
#[case::chain("patient/Observation.rs?subject.name=x")]
#[case::reverse("patient/Patient.rs?_has:Observation:patient:code=x")]
#[case::include("patient/Observation.rs?_include=Observation:subject")]
#[case::presentation("patient/Observation.rs?_count=5")]
#[case::unknown_parameter("patient/Observation.rs?colour=red")]
#[case::not_of_every_type("patient/*.rs?category=laboratory")]
#[case::mixed_versions("patient/Observation.read patient/Patient.rs")]
#[case::mixed_contexts("patient/Observation.rs user/Patient.rs")]
fn what_cannot_be_enforced_is_refused(#[case] scope: &str) {
    let claims = json!({"scope": scope, "fhirUser": "Patient/a"});
    assert!(granted_to(&claims).is_err(), "{:?}", granted_to(&claims));
}

#[rstest]
#[case::list(json!({"scp": ["patient/Observation.rs"], "patient": "a"}), true)]
#[case::launch_context(json!({"scope": "patient/*.rs", "patient": "a", "fhirUser": "Practitioner/p"}), true)]
#[case::url(json!({"scope": "user/*.rs", "fhirUser": "https://fhir.example.org/Patient/a"}), true)]
#[case::b2c(json!({"scope": "user/*.rs", "extension_fhirUser": "Practitioner/p"}), true)]
#[case::nobody(json!({"scope": "patient/*.rs"}), false)]
#[case::no_patient(json!({"scope": "patient/*.rs", "fhirUser": "Practitioner/p"}), false)]
#[case::bad_patient(json!({"scope": "patient/*.rs", "patient": "a/b"}), false)]
#[case::no_compartment(json!({"scope": "user/*.rs", "fhirUser": "Person/p"}), false)]
#[case::no_type(json!({"scope": "user/*.rs", "fhirUser": "a"}), false)]
#[case::nobody_needed(json!({"scope": "system/*.rs"}), true)]
fn whose_resources(#[case] claims: Value, #[case] known: bool) {
    assert_eq!(granted_to(&claims).is_ok(), known, "{:?}", granted_to(&claims));
}
