use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// What is known of a family.
#[derive(Default)]
struct Described<'a> {
    kind: &'a str,
    help: &'a str,
    labels: BTreeSet<&'a str>,
}

/// The families of a registry as a table in Markdown: name, type, meaning. Labels are those of the samples that are
/// there. None where a collector cannot be read.
#[must_use]
pub fn table(registry: &Registry) -> Option<String> {
    let mut text = String::new();
    encode(&mut text, registry).ok()?;
    let mut families: BTreeMap<&str, Described<'_>> = BTreeMap::new();
    let mut current = "";
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|line| line.split_once(' ')) {
            families.entry(name).or_default().help = help.trim_end_matches('.');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' '))
        {
            families.entry(name).or_default().kind = kind;
            current = name;
        } else if let Some((_, rest)) = line.split_once('{')
            && let Some((labels, _)) = rest.rsplit_once('}')
        {
            let names = labels.split("\",").filter_map(|label| Some(label.split_once('=')?.0));
            let family = families.entry(current).or_default();
            family.labels.extend(names.filter(|name| *name != "le"));
        }
    }
    let mut table = "| name | type | meaning |\n|---|---|---|\n".to_owned();
    for (name, Described { kind, help, labels }) in families {
        let end = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let labels = labels.into_iter().collect::<Vec<_>>().join(",");
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        // Writing to a string does not fail.
        let _ = writeln!(table, "| `{name}{end}{labels}` | {kind} | {help} |");
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::family::Family;
    use prometheus_client::metrics::gauge::Gauge;
    use prometheus_client::metrics::histogram::Histogram;

    use super::*;

    #[test]
    fn every_family_with_its_labels() {
        let mut registry = Registry::default();
        let calls: Family<Vec<(&str, &str)>, Counter> = Family::default();
        calls.get_or_create(&vec![("method", "a, b=\"}{"), ("code", "7")]).inc();
        registry.register("calls", "Calls", calls);
        registry.register("depth", "How deep", Gauge::<i64>::default());
        let seconds = Histogram::new([1.0]);
        seconds.observe(0.5);
        registry.register("seconds", "How long", seconds);
        let expected = "\
| name | type | meaning |
|---|---|---|
| `calls_total{code,method}` | counter | Calls |
| `depth` | gauge | How deep |
| `seconds` | histogram | How long |
";
        assert_eq!(table(&registry).as_deref(), Some(expected));
    }
}
