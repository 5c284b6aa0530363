//! Reads YAML, all of it.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StructureStyle, Tag};

use super::builder::{Builder, Key};
use super::{NodeId, SyntaxError, Tree, Value};

/// How many nodes aliases and merge keys may add, lest a few lines become gigabytes.
const MAX_COPIED: usize = 1_000_000;

/// Parses a document of YAML 1.2, with the merge keys of 1.1. Only `true` and `false` are booleans: people call
/// namespaces `y`.
pub(super) fn parse(text: &str) -> Result<Tree<'_>, SyntaxError> {
    let mut reader = Reader {
        builder: Builder::new(text),
        anchors: HashMap::new(),
        frames: Vec::new(),
        copied: 0,
        complete: false,
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| syntax_error(&error))?;
        reader.event(event, span)?;
    }
    Ok(reader.builder.finish())
}

fn syntax_error(error: &ScanError) -> SyntaxError {
    let info = error.info();
    let message = info.lines().next().unwrap_or_default().trim_end_matches(['.', ':']).to_owned();
    at(error.marker(), message)
}

fn at(marker: &Marker, message: impl Into<String>) -> SyntaxError {
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    SyntaxError {
        line: narrow(marker.line()).max(1),
        column: narrow(marker.col()).saturating_add(1),
        message: message.into(),
    }
}

struct Reader<'t> {
    builder: Builder<'t>,
    /// The nodes that have anchors; none while they are not complete.
    anchors: HashMap<usize, Option<NodeId>>,
    /// For each open container.
    frames: Vec<Frame<'t>>,
    copied: usize,
    complete: bool,
}

struct Frame<'t> {
    anchor: usize,
    flow: bool,
    /// In an object: the key whose value comes next.
    key: Option<Key<'t>>,
    /// The value that comes next is of a merge key.
    merging: bool,
    /// Within the list of aliases of a merge key.
    in_merge_list: bool,
    /// What merge keys name, in their order, to be merged when all own fields are there.
    merged: Vec<NodeId>,
}

fn range(span: &Span) -> (u32, u32) {
    let range = span.byte_range().unwrap_or_default();
    (range.start as u32, range.end as u32)
}

impl<'t> Reader<'t> {
    fn event(&mut self, event: Event<'t>, span: Span) -> Result<(), SyntaxError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(text, style, anchor, tag.as_deref(), &span)
            }
            Event::SequenceStart(style, anchor, _) => self.open(false, style, anchor, &span),
            Event::MappingStart(style, anchor, _) => self.open(true, style, anchor, &span),
            Event::SequenceEnd | Event::MappingEnd => self.close(&span),
            Event::Alias(anchor) => self.alias(anchor, &span),
            Event::DocumentStart(..) if self.complete => {
                Err(at(&span.start, "a second document begins without a line of ---"))
            }
            Event::DocumentEnd => {
                self.complete = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether a key comes next.
    fn wants_key(&self) -> bool {
        let in_map = self.builder.container().is_some_and(|(_, is_map)| is_map);
        in_map && self.frames.last().is_some_and(|frame| frame.key.is_none() && !frame.merging)
    }

    fn take_key(&mut self) -> Option<Key<'t>> {
        self.frames.last_mut().and_then(|frame| frame.key.take())
    }

    fn scalar(
        &mut self,
        text: Cow<'t, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        span: &Span,
    ) -> Result<(), SyntaxError> {
        let (start, end) = range(span);
        if self.wants_key() {
            let merges = style == ScalarStyle::Plain && text == "<<";
            if let Some(frame) = self.frames.last_mut() {
                frame.merging = merges;
                frame.key = (!merges).then_some((text, start));
            }
            return Ok(());
        }
        if self.frames.last().is_some_and(|frame| frame.merging) {
            return Err(at(&span.start, "a merge key wants aliases of objects"));
        }
        let key = self.take_key();
        let id = self.builder.add(key, value(text, style, tag), start, end);
        self.remember(anchor, id);
        Ok(())
    }

    fn remember(&mut self, anchor: usize, id: NodeId) {
        if anchor > 0 {
            self.anchors.insert(anchor, Some(id));
        }
    }

