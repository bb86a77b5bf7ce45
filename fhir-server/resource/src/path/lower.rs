//! Syntax → steps over the tables: every member name is resolved for every type that it may be asked of.

use fhir_definitions::{Definitions, Structure, StructureKind};

use super::PathError;
use super::engine::Constant;
use super::function::Function;
use super::steps::{Case, Lowered, Member};
use super::syntax::{Operator, Syntax, TypeName};

type Typed = (Lowered, Vec<Structure>);
type Pair = (Box<Lowered>, Box<Lowered>);

struct Lowering {
    definitions: &'static Definitions,
    resource: Structure,
}

pub fn lower(
    syntax: &Syntax,
    definitions: &'static Definitions,
    from: &[Structure],
    resource: Structure,
) -> Result<Typed, PathError> {
    let lowering = Lowering { definitions, resource };
    let name = from.first().map_or("", |structure| structure.name());
    lowering
        .expression(syntax, from)?
        .ok_or_else(|| PathError::OtherType(name.to_owned()))
}

impl Lowering {
    /// `None` for a path that begins at another type.
    fn expression(&self, syntax: &Syntax, this: &[Structure]) -> Result<Option<Typed>, PathError> {
        let boolean = || self.primitive("boolean");
        Ok(Some(match syntax {
            Syntax::This => (Lowered::This, this.to_vec()),
            Syntax::Variable(name) if matches!(name.as_str(), "resource" | "context") => {
                (Lowered::Resource, vec![self.resource])
            }
            Syntax::Constant(Constant::Bool(value)) => (Lowered::Bool(*value), boolean()),
            Syntax::Constant(constant) if let Some(text) = constant.search_text() => {
                (Lowered::Text(text), self.primitive("string"))
            }
            Syntax::Name(name) => {
                if this.iter().any(|structure| structure.is_a(name)) {
                    return Ok(Some((Lowered::This, this.to_vec())));
                }
                if name.starts_with(|first: char| first.is_ascii_uppercase()) {
                    // A path of another type, in a parameter of several types.
                    return match self.definitions.structure(name) {
                        Some(_) => Ok(None),
                        None => Err(PathError::UnknownType(name.clone())),
                    };
                }
                child((Lowered::This, this.to_vec()), name)?
            }
            Syntax::Member(of, name) => {
                let Some(of) = self.expression(of, this)? else {
                    return Ok(None);
                };
                child(of, name)?
            }
            Syntax::At(of, index) => {
                let Some((of, types)) = self.expression(of, this)? else {
                    return Ok(None);
                };
                let index = match &**index {
                    Syntax::Constant(Constant::Integer(index)) => usize::try_from(*index).ok(),
                    _ => None,
                };
                let index = index.ok_or_else(|| PathError::Unsupported("[…]".to_owned()))?;
                (
                    Lowered::Pick {
                        of: Box::new(of),
                        index,
                    },
                    types,
                )
            }
            Syntax::As(of, name) => {
                let Some(of) = self.expression(of, this)? else {
                    return Ok(None);
                };
                self.of_type(of, name)?
            }
            Syntax::Is(of, name) => return self.is(of, name, this),
            Syntax::Union(parts) => return self.union(parts, this),
            Syntax::Binary(operator @ (Operator::Equal | Operator::Unequal), left, right) => {
                let wanted = *operator == Operator::Equal;
                let Some((left, right)) = self.pair(left, right, this)? else {
                    return Ok(None);
                };
                (Lowered::Equal { left, right, wanted }, boolean())
            }
            Syntax::Binary(Operator::And, left, right) => {
                let Some((left, right)) = self.pair(left, right, this)? else {
                    return Ok(None);
                };
                (Lowered::And(left, right), boolean())
            }
            Syntax::Binary(Operator::Or, left, right) => {
                let Some((left, right)) = self.pair(left, right, this)? else {
                    return Ok(None);
                };
                (Lowered::Or(left, right), boolean())
            }
            Syntax::Call(of, name, arguments) => {
                let of = match of {
                    None => (Lowered::This, this.to_vec()),
                    Some(of) => {
                        let Some(of) = self.expression(of, this)? else {
                            return Ok(None);
                        };
                        of
                    }
                };
                self.call(of, *name, arguments)?
            }
            other => return Err(PathError::Unsupported(other.shown())),
        }))
    }

