//! Answers as tables for people.

use ::policy::Verdict;
use ::policy::judge::{Judge, Matrix};
use comfy_table::{Table, presets};
use serde_json::Value;

/// How many targets one table shows side by side.
const COLUMNS: usize = 16;

/// Pods against pods: `.` where a connection is allowed, `X` where it is not, `R` where a proxy decides.
pub(super) fn grid(matrix: &Matrix, judge: &mut Judge<'_>) -> String {
    let mut parts = Vec::new();
    let mut errors = Vec::new();
    for targets in matrix.targets.chunks(COLUMNS) {
        let mut table = empty();
        let header =
            targets.iter().map(|(to, wanted)| format!("{}\n{wanted}", to.text().replacen('/', "/\n", 1)));
        table.set_header(std::iter::once("from \\ to".to_owned()).chain(header));
        for from in &matrix.sources {
            let mut cell = |(to, wanted): &(_, _)| match judge.between(from, to, wanted) {
                Ok(answer) => mark(answer.verdict),
                Err(trouble) => {
                    errors.push(format!("{} -> {} {wanted}: {trouble}", from.text(), to.text()));
                    "!"
                }
            };
            let cells: Vec<&str> = targets.iter().map(&mut cell).collect();
            table.add_row(std::iter::once(from.text()).chain(cells));
        }
        parts.push(table.to_string());
    }
    if matrix.targets.is_empty() {
        return "no pod declares a port: give --probes".to_owned();
    }
    parts.push(". allowed   X denied   R a proxy decides".to_owned());
    parts.extend(errors);
    parts.join("\n")
}

const fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => ".",
        Verdict::Deny => "X",
        Verdict::Redirect => "R",
    }
}

/// Probes with their answers, one a row.
pub(super) fn list(answers: &[Value]) -> String {
    let mut table = empty();
    table.set_header(["from", "to", "port", "egress", "ingress", "verdict", "rules"]);
    for answer in answers {
        let text = |field: &str| answer.get(field).map(plain).unwrap_or_default();
        if answer.get("error").is_some() {
            let error = text("error");
            table.add_row([&text("from"), &text("to"), &service(answer), "", "", "error", error.as_str()]);
            continue;
        }
        let rules: Vec<String> =
            answer.get("rules").and_then(Value::as_array).into_iter().flatten().map(rule).collect();
        table.add_row([
            text("from"),
            text("to"),
            service(answer),
            text("egress"),
            text("ingress"),
            text("verdict"),
            rules.join("\n"),
        ]);
    }
    table.to_string()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// `80/TCP`, as the probe has it.
fn service(probe: &Value) -> String {
    let number = probe.get("port").or_else(|| probe.get("type")).map(plain);
    let protocol = probe.get("protocol").map_or_else(|| "TCP".to_owned(), plain);
    number.map_or_else(|| protocol.clone(), |number| format!("{number}/{protocol}"))
}

fn rule(rule: &Value) -> String {
    let field = |name: &str| rule.get(name).map(plain).unwrap_or_default();
    format!("{} {} ({}:{})", field("object"), field("path"), field("file"), field("line"))
}

/// A table without content.
pub(super) fn empty() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table
}
