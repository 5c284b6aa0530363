//! Loads the datapath and prints what the kernel says of its programs.

use netloom_datapath::{Datapath, Options};

fn main() {
    match Datapath::load(&Options::default()).and_then(|mut datapath| datapath.programs()) {
        Ok(programs) => programs.iter().for_each(|program| println!("{program:?}")),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}