    /// Alternatives that begin at another type are left out.
    fn union(&self, parts: &[Syntax], this: &[Structure]) -> Result<Option<Typed>, PathError> {
        let mut union = Vec::new();
        let mut types: Vec<Structure> = Vec::new();
        for part in parts {
            if let Some((lowered, of_part)) = self.expression(part, this)? {
                union.push(lowered);
                types.extend(of_part);
            }
        }
        types.sort_unstable();
        types.dedup();
        Ok(match union.len() {
            0 => None,
            1 => Some((union.remove(0), types)),
            _ => Some((Lowered::Union(union), types)),
        })
    }

    fn pair(&self, left: &Syntax, right: &Syntax, this: &[Structure]) -> Result<Option<Pair>, PathError> {
        let (left, right) = (self.expression(left, this)?, self.expression(right, this)?);
        Ok(left
            .zip(right)
            .map(|((left, _), (right, _))| (Box::new(left), Box::new(right))))
    }

    fn call(&self, of: Typed, function: Function, arguments: &[Syntax]) -> Result<Typed, PathError> {
        let unsupported = || PathError::Unsupported(format!("{}()", function.name()));
        match (function, arguments) {
            (Function::As | Function::OfType, [Syntax::Type(type_name)]) => self.of_type(of, type_name),
            (Function::Is, [Syntax::Type(type_name)]) => {
                let wanted = self.named(&type_name.name)?;
                Ok((
                    Lowered::Is {
                        of: Box::new(of.0),
                        wanted,
                    },
                    self.primitive("boolean"),
                ))
            }
            (Function::Extension, [Syntax::Constant(Constant::Text(url))]) => {
                let extension = self.structure("Extension")?;
                let of = Box::new(with_twins(of.0));
                Ok((Lowered::Extension { of, url: url.clone() }, vec![extension]))
            }
            (Function::Where, [condition]) => {
                let condition = self.condition(condition, &of.1)?;
                Ok((
                    Lowered::Where {
                        of: Box::new(of.0),
                        condition,
                    },
                    of.1,
                ))
            }
            (Function::Exists | Function::Empty, arguments @ ([] | [_])) => {
                let of = match arguments {
                    [condition] if function == Function::Exists => {
                        let condition = self.condition(condition, &of.1)?;
                        Lowered::Where {
                            of: Box::new(with_twins(of.0)),
                            condition,
                        }
                    }
                    [] => with_twins(of.0),
                    _ => return Err(unsupported()),
                };
                let wanted = function == Function::Exists;
                Ok((
                    Lowered::Exists {
                        of: Box::new(of),
                        wanted,
                    },
                    self.primitive("boolean"),
                ))
            }
            (Function::Not, []) => Ok((Lowered::Not(Box::new(of.0)), self.primitive("boolean"))),
            (Function::First, []) => Ok((
                Lowered::Pick {
                    of: Box::new(of.0),
                    index: 0,
                },
                of.1,
            )),
            _ => Err(unsupported()),
        }
    }

    fn condition(&self, condition: &Syntax, this: &[Structure]) -> Result<Box<Lowered>, PathError> {
        let name = this.first().map_or("", |structure| structure.name());
        let lowered = self.expression(condition, this)?;
        lowered
            .map(|(lowered, _)| Box::new(lowered))
            .ok_or_else(|| PathError::OtherType(name.to_owned()))
    }

