use fhir_definitions::{Definitions, FhirVersion};
use fhir_search::{
    Access, Filter, Handling, InForce, Parameters, Parser, Search, SearchError, Sort, Summary, Target, Total,
};
use rstest::rstest;

fn parse(target: &str, query: &str, handling: Handling, access: &Access) -> Result<Search, SearchError> {
    let definitions = Definitions::of(FhirVersion::R4);
    let parser = Parser {
        definitions,
        in_force: InForce::new(Parameters::base(definitions)),
        bases: vec![],
        default_count: 10,
        max_count: 100,
    };
    let target = definitions.resource_type(target).map_or(Target::System, Target::Type);
    let pairs = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let pairs: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    parser.parse(&target, &pairs, handling, access)
}

fn lenient(target: &str, query: &str) -> Result<Search, SearchError> {
    parse(target, query, Handling::Lenient, &Access::All)
}

#[rstest]
// a bad value is 400
#[case("Patient", "birthdate=yesterday", 400, "invalid")]
#[case("Patient", "birthdate=1973-02-30", 400, "invalid")]
#[case("Observation", "code=a|b|c|d", 400, "invalid")]
#[case("Observation", "value-quantity=five", 400, "invalid")]
#[case("Observation", "value-quantity=5|a|b|c", 400, "invalid")]
#[case("RiskAssessment", "probability=0.5|http://s|c", 400, "invalid")]
#[case("Patient", "_count=-1", 400, "invalid")]
#[case("Patient", "_count=ten", 400, "invalid")]
#[case("Patient", "_summary=_count", 400, "invalid")]
#[case("Patient", "_total=count", 400, "invalid")]
#[case("Patient", "_elements=id&_summary=count", 400, "invalid")]
#[case("", "_type=", 400, "invalid")]
#[case("Observation", "_include=Nothing:subject", 400, "invalid")]
#[case("Observation", "_include=Observation:status", 400, "invalid")]
#[case("Observation", "_include=Observation:nothing", 400, "not-supported")]
#[case("Observation", "_include=Observation", 403, "not-supported")]
#[case("Observation", "_include=Observation:subject:Nothing", 400, "not-supported")]
#[case("Patient", "_revinclude=Observation:subject:", 400, "invalid")]
#[case("Patient", "_revinclude:iterate=Observation:subject", 400, "invalid")]
#[case("Observation", "_include:other=Observation:subject", 403, "not-supported")]
#[case("Observation", "code-value-quantity=8867-4", 400, "invalid")]
#[case("Observation", "code-value-quantity=8867-4$five", 400, "invalid")]
#[case("Observation", "code-value-quantity=8867-4$5$6", 400, "invalid")]
#[case("Observation", "code-value-quantity:exact=8867-4$5", 403, "not-supported")]
// what can't be done is 403
#[case("Patient", "gender:contains=male", 403, "not-supported")]
#[case("Patient", "family:above=x", 403, "not-supported")]
#[case("Patient", "gender:missing=maybe", 403, "not-supported")]
#[case("Patient", "_id:exact=x", 403, "not-supported")]
#[case("Observation", "subject.name=x", 403, "not-supported")]
#[case("Observation", "code.name=x", 403, "not-supported")]
#[case("Observation", "subject:Nothing.name=x", 403, "not-supported")]
#[case("Patient", "_has:Observation:subject=x", 403, "not-supported")]
#[case("Patient", "_has:Observation:code:status=x", 403, "not-supported")]
#[case("Patient", "_has:Nothing:subject:code=x", 403, "not-supported")]
#[case("Patient", "_has:Observation:subject:=x", 403, "not-supported")]
#[case(
    "Patient",
    "link:Patient.link:Patient.link:Patient.link:Patient.link:Patient.link:Patient.link:Patient.link:Patient.link:Patient.name=x",
    403,
    "not-supported"
)]
#[case("Patient", "identifier:of-type=MR|123", 400, "invalid")]
#[case("Patient", "identifier:of-type=http://t|MR|", 400, "invalid")]
#[case("Patient", "gender:text:more=x", 403, "not-supported")]
#[case("Patient", "family:text=x", 403, "not-supported")]
#[case("Patient", "gender:identifier=x", 403, "not-supported")]
#[case("Patient", "_list:missing=true", 403, "not-supported")]
#[case("Patient", "_list=$current-problems", 403, "not-supported")]
#[case("Location", "near=far", 400, "invalid")]
#[case("Location", "near:exact=1|1", 403, "not-supported")]
#[case("Patient", "_filter=gender is male", 400, "invalid")]
#[case("Patient", "_filter=cookie eq chip", 400, "invalid")]
#[case("Patient", "_filter=gender co male", 400, "invalid")]
#[case("Patient", "_filter=gender pr maybe", 400, "invalid")]
#[case("Patient", "_filter=birthdate eq yesterday", 400, "invalid")]
#[case("Patient", "_filter=_id co x", 400, "invalid")]
#[case("Patient", "_filter=gender.name eq x", 403, "not-supported")]
#[case("Observation", "_filter=subject.name eq x", 403, "not-supported")]
#[case("Patient", "_query=x", 403, "not-supported")]
#[case("Patient", "_contained=true", 403, "not-supported")]
#[case("", "_include=Observation:subject", 403, "not-supported")]
#[case("", "_revinclude:iterate=Observation:subject", 403, "not-supported")]
#[case("Patient", "_revinclude=Observation", 403, "not-supported")]
#[case("Patient", "_include=foo", 403, "not-supported")]
#[case("Observation", "_include=Observation:subject:", 400, "invalid")]
fn refuses(#[case] target: &str, #[case] query: &str, #[case] status: u16, #[case] code: &str) {
    let error = lenient(target, query).expect_err("refused");
    assert_eq!((error.status(), error.code()), (status, code), "{error}");
}

