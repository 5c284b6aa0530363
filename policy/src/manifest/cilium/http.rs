//! `rules.http`: requests that a proxy lets through.

use super::l7;
use crate::l7::{HeaderMatch, HttpRule, Mismatch};
use crate::manifest::reader::Field;
use crate::manifest::regex;

/// Reads a rule.
pub(super) fn rule(field: &Field<'_>) -> Option<HttpRule> {
    let mut fields = field.object()?;
    let mut expression = |key| {
        let field = fields.get(key)?;
        let text = field.string().filter(|text| !text.is_empty())?;
        if let Err(error) = regex::check(&text) {
            field.error(format!("{text:?} is not a regular expression: {error}"), "");
        }
        Some(text)
    };
    let (path, method, host) = (expression("path"), expression("method"), expression("host"));
    let headers = fields.get("headers").and_then(|field| field.strings()).unwrap_or_default();
    let matches = fields.get("headerMatches").and_then(|field| field.list()).unwrap_or_default();
    let header_matches = matches.iter().filter_map(header_match).collect();
    fields.finish();
    Some(HttpRule { path, method, host, headers, header_matches })
}

fn header_match(field: &Field<'_>) -> Option<HeaderMatch> {
    const MISMATCHES: [(&str, Mismatch); 4] = [
        ("LOG", Mismatch::Log),
        ("ADD", Mismatch::Add),
        ("DELETE", Mismatch::Delete),
        ("REPLACE", Mismatch::Replace),
    ];
    let mut fields = field.object()?;
    let mismatch = fields.get("mismatch").and_then(|field| field.word("an action", &MISMATCHES));
    let name = fields.require("name", "the header's name").and_then(|field| field.text());
    let value = fields.get("value").and_then(|field| field.string()).filter(|text| !text.is_empty());
    let secret = fields.get("secret").and_then(|field| l7::secret(&field));
    fields.finish();
    Some(HeaderMatch { mismatch, name: name?, value, secret })
}
