//! Parts of a lab in the real kernel: links, responders, probes, removal.

mod cloud;
mod fabric;
mod responder;

/// Whether namespaces can be made here; says so where not.
fn can_make_namespaces() -> bool {
    let can = nix::unistd::geteuid().is_root() && netcore::Netns::anonymous().is_ok();
    if !can {
        eprintln!("skipped: making network namespaces needs root");
    }
    can
}
