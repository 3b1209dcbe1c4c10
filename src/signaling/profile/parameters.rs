//! A profile's parameters as the user gave them. Pure.
use std::collections::BTreeMap;

use serde_json::Value;

use super::format::Profile;
use super::template::{Body, RenderError, Scope, Template};
use crate::config::ConfigError;

/// Every parameter of `profile` with its value: the user's, else its default.
///
/// # Errors
/// [`ConfigError`] for a parameter that is missing or unknown; no value is shown.
pub(crate) fn parameters(
    profile: &Profile,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Value>, ConfigError> {
    for (name, value) in given {
        if !profile.params.contains_key(name) {
            let known: Vec<&str> = profile.params.keys().map(String::as_str).collect();
            let shown = if value.is_empty() { "" } else { "***" };
            let reason = format!("profile '{}' has no such parameter; it has {}", profile.name, known.join(", "));
            return Err(ConfigError::new(format!("params.{name}"), shown, reason));
        }
    }
    let mut values: BTreeMap<String, Value> =
        given.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect();
    // Plain defaults first: the others refer to parameters.
    for refers in [false, true] {
        for (name, param) in profile.params.iter().filter(|(name, _)| !given.contains_key(*name)) {
            let Some(default) = &param.default else {
                let reason = format!("profile '{}' needs it: {}", profile.name, param.description);
                return Err(ConfigError::new(format!("params.{name}"), "(missing)", reason));
            };
            if default.references().next().is_some() == refers {
                let value = default.render(&mut Given(&values));
                let value = value
                    .map_err(|error| ConfigError::new(format!("params.{name}"), "(its default)", error.to_string()))?;
                values.insert(name.clone(), Value::String(value));
            }
        }
    }
    Ok(values)
}

/// A template that refers to parameters only, filled in with their values.
pub(crate) fn rendered(template: &Template, values: &BTreeMap<String, Value>) -> Result<String, RenderError> {
    template.render(&mut Given(values))
}

/// Parameters, for the defaults of others.
struct Given<'a>(&'a BTreeMap<String, Value>);

impl Scope for Given<'_> {
    fn variable(&mut self, name: &str) -> Option<Value> {
        self.0.get(name).cloned()
    }

    fn message(&self) -> Option<&Value> {
        None
    }

    fn template(&self, _: &str) -> Option<Body> {
        None
    }
}
