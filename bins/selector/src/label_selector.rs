//! `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2`.

use std::str::FromStr;

use crate::words;

/// Requirements that labels have to fulfil, all of them; with none, everything is selected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

/// A text that is no selector, in the words of an API server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSelector(String);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    Greater(i64),
    Less(i64),
}

impl FromStr for LabelSelector {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Self, InvalidSelector> {
        let mut parser = Parser { tokens: tokens(text), at: 0 };
        let mut requirements = Vec::new();
        while parser.peek().is_some() {
            requirements.push(parser.requirement().map_err(InvalidSelector)?);
            match parser.next() {
                None => break,
                Some(Token::Comma) if parser.peek().is_some() => {}
                Some(Token::Comma) => {
                    return Err(InvalidSelector("found '', expected: identifier after ','".into()));
                }
                Some(other) => {
                    let found = other.text();
                    return Err(InvalidSelector(format!(
                        "found '{found}', expected: ',' or 'end of string'"
                    )));
                }
            }
        }
        Ok(Self { requirements })
    }
}

impl LabelSelector {
    /// Whether everything is selected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether a requirement is about this key.
    #[must_use]
    pub fn names(&self, key: &str) -> bool {
        self.requirements.iter().any(|requirement| requirement.key == key)
    }

    /// Whether labels fulfil it, looked up by `label`.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = label(&requirement.key);
            let number = || value.and_then(|value| value.parse::<i64>().ok());
            match &requirement.operator {
                Operator::In(values) => value.is_some_and(|value| values.iter().any(|v| v == value)),
                Operator::NotIn(values) => value.is_none_or(|value| values.iter().all(|v| v != value)),
                Operator::Exists => value.is_some(),
                Operator::Absent => value.is_none(),
                Operator::Greater(than) => number().is_some_and(|number| number > *than),
                Operator::Less(than) => number().is_some_and(|number| number < *than),
            }
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Comma,
    Open,
    Close,
    Not,
    Equals,
    Differs,
    Greater,
    Less,
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Token::Word(word) => word,
            Token::Comma => ",",
            Token::Open => "(",
            Token::Close => ")",
            Token::Not => "!",
            Token::Equals => "=",
            Token::Differs => "!=",
            Token::Greater => ">",
            Token::Less => "<",
        }
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            ' ' | '\t' | '\r' | '\n' => continue,
            ',' => Token::Comma,
            '(' => Token::Open,
            ')' => Token::Close,
            '>' => Token::Greater,
            '<' => Token::Less,
            '=' => {
                chars.next_if_eq(&'=');
                Token::Equals
            }
            '!' => match chars.next_if_eq(&'=') {
                Some(_) => Token::Differs,
                None => Token::Not,
            },
            first => {
                let mut word = String::from(first);
                while let Some(c) = chars.next_if(|c| !" \t\r\n,()=!<>".contains(*c)) {
                    word.push(c);
                }
                Token::Word(word)
            }
        });
    }
    tokens
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned()
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let absent = self.peek() == Some(&Token::Not);
        if absent {
            self.next();
        }
        let key = match self.next() {
            Some(Token::Word(key)) => key,
            other => {
                let found = other.as_ref().map_or("", Token::text);
                return Err(format!("found '{found}', expected: !, identifier, or 'end of string'"));
            }
        };
        check_key(&key)?;
        if absent {
            return Ok(Requirement { key, operator: Operator::Absent });
        }
        let operator = match self.peek() {
            None | Some(Token::Comma) => Operator::Exists,
            Some(_) => match self.next() {
                Some(Token::Equals) => Operator::In(vec![self.value()?]),
                Some(Token::Differs) => Operator::NotIn(vec![self.value()?]),
                Some(Token::Greater) => Operator::Greater(self.number()?),
                Some(Token::Less) => Operator::Less(self.number()?),
                Some(Token::Word(word)) if word == "in" => Operator::In(self.values()?),
                Some(Token::Word(word)) if word == "notin" => Operator::NotIn(self.values()?),
                other => {
                    let found = other.as_ref().map_or("", Token::text);
                    return Err(format!("found '{found}', expected: in, notin, =, ==, !=, gt, lt"));
                }
            },
        };
        Ok(Requirement { key, operator })
    }

    /// A value; none is the empty one.
    fn value(&mut self) -> Result<String, String> {
        let value = match self.peek() {
            Some(Token::Word(word)) => word.clone(),
            _ => return Ok(String::new()),
        };
        self.next();
        check_value(&value)?;
        Ok(value)
    }

    fn number(&mut self) -> Result<i64, String> {
        let value = self.value()?;
        value
            .parse()
            .map_err(|_| format!("for 'Gt', 'Lt' operators, the value must be an integer: {value:?}"))
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        if self.next() != Some(Token::Open) {
            return Err("expected: '('".into());
        }
        let mut values = Vec::new();
        loop {
            values.push(self.value()?);
            match self.next() {
                Some(Token::Comma) => {}
                Some(Token::Close) => return Ok(values),
                other => {
                    let found = other.as_ref().map_or("", Token::text);
                    return Err(format!("found '{found}', expected: ',' or ')'"));
                }
            }
        }
    }
}

fn check_key(key: &str) -> Result<(), String> {
    match words::qualified_name(key) {
        Some(why) => Err(format!("key: Invalid value: {key:?}: {why}")),
        None => Ok(()),
    }
}

fn check_value(value: &str) -> Result<(), String> {
    match words::label_value(value) {
        Some(why) => Err(format!("values: Invalid value: {value:?}: {why}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let selector: LabelSelector = selector.parse().expect(selector);
        selector.matches(|key| labels.iter().find(|(k, _)| *k == key).map(|(_, v)| *v))
    }

    #[test]
    fn every_operator() {
        let labels = [("app", "web"), ("tier", "front"), ("n", "5")];
        for yes in [
            "",
            "app=web",
            "app==web",
            "app != db",
            "none!=x",
            "app in (db, web)",
            "app notin (db)",
            "none notin (x)",
            "app",
            "!none",
            "n>4",
            "n<6",
            "app=web,tier in (front),!x",
            " app = web ",
        ] {
            assert!(matches(yes, &labels), "{yes}");
        }
        for no in [
            "app=db",
            "app!=web",
            "none=x",
            "app in (db)",
            "app notin (web)",
            "!app",
            "none",
            "n>5",
            "none<3",
        ] {
            assert!(!matches(no, &labels), "{no}");
        }
    }

    #[test]
    fn what_is_no_selector() {
        for bad in ["a=b,", "=b", "a in b", "a in (b", "a b", "a=b c=d", "-a=b", "a=b/c", "a>x", "!", "(a)"] {
            assert!(bad.parse::<LabelSelector>().is_err(), "{bad}");
        }
    }
}
