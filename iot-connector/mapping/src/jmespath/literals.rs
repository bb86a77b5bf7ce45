//! Numbers in literals. With `arbitrary_precision`, which any crate of a program can switch on for all, `serde_json` hands
//! numbers with a fraction to other deserializers as an object of one member; the `jmespath` crate keeps that object.

use std::sync::LazyLock;

use ::jmespath::{Rcvar, Variable, ast::Ast};

/// The name of that member; `None` where numbers come as numbers.
static MEMBER: LazyLock<Option<String>> = LazyLock::new(|| match Variable::from_json("1.5") {
    Ok(Variable::Object(members)) => members.into_keys().next(),
    _ => None,
});

/// Makes numbers of what should be numbers.
pub fn numbers(ast: &mut Ast) {
    let Some(member) = MEMBER.as_deref() else {
        return;
    };
    if let Ast::Literal { value, .. } = ast {
        *value = number(value, member);
    }
    children(ast).into_iter().for_each(numbers);
}

fn number(value: &Rcvar, member: &str) -> Rcvar {
    match &**value {
        Variable::Object(members) => {
            let text = members.get(member).and_then(|text| text.as_string());
            if let Some(number) = text.and_then(|text| super::number(text)) {
                return Rcvar::new(Variable::Number(number));
            }
            let members = members
                .iter()
                .map(|(name, value)| (name.clone(), number(value, member)));
            Rcvar::new(Variable::Object(members.collect()))
        }
        Variable::Array(elements) => {
            let elements = elements.iter().map(|element| number(element, member));
            Rcvar::new(Variable::Array(elements.collect()))
        }
        _ => value.clone(),
    }
}

/// What an expression is made of, one level down.
pub fn children(ast: &mut Ast) -> Vec<&mut Ast> {
    match ast {
        Ast::Comparison { lhs, rhs, .. }
        | Ast::Projection { lhs, rhs, .. }
        | Ast::And { lhs, rhs, .. }
        | Ast::Or { lhs, rhs, .. }
        | Ast::Subexpr { lhs, rhs, .. } => vec![lhs, rhs],
        Ast::Condition { predicate, then, .. } => vec![predicate, then],
        Ast::Expref { ast, .. } => vec![ast],
        Ast::Flatten { node, .. } | Ast::Not { node, .. } | Ast::ObjectValues { node, .. } => vec![node],
        Ast::Function { args, .. } => args.iter_mut().collect(),
        Ast::MultiList { elements, .. } => elements.iter_mut().collect(),
        Ast::MultiHash { elements, .. } => elements.iter_mut().map(|pair| &mut pair.value).collect(),
        Ast::Identity { .. } | Ast::Field { .. } | Ast::Index { .. } | Ast::Literal { .. } | Ast::Slice { .. } => {
            Vec::new()
        }
    }
}
