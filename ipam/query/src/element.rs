//! Reading XML.

use std::str::FromStr;

use roxmltree::Node;

/// An answer is not what it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("<{parent}> has no <{name}>")]
    Missing { parent: String, name: &'static str },
    #[error("<{name}> is {value:?}, which it can't be")]
    Value { name: &'static str, value: String },
}

/// An element. Names are compared without their namespaces: emulators differ in those.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a>(pub(crate) Node<'a, 'a>);

impl<'a> Element<'a> {
    /// The first child of a name.
    pub(crate) fn child(self, name: &str) -> Option<Self> {
        self.0.children().find(|node| is(node, name)).map(Self)
    }

    pub(crate) fn need_child(self, name: &'static str) -> Result<Self, DecodeError> {
        self.child(name).ok_or_else(|| self.missing(name))
    }

    /// The text of a child; nothing if it has none.
    pub(crate) fn text(self, name: &str) -> Option<&'a str> {
        self.child(name)?.0.text().filter(|text| !text.is_empty())
    }

    pub(crate) fn need(self, name: &'static str) -> Result<&'a str, DecodeError> {
        self.text(name).ok_or_else(|| self.missing(name))
    }

    pub(crate) fn owned(self, name: &str) -> String {
        self.text(name).unwrap_or_default().to_owned()
    }

    pub(crate) fn parsed<T: FromStr>(self, name: &'static str) -> Result<Option<T>, DecodeError> {
        let parse =
            |value: &str| value.parse().map_err(|_| DecodeError::Value { name, value: value.to_owned() });
        self.text(name).map(parse).transpose()
    }

    pub(crate) fn need_parsed<T: FromStr>(self, name: &'static str) -> Result<T, DecodeError> {
        self.parsed(name)?.ok_or_else(|| self.missing(name))
    }

    /// The items of a list; none if there is no such list.
    pub(crate) fn items(self, name: &str) -> impl Iterator<Item = Self> {
        let list = self.child(name).map(|list| list.0.children());
        list.into_iter().flatten().filter(|node| is(node, "item")).map(Self)
    }

    /// Each item of a list, decoded.
    pub(crate) fn each<T>(
        self,
        name: &str,
        decode: impl Fn(Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        self.items(name).map(decode).collect()
    }

    fn missing(self, name: &'static str) -> DecodeError {
        DecodeError::Missing { parent: self.0.tag_name().name().to_owned(), name }
    }
}

fn is(node: &Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().name() == name
}
