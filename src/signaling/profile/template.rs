//! Templates: texts with placeholders, `${name|filter}`, that become frames, URLs and bodies.
//!
//! A placeholder names a variable (`${token}`), a JSONPath into the message at hand (`${$.id}`), or another template
//! (`${@credentials|b64}`). `\${` is a literal `${`. What a value is put into decides how it is escaped: in an `xml` template
//! as text or as attribute, in a `json` template as a JSON string; the filter `raw` switches that off. A string of a `json`
//! template that is one placeholder and nothing else keeps the JSON type of its value.
//!
//! Pure. Guarantees: compiled once; a value that is missing is an error that names the placeholder, never an empty text;
//! an `xml` value cannot open an element and a `json` value cannot leave its string.
use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::fragment::ice_credentials;
use super::selector::Selector;
use crate::signaling::jingle;

/// Deepest nesting of templates in templates.
const MAX_DEPTH: usize = 8;

/// Where the values of placeholders come from.
pub(super) trait Scope {
    /// The variable called `name`.
    fn variable(&mut self, name: &str) -> Option<Value>;
    /// The message at hand.
    fn message(&self) -> Option<&Value>;
    /// The template called `name`.
    fn template(&self, name: &str) -> Option<Body>;
}

/// Why a template could not be filled in.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{placeholder}: {reason}")]
pub struct RenderError {
    /// As it stands in the profile.
    pub placeholder: String,
    /// What is missing or of the wrong kind. No value is repeated: it may be a secret.
    pub reason: String,
}

/// A template of a profile, by what its text is.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Body {
    /// XML, as text.
    Xml(Template),
    /// JSON, written as JSON; placeholders stand in its strings. Order and members stay as they are.
    Json(Shape),
    /// Any other text; nothing is escaped.
    Text(Template),
}

impl Body {
    /// The text with all placeholders filled in.
    pub(super) fn render(&self, scope: &mut dyn Scope) -> Result<String, RenderError> {
        self.render_at(scope, 0)
    }

    fn render_at(&self, scope: &mut dyn Scope, depth: usize) -> Result<String, RenderError> {
        match self {
            Self::Xml(template) => template.fill(scope, Escape::Xml, depth),
            Self::Text(template) => template.fill(scope, Escape::None, depth),
            Self::Json(shape) => {
                let mut text = String::new();
                shape.write(scope, &mut text, depth)?;
                Ok(text)
            }
        }
    }

    /// Calls `see` for each of its templates.
    pub(super) fn each<'a>(&'a self, see: &mut dyn FnMut(&'a Template)) {
        match self {
            Self::Xml(template) | Self::Text(template) => see(template),
            Self::Json(shape) => shape.each(see),
        }
    }
}

/// JSON whose strings are templates.
#[derive(Clone, Debug)]
pub enum Shape {
    /// Members in the order of the file.
    Object(Arc<[(String, Self)]>),
    /// Items.
    Array(Arc<[Self]>),
    /// A string with placeholders.
    Text(Template),
    /// A number, a boolean or null.
    Plain(Value),
}

impl Shape {
    fn write(&self, scope: &mut dyn Scope, into: &mut String, depth: usize) -> Result<(), RenderError> {
        match self {
            Self::Plain(value) => into.push_str(&value.to_string()),
            Self::Text(template) => into.push_str(&template.json(scope, depth)?.unwrap_or_else(|| "null".to_owned())),
            Self::Array(items) => {
                into.push('[');
                for (number, item) in items.iter().enumerate() {
                    if number > 0 {
                        into.push(',');
                    }
                    item.write(scope, into, depth)?;
                }
                into.push(']');
            }
            Self::Object(members) => {
                into.push('{');
                let mut first = true;
                for (name, member) in members.iter() {
                    let mut value = String::new();
                    match member {
                        Self::Text(template) => match template.json(scope, depth)? {
                            Some(text) => value = text,
                            None => continue,
                        },
                        other => other.write(scope, &mut value, depth)?,
                    }
                    if !std::mem::take(&mut first) {
                        into.push(',');
                    }
                    into.push_str(&quoted(name));
                    into.push(':');
                    into.push_str(&value);
                }
                into.push('}');
            }
        }
        Ok(())
    }

    fn each<'a>(&'a self, see: &mut dyn FnMut(&'a Template)) {
        match self {
            Self::Object(members) => members.iter().for_each(|(_, member)| member.each(see)),
            Self::Array(items) => items.iter().for_each(|item| item.each(see)),
            Self::Text(template) => see(template),
            Self::Plain(_) => {}
        }
    }
}

