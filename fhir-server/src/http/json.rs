//! Writes the JSON that the server itself makes (outcomes, bundles, capabilities) around resources that are bytes already.

use fhir_resource::write_string;

/// JSON text in the making. Commas are put where the last byte asks for one.
#[derive(Default)]
pub struct Json(Vec<u8>);

impl Json {
    /// Starts with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    fn separate(&mut self) {
        if !matches!(self.0.last(), None | Some(b'{' | b'[' | b':')) {
            self.0.push(b',');
        }
    }

    /// A member name; a value follows.
    pub fn name(&mut self, name: &str) -> &mut Self {
        self.separate();
        write_string(name, &mut self.0);
        self.0.push(b':');
        self
    }

    /// A string.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.separate();
        write_string(value, &mut self.0);
        self
    }

    /// A member that is a string.
    pub fn member(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name).text(value)
    }

    /// A member that is a boolean.
    pub fn flag(&mut self, name: &str, value: bool) -> &mut Self {
        self.name(name).raw(if value { b"true" } else { b"false" })
    }

    /// A member that is a number.
    pub fn number(&mut self, name: &str, value: u64) -> &mut Self {
        self.name(name).raw(value.to_string().as_bytes())
    }

    /// JSON that is there already.
    pub fn raw(&mut self, json: &[u8]) -> &mut Self {
        self.separate();
        self.0.extend_from_slice(json);
        self
    }

    /// Begins an object or an array that isn't written at one go; [`Json::close`] ends it.
    pub fn open(&mut self, bracket: u8) -> &mut Self {
        self.separate();
        self.0.push(bracket);
        self
    }

    /// Ends what [`Json::open`] began.
    pub fn close(&mut self, bracket: u8) -> &mut Self {
        self.0.push(bracket);
        self
    }

    /// An object with what `members` writes.
    pub fn object(&mut self, members: impl FnOnce(&mut Self)) -> &mut Self {
        self.open(b'{');
        members(self);
        self.close(b'}')
    }

    /// An array with what `items` writes.
    pub fn array(&mut self, items: impl FnOnce(&mut Self)) -> &mut Self {
        self.open(b'[');
        items(self);
        self.close(b']')
    }

    /// The text.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// The same JSON for people: two spaces a level. Text inside strings stays as it is.
pub fn pretty(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() + json.len() / 2);
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + depth * 2, b' ');
    };
    for (index, &byte) in json.iter().enumerate() {
        if quoted {
            out.push(byte);
            quoted = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                let next = json.get(index + 1);
                if !matches!(next, Some(b'}' | b']')) {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                if !matches!(json.get(index.wrapping_sub(1)), Some(b'{' | b'[')) {
                    depth = depth.saturating_sub(1);
                    line(&mut out, depth);
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            b'"' => {
                quoted = true;
                out.push(byte);
            }
            _ => out.push(byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_are_put_between_values() {
        let mut json = Json::default();
        json.object(|json| {
            json.member("a", "x\"").number("b", 1);
            json.name("c").array(|json| {
                json.text("d").raw(b"{}").object(|_| {});
            });
            json.flag("e", true);
        });
        assert_eq!(
            String::from_utf8_lossy(&json.finish()),
            r#"{"a":"x\"","b":1,"c":["d",{},{}],"e":true}"#
        );
    }

    #[test]
    fn pretty_says_the_same() {
        let text = br#"{"a":"x,\"{","b":[],"c":[1,{"d":{}}]}"#;
        let expected =
            "{\n  \"a\": \"x,\\\"{\",\n  \"b\": [],\n  \"c\": [\n    1,\n    {\n      \"d\": {}\n    }\n  ]\n}";
        assert_eq!(String::from_utf8_lossy(&pretty(text)), expected);
        let same: serde_json::Value = serde_json::from_slice(&pretty(text)).expect("JSON");
        assert_eq!(same, serde_json::from_slice::<serde_json::Value>(text).expect("JSON"));
    }
}
