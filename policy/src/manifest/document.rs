//! Texts cut into documents, and the comment that tells where a document came from.

/// One document of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Document<'a> {
    /// The document as it was written, without the separator.
    pub text: &'a str,
    /// The line of its first line within the text, from 1.
    pub line: u32,
    /// The column where it begins in that line, in characters from 1: more than 1 only after dashes.
    pub column: u32,
}

/// Cuts a text at its `---` lines. Documents that hold only comments and blank lines are left out.
#[must_use]
pub fn documents(text: &str) -> Vec<Document<'_>> {
    let mut found = Vec::new();
    let (mut start, mut start_line, mut column, mut offset) = (0, 1, 1, 0);
    let mut push = |start: usize, end: usize, line: u32, column: u32| {
        let text = &text[start..end];
        let has_content = text
            .lines()
            .map(str::trim)
            .any(|line| !line.is_empty() && !line.starts_with(['#', '%']) && line != "...");
        if has_content {
            found.push(Document { text, line, column });
        }
    };
    for (line, number) in text.split_inclusive('\n').zip(1u32..) {
        let end = offset + line.len();
        let is_separator = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if is_separator {
            push(start, offset, start_line, column);
            // What follows the dashes on their line belongs to the next document.
            let rest = line[3..].trim();
            let blank = rest.is_empty() || rest.starts_with('#');
            (start, start_line, column) = if blank { (end, number + 1, 1) } else { (offset + 3, number, 4) };
        }
        offset = end;
    }
    push(start, offset, start_line, column);
    found
}

/// Where the user wrote a document: the first line of a stored object's text may be the comment
/// `# netloom-source: <file>:<line>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The user's file.
    pub file: String,
    /// The line of the document's first line in that file, from 1.
    pub line: u32,
}

impl Origin {
    const PREFIX: &str = "# netloom-source: ";

    /// The origin that a stored text begins with.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let (file, line) = text.lines().next()?.strip_prefix(Self::PREFIX)?.trim_end().rsplit_once(':')?;
        let line = line.parse().ok().filter(|line| *line > 0)?;
        Some(Self { file: file.to_owned(), line })
    }

    /// The comment, with its line break, to be put before the document.
    #[must_use]
    pub fn comment(&self) -> String {
        format!("{}{}:{}\n", Self::PREFIX, self.file.replace(['\n', '\r'], " "), self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_keep_their_lines() {
        let text = "# head\n---\na: 1\n---\n# nothing\n--- # b\nb: 2\n---\nc: |\n  --- x\n";
        let found: Vec<_> = documents(text).iter().map(|d| (d.line, d.text)).collect();
        assert_eq!(found, [(3, "a: 1\n"), (7, "b: 2\n"), (9, "c: |\n  --- x\n")]);
        assert_eq!(documents("a: 1"), [Document { text: "a: 1", line: 1, column: 1 }]);
        assert_eq!(documents("--- {a: 1}\n---\r\nb: 1\r\n").len(), 2);
        assert!(documents("\n# x\n").is_empty());
    }

    #[test]
    fn origin_round_trips() {
        let origin = Origin { file: "/tmp/a b:c.yaml".into(), line: 12 };
        assert_eq!(Origin::of(&(origin.comment() + "a: 1\n")), Some(origin));
        assert_eq!(Origin::of("# something else\n"), None);
    }
}
