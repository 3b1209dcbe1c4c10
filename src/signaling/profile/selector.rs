//! Selecting from a decoded message: RFC 9535 JSONPath, compiled once when the profile is loaded.
use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json_path::JsonPath;

/// A compiled JSONPath (RFC 9535). In a profile: its text, beginning with `$`.
#[derive(Clone)]
pub struct Selector(Arc<JsonPath>);

impl Selector {
    /// Compiles `path`.
    ///
    /// # Errors
    /// Why it is no JSONPath and at which character of it (from 1).
    pub fn compile(path: &str) -> Result<Self, String> {
        JsonPath::parse(path).map(|path| Self(Arc::new(path))).map_err(|error| {
            format!("'{path}' is no JSONPath (RFC 9535): {} at its character {}", error.message(), error.position() + 1)
        })
    }

    /// The first value it selects.
    pub fn first<'a>(&self, message: &'a Value) -> Option<&'a Value> {
        self.0.query(message).first()
    }

    /// Whether it selects anything.
    pub fn selects(&self, message: &Value) -> bool {
        self.first(message).is_some()
    }

    /// All values it selects, in order.
    pub fn all<'a>(&self, message: &'a Value) -> Vec<&'a Value> {
        self.0.query(message).all()
    }
}

impl std::fmt::Debug for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_string())
    }
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::compile(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Selector {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Selector".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^\\$", "description": "JSONPath (RFC 9535)"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_cannot_be_compiled_says_where() {
        let why = Selector::compile("$.a[?@.b==]").expect_err("unfinished");
        assert!(why.contains("'$.a[?@.b==]'") && why.contains("at its character"), "{why}");
    }
}