/// A text with placeholders; by default the empty one.
#[derive(Clone, Default)]
pub struct Template {
    parts: Arc<[Part]>,
}

impl Template {
    /// Whether it is the empty text.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

#[derive(Debug)]
enum Part {
    Literal(String),
    Value {
        text: String,
        from: From,
        filters: Vec<Filter>,
        /// In XML: whether it stands within a tag.
        in_tag: bool,
    },
}

#[derive(Debug)]
enum From {
    Variable(String),
    Message(Selector),
    Template(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    Xml,
}

/// What a placeholder refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reference<'a> {
    Variable(&'a str),
    Template(&'a str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Filter {
    B64,
    B64Url,
    Url,
    Xml,
    Json,
    Raw,
    Domain,
    Bare,
    Lower,
    Upper,
    Crlf,
    Number,
    Text,
    /// SDP or a candidate as the inside of a Jingle element.
    Jingle,
    /// The transports of an SDP as the inside of a Jingle element.
    JingleTransport,
    /// The ICE user fragment of a session description.
    Ufrag,
    Optional,
    Default(String),
}

impl Filter {
    const NAMES: &str = "b64, b64url, url, xml, json, raw, domain, bare, lower, upper, crlf, number, text, jingle, jingleTransport, \
         ufrag, optional, default:…";

    fn parse(text: &str) -> Result<Self, String> {
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name.trim(), Some(argument)),
            None => (text.trim(), None),
        };
        let filter = match (name, argument) {
            ("default", Some(argument)) => return Ok(Self::Default(argument.to_owned())),
            (_, Some(_)) => return Err(format!("the filter '{name}' takes nothing behind a colon")),
            ("b64", None) => Self::B64,
            ("b64url", None) => Self::B64Url,
            ("url", None) => Self::Url,
            ("xml", None) => Self::Xml,
            ("json", None) => Self::Json,
            ("raw", None) => Self::Raw,
            ("domain", None) => Self::Domain,
            ("bare", None) => Self::Bare,
            ("lower", None) => Self::Lower,
            ("upper", None) => Self::Upper,
            ("crlf", None) => Self::Crlf,
            ("number", None) => Self::Number,
            ("text", None) => Self::Text,
            ("jingle", None) => Self::Jingle,
            ("jingleTransport", None) => Self::JingleTransport,
            ("ufrag", None) => Self::Ufrag,
            ("optional", None) => Self::Optional,
            (other, None) => return Err(format!("there is no filter '{other}'; there are {}", Self::NAMES)),
        };
        Ok(filter)
    }

