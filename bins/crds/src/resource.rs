//! What makes a struct a Kubernetes resource.

use serde::Serialize;

/// The fields `apiVersion` and `kind`, before those of the object itself.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Typed<T: Serialize> {
    pub(crate) api_version: &'static str,
    pub(crate) kind: &'static str,
    #[serde(flatten)]
    pub(crate) object: T,
}

/// Implements `kube::Resource` and `k8s_openapi::Resource`, and (de)serialization with `apiVersion` and `kind`, for
/// a struct that has a field `metadata` and `#[serde(remote = "Self")]`.
///
/// kube's own derive takes for granted that a resource has a `spec`; several here have none.
macro_rules! resource {
    ($kind:ident, $plural:literal, $version:literal, $scope:ident) => {
        impl kube::Resource for $kind {
            type DynamicType = ();
            type Scope = kube::core::$scope;

            fn kind(_: &()) -> std::borrow::Cow<'_, str> {
                stringify!($kind).into()
            }
            fn group(_: &()) -> std::borrow::Cow<'_, str> {
                $crate::GROUP.into()
            }
            fn version(_: &()) -> std::borrow::Cow<'_, str> {
                $version.into()
            }
            fn plural(_: &()) -> std::borrow::Cow<'_, str> {
                $plural.into()
            }
            fn meta(&self) -> &kube::core::ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut kube::core::ObjectMeta {
                &mut self.metadata
            }
        }

        impl k8s_openapi::Resource for $kind {
            const API_VERSION: &'static str = concat!("cilium.io/", $version);
            const GROUP: &'static str = $crate::GROUP;
            const KIND: &'static str = stringify!($kind);
            const VERSION: &'static str = $version;
            const URL_PATH_SEGMENT: &'static str = $plural;
            type Scope = kube::core::$scope;
        }

        impl serde::Serialize for $kind {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                struct Body<'a>(&'a $kind);
                impl serde::Serialize for Body<'_> {
                    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                        $kind::serialize(self.0, serializer)
                    }
                }
                let typed = $crate::resource::Typed {
                    api_version: <Self as k8s_openapi::Resource>::API_VERSION,
                    kind: <Self as k8s_openapi::Resource>::KIND,
                    object: Body(self),
                };
                serde::Serialize::serialize(&typed, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $kind {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $kind::deserialize(deserializer)
            }
        }
    };
}
pub(crate) use resource;
