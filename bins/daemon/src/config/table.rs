use std::fmt::Write;

use clap::{Arg, ArgAction, Command};

/// The keys of `command` as a table in Markdown: key, default, meaning. Documentation is made of it, so that it says
/// what the program does.
#[must_use]
pub fn table(command: &Command) -> String {
    let mut keys: Vec<&Arg> = command.get_arguments().filter(|arg| is_key(arg)).collect();
    keys.sort_by_key(|arg| arg.get_long());
    let mut text = "| key | default | meaning |\n|---|---|---|\n".to_owned();
    for arg in keys {
        let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
        let help = help.replace('\n', " ").replace('|', "\\|");
        let values: Vec<_> =
            arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
        let values = if values.is_empty() || is_switch(arg) {
            String::new()
        } else {
            format!(" ({})", values.join(", "))
        };
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| `{}` | {} | {help}{values} |",
            arg.get_long().unwrap_or_default(),
            default(arg)
        );
    }
    text
}

/// `page` with the table of `command` in the section of this heading, as [`book::with_table`](crate::book::with_table)
/// puts it there.
#[must_use]
pub fn with_table(page: &str, heading: &str, command: &Command) -> Option<String> {
    crate::book::with_table(page, heading, &table(command))
}

fn is_key(arg: &Arg) -> bool {
    let meta = matches!(
        arg.get_action(),
        ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
    );
    arg.get_long().is_some() && !meta && !arg.is_hide_set()
}

fn is_switch(arg: &Arg) -> bool {
    arg.get_action().takes_values()
        && arg.get_possible_values().iter().all(|value| ["true", "false"].contains(&value.get_name()))
        || !arg.get_action().takes_values()
}

fn default(arg: &Arg) -> String {
    if arg.is_required_set() {
        return "must be given".to_owned();
    }
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return "`false`".to_owned();
    }
    let values: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    match values.join(" ") {
        text if text.is_empty() => "none".to_owned(),
        text => format!("`{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser)]
    struct Args {
        /// How many | of what
        #[arg(long, default_value_t = 3)]
        count: u32,
        /// Whether
        #[arg(long)]
        also: bool,
        /// Where
        #[arg(long)]
        place: String,
        /// Which
        #[arg(long, value_parser = ["a", "b"])]
        which: Option<String>,
        /// Not told
        #[arg(long, hide = true)]
        hidden: bool,
    }

    #[test]
    fn every_key_is_in_the_table() {
        let expected = "\
| key | default | meaning |
|---|---|---|
| `also` | `false` | Whether |
| `count` | `3` | How many \\| of what |
| `place` | must be given | Where |
| `which` | none | Which (`a`, `b`) |
";
        assert_eq!(table(&Args::command()), expected);

        let page = "# Page\n\n## First\n";
        let written = with_table(page, "First", &Args::command()).expect("a section");
        assert_eq!(written, format!("{page}\n{expected}"));
    }
}
