//! Paths into JSON as the cases write them: `a.b[0].c`, `a[*].b`, `entry[resource.resourceType=Patient].resource.id`.

use anyhow::{Context, Result, bail};
use serde_json::Value;

enum Step<'a> {
    Key(&'a str),
    All,
    Index(i64),
    Where(&'a str, &'a str),
}

fn steps(path: &str) -> Result<Vec<Step<'_>>> {
    let mut rest = path;
    let mut out = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            rest = after;
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = after
                .find(']')
                .with_context(|| format!("unclosed bracket in path `{path}`"))?;
            let inner = &after[..end];
            out.push(match inner.split_once('=') {
                Some((key, wanted)) => Step::Where(key, wanted),
                None if inner == "*" => Step::All,
                None => Step::Index(inner.parse().with_context(|| format!("bad index in path `{path}`"))?),
            });
            rest = &after[end + 1..];
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            out.push(Step::Key(&rest[..end]));
            rest = &rest[end..];
        }
    }
    Ok(out)
}

/// The text that a scalar has inside a message, a URL or a comparison by text.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn matching(value: &Value, key: &str, wanted: &str) -> bool {
    all(value, key).is_ok_and(|found| found.iter().any(|v| text_of(v) == wanted))
}

fn at(list: &[Value], index: i64) -> Option<usize> {
    let len = i64::try_from(list.len()).ok()?;
    let index = if index < 0 { len + index } else { index };
    usize::try_from(index).ok().filter(|i| *i < list.len())
}

/// All values at the path. A key applied to a list is applied to each of its members.
pub fn all(root: &Value, path: &str) -> Result<Vec<Value>> {
    if matches!(path, "" | "$") {
        return Ok(vec![root.clone()]);
    }
    let mut current = vec![root.clone()];
    for step in steps(path)? {
        let mut next = Vec::new();
        for value in &current {
            match (&step, value) {
                (Step::Key("length"), Value::Array(list)) => next.push(list.len().into()),
                (Step::Key(key), Value::Object(map)) => next.extend(map.get(*key).cloned()),
                (Step::Key(key), Value::Array(list)) => next.extend(list.iter().filter_map(|v| v.get(*key)).cloned()),
                (Step::All, Value::Array(list)) => next.extend(list.iter().cloned()),
                (Step::Index(index), Value::Array(list)) => next.extend(at(list, *index).map(|i| list[i].clone())),
                (Step::Where(key, wanted), Value::Array(list)) => {
                    next.extend(list.iter().filter(|v| matching(v, key, wanted)).cloned());
                }
                _ => {}
            }
        }
        current = next;
    }
    Ok(current)
}

/// Applies `set`, `remove` and `append` operations, in order.
pub fn patch(root: &mut Value, operations: &Value) -> Result<()> {
    for operation in operations.as_array().context("bodyPatch must be a list")? {
        let value = operation.get("value").cloned().unwrap_or(Value::Null);
        if let Some(path) = operation.get("set").and_then(Value::as_str) {
            *slot(root, path)? = value;
        } else if let Some(path) = operation.get("append").and_then(Value::as_str) {
            match slot(root, path)? {
                Value::Array(list) => list.push(value),
                empty @ Value::Null => *empty = Value::Array(vec![value]),
                _ => bail!("`{path}` is no list to append to"),
            }
        } else if let Some(path) = operation.get("remove").and_then(Value::as_str) {
            remove(root, path)?;
        }
    }
    Ok(())
}

/// The place at a path, made where it is missing.
fn slot<'a>(root: &'a mut Value, path: &str) -> Result<&'a mut Value> {
    let mut current = root;
    for step in steps(path)? {
        if current.is_null() {
            *current = if matches!(step, Step::Key(_)) {
                Value::Object(serde_json::Map::new())
            } else {
                Value::Array(vec![])
            };
        }
        current = match (step, current) {
            (Step::Key(key), Value::Object(map)) => map.entry(key).or_insert(Value::Null),
            (Step::Index(index), Value::Array(list)) => {
                if i64::try_from(list.len())? == index {
                    list.push(Value::Null);
                }
                let index = at(list, index).with_context(|| format!("nothing at `{path}`"))?;
                &mut list[index]
            }
            (Step::Where(key, wanted), Value::Array(list)) => list
                .iter_mut()
                .find(|v| matching(v, key, wanted))
                .with_context(|| format!("nothing at `{path}`"))?,
            _ => bail!("nothing at `{path}`"),
        };
    }
    Ok(current)
}

/// Removing what isn't there is no error.
fn remove(root: &mut Value, path: &str) -> Result<()> {
    let mut way = steps(path)?;
    let Some(last) = way.pop() else { return Ok(()) };
    let mut current = root;
    for step in way {
        let next = match (step, current) {
            (Step::Key(key), Value::Object(map)) => map.get_mut(key),
            (Step::Index(index), Value::Array(list)) => at(list, index).and_then(|i| list.get_mut(i)),
            (Step::Where(key, wanted), Value::Array(list)) => list.iter_mut().find(|v| matching(v, key, wanted)),
            _ => None,
        };
        let Some(next) = next else { return Ok(()) };
        current = next;
    }
    match (last, current) {
        (Step::Key(key), Value::Object(map)) => {
            map.shift_remove(key);
        }
        (Step::Index(index), Value::Array(list)) => {
            if let Some(index) = at(list, index) {
                list.remove(index);
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_by_key_index_star_and_condition() {
        let bundle = json!({"entry": [
            {"resource": {"resourceType": "Patient", "id": "a"}},
            {"resource": {"resourceType": "Device", "id": "b"}},
        ]});
        for (path, wanted) in [
            ("entry[0].resource.id", json!(["a"])),
            ("entry[-1].resource.id", json!(["b"])),
            ("entry[*].resource.id", json!(["a", "b"])),
            ("entry.resource.id", json!(["a", "b"])),
            ("entry[resource.resourceType=Device].resource.id", json!(["b"])),
            ("entry.length", json!([2])),
            ("entry[7].resource", json!([])),
        ] {
            assert_eq!(Value::Array(all(&bundle, path).unwrap()), wanted, "{path}");
        }
    }

    #[test]
    fn patches_in_order() {
        let mut body = json!({"name": [{"family": "Old"}], "gender": "male"});
        let operations = json!([
            {"set": "name[0].family", "value": "New"},
            {"append": "name[0].given", "value": "Ada"},
            {"remove": "gender"},
            {"remove": "nothing.here"},
            {"set": "meta.tag[0].code", "value": "t"},
        ]);
        patch(&mut body, &operations).unwrap();
        assert_eq!(
            body,
            json!({"name": [{"family": "New", "given": ["Ada"]}], "meta": {"tag": [{"code": "t"}]}})
        );
    }
}
