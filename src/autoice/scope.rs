//! The way from the message to a text inside it: what it passes through, for the reader's judgement and for people.
//!
//! Guarantees: pure; nothing is worked out until something is found.
use super::classify::{self, Level, Sip};
use super::tree::Tree;

/// Where a text stands; scopes are linked from the inside out.
pub(super) struct Scope<'s> {
    /// The scope around it; `None` for the message.
    pub(super) outer: Option<&'s Self>,
    /// How many wrappings lie around it.
    pub(super) depth: usize,
    /// The last step of the way.
    pub(super) step: Step<'s>,
}

/// One step of the way into a message.
pub(super) enum Step<'s> {
    /// None: the message itself.
    Message,
    /// A text of JSON or XML.
    Node { tree: &'s Tree<'s>, id: u32, xml: bool },
    /// A body under headers.
    Body {
        /// For people, such as `SIP INVITE body`.
        name: String,
        sip: Option<Sip>,
        call_id: Option<String>,
        /// Why nothing in the body can be changed, if so.
        refusal: Option<String>,
    },
    /// Anything else that has a name for people.
    Named(String),
    /// A field of a form.
    Field(String),
    /// Nothing that people need to know.
    Silent,
}

impl<'s> Scope<'s> {
    /// The scope of a text inside this one.
    pub(super) fn inner(&'s self, step: Step<'s>) -> Self {
        Self { outer: Some(self), depth: self.depth + 1, step }
    }

    fn outwards(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |scope| scope.outer)
    }

    /// The way for people: `XMPP iq/genesys-webrtc → JSON params.sdp`.
    pub(super) fn path(&self) -> String {
        let mut steps: Vec<String> = self
            .outwards()
            .filter_map(|scope| match &scope.step {
                Step::Message | Step::Silent => None,
                Step::Named(name) | Step::Body { name, .. } => Some(name.clone()),
                Step::Field(name) => Some(format!("form field {name}")),
                Step::Node { tree, id, xml } => Some(path_of(tree, *id, *xml)),
            })
            .collect();
        steps.reverse();
        if steps.is_empty() { "text".to_owned() } else { steps.join(" → ") }
    }

    /// What surrounds the text, nearest first.
    pub(super) fn levels(&self) -> Vec<Level> {
        let mut levels = Vec::new();
        for scope in self.outwards() {
            match &scope.step {
                Step::Node { tree, id, .. } => levels.extend(classify::levels(tree, *id, &[])),
                Step::Field(name) => levels.push(Level { key: name.clone(), ..Level::default() }),
                Step::Message | Step::Body { .. } | Step::Named(_) | Step::Silent => {}
            }
        }
        levels
    }

    /// The SIP message whose body the text is.
    pub(super) fn sip(&self) -> Option<&Sip> {
        self.outwards().take_while(|scope| !matches!(scope.step, Step::Node { .. } | Step::Field(_))).find_map(
            |scope| match &scope.step {
                Step::Body { sip, .. } => sip.as_ref(),
                _ => None,
            },
        )
    }

    /// The SIP Call-ID around the text.
    pub(super) fn call_id(&self) -> Option<&str> {
        self.outwards().find_map(|scope| match &scope.step {
            Step::Body { call_id, .. } => call_id.as_deref(),
            _ => None,
        })
    }

    /// Why the headers around the text forbid a change.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.outwards().find_map(|scope| match &scope.step {
            Step::Body { refusal, .. } => refusal.as_deref(),
            _ => None,
        })
    }
}

/// The way to a node, with the name of its language.
pub(super) fn path_of(tree: &Tree<'_>, id: u32, xml: bool) -> String {
    let path = tree.path(id, xml);
    let language = match (xml, path.split('/').next()) {
        (true, Some("iq" | "message" | "presence" | "body" | "open")) => "XMPP",
        (true, _) => "XML",
        (false, _) => "JSON",
    };
    format!("{language} {path}").trim_end().to_owned()
}
