//! Manifests of objects.

use policy::manifest;

/// Reads the input as a file of manifests, as a user's and as a stored one. What is refused names
/// the file and a line of it.
pub fn manifest(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for object in manifest::parse(text, "fuzz.yaml", 1) {
        match object {
            Ok(object) => {
                // Both are asked for whatever was read.
                let _ = (object.key(), object.policy());
            }
            Err(rejected) => {
                let text = rejected.to_string();
                assert!(text.starts_with("fuzz.yaml:"), "no place in {text:?}");
            }
        }
    }
    let _ = manifest::parse_stored(text, "fuzz.yaml");
}
