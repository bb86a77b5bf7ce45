//! What `!` negates: as in the grammar of JmesPath.Net all that follows, `!a.b` is `!(a.b)`. The `jmespath` crate reads
//! it as `(!a).b`.

use ::jmespath::ast::Ast;

use super::quoted;

/// Moves negations out of the left sides of steps and projections. `text` is what the tree was parsed from.
pub fn widen(text: &str, ast: Ast) -> Ast {
    match ast {
        // a pipe is a step too, but ends a negation
        Ast::Subexpr { offset, lhs, rhs } if !text.get(offset..).is_some_and(|from| from.starts_with('|')) => {
            outside(text, offset, *lhs, |lhs| Ast::Subexpr { offset, lhs, rhs })
        }
        Ast::Projection { offset, lhs, rhs } => {
            let projection = |lhs| Ast::Projection { offset, lhs, rhs };
            match *lhs {
                Ast::Flatten { offset: inner, node } => outside(text, offset, *node, |node| {
                    projection(Box::new(Ast::Flatten { offset: inner, node }))
                }),
                Ast::ObjectValues { offset: inner, node } => outside(text, offset, *node, |node| {
                    projection(Box::new(Ast::ObjectValues { offset: inner, node }))
                }),
                lhs => outside(text, offset, lhs, projection),
            }
        }
        ast => ast,
    }
}

/// Puts a step that ends at `end` behind its left side, inside of the negations that this begins with.
fn outside(text: &str, end: usize, left: Ast, step: impl FnOnce(Box<Ast>) -> Ast) -> Ast {
    match widen(text, left) {
        Ast::Not { offset, node } if text.get(offset..end).is_some_and(goes_on) => Ast::Not {
            offset,
            node: Box::new(outside(text, end, *node, step)),
        },
        left => step(Box::new(left)),
    }
}

/// Whether no parenthesis closes that is opened before: `!a` of `(!a).b` has ended, `!(a)` hasn't.
fn goes_on(text: &str) -> bool {
    let mut depth = 0_i32;
    quoted::outside(text).all(|(_, character)| {
        depth += match character {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth >= 0
    })
}
