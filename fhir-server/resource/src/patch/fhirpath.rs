//! FHIRPath Patch: a `Parameters` resource whose operations find their places by FHIRPath.

mod operation;
mod value;

use fhir_definitions::{Definitions, Element, Max, Structure};

use self::operation::{Kind, Operation};
use self::value::New;
use super::pointer::Step;
use super::tree::Tree;
use super::{PatchError, locate, reread};
use crate::document::{Document, Node};
use crate::path::Program;

/// What the operations of `parameters` make of `resource`: all of them, one after the other, or an error.
pub fn fhirpath(
    definitions: &'static Definitions,
    resource: Node<'_>,
    parameters: Node<'_>,
) -> Result<Document, PatchError> {
    let operations = operation::read(parameters)?;
    let mut document = reread(resource.raw().as_bytes().to_vec())?;
    for operation in &operations {
        let text = applied(definitions, document.root(), operation)?;
        document = reread(text)?;
    }
    Ok(document)
}

/// One operation on one state of the resource.
struct Work<'a> {
    definitions: &'static Definitions,
    root: Node<'a>,
    resource: Structure,
    operation: &'a Operation<'a>,
    tree: Tree<'a>,
}

fn applied(
    definitions: &'static Definitions,
    root: Node<'_>,
    operation: &Operation<'_>,
) -> Result<Vec<u8>, PatchError> {
    let of = root.text_of("resourceType").unwrap_or_default();
    let resource = definitions
        .structure(&of)
        .ok_or_else(|| PatchError::Malformed(format!("Resource type '{of}' is not supported.")))?;
    let mut work = Work {
        definitions,
        root,
        resource,
        operation,
        tree: Tree::Kept(root),
    };
    match operation.kind {
        Kind::Add => work.add(&operation.path, &operation.text("name")?)?,
        Kind::Replace => work.replace(&operation.path)?,
        Kind::Delete => work.delete()?,
        Kind::Insert => work.insert()?,
        Kind::Move => work.shift()?,
        Kind::Upsert => work.upsert()?,
    }
    Ok(work.tree.text())
}

impl<'a> Work<'a> {
    fn all(&self, path: &str) -> Result<Vec<Vec<Step>>, PatchError> {
        let program = Program::compile(path, self.definitions, self.resource.name());
        let program = program.map_err(|reason| PatchError::Path {
            path: path.to_owned(),
            operation: self.operation.kind.code(),
            reason,
        })?;
        let mut found = Vec::new();
        program.evaluate(self.root, &mut |node, _| found.push(locate::steps(self.root, node)));
        Ok(found)
    }

    /// The place of the only value that `path` has, if it has one.
    fn only(&self, path: &str) -> Result<Option<Vec<Step>>, PatchError> {
        let mut found = self.all(path)?;
        if found.len() > 1 {
            return Err(PatchError::SeveralMatches {
                path: path.to_owned(),
                operation: self.operation.kind.code(),
            });
        }
        Ok(found.pop())
    }

    fn no_content(&self, path: &str) -> PatchError {
        PatchError::NoContent {
            path: path.to_owned(),
            operation: self.operation.kind.code(),
        }
    }

    fn bad_value(&self, element: &str, path: &str) -> PatchError {
        PatchError::Value {
            element: element.to_owned(),
            path: path.to_owned(),
            operation: self.operation.kind.code(),
        }
    }

    /// The type of what stands at `place`.
    fn structure(&self, place: &[Step]) -> Option<Structure> {
        let (mut structure, mut node) = (self.resource, self.root);
        for step in place {
            match step {
                Step::Index(index) => node = node.item(*index)?,
                Step::Name(name) => {
                    structure = structure.element(name)?.structure();
                    node = node.get(name)?;
                }
            }
            if structure.is_abstract()
                && let Some(of) = node.text_of("resourceType")
            {
                structure = self.definitions.structure(&of)?;
            }
        }
        Some(structure)
    }

