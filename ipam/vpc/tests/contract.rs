//! The contract, in process: no wire between.

use vpc::{Cloud, contract};

#[tokio::test]
async fn the_emulator_keeps_its_contract() {
    let broken = contract::run(async |cloud: Cloud| cloud).await;
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(contract::CASES.len() > 30, "{}", contract::CASES.len());
}
