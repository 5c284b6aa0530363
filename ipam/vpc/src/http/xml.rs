//! Writing XML.

use std::fmt::{Display, Write as _};

use quick_xml::escape::escape;

/// The namespace of answers.
const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

/// A document that grows.
pub(super) struct Xml(String);

impl Xml {
    /// An answer to an operation.
    pub(super) fn answer(operation: &str, request_id: &str, body: impl FnOnce(&mut Self)) -> String {
        let mut xml = Self::declared();
        xml.put(format_args!("<{operation}Response xmlns=\"{NAMESPACE}\">"));
        xml.leaf("requestId", request_id);
        body(&mut xml);
        xml.put(format_args!("</{operation}Response>"));
        xml.0
    }

    /// A document of one element.
    pub(super) fn document(name: &str, body: impl FnOnce(&mut Self)) -> String {
        let mut xml = Self::declared();
        xml.element(name, body);
        xml.0
    }

    fn declared() -> Self {
        Self("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned())
    }

    /// An element with others inside.
    pub(super) fn element(&mut self, name: &str, body: impl FnOnce(&mut Self)) {
        self.put(format_args!("<{name}>"));
        body(self);
        self.put(format_args!("</{name}>"));
    }

    /// An element with text inside.
    pub(super) fn leaf(&mut self, name: &str, text: impl Display) {
        let text = text.to_string();
        self.put(format_args!("<{name}>{}</{name}>", escape(text.as_str())));
    }

    /// A list: `<name><item>…</item>…</name>`.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) {
        self.element(name, |xml| {
            for item in items {
                xml.element("item", |xml| each(xml, item));
            }
        });
    }

    /// A list of which each item has one element.
    pub(super) fn leaves<T: Display>(&mut self, name: &str, leaf: &str, items: impl IntoIterator<Item = T>) {
        self.list(name, items, |xml, item| xml.leaf(leaf, item));
    }

    /// A list of text: `<name><item>text</item>…</name>`.
    pub(super) fn texts(&mut self, name: &str, items: &[&str]) {
        self.element(name, |xml| items.iter().for_each(|item| xml.leaf("item", item)));
    }

    /// Writing to a string does not fail.
    fn put(&mut self, what: std::fmt::Arguments<'_>) {
        let _always_ok = self.0.write_fmt(what);
    }
}
