//! How long it takes to read manifests.
//!
//! `cargo run --release -p netloom-policy --example read FILE...`

use std::time::Instant;

use netloom_policy::manifest::parse;

fn main() -> std::io::Result<()> {
    for file in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&file)?;
        let start = Instant::now();
        let objects = parse(&text, &file, 1);
        let read = start.elapsed();
        let start = Instant::now();
        let rejected = objects.iter().filter(|object| object.is_err()).count();
        let policies: Vec<_> = objects
            .iter()
            .filter_map(|object| object.as_ref().ok().and_then(netloom_policy::manifest::Object::policy))
            .collect();
        let bytes = text.len();
        println!(
            "{file}: {bytes} bytes, {} objects ({rejected} rejected) in {read:?}; {} policies normalised in {:?}",
            objects.len(),
            policies.len(),
            start.elapsed()
        );
    }
    Ok(())
}
