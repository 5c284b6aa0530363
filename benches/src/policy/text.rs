//! The report for a person.

use std::fmt;

use super::report::{Adversarial, Entries, Report};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cold, add) = (&self.cold, &self.add_identity);
        writeln!(
            f,
            "{} policies, {} identities, {} subjects in both directions; processor time of one thread\n",
            cold.policies, cold.identities, cold.subjects
        )?;
        let ms = |seconds: f64| format!("{:.3} ms", seconds * 1e3);
        writeln!(f, "{:<38} {:>12} {:>12}", "", "measured", "target")?;
        let mut line = |what: &str, measured: String, target: &str| {
            writeln!(f, "{what:<38} {measured:>12} {target:>12}")
        };
        line("cold", ms(cold.seconds), "1000 ms")?;
        line("  identities", ms(cold.identities_seconds), "")?;
        line("  policies", ms(cold.policies_seconds), "")?;
        line("  compiling", ms(cold.compile_seconds), "")?;
        line("one identity added, median", ms(add.seconds_median), "1 ms")?;
        line(&format!("  the longest of {}", add.added), ms(add.seconds_max), "")?;
        line("  tables changed, mean", format!("{:.1}", add.tables_changed), "")?;
        let held = cold
            .heap_bytes
            .map_or_else(|| "-".to_owned(), |bytes| format!("{:.1} MiB", bytes as f64 / 1_048_576.0));
        line("memory", held, "")?;

        writeln!(
            f,
            "\n{:<20} {:>7} {:>6} {:>9} {:>8} {:>8} {:>9} {:>8} {:>9}",
            "tables of one pod", "P", "Q", "P x Q", "peers", "ports", "entries", "P + Q", "cells"
        )?;
        entries(f, "all policies", &self.entries)?;
        for Adversarial { shape, entries: sizes, .. } in &self.adversarial {
            entries(f, shape, sizes)?;
        }
        writeln!(f)?;
        for Adversarial { shape, pairs, seconds, .. } in &self.adversarial {
            writeln!(f, "{shape}: {pairs} pairs compiled in {}", ms(*seconds))?;
        }
        Ok(())
    }
}

fn entries(f: &mut fmt::Formatter<'_>, what: &str, sizes: &Entries) -> fmt::Result {
    let Entries { peers, ports, peer_entries, port_entries, cells } = sizes;
    writeln!(
        f,
        "{what:<20} {peers:>7} {ports:>6} {:>9} {peer_entries:>8} {port_entries:>8} {:>9} {:>8} {cells:>9}",
        peers * ports,
        peer_entries + port_entries,
        peers + ports
    )
}
