//! Whether pods can be wired: veth pairs, and a place for programs on them.

use anyhow::{Context, Result, ensure};
use aya::programs::tc;
use netcore::{Net, Netns, VethEnd};

use crate::checks::Outcome;

/// A veth pair can be made by netlink, and its ends know each other.
pub(crate) fn veth_pair() -> Result<Outcome> {
    with_veth(|_| Ok(()))
}

/// Programs can be attached with clsact, which is what kernels before 6.6 have.
pub(crate) fn clsact_on_veth() -> Result<Outcome> {
    with_veth(|netns| netns.run_in(|| tc::qdisc_add_clsact("one"))?.context("adding clsact to a veth"))
}

/// Makes a namespace with a veth pair `one` and `other`, and gives it to `body`. Both vanish with
/// the namespace.
fn with_veth(body: impl FnOnce(&Netns) -> Result<()>) -> Result<Outcome> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
    runtime.block_on(async {
        let netns = Netns::anonymous()?;
        let net = Net::in_netns(&netns)?;
        net.create_veth(&VethEnd::named("one").up(), &VethEnd::named("other").up(), 1500).await?;
        let one = net.link("one").await?;
        let other = net.link("other").await?;
        ensure!(one.kind == "veth", "link `one` is of kind {:?}", one.kind);
        ensure!(
            one.peer == Some(other.index) && other.peer == Some(one.index),
            "the ends don't know each other: {one:?}, {other:?}"
        );
        ensure!(one.up && other.up, "the ends are not up: {one:?}, {other:?}");
        body(&netns)
    })?;
    Ok(Outcome::Passed)
}
