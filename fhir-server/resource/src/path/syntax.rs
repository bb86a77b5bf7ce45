//! The syntax tree of an expression, which search parameters, patches and invariants share.

use super::engine::Constant;
use super::function::Function;

#[derive(Debug, Clone, PartialEq)]
pub enum Syntax {
    /// A name at the start of a path: a type, or an element of what is looked at.
    Name(String),
    /// `$this`
    This,
    /// `$index`
    Index,
    /// `$total`
    Total,
    /// `%resource`, without the `%`.
    Variable(String),
    /// A literal.
    Constant(Constant),
    /// `{}`
    Nothing,
    Member(Box<Syntax>, String),
    At(Box<Syntax>, Box<Syntax>),
    /// A function, on nothing when it stands at the start.
    Call(Option<Box<Syntax>>, Function, Vec<Syntax>),
    As(Box<Syntax>, TypeName),
    Is(Box<Syntax>, TypeName),
    /// A type that stands for an argument: `ofType(Patient)`.
    Type(TypeName),
    Union(Vec<Syntax>),
    Binary(Operator, Box<Syntax>, Box<Syntax>),
    Negative(Box<Syntax>),
    Positive(Box<Syntax>),
}

impl Syntax {
    /// What a message calls it.
    pub fn shown(&self) -> String {
        match self {
            Self::Name(name) | Self::Member(_, name) => name.clone(),
            Self::This => "$this".to_owned(),
            Self::Index => "$index".to_owned(),
            Self::Total => "$total".to_owned(),
            Self::Variable(name) => format!("%{name}"),
            Self::Constant(constant) => constant.written(),
            Self::Nothing => "{}".to_owned(),
            Self::At(..) => "[…]".to_owned(),
            Self::Call(_, function, _) => format!("{}()", function.name()),
            Self::As(..) => "as".to_owned(),
            Self::Is(..) => "is".to_owned(),
            Self::Type(name) => name.name.clone(),
            Self::Union(_) => "|".to_owned(),
            Self::Binary(operator, ..) => operator.symbol().to_owned(),
            Self::Negative(_) => "-".to_owned(),
            Self::Positive(_) => "+".to_owned(),
        }
    }
}

/// A type as an expression names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeName {
    pub namespace: Option<Namespace>,
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    Fhir,
    System,
}

/// What stands between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Multiply,
    Divide,
    Div,
    Mod,
    Add,
    Subtract,
    Concatenate,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    Unequal,
    Equivalent,
    NotEquivalent,
    In,
    Contains,
    And,
    Or,
    Xor,
    Implies,
}

impl Operator {
    const ALL: [(Operator, &'static str, u8); 21] = [
        (Operator::Multiply, "*", 11),
        (Operator::Divide, "/", 11),
        (Operator::Div, "div", 11),
        (Operator::Mod, "mod", 11),
        (Operator::Add, "+", 10),
        (Operator::Subtract, "-", 10),
        (Operator::Concatenate, "&", 10),
        (Operator::Less, "<", 7),
        (Operator::LessOrEqual, "<=", 7),
        (Operator::Greater, ">", 7),
        (Operator::GreaterOrEqual, ">=", 7),
        (Operator::Equal, "=", 6),
        (Operator::Unequal, "!=", 6),
        (Operator::Equivalent, "~", 6),
        (Operator::NotEquivalent, "!~", 6),
        (Operator::In, "in", 5),
        (Operator::Contains, "contains", 5),
        (Operator::And, "and", 4),
        (Operator::Or, "or", 3),
        (Operator::Xor, "xor", 3),
        (Operator::Implies, "implies", 2),
    ];

    /// The operator of a symbol, with how tightly it binds.
    pub fn of(symbol: &str) -> Option<(Operator, u8)> {
        let found = Self::ALL.iter().find(|(_, text, _)| *text == symbol)?;
        Some((found.0, found.2))
    }

    /// As it is written.
    pub fn symbol(self) -> &'static str {
        let found = Self::ALL.iter().find(|(operator, ..)| *operator == self);
        found.map_or("", |(_, text, _)| text)
    }
}

/// How tightly `is` and `as` bind: less than `+`, more than `|`.
pub const TYPE_POWER: u8 = 9;
/// How tightly `|` binds.
pub const UNION_POWER: u8 = 8;
