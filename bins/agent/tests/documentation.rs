//! Every key is in the book.

use clap::CommandFactory;
use daemon::config::with_table;
use netloom_agent::args::Args;

#[test]
fn every_key_is_documented() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = std::fs::read_to_string(file).expect("the page");
    let wanted = with_table(&page, "Agent", &Args::command()).expect("the section");
    if std::env::var_os("NETLOOM_WRITE_DOCS").is_some() {
        std::fs::write(file, &wanted).expect("the page is written");
    } else {
        assert!(page == wanted, "{file} is out of date: run this test with NETLOOM_WRITE_DOCS=1");
    }
}

/// What is mounted for both programs is no mistake in either.
#[test]
fn every_key_is_known_to_the_other_program() {
    let command = Args::command();
    let keys = command.get_arguments().filter_map(|key| key.get_long());
    let unknown: Vec<_> = keys.filter(|key| !daemon::config::is_known(key)).collect();
    assert!(unknown.is_empty(), "not in own-keys.txt: {unknown:?}");
}
