//! Where in a profile file something stands, for errors that a person can go to.
//!
//! Pure. [`of`] takes text that is known to be JSON; for anything else it answers with the last place it understood, and
//! never panics.

/// Line and column (both from 1, the column in characters) of the value at `path` in the JSON `text`. A path is written as
/// `on[2].do[0].send`; a member that does not exist gives the place of the value that should have it.
pub(super) fn of(text: &str, path: &str) -> (usize, usize) {
    let mut cursor = Cursor { bytes: text.as_bytes(), at: 0 };
    cursor.blanks();
    for step in steps(path) {
        let found = match step {
            Step::Member(name) => cursor.enter_member(name),
            Step::Item(number) => cursor.enter_item(number),
        };
        if !found {
            break;
        }
    }
    line_and_column(text, cursor.at)
}

enum Step<'a> {
    Member(&'a str),
    Item(usize),
}

fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    path.split(['.', '[']).filter(|part| !part.is_empty()).map(|part| match part.strip_suffix(']') {
        Some(number) => number.parse().map_or(Step::Member(part), Step::Item),
        None => Step::Member(part),
    })
}

fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_begin = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[line_begin..].chars().count() + 1)
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.blanks();
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
        }
        found
    }

    /// Goes to the value of a member of the object that begins here; stays where it is if there is none.
    fn enter_member(&mut self, name: &str) -> bool {
        let begin = self.at;
        if self.take(b'{') {
            loop {
                self.blanks();
                let key_begin = self.at;
                if self.peek() != Some(b'"') {
                    break;
                }
                self.string();
                let key = &self.bytes[key_begin..self.at];
                let key: Option<String> = serde_json::from_slice(key).ok();
                if !self.take(b':') {
                    break;
                }
                self.blanks();
                if key.as_deref() == Some(name) {
                    return true;
                }
                self.value();
                if !self.take(b',') {
                    break;
                }
            }
        }
        self.at = begin;
        false
    }

    fn enter_item(&mut self, number: usize) -> bool {
        let begin = self.at;
        if self.take(b'[') {
            let mut here = 0;
            loop {
                self.blanks();
                if self.peek().is_none_or(|byte| byte == b']') {
                    break;
                }
                if here == number {
                    return true;
                }
                self.value();
                here += 1;
                if !self.take(b',') {
                    break;
                }
            }
        }
        self.at = begin;
        false
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'"' => break,
                _ => {}
            }
        }
        self.at = self.at.min(self.bytes.len());
    }

    /// Goes past the value that begins here.
    fn value(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.string();
                    if depth == 0 {
                        return;
                    }
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 0 => return,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        return;
                    }
                }
                b',' if depth == 0 => return,
                _ => {}
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{\n  \"a\": [1, {\"b\": \"x]\\\"}\", \"c\": [true]}],\n  \"é\": {\"d\": 1}\n}";

    #[test]
    fn a_value_is_found_by_line_and_column() {
        for (path, place) in [
            ("", (1, 1)),
            ("a", (2, 8)),
            ("a[0]", (2, 9)),
            ("a[1].b", (2, 18)),
            ("a[1].c[0]", (2, 33)),
            ("é.d", (3, 14)),
        ] {
            assert_eq!(of(TEXT, path), place, "{path}");
        }
    }

    #[test]
    fn what_is_missing_is_placed_at_what_should_have_it() {
        assert_eq!(of(TEXT, "a[1].z"), of(TEXT, "a[1]"));
        assert_eq!(of(TEXT, "a[7]"), of(TEXT, "a"));
        assert_eq!(of("{\"a\":", "a.b"), (1, 6), "unfinished text");
        assert_eq!(of("", "a"), (1, 1));
    }
}
