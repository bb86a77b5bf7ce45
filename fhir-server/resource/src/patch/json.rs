//! JSON Patch (RFC 6902).

use super::pointer::{Pointer, index};
use super::tree::Tree;
use super::{MOST_OPERATIONS, PatchError, reread};
use crate::document::{Document, Kind, Limits, Node};

/// What `patch`, an array of operations, makes of `resource`: all of them, or an error.
pub fn json(resource: Node<'_>, patch: Node<'_>) -> Result<Document, PatchError> {
    if !patch.is_array() {
        return Err(malformed("A JSON Patch must be an array of operations."));
    }
    if patch.items().count() > MOST_OPERATIONS {
        return Err(malformed(format!("A patch has at most {MOST_OPERATIONS} operations.")));
    }
    let mut root = Tree::Kept(resource);
    for operation in patch.items() {
        apply(&mut root, operation)?;
    }
    reread(root.text())
}

fn malformed(text: impl Into<String>) -> PatchError {
    PatchError::Malformed(text.into())
}

fn apply<'a>(root: &mut Tree<'a>, operation: Node<'a>) -> Result<(), PatchError> {
    let op = operation
        .text_of("op")
        .ok_or_else(|| malformed("An operation of a JSON Patch needs an `op`."))?;
    let pointer = |name: &str| {
        let text = operation
            .text_of(name)
            .ok_or_else(|| malformed(format!("A JSON Patch {op} operation needs `{name}`.")))?;
        Pointer::parse(&text)
    };
    let value = || {
        let value = operation.get("value");
        value.ok_or_else(|| malformed(format!("A JSON Patch {op} operation needs a `value`.")))
    };
    match &*op {
        "add" => add(root, &pointer("path")?, Tree::Kept(value()?)),
        "remove" => remove(root, &pointer("path")?).map(drop),
        "replace" => {
            let path = pointer("path")?;
            let place = find(root, path.names()).ok_or_else(|| path.missing())?;
            *place = like(place, value()?);
            Ok(())
        }
        "move" => {
            let (from, path) = (pointer("from")?, pointer("path")?);
            if from.holds(&path) {
                return Err(malformed("A JSON Patch move operation can't move a value into itself."));
            }
            let value = remove(root, &from)?;
            add(root, &path, value)
        }
        "copy" => {
            let (from, path) = (pointer("from")?, pointer("path")?);
            let value = find(root, from.names()).ok_or_else(|| from.missing())?.clone();
            add(root, &path, value)
        }
        "test" => {
            let path = pointer("path")?;
            let found = reread(find(root, path.names()).ok_or_else(|| path.missing())?.text())?;
            if found.root().same(value()?) {
                Ok(())
            } else {
                Err(PatchError::TestFailed(path.text().to_owned()))
            }
        }
        other => Err(malformed(format!("Invalid JsonPatch operation '{other}'."))),
    }
}

/// What takes the place of `old`. Clients send booleans and numbers as strings, too, as Microsoft's server reads them.
fn like<'a>(old: &Tree<'a>, new: Node<'a>) -> Tree<'a> {
    let Tree::Kept(old) = old else {
        return Tree::Kept(new);
    };
    let is_scalar = matches!(old.kind(), Kind::Number | Kind::Bool);
    let text = new.as_str().filter(|_| is_scalar);
    let unquoted = text.and_then(|text| Document::parse(text.into_owned(), Limits::default()).ok());
    match unquoted {
        Some(value) if value.root().kind() == old.kind() => Tree::New(value.root().raw().to_owned()),
        _ => Tree::Kept(new),
    }
}

fn find<'t, 'a>(root: &'t mut Tree<'a>, names: &[String]) -> Option<&'t mut Tree<'a>> {
    names.iter().try_fold(root, |place, name| match place.open() {
        Tree::Object(members) => Some(&mut members.iter_mut().find(|(own, _)| own == name)?.1),
        Tree::Array(items) => items.get_mut(index(name)?),
        _ => None,
    })
}

fn add<'a>(root: &mut Tree<'a>, path: &Pointer, value: Tree<'a>) -> Result<(), PatchError> {
    let Some((last, parents)) = path.names().split_last() else {
        *root = value;
        return Ok(());
    };
    let parent = find(root, parents).ok_or_else(|| path.missing())?;
    match parent.open() {
        Tree::Object(_) => parent.set(last, value).ok_or_else(|| path.missing()),
        Tree::Array(items) => {
            let at = if last == "-" { Some(items.len()) } else { index(last) };
            let at = at.filter(|at| *at <= items.len()).ok_or_else(|| path.missing())?;
            items.insert(at, value);
            Ok(())
        }
        _ => Err(path.missing()),
    }
}

fn remove<'a>(root: &mut Tree<'a>, path: &Pointer) -> Result<Tree<'a>, PatchError> {
    let (last, parents) = path
        .names()
        .split_last()
        .ok_or_else(|| malformed("The resource itself can't be removed by a patch."))?;
    let removed = find(root, parents).and_then(|parent| match parent.open() {
        Tree::Object(_) => parent.unset(last),
        Tree::Array(items) => {
            let at = index(last).filter(|at| *at < items.len())?;
            Some(items.remove(at))
        }
        _ => None,
    });
    removed.ok_or_else(|| path.missing())
}
