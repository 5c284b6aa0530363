//! Address arithmetic, pools and the node's allocation journal.
