//! JSON (RFC 8259) by position: where every value stands, without a copy of any.
//!
//! Guarantees: linear in the bytes given, nested at most [`MAX_DEPTH`] levels, and no panic on anything. Lenient where plans are
//! sloppy: line ends inside a string are taken as they are, and several values may follow each other.
use super::tree::{Kind, TextKind, Tree};

/// The deepest nesting that is followed.
const MAX_DEPTH: usize = 64;

/// Where the text stops being JSON, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// Byte, from 0.
    pub(super) at: usize,
    /// For people.
    pub(super) why: &'static str,
}

/// Reads `text`: one value, or several one after another with blanks, NUL or commas between them.
pub(super) fn tree(text: &[u8]) -> Result<Tree<'_>, Broken> {
    let mut tree = Tree::new(text);
    // The open objects and arrays, and in an object the name of the member that comes next.
    let mut open: Vec<u32> = Vec::new();
    let mut at = 0;
    let mut key = 0..0;
    loop {
        at = skip_blanks(text, at, open.is_empty());
        let Some(byte) = text.get(at).copied() else {
            return if open.is_empty() {
                Ok(tree)
            } else {
                Err(Broken { at, why: "it ends inside an object or an array" })
            };
        };
        let parent = open.last().copied();
        let in_object = parent.is_some_and(|id| tree.node(id).kind == Kind::Object);
        if let (b'}' | b']', Some(id)) = (byte, parent) {
            if in_object != (byte == b'}') {
                return Err(Broken { at, why: "a bracket closes what another opened" });
            }
            at += 1;
            tree.close(id, at);
            open.pop();
            at = behind_value(text, at, &open)?;
            continue;
        }
        if in_object {
            if byte != b'"' {
                return Err(Broken { at, why: "the name of a member is no string" });
            }
            let end = string_end(text, at)?;
            key = at + 1..end;
            at = skip_blanks(text, end + 1, false);
            if text.get(at) != Some(&b':') {
                return Err(Broken { at, why: "a name has no colon behind it" });
            }
            at = skip_blanks(text, at + 1, false);
        } else {
            key = 0..0;
        }
        let Some(byte) = text.get(at).copied() else {
            return Err(Broken { at, why: "a value is missing" });
        };
        let full = |_| Broken { at, why: "it has too many values" };
        let name = key.clone();
        match byte {
            b'{' | b'[' => {
                if open.len() >= MAX_DEPTH {
                    return Err(Broken { at, why: "it is nested too deep" });
                }
                let kind = if byte == b'{' { Kind::Object } else { Kind::Array };
                open.push(tree.add(kind, parent, name, at..at).map_err(full)?);
                at += 1;
                continue;
            }
            b'"' => {
                let end = string_end(text, at)?;
                tree.add(Kind::Text(TextKind::Json), parent, name, at + 1..end).map_err(full)?;
                at = end + 1;
            }
            b'-' | b'0'..=b'9' => {
                let length = text[at..]
                    .iter()
                    .take_while(|byte| matches!(byte, b'-' | b'+' | b'.' | b'0'..=b'9' | b'e' | b'E'))
                    .count();
                tree.add(Kind::Number, parent, name, at..at + length).map_err(full)?;
                at += length;
            }
            _ => {
                let (kind, word) = match &text[at..] {
                    rest if rest.starts_with(b"true") => (Kind::Bool, 4),
                    rest if rest.starts_with(b"false") => (Kind::Bool, 5),
                    rest if rest.starts_with(b"null") => (Kind::Null, 4),
                    _ => return Err(Broken { at, why: "no value begins here" }),
                };
                tree.add(kind, parent, name, at..at + word).map_err(full)?;
                at += word;
            }
        }
        at = behind_value(text, at, &open)?;
    }
}

/// Steps over the comma behind a value; what closes is left to the caller.
fn behind_value(text: &[u8], at: usize, open: &[u32]) -> Result<usize, Broken> {
    if open.is_empty() {
        return Ok(at);
    }
    let at = skip_blanks(text, at, false);
    match text.get(at) {
        Some(b',') => Ok(at + 1),
        Some(b'}' | b']') => Ok(at),
        Some(_) => Err(Broken { at, why: "a comma is missing" }),
        None => Err(Broken { at, why: "it ends inside an object or an array" }),
    }
}

fn skip_blanks(text: &[u8], at: usize, between_values: bool) -> usize {
    let blank =
        |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n') || (between_values && matches!(byte, 0 | b','));
    at + text.get(at..).unwrap_or_default().iter().take_while(|byte| blank(byte)).count()
}

/// Where the string that begins at `at` has its closing quote.
fn string_end(text: &[u8], at: usize) -> Result<usize, Broken> {
    let mut from = at + 1;
    while let Some(found) = memchr::memchr2(b'"', b'\\', text.get(from..).unwrap_or_default()) {
        if text[from + found] == b'"' {
            return Ok(from + found);
        }
        from += found + 2;
    }
    Err(Broken { at, why: "a string does not end" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_where_they_stand() {
        let text = br#"{"a":{"b":[1,"x\"y",null]},"c":true}"#;
        let tree = tree(text).expect("JSON");
        let paths: Vec<_> = tree.ids().map(|id| (tree.path(id, false), tree.raw(id))).collect();
        assert_eq!(paths[3], ("a.b[0]".to_owned(), b"1".as_slice()));
        assert_eq!(paths[4], ("a.b[1]".to_owned(), br#"x\"y"#.as_slice()));
        assert_eq!(paths[6], ("c".to_owned(), b"true".as_slice()));
    }

    #[test]
    fn values_may_follow_each_other() {
        let tree = tree(b"{\"a\":1}\n{\"a\":2}\0").expect("JSON");
        assert_eq!(tree.ids().filter(|id| tree.key(*id) == b"a").count(), 2);
    }

    #[test]
    fn broken_json_says_where() {
        for (text, at) in
            [("{\"a\":", 5), ("[1,2", 4), ("{\"a\" 1}", 5), ("[1}", 2), ("\"abc", 0), ("{a:1}", 1), ("[1 2]", 3)]
        {
            assert_eq!(tree(text.as_bytes()).map(|_| ()).expect_err(text).at, at, "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_not_followed() {
        assert_eq!(tree("[".repeat(1_000_000).as_bytes()).map(|_| ()).expect_err("deep").at, MAX_DEPTH);
    }

    #[test]
    fn more_values_than_a_message_has_are_refused() {
        let text = format!("[{}1]", "1,".repeat(100_000));
        assert_eq!(tree(text.as_bytes()).map(|_| ()).expect_err("many").why, "it has too many values");
    }
}
