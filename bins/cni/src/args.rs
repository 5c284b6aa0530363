//! `CNI_ARGS`: what Kubernetes' runtimes say about the pod.

use crate::environment::wrong;
use crate::error::CniError;

/// The pod as the runtime names it in `CNI_ARGS`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodArgs {
    /// `K8S_POD_NAMESPACE`.
    pub namespace: Option<String>,
    /// `K8S_POD_NAME`.
    pub name: Option<String>,
    /// `K8S_POD_UID`.
    pub uid: Option<String>,
}

impl PodArgs {
    /// Reads `KEY=VALUE;KEY=VALUE`. Unknown keys are refused unless `IgnoreUnknown` is true, as the CNI
    /// project's own library does.
    ///
    /// # Errors
    /// When a pair has no `=`, a key is unknown, or only one of the pod's names is there.
    pub fn parse(args: &str) -> Result<Self, CniError> {
        let mut pod = Self::default();
        let mut ignore_unknown = false;
        let mut unknown = Vec::new();
        for pair in args.split(';').filter(|pair| !pair.is_empty()) {
            let Some((key, value)) = pair.split_once('=') else {
                return Err(wrong("CNI_ARGS", format!("{pair:?} has no '='")));
            };
            let value = Some(value).filter(|value| !value.is_empty()).map(String::from);
            match key {
                "K8S_POD_NAMESPACE" => pod.namespace = value,
                "K8S_POD_NAME" => pod.name = value,
                "K8S_POD_UID" => pod.uid = value,
                "K8S_POD_INFRA_CONTAINER_ID" => {}
                "IgnoreUnknown" => {
                    ignore_unknown = match value.as_deref() {
                        Some("1" | "true" | "True" | "TRUE") => true,
                        Some("0" | "false" | "False" | "FALSE") | None => false,
                        Some(other) => {
                            return Err(wrong("CNI_ARGS", format!("IgnoreUnknown={other:?} is no boolean")));
                        }
                    }
                }
                other => unknown.push(other),
            }
        }
        if !unknown.is_empty() && !ignore_unknown {
            return Err(wrong("CNI_ARGS", format!("unknown keys {}", unknown.join(", "))));
        }
        if pod.namespace.is_some() != pod.name.is_some() {
            return Err(wrong("CNI_ARGS", "K8S_POD_NAMESPACE and K8S_POD_NAME go together".into()));
        }
        Ok(pod)
    }

    /// The pod, where the runtime names one.
    #[must_use]
    pub fn pod(&self) -> Option<api::PodRef> {
        Some(api::PodRef { namespace: self.namespace.clone()?, name: self.name.clone()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_names() {
        let args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=p;K8S_POD_INFRA_CONTAINER_ID=c;X=y";
        let pod = PodArgs::parse(args).unwrap().pod().unwrap();
        assert_eq!(pod.to_string(), "ns/p");
        assert_eq!(PodArgs::parse("").unwrap().pod(), None);
    }

    #[test]
    fn refusals() {
        for args in ["X=y", "K8S_POD_NAME", "K8S_POD_NAME=p", "IgnoreUnknown=perhaps"] {
            assert_eq!(PodArgs::parse(args).unwrap_err().code() as u32, 4, "{args}");
        }
    }
}
