//! Labs as their users make them, with the real agent, plugin and datapath, each test on a lab of its own.

mod changes;
mod cni;
mod commands;
mod config;
mod conformance;
mod control;
mod eni;
mod eni_crashes;
mod kubectl;
mod language;
mod mistakes;
mod packets;
mod policy;
mod restart;
mod rights;
mod runtime;
mod scale;
mod settings;
mod stale;
mod support;
mod traffic;
