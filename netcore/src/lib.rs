//! The node's plumbing: links, addresses, routes, rules, neighbours and namespaces, as desired state applied over netlink.