    fn place(&mut self, place: &[Step], path: &str) -> Result<&mut Tree<'a>, PatchError> {
        let missing = self.no_content(path);
        self.tree.at(place).ok_or(missing)
    }

    /// The element `name` of what stands at `place`, as it must be for `new`.
    fn element(&self, place: &[Step], name: &str, new: &New<'_>, path: &str) -> Result<Element, PatchError> {
        let owner = self.structure(place);
        let known =
            owner.is_some_and(|owner| owner.element(name).is_some() || owner.elements_named(name).next().is_some());
        if !known {
            return Err(self.no_element(name, path));
        }
        let element = owner.and_then(|owner| value::element(owner, name, new));
        let element = element.ok_or_else(|| self.bad_value(name, path))?;
        match new.stranger(element) {
            None => Ok(element),
            Some(stranger) => Err(self.no_element(&stranger, path)),
        }
    }

    fn no_element(&self, element: &str, path: &str) -> PatchError {
        PatchError::NoElement {
            element: element.to_owned(),
            path: path.to_owned(),
            operation: self.operation.kind.code(),
        }
    }

    fn add(&mut self, path: &str, name: &str) -> Result<(), PatchError> {
        let new = self.operation.value()?;
        let place = self.only(path)?.ok_or_else(|| self.no_content(path))?;
        let element = self.element(&place, name, &new, path)?;
        let owner = self.structure(&place);
        let alternatives = owner
            .into_iter()
            .flat_map(|owner| owner.elements_named(element.base_name()));
        let node = self.node(&place);
        let is_there = |name: &str| node.is_some_and(|node| node.get(name).is_some());
        if element.max() != Max::Many && alternatives.map(Element::name).any(is_there) {
            return Err(PatchError::Exists {
                element: name.to_owned(),
                path: path.to_owned(),
            });
        }
        let (value, twin) = new.of(element).ok_or_else(|| self.bad_value(name, path))?;
        if element.max() == Max::Many {
            let end = self.length(&place, element.name());
            return self.put(&place, element.name(), end, value, twin, path);
        }
        self.set(&place, element.name(), value, twin, path)
    }

    /// The element is the path's last, or the `name` below it, as an `add` would have it.
    fn upsert(&mut self) -> Result<(), PatchError> {
        let path = &*self.operation.path;
        if let Ok(name) = self.operation.text("name") {
            if self.only(path)?.is_none() {
                return Err(self.no_content(path));
            }
            let below = format!("{path}.{name}");
            return match self.all(&below) {
                Ok(found) if !found.is_empty() => self.replace(&below),
                _ => self.add(path, &name),
            };
        }
        if self.only(path)?.is_some() {
            return self.replace(path);
        }
        let (parent, name) = locate::parent(path).ok_or_else(|| self.no_content(path))?;
        self.add(parent, name)
    }

    fn replace(&mut self, path: &str) -> Result<(), PatchError> {
        let new = self.operation.value()?;
        let place = self.only(path)?.ok_or_else(|| self.no_content(path))?;
        let (owner, old, index) = split(&place).ok_or_else(|| self.no_content(path))?;
        let known = self.structure(owner).and_then(|structure| structure.element(old));
        let base: &str = match known {
            Some(element) => element.base_name(),
            None => old,
        };
        let element = self.element(owner, base, &new, path)?;
        let (value, twin) = new.of(element).ok_or_else(|| self.bad_value(base, path))?;
        if let Some(index) = index {
            self.take(owner, old, index, path)?;
            return self.put(owner, old, index, value, twin, path);
        }
        let place = self.place(owner, path)?;
        if element.name() != old {
            place.unset(old);
        }
        place.unset(&twin_of(old));
        self.set(owner, element.name(), value, twin, path)
    }

    fn delete(&mut self) -> Result<(), PatchError> {
        let path = &*self.operation.path;
        let Some(place) = self.only(path)? else { return Ok(()) };
        let (owner, name, index) = split(&place).ok_or_else(|| self.no_content(path))?;
        if let Some(index) = index {
            return self.take(owner, name, index, path).map(drop);
        }
        let place = self.place(owner, path)?;
        place.unset(name);
        place.unset(&twin_of(name));
        Ok(())
    }

    /// The list that the path of an `insert` or `move` names: whose it is, and its name.
    fn list(&self) -> Result<(Vec<Step>, &'a str), PatchError> {
        let path = &*self.operation.path;
        let code = self.operation.kind.code();
        let (parent, name) = locate::parent(path).ok_or_else(|| {
            PatchError::Malformed(format!(
                "The path of a patch {code} operation must end with the name of a list."
            ))
        })?;
        let place = self.only(parent)?.ok_or_else(|| self.no_content(path))?;
        Ok((place, name))
    }

    fn insert(&mut self) -> Result<(), PatchError> {
        let path = &*self.operation.path;
        let new = self.operation.value()?;
        let (owner, name) = self.list()?;
        let element = self.element(&owner, name, &new, path)?;
        let index = self.operation.index("index", self.length(&owner, name) + 1)?;
        let value = new.of(element).filter(|_| element.max() == Max::Many);
        let (value, twin) = value.ok_or_else(|| self.bad_value(name, path))?;
        self.put(&owner, name, index, value, twin, path)
    }

    fn shift(&mut self) -> Result<(), PatchError> {
        let path = &*self.operation.path;
        let (owner, name) = self.list()?;
        let length = self.length(&owner, name);
        if length == 0 {
            return Err(self.no_content(path));
        }
        let from = self.operation.index("source", length)?;
        let to = self.operation.index("destination", length)?;
        let (value, twin) = self.take(&owner, name, from, path)?;
        self.put(&owner, name, to, value, twin, path)
    }

    fn node(&self, place: &[Step]) -> Option<Node<'a>> {
        place.iter().try_fold(self.root, |node, step| match step {
            Step::Name(name) => node.get(name),
            Step::Index(index) => node.item(*index),
        })
    }

    fn length(&self, owner: &[Step], name: &str) -> usize {
        let owner = self.node(owner);
        let length = |name: &str| {
            owner
                .and_then(|node| node.get(name))
                .map_or(0, |list| list.items().count())
        };
        length(name).max(length(&twin_of(name)))
    }

    /// Sets a member that doesn't repeat.
    fn set(
        &mut self,
        owner: &[Step],
        name: &str,
        value: Tree<'a>,
        twin: Option<Tree<'a>>,
        path: &str,
    ) -> Result<(), PatchError> {
        let missing = self.no_content(path);
        let place = self.place(owner, path)?;
        place.set(name, value).ok_or(missing)?;
        if let Some(twin) = twin {
            place.set(&twin_of(name), twin);
        }
        Ok(())
    }

    /// Puts an item into a list, which is made if there is none. The extensions of primitive items have a list of their
    /// own, which is kept in step.
    fn put(
        &mut self,
        owner: &[Step],
        name: &str,
        index: usize,
        value: Tree<'a>,
        twin: Option<Tree<'a>>,
        path: &str,
    ) -> Result<(), PatchError> {
        let length = self.length(owner, name);
        let missing = self.no_content(path);
        let place = self.place(owner, path)?;
        into_list(place, name, length, index, value).ok_or(missing)?;
        let name = twin_of(name);
        if twin.is_some() || place.at(&[Step::Name(name.clone())]).is_some() {
            into_list(place, &name, length, index, twin.unwrap_or(Tree::Null));
        }
        Ok(())
    }

    /// Takes an item out of a list, with its extensions.
    fn take(
        &mut self,
        owner: &[Step],
        name: &str,
        index: usize,
        path: &str,
    ) -> Result<(Tree<'a>, Option<Tree<'a>>), PatchError> {
        let missing = self.no_content(path);
        let place = self.place(owner, path)?;
        let mut out_of = |name: String| {
            let items = place.at(&[Step::Name(name)])?.items()?;
            (index < items.len()).then(|| items.remove(index))
        };
        let value = out_of(name.to_owned()).ok_or(missing)?;
        Ok((value, out_of(twin_of(name))))
    }
}

/// `given` → `_given`, where ids and extensions of primitive values stand.
fn twin_of(name: &str) -> String {
    format!("_{name}")
}

/// Whose a value is, the member that it is in, and its index if that is a list.
fn split(place: &[Step]) -> Option<(&[Step], &str, Option<usize>)> {
    match place {
        [owner @ .., Step::Name(name), Step::Index(index)] => Some((owner, name, Some(*index))),
        [owner @ .., Step::Name(name)] => Some((owner, name, None)),
        _ => None,
    }
}

fn into_list<'a>(owner: &mut Tree<'a>, name: &str, length: usize, index: usize, value: Tree<'a>) -> Option<()> {
    let step = [Step::Name(name.to_owned())];
    if owner.at(&step).is_none() {
        owner.set(name, Tree::Array(Vec::new()))?;
    }
    let items = owner.at(&step)?.items()?;
    while items.len() < length.min(index) {
        items.push(Tree::Null);
    }
    items.insert(index.min(items.len()), value);
    Some(())
}