    fn open(
        &mut self,
        map: bool,
        style: StructureStyle,
        anchor: usize,
        span: &Span,
    ) -> Result<(), SyntaxError> {
        if self.wants_key() {
            return Err(at(&span.start, "a key is no plain text"));
        }
        if let Some(frame) = self.frames.last_mut().filter(|frame| frame.merging) {
            // Several aliases stand in a list.
            if map || frame.in_merge_list {
                return Err(at(&span.start, "a merge key wants aliases of objects"));
            }
            frame.in_merge_list = true;
            return Ok(());
        }
        let key = self.take_key();
        let start = range(span).0;
        if map {
            self.builder.open_map(key, start);
        } else {
            self.builder.open_list(key, start);
        }
        if anchor > 0 {
            self.anchors.insert(anchor, None);
        }
        let flow = style == StructureStyle::Flow;
        self.frames.push(Frame {
            anchor,
            flow,
            key: None,
            merging: false,
            in_merge_list: false,
            merged: Vec::new(),
        });
        Ok(())
    }

    fn close(&mut self, span: &Span) -> Result<(), SyntaxError> {
        if let Some(frame) = self.frames.last_mut().filter(|frame| frame.in_merge_list) {
            (frame.in_merge_list, frame.merging) = (false, false);
            return Ok(());
        }
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        if let Some((map, true)) = self.builder.container() {
            if let Some((key, start)) = self.builder.duplicate(map) {
                let message = format!("the key {key:?} is there twice");
                return Err(self.error_at(start, message));
            }
            for from in &frame.merged {
                let before = self.builder.len();
                self.builder.merge(*from);
                self.count(before, &span.start)?;
            }
        }
        let end = frame.flow.then(|| range(span).1);
        if let Some(id) = self.builder.close(end) {
            self.remember(frame.anchor, id);
        }
        Ok(())
    }

    fn error_at(&self, offset: u32, message: String) -> SyntaxError {
        let (line, column) = self.builder.place(offset);
        SyntaxError { line, column, message }
    }

    fn count(&mut self, before: usize, marker: &Marker) -> Result<(), SyntaxError> {
        self.copied += self.builder.len() - before;
        if self.copied > MAX_COPIED {
            return Err(at(marker, "aliases make the document too large"));
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: &Span) -> Result<(), SyntaxError> {
        if self.wants_key() {
            return Err(at(&span.start, "a key is no plain text"));
        }
        let Some(Some(id)) = self.anchors.get(&anchor).copied() else {
            return Err(at(&span.start, "an alias stands within what it names"));
        };
        if self.frames.last().is_some_and(|frame| frame.merging) {
            if !self.builder.is_map(id) {
                return Err(at(&span.start, "a merge key wants aliases of objects"));
            }
            if let Some(frame) = self.frames.last_mut() {
                frame.merging = frame.in_merge_list;
                frame.merged.push(id);
            }
            return Ok(());
        }
        let key = self.take_key();
        let before = self.builder.len();
        self.builder.copy(id, key, range(span));
        self.count(before, &span.start)
    }
}

/// The value of a scalar.
pub(super) fn value<'t>(text: Cow<'t, str>, style: ScalarStyle, tag: Option<&Tag>) -> Value<'t> {
    match tag.and_then(Tag::core_suffix) {
        Some("str") => Value::String(text),
        Some("null" | "bool" | "int" | "float") => plain(text),
        _ if style == ScalarStyle::Plain && tag.is_none() => plain(text),
        _ => Value::String(text),
    }
}

/// The value of a plain scalar, by the core schema of YAML 1.2.
pub(super) fn plain(text: Cow<'_, str>) -> Value<'_> {
    match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Boolean(true),
        "false" | "False" | "FALSE" => return Value::Boolean(false),
        _ => {}
    }
    // Most are words.
    if text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.'))
        && let Some(value) = number(&text)
    {
        return value;
    }
    Value::String(text)
}

fn number(text: &str) -> Option<Value<'static>> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let all = |text: &str, fits: fn(&u8) -> bool| !text.is_empty() && text.as_bytes().iter().all(fits);
    if all(digits, u8::is_ascii_digit) {
        // Octal in YAML 1.1, decimal in YAML 1.2: nobody's whole number.
        let ambiguous = digits.len() > 1 && digits.starts_with('0');
        return Some(text.parse().ok().filter(|_| !ambiguous).map_or(Value::Number, Value::Integer));
    }
    let based = |prefix, radix| Some((digits.strip_prefix(prefix)?, radix));
    if let Some((digits, radix)) = based("0x", 16).or_else(|| based("0o", 8)) {
        let fits = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        return fits.then(|| i64::from_str_radix(digits, radix).map_or(Value::Number, Value::Integer));
    }
    if matches!(digits, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(Value::Number);
    }
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (digits, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_float = (whole.is_empty() || all(whole, u8::is_ascii_digit))
        && (fraction.is_empty() || all(fraction, u8::is_ascii_digit))
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| all(exponent, u8::is_ascii_digit));
    is_float.then_some(Value::Number)
}
