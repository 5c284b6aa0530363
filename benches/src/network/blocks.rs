//! Tables in other people's pages: what stands between two marks of a Markdown file is written anew from a report.
//!
//! ```text
//! <!-- bench network: in short -->
//! …
//! <!-- bench network: end -->
//! ```
//!
//! `in short` is a table of the figures that matter most, `in full` everything.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Error;
use super::markdown::in_short;
use super::report::Report;

const SHORT: &str = "<!-- bench network: in short -->";
const FULL: &str = "<!-- bench network: in full -->";
const END: &str = "<!-- bench network: end -->";

/// Holds that a file has marks, and that all of them are in pairs.
///
/// # Errors
/// [`Error::Report`].
pub(crate) fn hold(file: &Path) -> Result<(), Error> {
    let text = fs::read_to_string(file).map_err(|source| failed(file, source.into()))?;
    replaced(&text, "", "").map(drop).map_err(|why| failed(file, why.into()))
}

/// Writes a report between the marks of a file.
///
/// # Errors
/// [`Error::Report`] where the file has no marks, or cannot be written.
pub(crate) fn write(report: &Report, file: &PathBuf) -> Result<(), Error> {
    let text = fs::read_to_string(file).map_err(|source| failed(file, source.into()))?;
    let short = in_short(report).map_err(|source| failed(file, source.into()))?;
    let new = replaced(&text, &short, &report.to_string()).map_err(|why| failed(file, why.into()))?;
    fs::write(file, new).map_err(|source| failed(file, source.into()))
}

fn failed(file: &Path, source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Report { path: file.to_owned(), source }
}

/// Marks are lines of their own: a page may speak of them.
fn replaced(text: &str, short: &str, full: &str) -> Result<String, io::Error> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let (mut new, mut inside, mut marks) = (String::new(), false, 0);
    for line in text.split_inclusive('\n') {
        let body = match line.trim_end() {
            SHORT => Some(short),
            FULL => Some(full),
            _ => None,
        };
        match body {
            Some(_) if inside => return Err(invalid("a mark has no end")),
            Some(body) => {
                new.push_str(&format!("{}\n\n{}\n\n", line.trim_end(), body.trim()));
                inside = true;
                marks += 1;
            }
            None if line.trim_end() == END => {
                inside = false;
                new.push_str(line);
            }
            None if inside => {}
            None => new.push_str(line),
        }
    }
    match (marks, inside) {
        (0, _) => Err(invalid("it has no mark between which a report could be written")),
        (_, true) => Err(invalid("a mark has no end")),
        (_, false) => Ok(new),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::full;
    use super::*;

    #[test]
    fn what_is_between_the_marks_is_replaced_and_nothing_else() {
        let text = format!("before, `{SHORT}`\n{SHORT}\nold\n{END}\nbetween\n{FULL}\n\n{END}\nafter\n");
        let expected =
            format!("before, `{SHORT}`\n{SHORT}\n\nS\n\n{END}\nbetween\n{FULL}\n\nF\n\n{END}\nafter\n");
        assert_eq!(replaced(&text, "S\n", "F").unwrap(), expected);
        assert_eq!(replaced(&expected, "S\n", "F").unwrap(), expected, "once more is no change");
        let twice = format!("{SHORT}\n{FULL}\n{END}\n");
        for wrong in
            ["no marks", &format!("{SHORT}\nwithout an end"), END, &format!("in `{SHORT}` a line"), &twice]
        {
            replaced(wrong, "S", "F").unwrap_err();
        }
    }

    #[test]
    fn a_report_is_written_into_a_page() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("page.md");
        fs::write(&file, format!("# Page\n{SHORT}\n{END}\n")).unwrap();
        hold(&file).unwrap();
        write(&full(), &file).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("| connections a second, 10 peers |"), "{text}");
        fs::write(&file, "# Page\n").unwrap();
        assert!(hold(&file).unwrap_err().to_string().contains("page.md"));
    }
}
