//! `cargo xtask instance-types`: the table of EC2's instance types that the VPC emulator carries.
//!
//! Its source is moto (Apache-2.0, <https://github.com/getmoto/moto>), which collects what
//! DescribeInstanceTypes answers; the PyPI package holds it as compressed JSON. Only the limits that a pod
//! network meets are kept.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command::CommandExt as _;
use crate::workspace::Workspace;

/// The release of moto that the table is from.
const MOTO: &str = "5.2.5";

/// The table, relative to the clone.
const TABLE: &str = "ipam/vpc/data/instance-types.tsv";

/// Prints the JSON inside of a wheel.
const UNPACK: &str = "import gzip, sys, zipfile\n\
    wheel = zipfile.ZipFile(sys.argv[1])\n\
    data = gzip.decompress(wheel.read('moto/ec2/resources/instance_types.json.gz'))\n\
    sys.stdout.write(data.decode())";

/// Fetches moto with pip (it is not installed) and writes the table.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let directory = workspace.target().join("moto");
    fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
    let requirement = format!("moto=={MOTO}");
    Command::new("python3")
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            &requirement,
            "--dest",
        ])
        .arg(&directory)
        .run()?;
    let wheel = directory.join(format!("moto-{MOTO}-py3-none-any.whl"));
    let json = Command::new("python3").args(["-c", UNPACK]).arg(&wheel).read()?;
    let types: Value = serde_json::from_str(&json).context("reading moto's instance types")?;
    let path = workspace.root().join(TABLE);
    let table = table(&types)?;
    fs::write(&path, table).with_context(|| format!("writing {}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}

/// One line a type, sorted by name.
fn table(types: &Value) -> Result<String> {
    let types = types.as_object().context("the instance types are no JSON object")?;
    let mut lines = types
        .iter()
        .map(|(name, about)| line(name, about).with_context(|| format!("instance type {name}")))
        .collect::<Result<Vec<_>>>()?;
    lines.sort_unstable();
    let mut table = format!(
        "# Written by `cargo xtask instance-types` from moto {MOTO} (PyPI, Apache-2.0): facts of EC2's\n\
         # DescribeInstanceTypes. Columns: type, interfaces of the default card, IPv4 addresses an interface,\n\
         # hypervisor, bare metal, vCPUs.\n"
    );
    for line in lines {
        writeln!(table, "{line}")?;
    }
    Ok(table)
}

fn line(name: &str, about: &Value) -> Result<String> {
    let network = &about["NetworkInfo"];
    let card = network["DefaultNetworkCardIndex"].as_u64().unwrap_or(0);
    let cards = network["NetworkCards"].as_array().context("no NetworkCards")?;
    let card = cards
        .iter()
        .find(|one| one["NetworkCardIndex"].as_u64() == Some(card))
        .context("no default network card")?;
    let number = |value: &Value, what: &str| value.as_u64().with_context(|| format!("no {what}"));
    Ok(format!(
        "{name}\t{}\t{}\t{}\t{}\t{}",
        number(&card["MaximumNetworkInterfaces"], "MaximumNetworkInterfaces of the card")?,
        number(&network["Ipv4AddressesPerInterface"], "Ipv4AddressesPerInterface")?,
        about["Hypervisor"].as_str().unwrap_or("-"),
        if about["BareMetal"].as_bool().context("no BareMetal")? { "metal" } else { "-" },
        number(&about["VCpuInfo"]["DefaultVCpus"], "DefaultVCpus")?,
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_default_card_counts() {
        let types = json!({"p5.48xlarge": {
            "BareMetal": false, "Hypervisor": "nitro", "VCpuInfo": {"DefaultVCpus": 192},
            "NetworkInfo": {
                "DefaultNetworkCardIndex": 1, "Ipv4AddressesPerInterface": 50, "MaximumNetworkInterfaces": 64,
                "NetworkCards": [
                    {"NetworkCardIndex": 0, "MaximumNetworkInterfaces": 9},
                    {"NetworkCardIndex": 1, "MaximumNetworkInterfaces": 2},
                ],
            },
        }});
        let table = table(&types).expect("a table");
        assert_eq!(table.lines().last(), Some("p5.48xlarge\t2\t50\tnitro\t-\t192"));
    }

    #[test]
    fn what_lacks_a_limit_is_named() {
        let types = json!({"x1.odd": {"NetworkInfo": {"NetworkCards": []}}});
        let error = table(&types).expect_err("no card");
        assert!(format!("{error:#}").contains("x1.odd"), "{error:#}");
    }
}
