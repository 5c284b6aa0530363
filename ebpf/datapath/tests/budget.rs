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
        let verified = program.verified_insns;
        println!(
            "{}: {verified} verified instructions, {} bytes of machine code",
            program.name, program.jited_bytes
        );
        assert!(verified > 0 && verified < NORMAL, "{}: {verified} verified instructions", program.name);
    }
}

/// A program that tail-calls may not call functions on every kernel and machine. The compiler likes to call
/// `memset` and `memcpy`.
#[test]
fn programs_call_helpers_only() {
    const CALL: u8 = 0x85;
    const FUNCTION: u8 = 1;
    let object = aya_obj::Object::parse(include_bytes!("../prebuilt/netloom.bpf.o")).unwrap();
    assert!(!object.programs.is_empty());
    for (name, program) in &object.programs {
        let function = &object.functions[&program.function_key()];
        let calls = function
            .instructions
            .iter()
            .filter(|instruction| instruction.code == CALL && instruction.src_reg() == FUNCTION)
            .count();
        assert_eq!(calls, 0, "{name} calls functions");
    }
}
