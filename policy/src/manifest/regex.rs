//! Regular expressions as Go reads them (RE2), checked with a parser that differs in small things.

use regex_syntax::{Error, Parser};

/// The most times that RE2 lets something be repeated.
const MAX_REPEAT: u32 = 1000;

/// Says why a text is not a regular expression.
pub(super) fn check(text: &str) -> Result<(), String> {
    let pattern = Translation::of(text)?;
    match Parser::new().parse(&pattern) {
        Ok(_) => Ok(()),
        Err(Error::Parse(error)) => Err(error.kind().to_string()),
        Err(Error::Translate(error)) => Err(error.kind().to_string()),
        Err(_) => Err("it cannot be parsed".into()),
    }
}

/// An expression on its way from Go's syntax to the parser's.
struct Translation<'a> {
    rest: &'a str,
    written: String,
    /// What came last was a repetition, which RE2 does not let be repeated.
    repeated: bool,
}

impl<'a> Translation<'a> {
    fn of(text: &'a str) -> Result<String, String> {
        let mut translation =
            Self { rest: text, written: String::with_capacity(text.len()), repeated: false };
        while let Some(next) = translation.rest.chars().next() {
            match next {
                '\\' => translation.escape(),
                '[' => translation.class(),
                '{' => translation.braces()?,
                '*' | '+' | '?' => {
                    let length = 1;
                    translation.repetition(length)?;
                }
                _ => {
                    translation.repeated = false;
                    translation.take(next.len_utf8());
                }
            }
        }
        Ok(translation.written)
    }

    fn take(&mut self, bytes: usize) {
        let (taken, rest) = self.rest.split_at(bytes);
        self.written.push_str(taken);
        self.rest = rest;
    }

    /// `\Q…\E` is literal, and `\C` any byte; all other escapes are the same.
    fn escape(&mut self) {
        self.repeated = false;
        if let Some(quoted) = self.rest.strip_prefix("\\Q") {
            let (literal, rest) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            self.written.push_str(&regex_syntax::escape(literal));
            self.rest = rest;
        } else if let Some(rest) = self.rest.strip_prefix("\\C") {
            self.written.push('.');
            self.rest = rest;
        } else {
            let escaped = self.rest[1..].chars().next().map_or(0, char::len_utf8);
            self.take(1 + escaped);
        }
    }

    /// Within brackets, Go knows no nested brackets and no operators on sets.
    fn class(&mut self) {
        self.repeated = false;
        self.take(1);
        if self.rest.starts_with('^') {
            self.take(1);
        }
        let mut first = true;
        while let Some(next) = self.rest.chars().next() {
            match next {
                ']' if !first => return self.take(1),
                '\\' => {
                    let escaped = self.rest[1..].chars().next().map_or(0, char::len_utf8);
                    self.take(1 + escaped);
                }
                '[' if self.rest.starts_with("[:") => {
                    let end = self.rest.find(":]").map_or(1, |end| end + 2);
                    self.take(end);
                }
                '[' | '&' | '~' => {
                    self.written.push('\\');
                    self.take(1);
                }
                _ => self.take(next.len_utf8()),
            }
            first = false;
        }
    }

    /// Braces that are no repetition are literal.
    fn braces(&mut self) -> Result<(), String> {
        let counts = self.rest[1..].split_once('}').map(|(inside, _)| inside);
        let number = |text: &str| {
            let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| text.parse::<u32>().unwrap_or(u32::MAX))
        };
        let bounds = counts.and_then(|inside| match inside.split_once(',') {
            None => number(inside).map(|least| (least, least)),
            Some((least, "")) => number(least).map(|least| (least, least)),
            Some((least, most)) => number(least).zip(number(most)),
        });
        let (Some(inside), Some((least, most))) = (counts, bounds) else {
            self.written.push('\\');
            self.repeated = false;
            self.take(1);
            return Ok(());
        };
        if least.max(most) > MAX_REPEAT {
            return Err(format!("more than {MAX_REPEAT} repetitions"));
        }
        self.repetition(inside.len() + 2)
    }

    fn repetition(&mut self, bytes: usize) -> Result<(), String> {
        if self.repeated {
            return Err(format!("{:?} repeats a repetition", &self.rest[..bytes]));
        }
        self.take(bytes);
        if self.rest.starts_with('?') {
            self.take(1);
        }
        self.repeated = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_accepts() {
        let accepted = [
            "",
            "/",
            "GET|POST",
            "/api/v[0-9]+/.*",
            "a{b",
            "a{,3}",
            "x{2,3}?",
            "[[:alpha:]_]",
            "[]a]",
            "[a[b]",
            "[a&&b]",
            r"\Qa.*b\E",
            r"/public\.html",
            r"\/a",
            "(?i)get",
            "(?P<name>a)",
            "^$",
            "a|",
            "é+",
            "a{1000}",
        ];
        for text in accepted {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        let refused = [
            "*", "+a", "(", ")", "[", "[z-a]", "a**", "a+*", "x{2}{3}", "a{1001}", "a{3,2}", r"\1", "(?=a)",
            r"a\", "(*)",
        ];
        for text in refused {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
