//! Parameters resources: the input of operations that are called by POST.

use fhir_resource::Node;

use crate::http::call::{Call, Pairs};
use crate::http::failure::{Failure, Result};

/// The parameters of a call: none without a body; a body of another kind is refused.
pub fn of<'a>(call: &Call<'a>) -> Result<Vec<Node<'a>>> {
    let Some(root) = call.resource else {
        return Ok(Vec::new());
    };
    if root.text_of("resourceType").as_deref() != Some("Parameters") {
        return Err(Failure::invalid(
            "The body of this operation must be a Parameters resource.",
        ));
    }
    Ok(root.get("parameter").into_iter().flat_map(Node::each).collect())
}

/// The name of a parameter or of a part.
pub fn name(parameter: Node<'_>) -> String {
    parameter.text_of("name").unwrap_or_default().into_owned()
}

/// The primitive value of a parameter as text, whatever its type.
pub fn value(parameter: Node<'_>) -> Option<String> {
    let (_, value) = parameter.entries().find(|(name, _)| name.starts_with("value"))?;
    let text = value.as_str().map(std::borrow::Cow::into_owned);
    text.or_else(|| value.number_text().map(str::to_owned))
        .or_else(|| value.as_bool().map(|flag| flag.to_string()))
}

/// The query of a call with the primitive parameters of its body behind it.
pub fn pairs(call: &Call<'_>) -> Result<Pairs> {
    let own = of(call)?.into_iter();
    let own = own.filter_map(|parameter| Some((name(parameter), value(parameter)?)));
    Ok(call.query.iter().cloned().chain(own).collect())
}
