//! From the tree of the `jmespath` crate to ours. Functions that don't exist, and wrong numbers of arguments, are found here,
//! as iomt-fhir does.

use std::sync::Arc;

use ::jmespath::ast::{Ast, KeyValuePair};

use super::{
    expression::{Expression, Step},
    functions, literals, negation,
};

/// The place in the text, in bytes, and what is wrong there.
type Mistake = (usize, String);

/// `text` is what the tree was parsed from.
pub fn compile(text: &str, ast: Ast) -> Result<Expression, Mistake> {
    let compiled = |ast: Box<Ast>| compile(text, *ast).map(Box::new);
    let all = |steps: Vec<Ast>| {
        steps
            .into_iter()
            .map(|step| compile(text, step))
            .collect::<Result<_, Mistake>>()
    };
    Ok(match negation::widen(text, ast) {
        Ast::Identity { .. } => Expression::Path(Vec::new()),
        Ast::Field { name, .. } => Expression::Path(vec![Step::Field(name)]),
        Ast::Index { idx, .. } => Expression::Path(vec![Step::Index(idx)]),
        Ast::Slice { start, stop, step, .. } => Expression::Slice { start, stop, step },
        Ast::Literal { offset, value } => {
            Expression::Literal(literals::value(text, offset, &value).map_err(|problem| (offset, problem))?)
        }
        Ast::Subexpr { lhs, rhs, .. } => Expression::chain(compile(text, *lhs)?, compile(text, *rhs)?),
        Ast::Projection { lhs, rhs, .. } => Expression::Projection(compiled(lhs)?, compiled(rhs)?),
        Ast::Flatten { node, .. } => Expression::Flatten(compiled(node)?),
        Ast::ObjectValues { node, .. } => Expression::Values(compiled(node)?),
        Ast::Condition { predicate, then, .. } => Expression::Condition(compiled(predicate)?, compiled(then)?),
        Ast::Or { lhs, rhs, .. } => Expression::Or(compiled(lhs)?, compiled(rhs)?),
        Ast::And { lhs, rhs, .. } => Expression::And(compiled(lhs)?, compiled(rhs)?),
        Ast::Not { node, .. } => Expression::Not(compiled(node)?),
        Ast::Comparison {
            comparator, lhs, rhs, ..
        } => Expression::Comparison(comparator, compiled(lhs)?, compiled(rhs)?),
        Ast::MultiList { elements, .. } => Expression::List(all(elements)?),
        Ast::MultiHash { elements, .. } => {
            let member = |KeyValuePair { key, value }| Ok((key.into(), compile(text, value)?));
            Expression::Object(elements.into_iter().map(member).collect::<Result<_, Mistake>>()?)
        }
        Ast::Function { name, args, offset } => {
            let function = functions::find(&name, args.len()).map_err(|problem| (offset, problem))?;
            Expression::Call(function, all(args)?)
        }
        Ast::Expref { ast, .. } => Expression::Reference(Arc::new(compile(text, *ast)?)),
    })
}