    /// `value` through this filter.
    fn apply(&self, value: Value) -> Result<Value, String> {
        let text = || text_of(&value);
        let filtered = match self {
            Self::Raw | Self::Optional | Self::Default(_) => return Ok(value),
            Self::B64 => STANDARD.encode(text()),
            Self::B64Url => URL_SAFE_NO_PAD.encode(text()),
            Self::Url => url(&text()),
            Self::Xml => xml(&text(), true),
            Self::Json => value.to_string(),
            Self::Domain => {
                let text = text();
                let bare = text.split('/').next().unwrap_or_default();
                bare.rsplit('@').next().unwrap_or_default().to_owned()
            }
            Self::Bare => text().split('/').next().unwrap_or_default().to_owned(),
            Self::Lower => text().to_lowercase(),
            Self::Upper => text().to_uppercase(),
            Self::Crlf => text().replace("\r\n", "\n").replace('\n', "\r\n"),
            Self::Text => text(),
            Self::Jingle => {
                let text = text();
                match text.starts_with("v=0") {
                    true => jingle::contents(&text, jingle::Writer::Responder)?,
                    false => jingle::candidate(&text)?,
                }
            }
            Self::JingleTransport => jingle::transports(&text())?,
            Self::Ufrag => {
                let credentials = ice_credentials(&text());
                credentials.ok_or("the description has no ICE credentials")?.0
            }
            Self::Number => {
                return match &value {
                    Value::Number(_) => Ok(value),
                    other => serde_json::from_str::<serde_json::Number>(text_of(other).trim())
                        .map(Value::Number)
                        .map_err(|_| "it is no number".to_owned()),
                };
            }
        };
        Ok(Value::String(filtered))
    }
}

impl Template {
    /// Compiles `text`.
    ///
    /// # Errors
    /// Which placeholder cannot be used, and why.
    pub fn compile(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut in_tag = false;
        let mut rest = text;
        while let Some(begin) = rest.find("${") {
            let before = &rest[..begin];
            if let Some(before) = before.strip_suffix('\\') {
                literal.push_str(before);
                literal.push_str("${");
                rest = &rest[begin + 2..];
                continue;
            }
            literal.push_str(before);
            let inside = &rest[begin + 2..];
            let end = end_of(inside)
                .ok_or_else(|| format!("'{}' is a placeholder without its closing brace", shortened(&rest[begin..])))?;
            if !literal.is_empty() {
                in_tag = ends_in_tag(&literal, in_tag);
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(placeholder(&inside[..end], in_tag)?);
            rest = &inside[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts: parts.into() })
    }

    /// What its placeholders refer to.
    pub(super) fn references(&self) -> impl Iterator<Item = Reference<'_>> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value { from: From::Variable(name), .. } => Some(Reference::Variable(name)),
            Part::Value { from: From::Template(name), .. } => Some(Reference::Template(name)),
            _ => None,
        })
    }

    /// The text with all placeholders filled in; nothing is escaped.
    pub(super) fn render(&self, scope: &mut dyn Scope) -> Result<String, RenderError> {
        self.fill(scope, Escape::None, 0)
    }

    /// Its value: one placeholder alone keeps the type of its value.
    pub(super) fn value(&self, scope: &mut dyn Scope) -> Result<Option<Value>, RenderError> {
        match &*self.parts {
            [part @ Part::Value { .. }] => value(part, scope, 0),
            _ => self.fill(scope, Escape::None, 0).map(|text| Some(Value::String(text))),
        }
    }

    /// A JSON value; nothing for an optional one that is missing.
    fn json(&self, scope: &mut dyn Scope, depth: usize) -> Result<Option<String>, RenderError> {
        match &*self.parts {
            [part @ Part::Value { filters, .. }] => Ok(value(part, scope, depth)?
                .map(|value| if filters.contains(&Filter::Raw) { text_of(&value) } else { value.to_string() })),
            _ => self.fill(scope, Escape::None, depth).map(|text| Some(quoted(&text))),
        }
    }

    fn fill(&self, scope: &mut dyn Scope, escape: Escape, depth: usize) -> Result<String, RenderError> {
        let mut filled = String::new();
        for part in self.parts.iter() {
            match part {
                Part::Literal(text) => filled.push_str(text),
                Part::Value { filters, in_tag, .. } => {
                    let text = value(part, scope, depth)?.as_ref().map(text_of).unwrap_or_default();
                    let done = filters.contains(&Filter::Raw) || filters.contains(&Filter::Xml);
                    match escape {
                        Escape::Xml if !done => filled.push_str(&xml(&text, *in_tag)),
                        Escape::Xml | Escape::None => filled.push_str(&text),
                    }
                }
            }
        }
        Ok(filled)
    }
}

fn value(part: &Part, scope: &mut dyn Scope, depth: usize) -> Result<Option<Value>, RenderError> {
    let Part::Value { text, from, filters, .. } = part else { return Ok(None) };
    let fail = |reason: String| RenderError { placeholder: text.clone(), reason };
    let found = match from {
        From::Variable(name) => scope.variable(name),
        From::Message(selector) => {
            scope.message().and_then(|message| selector.first(message)).filter(|value| !value.is_null()).cloned()
        }
        From::Template(name) if depth < MAX_DEPTH => match scope.template(name) {
            Some(body) => Some(Value::String(body.render_at(scope, depth + 1)?)),
            None => None,
        },
        From::Template(_) => return Err(fail(format!("templates are nested deeper than {MAX_DEPTH}"))),
    };
    let mut value = match found {
        Some(value) => value,
        None => {
            let default = filters.iter().find_map(|filter| match filter {
                Filter::Default(text) => Some(text),
                _ => None,
            });
            match default {
                Some(text) => Value::String(text.clone()),
                None if filters.contains(&Filter::Optional) => return Ok(None),
                None => {
                    let what = match from {
                        From::Variable(_) => "this variable has no value here",
                        From::Message(_) => "the message has no such value",
                        From::Template(_) => "there is no such template",
                    };
                    return Err(fail(what.to_owned()));
                }
            }
        }
    };
    for filter in filters {
        value = filter.apply(value).map_err(fail)?;
    }
    Ok(Some(value))
}

