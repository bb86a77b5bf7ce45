//! Generated expressions on generated data: our evaluation gives what the `jmespath` crate's does. What differs on purpose
//! isn't generated: negations without parentheses, texts of numbers, averages of nothing, fractions as literals; members are
//! sorted by their names as the crate sorts them, and numbers are compared as doubles.

use iot_mapping::{
    Compatibility,
    jmespath::{Query, variable},
    json::Document,
};
use jmespath::{Context, DEFAULT_RUNTIME, ErrorReason, Rcvar, RuntimeError, Variable, interpret};
use proptest::{
    prelude::*,
    sample::{select, subsequence},
};
use serde_json::{Map, Number, Value, json};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const TEXTS: [&str; 5] = ["", "a", "ab", "ba", "7"];

/// Most often an object with all names, where expressions find something.
fn data() -> impl Strategy<Value = Value> {
    let [a, c, d] = [rows(), numbers(), value()].map(|member| prop_oneof![1 => member, 1 => value()]);
    let root = (a, value(), c, d).prop_map(|(a, b, c, d)| json!({"a": a, "b": b, "c": c, "d": d}));
    prop_oneof![4 => root, 1 => value()]
}

fn value() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-20_i64..20).prop_map(Value::from),
        (-20_i32..20).prop_map(|half| json!(f64::from(half) / 2.0)),
        select(TEXTS.to_vec()).prop_map(Value::from),
    ];
    let values = leaf.prop_recursive(4, 40, 4, |inner| {
        let lists = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
        let texts = prop::collection::vec(select(TEXTS.to_vec()), 0..4).prop_map(Value::from);
        let members = prop::collection::vec(inner, NAMES.len());
        let objects = (subsequence(NAMES.to_vec(), 0..=4), members).prop_map(|(names, members)| {
            let names = names.into_iter().map(str::to_owned);
            names.zip(members).collect::<Map<_, _>>().into()
        });
        prop_oneof![2 => lists, 1 => numbers(), 1 => texts, 1 => rows(), 5 => objects]
    });
    values.boxed()
}

fn numbers() -> BoxedStrategy<Value> {
    let numbers = prop::collection::vec((-9_i64..9).prop_map(Value::from), 0..4);
    numbers.prop_map(Value::from).boxed()
}

fn rows() -> BoxedStrategy<Value> {
    let row = (-9_i64..9, select(TEXTS.to_vec())).prop_map(|(number, text)| json!({"a": number, "b": text}));
    prop::collection::vec(row, 0..4).prop_map(Value::from).boxed()
}

/// With parentheses wherever the parsers could read it differently.
fn expression() -> impl Strategy<Value = String> {
    let name = || select(NAMES.to_vec());
    let leaf = prop_oneof![
        4 => name().prop_map(str::to_owned),
        1 => Just("@".to_owned()),
        1 => Just("*".to_owned()),
        1 => (-3_i32..3).prop_map(|index| format!("[{index}]")),
        1 => select(vec!["`1`", "`-3`", "'a'", "`[1, 2]`", "`{\"a\": [0]}`", "`null`"]).prop_map(str::to_owned),
    ];
    let bound =
        || prop::option::of(-4_i32..5).prop_map(|bound| bound.map(|bound| bound.to_string()).unwrap_or_default());
    let step = prop_oneof![
        4 => name().prop_map(|name| format!(".{name}")),
        1 => Just(".*".to_owned()),
        2 => Just("[*]".to_owned()),
        2 => Just("[]".to_owned()),
        1 => (-3_i32..3).prop_map(|index| format!("[{index}]")),
        1 => (bound(), bound(), -2_i32..3).prop_map(|(start, stop, step)| format!("[{start}:{stop}:{step}]")),
    ];
    leaf.prop_recursive(5, 32, 3, move |inner| {
        let (one, two) = (inner.clone(), (inner.clone(), inner.clone()));
        let steps = (one.clone(), prop::collection::vec(step.clone(), 1..4))
            .prop_map(|(first, steps)| format!("({first}){}", steps.concat()));
        let plain = (name(), prop::collection::vec(step.clone(), 1..4))
            .prop_map(|(first, steps)| format!("{first}{}", steps.concat()));
        let filter = (one.clone(), one.clone(), one.clone())
            .prop_map(|(list, test, then)| format!("({list})[?{test}].[{then}]"));
        let operators = vec!["||", "&&", "|", "==", "!=", "<", "<=", ">", ">="];
        let operated = (two.clone(), select(operators))
            .prop_map(|((left, right), operator)| format!("({left}) {operator} ({right})"));
        let of_one = vec![
            "abs",
            "ceil",
            "floor",
            "keys",
            "length",
            "max",
            "min",
            "reverse",
            "sort",
            "sum",
            "to_array",
            "to_number",
            "type",
            "values",
        ];
        let of_one = (select(of_one), one.clone()).prop_map(|(name, argument)| format!("{name}({argument})"));
        let of_two = (
            select(vec!["contains", "ends_with", "join", "starts_with", "not_null"]),
            two.clone(),
        )
            .prop_map(|(name, (left, right))| format!("{name}({left}, {right})"));
        let by = (select(vec!["max_by", "min_by", "sort_by"]), two.clone())
            .prop_map(|(name, (list, key))| format!("{name}({list}, &{key})"));
        // arguments of the right types, which are rarely met by chance
        let found = select(vec!["a", "d", "*", "*[]", "[a, b][]", "a[*].b", "a[*].a", "values(@)"]);
        let found = prop_oneof![2 => found.prop_map(str::to_owned), 1 => one.clone()].boxed();
        let texts = (
            select(vec!["contains", "ends_with", "starts_with"]),
            select(TEXTS.to_vec()),
            found.clone(),
        )
            .prop_map(|(name, part, of)| format!("map(&{name}(@, '{part}'), to_array({of})[?type(@) == 'string'])"));
        let joined = (select(TEXTS.to_vec()), found.clone())
            .prop_map(|(between, of)| format!("join('{between}', to_array({of})[?type(@) == 'string'])"));
        let kind = || select(vec!["number", "string"]);
        let ordered = (select(vec!["max", "min", "sort"]), found.clone(), kind())
            .prop_map(|(name, of, kind)| format!("{name}(to_array({of})[?type(@) == '{kind}'])"));
        let ordered_by = (
            select(vec!["max_by", "min_by", "sort_by"]),
            found.clone(),
            name(),
            kind(),
        )
            .prop_map(|(name, of, key, kind)| format!("{name}(to_array({of})[?type({key}) == '{kind}'], &{key})"));
        let summed = found.prop_map(|of| format!("sum(to_array({of})[?type(@) == 'number'])"));
        prop_oneof![
            3 => plain,
            1 => texts,
            1 => joined,
            1 => ordered,
            1 => ordered_by,
            1 => summed,
            3 => steps,
            2 => filter,
            2 => operated,
            1 => one.clone().prop_map(|negated| format!("!({negated})")),
            3 => of_one,
            1 => of_two,
            1 => by,
            1 => two.clone().prop_map(|(each, list)| format!("map(&{each}, {list})")),
            1 => two.clone().prop_map(|(left, right)| format!("[{left}, {right}]")),
            1 => two.prop_map(|(left, right)| format!("{{a: {left}, b: {right}}}")),
            // a name behind all others: merging keeps them sorted
            1 => one.clone().prop_map(|object| format!("merge(@, {{z: {object}}})")),
            1 => (-9_i32..9, one).prop_map(|(number, list)| format!("avg([`{number}`, length({list})])")),
        ]
    })
}

