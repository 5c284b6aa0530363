//! The configuration file of ip-masq-agent: destinations that pods are not masqueraded to.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ipnetwork::Ipv4Network;
use serde::Deserialize;

/// What is not masqueraded where the file says nothing: the blocks that are not routed on the internet, as
/// ip-masq-agent and Cilium have them.
const DEFAULT: [&str; 11] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",
];

/// Neither are these, unless `masqLinkLocal` is true.
const LINK_LOCAL: &str = "169.254.0.0/16";

/// The file's content, in YAML or JSON. IPv6 is not masqueraded in ENI mode; its keys are passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    #[serde(rename = "nonMasqueradeCIDRs")]
    non_masquerade_cidrs: Option<Vec<String>>,
    masq_link_local: bool,
}

/// Why a file has no effect.
#[derive(Debug, thiserror::Error)]
pub enum IpMasqError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is no such configuration.
    #[error("cannot understand {}: {reason}", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// The file, and what it said when it was valid last.
#[derive(Debug)]
pub struct IpMasq {
    path: PathBuf,
    /// The text that was read last; none where there was no file.
    text: Option<String>,
    /// Why it could not be read last.
    unread: Option<ErrorKind>,
    cidrs: BTreeSet<Ipv4Network>,
}

impl IpMasq {
    /// The file at `path`; what holds where there is none holds until it is [read](Self::refresh).
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), text: None, unread: None, cidrs: parse("").unwrap_or_default() }
    }

    /// Destinations that are not masqueraded.
    #[must_use]
    pub const fn cidrs(&self) -> &BTreeSet<Ipv4Network> {
        &self.cidrs
    }

    /// Reads the file; tells whether other destinations are meant now. A text that was read before is not read again.
    ///
    /// # Errors
    /// [`IpMasqError`], once for each text or reason, and what was valid last stays in force.
    pub fn refresh(&mut self) -> Result<bool, IpMasqError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(source) => {
                let is_told = self.unread.replace(source.kind()) == Some(source.kind());
                let error = IpMasqError::Read { path: self.path.clone(), source };
                return if is_told { Ok(false) } else { Err(error) };
            }
        };
        self.unread = None;
        if text == self.text {
            return Ok(false);
        }
        self.text = text;
        let cidrs = parse(self.text.as_deref().unwrap_or_default())
            .map_err(|reason| IpMasqError::Parse { path: self.path.clone(), reason })?;
        let changed = cidrs != self.cidrs;
        self.cidrs = cidrs;
        Ok(changed)
    }
}

fn parse(text: &str) -> Result<BTreeSet<Ipv4Network>, String> {
    let config: Config = if text.trim().is_empty() {
        Config::default()
    } else {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())?
    };
    let mut cidrs = BTreeSet::new();
    // An empty list is a list: everything is masqueraded.
    let texts = match config.non_masquerade_cidrs {
        Some(texts) => texts,
        None => DEFAULT.map(str::to_owned).to_vec(),
    };
    let link_local = (!config.masq_link_local).then(|| LINK_LOCAL.to_owned());
    for text in texts.into_iter().chain(link_local) {
        match text.parse::<ipnetwork::IpNetwork>() {
            Ok(ipnetwork::IpNetwork::V4(cidr)) => {
                let network = Ipv4Network::new(cidr.network(), cidr.prefix());
                cidrs.extend(network.ok());
            }
            Ok(ipnetwork::IpNetwork::V6(_)) => {}
            Err(error) => return Err(format!("nonMasqueradeCIDRs: {text:?}: {error}")),
        }
    }
    Ok(cidrs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidrs(text: &str) -> Vec<String> {
        parse(text).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_the_file_says() {
        assert_eq!(
            cidrs("nonMasqueradeCIDRs:\n- 10.1.2.3/16\n- fd00::/8\n"),
            ["10.1.0.0/16", "169.254.0.0/16"]
        );
        assert_eq!(cidrs(r#"{"nonMasqueradeCIDRs": [], "masqLinkLocal": true}"#), [""; 0]);
        assert_eq!(cidrs("masqLinkLocal: true\nresyncInterval: 60s\n").len(), DEFAULT.len());
        assert_eq!(cidrs("").len(), DEFAULT.len() + 1);
        assert!(parse("nonMasqueradeCIDRs: [10.0.0.0/33]").unwrap_err().contains("10.0.0.0/33"));
    }

    #[test]
    fn a_change_is_noticed_and_a_mistake_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ip-masq-agent");
        let mut file = IpMasq::new(&path);
        assert!(!file.refresh().unwrap());
        fs::write(&path, "nonMasqueradeCIDRs: [10.0.0.0/8]").unwrap();
        assert!(file.refresh().unwrap());
        assert!(!file.refresh().unwrap());
        let before = file.cidrs().clone();
        fs::write(&path, "nonMasqueradeCIDRs: 7").unwrap();
        assert!(file.refresh().is_err());
        assert!(!file.refresh().unwrap(), "told once");
        assert_eq!(file.cidrs(), &before);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(file.refresh().is_err(), "a directory");
        assert!(!file.refresh().unwrap(), "told once");
        fs::remove_dir(&path).unwrap();
        assert!(file.refresh().unwrap());
        assert_eq!(file.cidrs().len(), DEFAULT.len() + 1);
    }
}