/// A value as people write it: a string without quotes.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Where the placeholder that begins with `inside` ends: at the first `}` outside of quotes and brackets.
fn end_of(inside: &str) -> Option<usize> {
    outside(inside, b'}').next()
}

/// Positions of `wanted` in `text` outside of quotes and brackets.
fn outside(text: &str, wanted: u8) -> impl Iterator<Item = usize> {
    let mut quote = None;
    let mut depth = 0_usize;
    text.bytes().enumerate().filter_map(move |(at, byte)| {
        match (quote, byte) {
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') if depth > 0 => quote = Some(byte),
            (None, b'[' | b'(') => depth += 1,
            (None, b']' | b')') => depth = depth.saturating_sub(1),
            (None, _) if byte == wanted && depth == 0 => return Some(at),
            _ => {}
        }
        None
    })
}

fn placeholder(inside: &str, in_tag: bool) -> Result<Part, String> {
    let text = format!("${{{inside}}}");
    let mut cuts: Vec<usize> = outside(inside, b'|').collect();
    cuts.push(inside.len());
    let source = inside[..cuts[0]].trim();
    let mut filters = Vec::new();
    for pair in cuts.windows(2) {
        filters.push(Filter::parse(&inside[pair[0] + 1..pair[1]]).map_err(|why| format!("'{text}': {why}"))?);
    }
    let from = if source.starts_with('$') {
        From::Message(Selector::compile(source).map_err(|why| format!("'{text}': {why}"))?)
    } else if let Some(name) = source.strip_prefix('@') {
        From::Template(name.to_owned())
    } else if is_name(source) {
        From::Variable(source.to_owned())
    } else {
        return Err(format!(
            "'{text}': a placeholder holds a variable, a JSONPath that begins with $, or @ and the name of a template"
        ));
    };
    Ok(Part::Value { text, from, filters, in_tag })
}

