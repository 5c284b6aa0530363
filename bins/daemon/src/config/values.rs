//! Values that are several: in a flag, a variable or a file of a ConfigMap they are one text.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::str::FromStr;

/// Words, apart by commas or spaces: a ConfigMap is written both ways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List(pub Vec<String>);

impl FromStr for List {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let words = text.split([',', ' ', '\n']).map(str::trim).filter(|word| !word.is_empty());
        Ok(Self(words.map(str::to_owned).collect()))
    }
}

/// Names and values: `a=b,c=d`, or a JSON object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(pub BTreeMap<String, String>);

/// The text is neither of the forms of [`Tags`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part:?} is no KEY=VALUE")]
pub struct BadTags {
    part: String,
}

impl FromStr for Tags {
    type Err = BadTags;

    fn from_str(text: &str) -> Result<Self, BadTags> {
        let text = text.trim();
        if text.starts_with('{') {
            return serde_json::from_str(text).map(Self).map_err(|_| BadTags { part: text.to_owned() });
        }
        let pair = |part: &str| {
            let (key, value) = part.split_once('=').ok_or_else(|| BadTags { part: part.to_owned() })?;
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        };
        text.split(',').filter(|part| !part.trim().is_empty()).map(pair).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_tags_in_all_forms() {
        assert_eq!(
            "subnet-1, subnet-2 subnet-3".parse(),
            Ok(List(["subnet-1", "subnet-2", "subnet-3"].map(Into::into).into()))
        );
        assert_eq!("".parse(), Ok(List::default()));
        let tags = Tags(
            [("kubernetes.io/role".to_owned(), "pods".to_owned()), ("x".to_owned(), "a=b".to_owned())].into(),
        );
        assert_eq!("kubernetes.io/role=pods, x=a=b".parse(), Ok(tags.clone()));
        assert_eq!(r#"{"kubernetes.io/role": "pods", "x": "a=b"}"#.parse(), Ok(tags));
        assert_eq!("a=b,c".parse::<Tags>().unwrap_err().to_string(), "\"c\" is no KEY=VALUE");
    }
}