fn as_double(number: &Number) -> Value {
    // there is but one zero
    json!(number.as_f64().unwrap() + 0.0)
}

/// Numbers as doubles.
fn comparable(value: &Value) -> Value {
    match value {
        Value::Number(number) => as_double(number),
        Value::Array(elements) => elements.iter().map(comparable).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, member)| (name.clone(), comparable(member)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}

/// By hand, as the way back: the crate's own conversions make objects of numbers where `serde_json` keeps their texts.
fn their_value(value: &Value) -> Rcvar {
    Rcvar::new(match value {
        Value::Null => Variable::Null,
        Value::Bool(truth) => Variable::Bool(*truth),
        Value::Number(number) => Variable::Number(number.clone()),
        Value::String(text) => Variable::String(text.clone()),
        Value::Array(elements) => Variable::Array(elements.iter().map(their_value).collect()),
        Value::Object(members) => {
            let members = members.iter().map(|(name, member)| (name.clone(), their_value(member)));
            Variable::Object(members.collect())
        }
    })
}

fn their_result(value: &Variable) -> Value {
    match value {
        Variable::Null | Variable::Expref(_) => Value::Null,
        Variable::Bool(truth) => (*truth).into(),
        Variable::Number(number) => as_double(number),
        Variable::String(text) => text.as_str().into(),
        Variable::Array(elements) => elements.iter().map(|element| their_result(element)).collect(),
        Variable::Object(members) => {
            let members = members
                .iter()
                .map(|(name, member)| (name.clone(), their_result(member)));
            Value::Object(members.collect())
        }
    }
}

/// The result, or why there is none; the reason is empty where the texts may differ.
fn theirs(expression: &str, data: &Value) -> Result<Value, String> {
    let ast = jmespath::parse(expression).unwrap();
    let mut context = Context::new(expression, &DEFAULT_RUNTIME);
    match interpret(&their_value(data), &ast, &mut context) {
        Ok(found) => Ok(their_result(&found)),
        Err(error) => Err(match error.reason {
            ErrorReason::Runtime(RuntimeError::InvalidType {
                expected,
                actual,
                position,
            }) => format!("argument {} of a function is {actual}, not {expected}", position + 1),
            _ => String::new(),
        }),
    }
}

fn ours(expression: &str, data: &Value) -> Result<Value, String> {
    let text = data.to_string();
    let document = Document::parse(text.as_bytes()).unwrap();
    let query = Query::parse(expression, Compatibility::Standard).unwrap();
    match query.evaluate(&variable(&document, 0)) {
        Ok(found) => Ok(comparable(&serde_json::to_value(&found).unwrap())),
        Err(error) => Err(error.to_string()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn our_results_are_the_crates(expression in expression(), data in prop::collection::vec(data(), 4)) {
        for data in &data {
            match (theirs(&expression, data), ours(&expression, data)) {
                (Ok(theirs), Ok(ours)) => prop_assert_eq!(ours, theirs, "{}", data),
                (Err(theirs), Err(ours)) if theirs.is_empty() || theirs == ours => {}
                (theirs, ours) => prop_assert!(false, "{ours:?} where {theirs:?} on {data}"),
            }
        }
    }
}