#[rstest]
#[case(
    "Patient",
    "_text=mobile",
    "The search parameter '_text' is not supported for resource type 'Patient'."
)]
#[case(
    "",
    "_content=mobile",
    "The search parameter '_content' is not supported for resource type 'Resource'."
)]
#[case(
    "Patient",
    "Cookie=Chip",
    "The search parameter 'Cookie' is not supported for resource type 'Patient'."
)]
#[case(
    "",
    "Cookie=Chip",
    "The search parameter 'Cookie' is not supported for resource type 'Resource'."
)]
#[case(
    "Observation",
    "patient.cookie=chip",
    "The search parameter 'cookie' is not supported for resource type 'Patient'."
)]
#[case(
    "Patient",
    "name=",
    "The search parameter 'name' is not supported for resource type 'Patient'."
)]
#[case(
    "Patient",
    "_not-referenced=Observation",
    "The value 'Observation' of '_not-referenced' is not `Type:parameter` of a reference."
)]
#[case("Patient", "_sort=cookie", "Sorting by the 'cookie' parameter is not supported.")]
#[case(
    "Observation",
    "_sort=-date,code-value-quantity",
    "Sorting by the 'code-value-quantity' parameter is not supported."
)]
#[case(
    "",
    "_type=Patient,Nothing",
    "The '_type' parameter contains unknown resource(s): 'Nothing'"
)]
#[case(
    "Patient",
    "_count=101",
    "The '_count' parameter exceeds limit configured for server. Current limit is 100 while `_count` parameter set to 101."
)]
fn warns_or_refuses_strictly(#[case] target: &str, #[case] query: &str, #[case] text: &str) {
    let search = lenient(target, query).expect("lenient");
    assert_eq!(
        search
            .warnings
            .iter()
            .map(|(_, text)| text.as_str())
            .collect::<Vec<_>>(),
        [text]
    );
    let error = parse(target, query, Handling::Strict, &Access::All).expect_err("strict");
    assert_eq!((error.status(), error.to_string().as_str()), (400, text));
}

#[test]
fn control_parameters_are_read() {
    let search = lenient(
        "Patient",
        "_count=5&_summary=data&_total=accurate&_sort=-_lastUpdated&gender=male&gender=male&x=1",
    )
    .expect("fine");
    assert_eq!(
        (search.count, search.summary, search.total),
        (5, Summary::Data, Total::Accurate)
    );
    assert_eq!(search.plan.sort, Sort::UpdatedDescending);
    assert_eq!(search.plan.filters.len(), 1, "a repetition counts once");
    let applied: Vec<_> = search.applied.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        applied,
        ["_count", "_summary", "_total", "_sort", "gender"],
        "what is unknown isn't in the self link"
    );
    assert_eq!(lenient("Patient", "_count=0").expect("fine").summary, Summary::Count);
    assert_eq!(lenient("Patient", "_count=2147483647").expect("fine").count, 100);
}

#[test]
fn access_narrows_every_search() {
    let device = Access::types(["Device"]);
    let system = parse("", "", Handling::Strict, &device).expect("fine");
    assert_eq!(system.plan.filters, [Filter::Type(vec!["Device".to_owned()])]);
    let hidden = parse("Patient", "gender=male", Handling::Strict, &device).expect("fine");
    assert!(
        hidden.plan.filters.contains(&Filter::Any(vec![])),
        "nothing is there for the caller"
    );
    let seen = parse("Device", "", Handling::Strict, &device).expect("fine");
    assert_eq!(seen.plan.filters, []);
}
