//! What a path asks for.

use percent_encoding::percent_decode_str;

/// A path below `/api` or `/apis` that names a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) resource: String,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) subresource: String,
}

/// A path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Path {
    /// A kind, or an object.
    Resource(Place),
    /// `/api`
    Core,
    /// `/apis`
    Groups,
    /// `/apis/<group>`
    Group(String),
    /// `/api/v1`, `/apis/<group>/<version>`
    GroupVersion(String, String),
    /// Anything else.
    Other(Vec<String>),
}

/// Takes a path apart.
pub(super) fn parse(path: &str) -> Path {
    let parts: Vec<String> = path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
        .collect();
    let text: Vec<&str> = parts.iter().map(String::as_str).collect();
    match text.as_slice() {
        ["api"] => Path::Core,
        ["api", version] => Path::GroupVersion(String::new(), (*version).into()),
        ["api", version, rest @ ..] => {
            resource("", version, rest).map_or(Path::Other(parts.clone()), Path::Resource)
        }
        ["apis"] => Path::Groups,
        ["apis", group] => Path::Group((*group).into()),
        ["apis", group, version] => Path::GroupVersion((*group).into(), (*version).into()),
        ["apis", group, version, rest @ ..] => {
            resource(group, version, rest).map_or(Path::Other(parts.clone()), Path::Resource)
        }
        _ => Path::Other(parts),
    }
}

fn resource(group: &str, version: &str, rest: &[&str]) -> Option<Place> {
    let place = |resource: &str, namespace: Option<&str>, name: Option<&str>, sub: &[&str]| Place {
        group: group.to_owned(),
        version: version.to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: name.map(str::to_owned),
        subresource: sub.join("/"),
    };
    Some(match rest {
        // The namespace itself, and what is below it.
        ["namespaces", name] => place("namespaces", None, Some(name), &[]),
        ["namespaces", name, sub @ ("status" | "finalize")] => place("namespaces", None, Some(name), &[*sub]),
        ["namespaces", namespace, resource] => place(resource, Some(namespace), None, &[]),
        ["namespaces", namespace, resource, name, sub @ ..] => {
            place(resource, Some(namespace), Some(name), sub)
        }
        [resource] => place(resource, None, None, &[]),
        [resource, name, sub @ ..] => place(resource, None, Some(name), sub),
        [] => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let of = |text: &str| match parse(text) {
            Path::Resource(p) => format!(
                "{}|{}|{}|{}|{}|{}",
                p.group,
                p.version,
                p.resource,
                p.namespace.unwrap_or_default(),
                p.name.unwrap_or_default(),
                p.subresource
            ),
            other => format!("{other:?}"),
        };
        assert_eq!(of("/api/v1/pods"), "|v1|pods|||");
        assert_eq!(of("/api/v1/namespaces"), "|v1|namespaces|||");
        assert_eq!(of("/api/v1/namespaces/a"), "|v1|namespaces||a|");
        assert_eq!(of("/api/v1/namespaces/a/finalize"), "|v1|namespaces||a|finalize");
        assert_eq!(of("/api/v1/namespaces/a/pods"), "|v1|pods|a||");
        assert_eq!(of("/api/v1/namespaces/a/pods/b/binding"), "|v1|pods|a|b|binding");
        assert_eq!(
            of("/apis/rbac.authorization.k8s.io/v1/clusterroles/a%3Ab"),
            "rbac.authorization.k8s.io|v1|clusterroles||a:b|"
        );
        assert_eq!(parse("/apis/apps/v1"), Path::GroupVersion("apps".into(), "v1".into()));
        assert_eq!(parse("/apis/apps/"), Path::Group("apps".into()));
        assert_eq!(parse("/version"), Path::Other(vec!["version".into()]));
    }
}
