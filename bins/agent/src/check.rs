//! What can be known of a configuration before anything is done with it.

use anyhow::{Context, Result};

use crate::args::Args;
use crate::cni::custom;
use crate::eni::netconf::{NetConf, document};

/// Checks what the agent would refuse at its start, or could not work with later: values that depend on one another,
/// and the network configuration that is to be written. Nothing is changed, and no cluster, kernel or cloud is asked.
/// Says what a person should know all the same.
///
/// # Errors
/// What is wrong, with the key or the file.
pub fn check(args: &Args) -> Result<Vec<String>> {
    crate::interfaces(args)?;
    if let Some(endpoint) = &args.eni.ec2_metadata_endpoint {
        ec2_query::imds::Client::new(endpoint).context("ec2-metadata-endpoint")?;
    }
    let Some(file) = &args.cni.read_cni_conf else { return Ok(Vec::new()) };
    custom(file)?;
    let (_, problems) = NetConf::read(file)?;
    Ok(problems.iter().map(|problem| format!("{}: {problem}", file.display())).collect())
}

/// What is odd in the network configuration, for the log. Only network interfaces of AWS make the agent read more of it,
/// and refuse what is wrong; otherwise the plugin will.
pub(crate) fn remarks(args: &Args) -> Vec<String> {
    let Some(file) = &args.cni.read_cni_conf else { return Vec::new() };
    match document(file) {
        Ok(document) => api::netconf::problems(&document).iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn checked(flags: &[&str]) -> Result<Vec<String>, String> {
        let flags = ["netloom-agent", "--node=n", "--ipam=eni"].iter().chain(flags);
        check(&Args::parse_from(flags)).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn what_is_odd_is_told_whatever_pods_get_their_addresses_from() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("conf");
        let flag = format!("--read-cni-conf={}", file.display());
        let told = || remarks(&Args::parse_from(["netloom-agent", "--node=n", &flag]));
        assert!(told()[0].contains("No such file"), "{:?}", told());
        std::fs::write(&file, r#"{"name": "n", "type": "cilium-cni", "mtu": "1500", "enidebug": true}"#)
            .unwrap();
        assert_eq!(told().len(), 2, "{:?}", told());
    }

    #[test]
    fn a_network_configuration_is_read_before_it_is_needed() {
        assert_eq!(checked(&[]), Ok(Vec::new()));
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("conf");
        let flag = format!("--read-cni-conf={}", file.display());
        let with = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let of_file = |text: String| text.replace(directory.path().to_str().unwrap(), "");
            checked(&[&flag]).map_err(of_file).map(|said| said.into_iter().map(of_file).collect::<Vec<_>>())
        };
        assert!(checked(&[&flag]).unwrap_err().contains("No such file"));
        assert!(with(r#"{"type": "cilium-cni"}"#).unwrap_err().contains("it needs a name"));
        let wrong = with(r#"{"name": "n", "type": "cilium-cni", "eni": {"first-interface-index": "1"}}"#);
        let said = "network configuration /conf: eni.first-interface-index: a number is expected";
        assert_eq!(wrong, Err(said.to_owned()));
        let odd = with(r#"{"name": "n", "type": "cilium-cni", "eni": {"subnet-tag": {}}}"#);
        let said = r#"/conf: eni.subnet-tag: unknown key (did you mean "subnet-tags"?)"#;
        assert_eq!(odd, Ok(vec![said.to_owned()]));
        assert!(checked(&["--manifests=/x"]).unwrap_err().contains("Kubernetes API"));
        assert!(checked(&["--ec2-metadata-endpoint=nowhere"]).unwrap_err().contains("ec2-metadata-endpoint"));
    }
}
