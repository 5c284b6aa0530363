//! What the programs share: the maps, the packet, how a decision is carried out.
#![no_std]
#![feature(asm_experimental_arch)]

mod checkpoint;
pub mod clock;
pub mod finish;
pub mod maps;
mod skb;
mod start;
mod tables;

pub use checkpoint::checkpoint;
pub use skb::Skb;
pub use start::{resume, start};
pub use tables::KernelTables;