/// Whether `name` can name a variable, a template or a request.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// Whether the end of `literal` is within an XML tag, if its beginning was as `in_tag` says.
fn ends_in_tag(literal: &str, in_tag: bool) -> bool {
    match literal.rfind(['<', '>']) {
        Some(at) => literal.as_bytes()[at] == b'<',
        None => in_tag,
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// XML 1.0 §2.4: what would be markup is written as a reference; in attributes quotes, line ends and tabs, too.
fn xml(text: &str, in_tag: bool) -> String {
    if !text.contains(['&', '<', '>', '"', '\'', '\n', '\t', '\r']) {
        return text.to_owned();
    }
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' if in_tag => escaped.push_str("&quot;"),
            '\'' if in_tag => escaped.push_str("&apos;"),
            '\n' if in_tag => escaped.push_str("&#10;"),
            '\t' if in_tag => escaped.push_str("&#9;"),
            // A parser makes a line feed of a carriage return (XML 1.0 §2.11).
            '\r' => escaped.push_str("&#13;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Percent-encoding of everything but unreserved characters (RFC 3986 §2.3).
fn url(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _written = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for part in self.parts.iter() {
            match part {
                Part::Literal(text) | Part::Value { text, .. } => f.write_str(text)?,
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::compile(&text).map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shapes;
        impl<'de> Visitor<'de> for Shapes {
            type Value = Shape;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Shape, E> {
                Ok(Shape::Plain(value.into()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Shape, E> {
                Ok(Shape::Plain(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Shape, E> {
                Ok(Shape::Plain(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Shape, E> {
                Ok(Shape::Plain(value.into()))
            }
            fn visit_unit<E>(self) -> Result<Shape, E> {
                Ok(Shape::Plain(Value::Null))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Shape, E> {
                Template::compile(text).map(Shape::Text).map_err(E::custom)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
                let mut shapes = Vec::new();
                while let Some(shape) = items.next_element()? {
                    shapes.push(shape);
                }
                Ok(Shape::Array(shapes.into()))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Shape, A::Error> {
                let mut shapes = Vec::new();
                while let Some(member) = members.next_entry()? {
                    shapes.push(member);
                }
                Ok(Shape::Object(shapes.into()))
            }
        }
        deserializer.deserialize_any(Shapes)
    }
}

#[cfg(test)]
mod schema {
    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    impl JsonSchema for super::Template {
        fn inline_schema() -> bool {
            true
        }

        fn schema_name() -> Cow<'static, str> {
            "Template".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({"type": "string", "description": "Text with placeholders: ${name|filter}, ${$.json.path}, ${@template}"})
        }
    }

    impl JsonSchema for super::Shape {
        fn inline_schema() -> bool {
            true
        }

        fn schema_name() -> Cow<'static, str> {
            "Shape".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({"description": "Any JSON; its strings may hold placeholders"})
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Fixed {
        message: Value,
    }

    impl Scope for Fixed {
        fn variable(&mut self, name: &str) -> Option<Value> {
            match name {
                "jid" => Some(json!("user1@org1.example/r")),
                "markup" => Some(json!("<a b=\"c\">&'\r\n")),
                "session" => Some(json!(6_576_638_601_938_257_u64)),
                "digits" => Some(json!("42")),
                _ => None,
            }
        }
        fn message(&self) -> Option<&Value> {
            Some(&self.message)
        }
        fn template(&self, name: &str) -> Option<Body> {
            let text = match name {
                "plain" => "\u{0}${jid|bare}\u{0}authKey:T",
                "loop" => "${@loop}",
                _ => return None,
            };
            Some(Body::Text(Template::compile(text).expect("usable")))
        }
    }

    fn scope() -> Fixed {
        Fixed { message: json!({"@id": "m-1", "a": [{"b": "x|y}z"}]}) }
    }

    fn text(template: &str) -> Result<String, String> {
        let compiled = Template::compile(template)?;
        compiled.render(&mut scope()).map_err(|error| error.to_string())
    }

    fn body(json: Value) -> Result<String, String> {
        let body: Body = serde_json::from_value(json).map_err(|error| error.to_string())?;
        body.render(&mut scope()).map_err(|error| error.to_string())
    }

    #[test]
    fn placeholders_take_variables_paths_and_templates_through_filters() {
        assert_eq!(text("a ${jid|domain} b"), Ok("a org1.example b".to_owned()));
        assert_eq!(text("${$['@id']}"), Ok("m-1".to_owned()));
        assert_eq!(text("${$.a[?@.b=='x|y}z'].b|upper}"), Ok("X|Y}Z".to_owned()), "quotes hide | and }}");
        assert_eq!(text("${@plain|b64}"), Ok("AHVzZXIxQG9yZzEuZXhhbXBsZQBhdXRoS2V5OlQ=".to_owned()));
        assert_eq!(text("${jid|url}"), Ok("user1%40org1.example%2Fr".to_owned()));
        assert_eq!(text("${nothing|default:none}${nothing|optional}"), Ok("none".to_owned()));
        assert_eq!(text(r"\${jid} $x {y}"), Ok("${jid} $x {y}".to_owned()));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_by_its_placeholder() {
        assert_eq!(text("${nobody}"), Err("${nobody}: this variable has no value here".to_owned()));
        assert_eq!(text("${$.no}"), Err("${$.no}: the message has no such value".to_owned()));
        assert_eq!(text("${jid|number}"), Err("${jid|number}: it is no number".to_owned()));
        assert!(text("${@loop}").expect_err("endless").contains("nested deeper"));
        for bad in ["${jid", "${jid|nofilter}", "${$.a[?}", "${}", "${a b}", "${jid|lower:x}"] {
            assert!(Template::compile(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_value_cannot_break_out_of_xml() {
        assert_eq!(
            body(json!({"xml": "<m to='${markup}'>${markup}</m>"})),
            Ok("<m to='&lt;a b=&quot;c&quot;&gt;&amp;&apos;&#13;&#10;'>&lt;a b=\"c\"&gt;&amp;'&#13;\n</m>".to_owned())
        );
        assert_eq!(body(json!({"xml": "<m>${markup|raw}</m>"})), Ok("<m><a b=\"c\">&'\r\n</m>".to_owned()));
    }

    #[test]
    fn a_json_template_keeps_order_types_and_quotes() {
        assert_eq!(
            serde_json::from_str::<Body>(
                r#"{"json":{"z":"${session}","a":["${markup}",1,true,null],"n":"${digits}","m":"${digits|number}","t":"s-${session}","o":"${no|optional}"}}"#
            )
            .expect("usable")
            .render(&mut scope())
            .expect("all there"),
            r#"{"z":6576638601938257,"a":["<a b=\"c\">&'\r\n",1,true,null],"n":"42","m":42,"t":"s-6576638601938257"}"#
        );
    }
}
