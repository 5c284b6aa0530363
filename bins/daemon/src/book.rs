//! Tables of the book that are made of what programs say of themselves.

/// `page` with a table in the section of this heading: in the place of the one there, or at its end. None where there is
/// no such section. A page that is up to date stays as it is.
#[must_use]
pub fn with_table(page: &str, heading: &str, table: &str) -> Option<String> {
    let heading = format!("\n## {heading}\n");
    let begin = page.find(&heading)? + heading.len();
    let end = page[begin..].find("\n## ").map_or(page.len(), |next| begin + next);
    let text: String = page[begin..end]
        .lines()
        .filter(|line| !line.starts_with('|'))
        .fold(String::new(), |text, line| text + line + "\n");
    let text = text.trim();
    let (before, after) = (&page[..begin], &page[end..]);
    let gap = if text.is_empty() { "" } else { "\n\n" };
    Some(format!("{before}\n{text}{gap}{table}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_one_before() {
        let page = |old: &str| format!("# Page\n\n## First\n\nWords.\n\n{old}\n## Second\n\n| a |\n");
        let table = "| new |\n|---|\n| table |\n";
        let written =
            with_table(&page("| key |\n|---|\n| old | table |\n"), "First", table).expect("a section");
        assert_eq!(written, page(table));
        assert_eq!(with_table(&written, "First", table).as_deref(), Some(&*written), "it stays");
        let second = with_table(&written, "Second", table).expect("a section");
        assert!(second.ends_with(&format!("\n## Second\n\n{table}")));
        assert_eq!(with_table(&written, "Third", table), None);
    }
}