    /// `resolve() is T` asks where a reference points to; any other `is` asks for the type of a value.
    fn is(&self, of: &Syntax, type_name: &TypeName, this: &[Structure]) -> Result<Option<Typed>, PathError> {
        let wanted = self.named(&type_name.name)?;
        if let Syntax::Call(reference, name, arguments) = of
            && *name == Function::Resolve
            && arguments.is_empty()
        {
            let reference = match reference {
                None => Some((Lowered::This, this.to_vec())),
                Some(reference) => self.expression(reference, this)?,
            };
            return Ok(reference.map(|(of, _)| {
                (
                    Lowered::PointsTo {
                        of: Box::new(of),
                        wanted,
                    },
                    self.primitive("boolean"),
                )
            }));
        }
        let Some((of, _)) = self.expression(of, this)? else {
            return Ok(None);
        };
        Ok(Some((
            Lowered::Is {
                of: Box::new(of),
                wanted,
            },
            self.primitive("boolean"),
        )))
    }

    fn of_type(&self, (of, types): Typed, type_name: &TypeName) -> Result<Typed, PathError> {
        let wanted = self.named(&type_name.name)?;
        let mut kept: Vec<Structure> = types
            .iter()
            .copied()
            .filter(|found| found.is_a(wanted.name()))
            .collect();
        if kept.is_empty() && types.iter().any(|found| wanted.is_a(found.name())) {
            kept.push(wanted);
        }
        Ok((
            Lowered::OfType {
                of: Box::new(of),
                wanted,
            },
            kept,
        ))
    }

    fn structure(&self, name: &str) -> Result<Structure, PathError> {
        self.definitions
            .structure(name)
            .ok_or_else(|| PathError::UnknownType(name.to_owned()))
    }

    /// A type as an expression names it: STU3 writes `DateTime` for `dateTime`.
    fn named(&self, name: &str) -> Result<Structure, PathError> {
        let mut letters = name.chars();
        let lower: String = letters
            .next()
            .map(|first| first.to_ascii_lowercase())
            .into_iter()
            .chain(letters)
            .collect();
        self.structure(name)
            .or_else(|error| self.structure(&lower).map_err(|_| error))
    }

    fn primitive(&self, name: &str) -> Vec<Structure> {
        self.definitions.structure(name).into_iter().collect()
    }
}

/// Resolves a name in every type that it may be asked of.
fn child((of, types): Typed, name: &str) -> Result<Typed, PathError> {
    let mut cases = Vec::new();
    let mut results = Vec::new();
    // `value` of a primitive is the value itself.
    if name == "value" && !types.is_empty() && types.iter().all(|found| found.kind() == StructureKind::Primitive) {
        return Ok((of, types));
    }
    for owner in &types {
        let members: Vec<Member> = owner
            .elements_named(name)
            .map(|element| {
                let structure = element.structure();
                let primitive = structure.kind() == StructureKind::Primitive;
                Member {
                    name: element.name(),
                    twin: primitive.then(|| format!("_{}", element.name())),
                    structure,
                }
            })
            .collect();
        results.extend(members.iter().map(|member| member.structure));
        if !members.is_empty() {
            cases.push(Case { owner: *owner, members });
        }
    }
    if cases.is_empty() && !types.is_empty() {
        let owner = types.first().map_or("", |owner| owner.name()).to_owned();
        return Err(PathError::UnknownElement {
            owner,
            name: name.to_owned(),
        });
    }
    results.sort_unstable();
    results.dedup();
    let primitive = types.iter().any(|found| found.kind() == StructureKind::Primitive);
    let of = Box::new(if primitive { with_twins(of) } else { of });
    Ok((
        Lowered::Child {
            of,
            cases,
            name: name.to_owned(),
            twins: false,
        },
        results,
    ))
}

/// Asks for the `_name` twins of primitive values, which hold their extensions.
fn with_twins(lowered: Lowered) -> Lowered {
    match lowered {
        Lowered::Child { of, cases, name, .. } => Lowered::Child {
            of,
            cases,
            name,
            twins: true,
        },
        Lowered::OfType { of, wanted } => Lowered::OfType {
            of: Box::new(with_twins(*of)),
            wanted,
        },
        Lowered::Where { of, condition } => Lowered::Where {
            of: Box::new(with_twins(*of)),
            condition,
        },
        Lowered::Pick { of, index } => Lowered::Pick {
            of: Box::new(with_twins(*of)),
            index,
        },
        Lowered::Union(parts) => Lowered::Union(parts.into_iter().map(with_twins).collect()),
        other => other,
    }
}
