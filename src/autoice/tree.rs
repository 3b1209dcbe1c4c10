//! The members and texts of a message that has a structure, by position.
//!
//! JSON and XML both become a [`Tree`]: an element is an object whose attributes, texts and children are its members. Every
//! node knows where it stands, so that a text can be replaced without writing the rest anew. Guarantees: at most
//! [`MAX_NODES`] nodes, whatever the message holds; nothing is copied.
use std::ops::Range;

use super::wrapping::Wrapping;

/// The most nodes of one tree: a signaling message has some dozens.
pub(super) const MAX_NODES: usize = 65_536;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A JSON object or an XML element.
    Object,
    /// A JSON array.
    Array,
    /// A text; its range leaves out what surrounds it.
    Text(TextKind),
    /// A JSON number.
    Number,
    /// JSON `true` or `false`.
    Bool,
    /// JSON `null`.
    Null,
}

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextKind {
    /// A JSON string.
    Json,
    /// Between tags.
    Xml,
    /// In a CDATA section.
    Cdata,
    /// The value of an attribute in double quotes.
    DoubleQuoted,
    /// The value of an attribute in single quotes.
    SingleQuoted,
}

impl TextKind {
    pub(super) fn wrapping(self) -> Wrapping {
        match self {
            Self::Json => Wrapping::Json,
            Self::Xml => Wrapping::Xml,
            Self::Cdata => Wrapping::Plain,
            Self::DoubleQuoted => Wrapping::Attribute(b'"'),
            Self::SingleQuoted => Wrapping::Attribute(b'\''),
        }
    }
}

/// One value. Positions are those of the text the tree was made of.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// What it is.
    pub(super) kind: Kind,
    /// The object or array it stands in; `None` for a root.
    pub(super) parent: Option<u32>,
    /// Its place among the members of its parent, from 0.
    pub(super) index: u32,
    key: (u32, u32),
    value: (u32, u32),
    first: Option<u32>,
    last: Option<u32>,
    next: Option<u32>,
}

impl Node {
    /// Where its text, number or word stands; all of it for an object or an array.
    pub(super) fn range(&self) -> Range<usize> {
        self.value.0 as usize..self.value.1 as usize
    }
}

/// The values of one text.
pub(super) struct Tree<'a> {
    text: &'a [u8],
    nodes: Vec<Node>,
}

/// More nodes than [`MAX_NODES`], or a text beyond 4 GiB.
#[derive(Debug)]
pub(super) struct TooMany;

impl<'a> Tree<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, nodes: Vec::new() }
    }

    /// Adds a value behind those that its parent has; an object gets its end by [`Tree::close`].
    pub(super) fn add(
        &mut self,
        kind: Kind,
        parent: Option<u32>,
        key: Range<usize>,
        value: Range<usize>,
    ) -> Result<u32, TooMany> {
        if self.nodes.len() >= MAX_NODES {
            return Err(TooMany);
        }
        let number = |at: usize| u32::try_from(at).map_err(|_| TooMany);
        let id = number(self.nodes.len())?;
        let mut index = 0;
        if let Some(parent) = parent {
            let before = self.nodes[parent as usize].last.replace(id);
            match before {
                Some(before) => {
                    index = self.nodes[before as usize].index + 1;
                    self.nodes[before as usize].next = Some(id);
                }
                None => self.nodes[parent as usize].first = Some(id),
            }
        }
        self.nodes.push(Node {
            kind,
            parent,
            index,
            key: (number(key.start)?, number(key.end)?),
            value: (number(value.start)?, number(value.end)?),
            first: None,
            last: None,
            next: None,
        });
        Ok(id)
    }

    /// Says where an object or an array ends.
    pub(super) fn close(&mut self, id: u32, end: usize) {
        self.nodes[id as usize].value.1 = u32::try_from(end).unwrap_or(u32::MAX);
    }

    /// Every node, in the order of the text.
    pub(super) fn ids(&self) -> impl Iterator<Item = u32> + use<> {
        0..u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn node(&self, id: u32) -> &Node {
        &self.nodes[id as usize]
    }

    /// The name of a member, as written; of an element the name of its tag; empty in an array and for a text between tags.
    pub(super) fn key(&self, id: u32) -> &'a [u8] {
        let (from, to) = self.nodes[id as usize].key;
        &self.text[from as usize..to as usize]
    }

    /// The members or elements of an object or an array.
    pub(super) fn children(&self, id: u32) -> impl Iterator<Item = u32> {
        std::iter::successors(self.nodes[id as usize].first, |child| self.nodes[*child as usize].next)
    }

    /// What a node says, as written.
    pub(super) fn raw(&self, id: u32) -> &'a [u8] {
        &self.text[self.nodes[id as usize].range()]
    }

    /// A text, number or word as a string, with its escapes undone; `None` for objects, arrays and broken texts.
    pub(super) fn string(&self, id: u32) -> Option<String> {
        let node = self.node(id);
        match node.kind {
            Kind::Text(kind) => String::from_utf8(kind.wrapping().unwrap(self.raw(id))?).ok(),
            Kind::Number | Kind::Bool => String::from_utf8(self.raw(id).to_vec()).ok(),
            Kind::Object | Kind::Array | Kind::Null => None,
        }
    }

    /// The value of a member: the node itself, or the only text of an element without attributes' sake.
    pub(super) fn value_of(&self, id: u32) -> u32 {
        if self.node(id).kind == Kind::Object {
            let mut texts = self
                .children(id)
                .filter(|child| matches!(self.node(*child).kind, Kind::Text(TextKind::Xml | TextKind::Cdata)));
            if let (Some(only), None) = (texts.next(), texts.next()) {
                return only;
            }
        }
        id
    }

    /// How to get from the root to a node: `params.sdp` or `iq/offer`; empty for a root that is no element.
    pub(super) fn path(&self, id: u32, xml: bool) -> String {
        let mut steps = Vec::new();
        let mut at = Some(id);
        while let Some(id) = at {
            let node = self.node(id);
            let key = String::from_utf8_lossy(self.key(id));
            match node.kind {
                Kind::Text(TextKind::DoubleQuoted | TextKind::SingleQuoted) => steps.push(format!("/@{key}")),
                Kind::Text(TextKind::Xml | TextKind::Cdata) => {}
                _ if xml => steps.push(format!("/{key}")),
                _ if !key.is_empty() => steps.push(format!(".{key}")),
                _ if node.parent.is_some() => steps.push(format!("[{}]", node.index)),
                _ => {}
            }
            at = node.parent;
        }
        steps.reverse();
        let path: String = steps.concat();
        path.strip_prefix(['.', '/']).unwrap_or(&path).chars().take(200).collect()
    }
}
