use super::*;

fn get<'a>(tree: &'a Tree<'_>, path: &[&str]) -> NodeId {
    path.iter().fold(tree.root(), |id, key| tree.get(id, key).unwrap_or_else(|| panic!("{key} in {tree:?}")))
}
