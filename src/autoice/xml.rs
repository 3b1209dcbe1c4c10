//! XML by position, as signaling servers write it: elements, attributes, texts and CDATA sections.
//!
//! Guarantees: linear in the bytes given, at most [`MAX_DEPTH`] elements deep, and no panic on anything. Lenient: a stanza need not
//! be a whole document, namespaces are not resolved, and an element that stays open ends with the text.
use super::tree::{Kind, TextKind, TooMany, Tree};

/// The deepest nesting that is followed.
const MAX_DEPTH: usize = 64;

/// Reads `text`; `Err` for what has too many parts or is nested too deep. What is no XML gives a tree with little in it.
pub(super) fn tree(text: &[u8]) -> Result<Tree<'_>, TooMany> {
    let mut tree = Tree::new(text);
    let mut open: Vec<u32> = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let tag = memchr::memchr(b'<', &text[at..]).map_or(text.len(), |found| at + found);
        if tag > at && !text[at..tag].trim_ascii().is_empty() {
            tree.add(Kind::Text(TextKind::Xml), open.last().copied(), 0..0, at..tag)?;
        }
        let Some(rest) = text.get(tag + 1..) else { break };
        at = if let Some(section) = rest.strip_prefix(b"![CDATA[") {
            let from = tag + 9;
            let length = memchr::memmem::find(section, b"]]>").unwrap_or(section.len());
            tree.add(Kind::Text(TextKind::Cdata), open.last().copied(), 0..0, from..from + length)?;
            (from + length + 3).min(text.len())
        } else if rest.starts_with(b"!--") {
            memchr::memmem::find(rest, b"-->").map_or(text.len(), |found| tag + 1 + found + 3)
        } else if rest.starts_with(b"/") {
            let end = memchr::memchr(b'>', rest).map_or(text.len(), |found| tag + 1 + found + 1);
            if let Some(id) = open.pop() {
                tree.close(id, end);
            }
            end
        } else if rest.starts_with(b"?") || rest.starts_with(b"!") {
            memchr::memchr(b'>', rest).map_or(text.len(), |found| tag + 1 + found + 1)
        } else {
            element(&mut tree, &mut open, text, tag)?
        };
    }
    while let Some(id) = open.pop() {
        tree.close(id, text.len());
    }
    Ok(tree)
}

/// Reads the start tag at `tag` and gives the position behind it.
fn element(tree: &mut Tree<'_>, open: &mut Vec<u32>, text: &[u8], tag: usize) -> Result<usize, TooMany> {
    let name_end = word_end(text, tag + 1);
    if open.len() >= MAX_DEPTH {
        return Err(TooMany);
    }
    let id = tree.add(Kind::Object, open.last().copied(), tag + 1..name_end, tag..text.len())?;
    let mut at = name_end;
    loop {
        at = blanks_end(text, at);
        match text.get(at) {
            None => break,
            Some(b'>') => {
                at += 1;
                break;
            }
            Some(b'/') if text.get(at + 1) == Some(&b'>') => {
                at += 2;
                tree.close(id, at);
                return Ok(at);
            }
            Some(_) => {}
        }
        let end = word_end(text, at);
        let equals = blanks_end(text, end);
        let quote = blanks_end(text, equals + 1);
        match (text.get(equals), text.get(quote)) {
            (Some(b'='), Some(mark @ (b'"' | b'\''))) if end > at => {
                let Some(length) = memchr::memchr(*mark, &text[quote + 1..]) else {
                    at = text.len();
                    break;
                };
                let kind = if *mark == b'"' { TextKind::DoubleQuoted } else { TextKind::SingleQuoted };
                tree.add(Kind::Text(kind), Some(id), at..end, quote + 1..quote + 1 + length)?;
                at = quote + 1 + length + 1;
            }
            _ => at = end.max(at + 1),
        }
    }
    open.push(id);
    Ok(at)
}

fn blanks_end(text: &[u8], at: usize) -> usize {
    at + text.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

fn word_end(text: &[u8], at: usize) -> usize {
    let part = |byte: &&u8| !byte.is_ascii_whitespace() && !matches!(byte, b'>' | b'/' | b'=' | b'<' | b'"' | b'\'');
    at + text.get(at..).unwrap_or_default().iter().take_while(part).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_attributes_are_found_where_they_stand() {
        let text = b"<iq type='set'><offer sdp=\"v=0\" /><c><![CDATA[a<b]]></c>x &amp; y</iq>";
        let tree = tree(text).expect("XML");
        let texts: Vec<_> = tree
            .ids()
            .filter(|id| matches!(tree.node(*id).kind, Kind::Text(_)))
            .map(|id| (tree.path(id, true), tree.string(id).expect("text")))
            .collect();
        let expected = [("iq/@type", "set"), ("iq/offer/@sdp", "v=0"), ("iq/c", "a<b"), ("iq", "x & y")];
        assert_eq!(texts, expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
    }

    #[test]
    fn what_is_no_xml_ends() {
        for text in ["<", "<<<<", "<a", "<a b", "<a b=", "<a b='", "<![CDATA[", "<!--", "</", "<a/", "<a =''>"] {
            assert!(tree(text.as_bytes()).is_ok(), "{text}");
        }
        assert!(tree("<a>".repeat(100_000).as_bytes()).is_err());
    }
}
