//! What the verifier makes of the programs.

mod support;

use netloom_datapath::Datapath;

/// What is normal for a program; beyond it a change needs a reason.
const NORMAL: u32 = 25_000;

#[test]
fn every_program_is_small_enough_for_the_verifier() {
    if !support::can_run() {
        return;
    }
    let programs = Datapath::load(&support::options()).unwrap().programs().unwrap();
    assert!(!programs.is_empty());
    for program in programs {
        let Some(verified) = program.verified_insns else {
            eprintln!("skipped: this kernel does not count verified instructions");
            return;
        };
        println!(
            "{}: {verified} verified instructions, {} bytes of machine code",
            program.name, program.jited_bytes
        );
        assert!(verified > 0 && verified < NORMAL, "{}: {verified} verified instructions", program.name);
    }
}
