//! In what shape a client wants its answer.

/// The shape of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Accept {
    pub(super) shape: Shape,
    pub(super) yaml: bool,
    /// Discovery of all groups in one document, and its version.
    pub(super) aggregated: Option<&'static str>,
}

/// What is shown of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Shape {
    /// All.
    #[default]
    Whole,
    /// Columns for people.
    Table,
    /// Metadata.
    Partial,
}

impl Accept {
    /// Reads an `Accept` header. Nothing that we have means 406.
    pub(super) fn parse(header: &str) -> Option<Accept> {
        if header.trim().is_empty() {
            return Some(Accept::default());
        }
        header.split(',').find_map(Self::range)
    }

    fn range(text: &str) -> Option<Accept> {
        let mut parts = text.split(';').map(str::trim);
        let kind = parts.next()?;
        let mut accept = Accept::default();
        match kind {
            "application/json" | "*/*" | "application/*" | "text/plain" | "text/*" => {}
            "application/yaml" => accept.yaml = true,
            _ => return None,
        }
        let (mut group, mut version, mut shape) = ("", "", "");
        for part in parts {
            match part.split_once('=') {
                Some(("g", value)) => group = value,
                Some(("v", value)) => version = value,
                Some(("as", value)) => shape = value,
                _ => {}
            }
        }
        match (group, version, shape) {
            (_, _, "") => Some(accept),
            ("meta.k8s.io", "v1", "Table") => Some(Accept { shape: Shape::Table, ..accept }),
            ("meta.k8s.io", "v1", "PartialObjectMetadata" | "PartialObjectMetadataList") => {
                Some(Accept { shape: Shape::Partial, ..accept })
            }
            ("apidiscovery.k8s.io", "v2", "APIGroupDiscoveryList") => {
                Some(Accept { aggregated: Some("v2"), ..accept })
            }
            ("apidiscovery.k8s.io", "v2beta1", "APIGroupDiscoveryList") => {
                Some(Accept { aggregated: Some("v2beta1"), ..accept })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let parse = |text: &str| Accept::parse(text);
        assert_eq!(parse("").map(|a| a.shape), Some(Shape::Whole));
        assert_eq!(
            parse("application/json;as=Table;v=v1;g=meta.k8s.io,application/json").map(|a| a.shape),
            Some(Shape::Table)
        );
        assert_eq!(
            parse("application/json;as=Table;v=v1beta1;g=meta.k8s.io, application/json").map(|a| a.shape),
            Some(Shape::Whole)
        );
        assert_eq!(parse("application/vnd.kubernetes.protobuf, */*").map(|a| a.shape), Some(Shape::Whole));
        assert_eq!(parse("application/vnd.kubernetes.protobuf"), None);
        assert_eq!(
            parse("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
                .and_then(|a| a.aggregated),
            Some("v2")
        );
    }
}
