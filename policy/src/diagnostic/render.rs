//! Diagnostics for people: the line, with what is wrong in it underlined.

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer as Snippets, Snippet};

use super::Diagnostic;

/// The longest line that is shown, in bytes: nobody reads more, and some files have only one.
const LONGEST_LINE: usize = 1000;

/// Shows diagnostics with the source that they are about.
///
/// ```
/// let text = "{kind: Pod, apiVersion: v1, metadata: {}}";
/// let rejected = netloom_policy::manifest::parse(text, "pod.yaml", 1).remove(0).unwrap_err();
/// let shown = netloom_policy::Renderer::plain().render(&rejected.diagnostics[0], Some(text));
/// assert_eq!(shown, "\
/// error: \"name\" is missing
///  --> pod.yaml:1:39
///   |
/// 1 | {kind: Pod, apiVersion: v1, metadata: {}}
///   |                                       ^^ metadata
///   |
///   = help: every object has a name");
/// ```
#[derive(Clone, Debug)]
pub struct Renderer(Snippets);

impl Renderer {
    /// Without colours, in ASCII.
    #[must_use]
    pub const fn plain() -> Self {
        Self(Snippets::plain())
    }

    /// With the colours of a terminal.
    #[must_use]
    pub const fn styled() -> Self {
        Self(Snippets::styled())
    }

    /// Shows one diagnostic. `source` is the whole text of its file, where it is at hand.
    #[must_use]
    pub fn render(&self, diagnostic: &Diagnostic, source: Option<&str>) -> String {
        let line = source.and_then(|text| text.lines().nth(diagnostic.line.saturating_sub(1) as usize));
        let title = Level::ERROR.primary_title(diagnostic.message.as_str());
        let group = match line.filter(|line| line.len() <= LONGEST_LINE) {
            Some(line) => {
                let label = Some(diagnostic.path.as_str()).filter(|path| !path.is_empty());
                let span = span(diagnostic, line);
                title.element(
                    Snippet::source(line)
                        .line_start(diagnostic.line as usize)
                        .path(diagnostic.file.as_str())
                        .annotation(AnnotationKind::Primary.span(span).label(label)),
                )
            }
            None => {
                let place = Origin::path(diagnostic.file.as_str())
                    .line(diagnostic.line as usize)
                    .char_column(diagnostic.column as usize);
                let group = title.element(place);
                match diagnostic.path.as_str() {
                    "" => group,
                    path => group.element(Level::NOTE.message(format!("in {path}"))),
                }
            }
        };
        let group = match &diagnostic.help {
            Some(help) => group.element(Level::HELP.message(help.as_str())),
            None => group,
        };
        self.0.render(&[group])
    }
}

/// The bytes of the line to underline. Of what goes on in further lines, the first is enough.
fn span(diagnostic: &Diagnostic, line: &str) -> std::ops::Range<usize> {
    let byte = |column: u32| {
        let character = column.saturating_sub(1) as usize;
        line.char_indices().nth(character).map_or(line.len(), |(at, _)| at)
    };
    let start = byte(diagnostic.column);
    let end = match diagnostic.end_line <= diagnostic.line {
        true => byte(diagnostic.end_column),
        false => line.trim_end().len(),
    };
    start..end.max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnostic(line: u32, columns: (u32, u32)) -> Diagnostic {
        Diagnostic {
            file: "web.yaml".into(),
            line,
            column: columns.0,
            end_line: line,
            end_column: columns.1,
            path: "spec".into(),
            message: "unknown field \"ingres\"".into(),
            help: Some("did you mean \"ingress\"?".into()),
        }
    }

    #[test]
    fn the_span_is_underlined_and_named() {
        let text = "# ä\nspec:\n  ingres: []\n";
        assert_eq!(
            Renderer::plain().render(&diagnostic(3, (3, 9)), Some(text)),
            "error: unknown field \"ingres\"\n --> web.yaml:3:3\n  |\n3 |   ingres: []\n  |   ^^^^^^ spec\n  |\n  \
             = help: did you mean \"ingress\"?"
        );
        assert!(Renderer::styled().render(&diagnostic(3, (3, 9)), Some(text)).contains("\u{1b}["));
    }

    #[test]
    fn many_lines_are_shown_by_their_first() {
        let mut diagnostic = diagnostic(1, (1, 1));
        (diagnostic.end_line, diagnostic.end_column) = (3, 2);
        let shown = Renderer::plain().render(&diagnostic, Some("é: {\n}\n"));
        assert!(shown.contains("1 | é: {\n  | ^^^^ spec"), "{shown}");
    }

    #[test]
    fn without_a_line_the_place_is_enough() {
        for source in [None, Some("short"), Some(&*"x".repeat(5000))] {
            let line = if source == Some("short") { 9 } else { 1 };
            let shown = Renderer::plain().render(&diagnostic(line, (3, 9)), source);
            let expected = format!("--> web.yaml:{line}:3\n");
            assert!(shown.contains(&expected) && shown.contains("note: in spec"), "{shown}");
        }
    }
}
