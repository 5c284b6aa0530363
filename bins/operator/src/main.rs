//! Netloom's cluster operator. It has no duties yet.

use std::process::ExitCode;

const ABOUT: &str = "netloom-operator does what needs doing once in a cluster. It has no duties yet: nodes get \
                     their pod ranges from their Node objects. It knows --version and --help.";

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("--version" | "-V") => println!("netloom-operator {}", env!("CARGO_PKG_VERSION")),
        Some("--help" | "-h") => println!("{ABOUT}"),
        _ => {
            eprintln!("{ABOUT}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
