//! Function calls: each goes to the file of its kind.

use super::value::{Collection, Value};
use super::{Evaluation, Fault, Rigour, Scope, single, single_system};
use crate::document::Node;
use crate::path::function::{Function, Kind};
use crate::path::syntax::Syntax;
use crate::validation::{Coded, Membership, is_safe_narrative};

impl<'a> Evaluation<'_, 'a> {
    /// Calls `function` on `input`; on what is looked at where nothing stands before it.
    pub fn call(
        &self,
        input: Option<Collection<'a>>,
        function: Function,
        arguments: &'a [Syntax],
        scope: &Scope<'_, 'a>,
    ) -> Result<Collection<'a>, Fault> {
        let alone = input.is_none();
        let input = match input {
            Some(input) => input,
            None => self.copied(scope.this)?,
        };
        match function.kind() {
            Kind::Collection => self.collection(input, function, arguments, scope),
            Kind::Conversion => self.convert(&input, function),
            Kind::Fhir => self.fhir(&input, function, arguments, scope),
            Kind::Type => self.typed(input, function, arguments),
            Kind::World => match function {
                Function::Iif => self.iif(&input, alone, arguments, scope),
                Function::Now => Ok(vec![Value::Moment(self.now())]),
                Function::Today => Ok(vec![Value::Moment(self.now().date())]),
                Function::TimeOfDay => Ok(vec![Value::Moment(self.now().time())]),
                // What `trace()` tells goes nowhere: it is a tool of authors.
                _ => Ok(input),
            },
            Kind::Number => {
                let argument = self.argument(arguments, 0, scope)?;
                super::math::function(function, &input, argument.as_deref())
            }
            Kind::Text => {
                let first = self.argument(arguments, 0, scope)?;
                let second = self.argument(arguments, 1, scope)?;
                self.text(&input, function, first.as_deref(), second.as_deref())
            }
        }
    }

    fn now(&self) -> super::moment::Moment {
        super::moment::Moment::of(self.world.now)
    }

    /// An argument that doesn't depend on the single values of the input.
    pub fn argument(
        &self,
        arguments: &'a [Syntax],
        index: usize,
        scope: &Scope<'_, 'a>,
    ) -> Result<Option<Collection<'a>>, Fault> {
        arguments
            .get(index)
            .map(|argument| self.value(argument, scope))
            .transpose()
    }

    /// The text that an argument is; nothing if it is empty.
    pub fn text_argument(
        &self,
        arguments: &'a [Syntax],
        index: usize,
        function: Function,
        scope: &Scope<'_, 'a>,
    ) -> Result<Option<String>, Fault> {
        let Some(argument) = self.argument(arguments, index, scope)? else {
            return Ok(None);
        };
        match single_system(&argument, function.name())? {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.into_owned())),
            Some(other) => Err(Fault::meaning(format!(
                "`{}()` takes a text, not a {}",
                function.name(),
                other.type_of().1
            ))),
        }
    }

    fn iif(
        &self,
        input: &[Value<'a>],
        alone: bool,
        arguments: &'a [Syntax],
        scope: &Scope<'_, 'a>,
    ) -> Result<Collection<'a>, Fault> {
        let own;
        let scope = if alone || input.is_empty() {
            scope
        } else {
            single(input, "iif()")?;
            own = scope.at(input, 0);
            &own
        };
        let condition = arguments
            .first()
            .map(|condition| self.value(condition, scope))
            .transpose()?;
        let condition = condition.unwrap_or_default();
        let holds = match single_system(&condition, "iif()")? {
            None => !condition.is_empty() && super::boolean::truth(&condition)? == Some(true),
            Some(Value::Bool(holds)) => holds,
            Some(_) if self.world.rigour == Rigour::Strict => {
                return Err(Fault::meaning("the condition of `iif()` must be a boolean"));
            }
            Some(_) => true,
        };
        match arguments.get(if holds { 1 } else { 2 }) {
            Some(result) => self.value(result, scope),
            None => Ok(Vec::new()),
        }
    }

    fn fhir(
        &self,
        input: &[Value<'a>],
        function: Function,
        arguments: &'a [Syntax],
        scope: &Scope<'_, 'a>,
    ) -> Result<Collection<'a>, Fault> {
        match function {
            Function::Extension | Function::HasExtension => {
                let Some(url) = self.text_argument(arguments, 0, function, scope)? else {
                    return Ok(Vec::new());
                };
                let mut found = Vec::new();
                for value in input {
                    self.extensions(value, &url, &mut found)?;
                }
                if function == Function::HasExtension {
                    return Ok(vec![Value::Bool(!found.is_empty())]);
                }
                Ok(found)
            }
            Function::HasValue => {
                let has = match input {
                    [Value::Element(item)] => {
                        item.value.is_some_and(|node| !node.is_null()) && super::value::is_primitive(item.structure)
                    }
                    [_] => true,
                    _ => false,
                };
                Ok(vec![Value::Bool(has)])
            }
            Function::GetValue => Ok(match input {
                [value @ Value::Element(item)] if super::value::is_primitive(item.structure) => {
                    value.system().into_iter().collect()
                }
                _ => Vec::new(),
            }),
            Function::Resolve => {
                let mut found = Vec::new();
                for value in input {
                    self.spend(1)?;
                    found.extend(self.resolve(value)?);
                }
                Ok(found)
            }
            Function::ConformsTo => {
                let url = self.text_argument(arguments, 0, function, scope)?;
                let (Some(url), Some(Value::Element(item))) = (url, single(input, "conformsTo()")?) else {
                    return Ok(Vec::new());
                };
                self.conforms_to(item.value, item.structure, &url)
            }
            Function::MemberOf => {
                let set = self.text_argument(arguments, 0, function, scope)?;
                let (Some(set), Some(value)) = (set, single(input, "memberOf()")?) else {
                    return Ok(Vec::new());
                };
                Ok(self.member_of(value, &set).map(Value::Bool).into_iter().collect())
            }
            Function::HtmlChecks => {
                let Some(Value::Text(text)) = single_system(input, "htmlChecks()")? else {
                    return Ok(Vec::new());
                };
                self.spend(text.len() / 16)?;
                Ok(vec![Value::Bool(is_safe_narrative(&text))])
            }
            other => Err(Fault::meaning(format!("`{}()` isn't supported", other.name()))),
        }
    }

    fn conforms_to(
        &self,
        node: Option<Node<'a>>,
        structure: fhir_definitions::Structure,
        url: &str,
    ) -> Result<Collection<'a>, Fault> {
        self.spend(64)?;
        let bare = url.split('|').next().unwrap_or(url);
        let base = bare.strip_prefix("http://hl7.org/fhir/StructureDefinition/");
        if let Some(wanted) = base.and_then(|name| self.world.definitions.structure(name)) {
            return Ok(vec![Value::Bool(structure.is_a(wanted.name()))]);
        }
        let known = node
            .zip(self.world.conforms)
            .and_then(|(node, conforms)| conforms(node, structure, url));
        match known {
            Some(conforms) => Ok(vec![Value::Bool(conforms)]),
            None => Err(Fault::meaning(format!("the profile `{url}` isn't known"))),
        }
    }

    /// Whether a code, a Coding or one of a CodeableConcept's is in a value set.
    fn member_of(&self, value: &Value<'a>, set: &str) -> Option<bool> {
        let one = |coding: Node<'_>| {
            let code = coding.text_of("code")?;
            let (system, version) = (coding.text_of("system"), coding.text_of("version"));
            let coded = Coded {
                system: system.as_deref(),
                version: version.as_deref(),
                code: &code,
            };
            known(self.world.terminology.member(set, coded))
        };
        match value {
            Value::Element(item) if !super::value::is_primitive(item.structure) => {
                let node = item.value?;
                let Some(codings) = node.get("coding") else {
                    return one(node);
                };
                let mut all = Some(false);
                for coding in codings.each() {
                    match one(coding) {
                        Some(true) => return Some(true),
                        None => all = None,
                        Some(false) => {}
                    }
                }
                all
            }
            other => match other.system()? {
                Value::Text(text) => {
                    let coded = Coded {
                        system: None,
                        version: None,
                        code: &text,
                    };
                    known(self.world.terminology.member(set, coded))
                }
                _ => None,
            },
        }
    }
}

fn known(membership: Membership) -> Option<bool> {
    match membership {
        Membership::Yes => Some(true),
        Membership::No => Some(false),
        Membership::Unknown => None,
    }
}
