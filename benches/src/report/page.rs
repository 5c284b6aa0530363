//! The page: a title, sections, tables.

use std::fmt::{self, Write as _};
use std::io;
use std::path::Path;

use super::plot::Picture;
use crate::Error;

/// How the page looks. Pictures keep their white ground, since their colours are chosen for it.
const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;max-width:66rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}\
h1{font-size:1.8rem}h2{font-size:1.3rem;margin-top:2.5rem}\
.table{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
th,td{padding:.25rem .75rem;border-bottom:1px solid #ddd;text-align:right;vertical-align:top}\
td,.figures th{white-space:nowrap}td small{opacity:.75}\
.words td{white-space:normal;text-align:left;overflow-wrap:break-word}.words th{text-align:left}.words td:first-child{min-width:14rem}\
th:first-child,td:first-child{text-align:left}thead th{border-bottom:2px solid #888}\
figure{margin:1rem 0}figure svg{max-width:100%;height:auto;background:#fff}\
pre{overflow:auto;max-height:30rem;font-size:.8rem}\
@media(prefers-color-scheme:dark){body{color:#eee;background:#181818}th,td{border-color:#444}}";

/// A page of results. Its text is HTML that needs no other file.
#[derive(Clone, Debug, Default)]
pub struct Page {
    title: String,
    about: String,
    sections: Vec<Section>,
}

/// A part of a page.
#[derive(Clone, Debug, Default)]
pub struct Section {
    heading: String,
    sentence: String,
    points: Vec<String>,
    plots: Vec<(Picture, String)>,
    table: Option<Table>,
    texts: Vec<(String, String)>,
}

/// Figures in rows; the first column names each row. What follows a line's end in a cell is told smaller, below.
#[derive(Clone, Debug, Default)]
pub struct Table {
    of_words: bool,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Page {
    /// A page without sections; `about` says in a sentence or two what was measured, and where.
    #[must_use]
    pub fn new(title: impl Into<String>, about: impl Into<String>) -> Self {
        Self { title: title.into(), about: about.into(), sections: Vec::new() }
    }

    /// With one section more.
    #[must_use]
    pub fn section(mut self, section: Section) -> Self {
        self.sections.push(section);
        self
    }

    /// Writes the page into a file. Whoever reads it meanwhile finds what was there before, or all of it.
    ///
    /// # Errors
    /// [`Error::Report`].
    pub fn write(&self, file: &Path) -> Result<(), Error> {
        let failed = |source: io::Error| Error::Report { file: file.to_owned(), source };
        let mut beside = beside(file)?;
        io::Write::write_all(&mut beside, self.to_string().as_bytes()).map_err(failed)?;
        beside.persist(file).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// Holds that a page can be written into this file, which is left as it is.
    ///
    /// # Errors
    /// [`Error::Report`].
    pub fn hold_writable(file: &Path) -> Result<(), Error> {
        if file.is_dir() {
            let source = io::ErrorKind::IsADirectory.into();
            return Err(Error::Report { file: file.to_owned(), source });
        }
        beside(file).map(drop)
    }
}

/// A file in the same directory, which is gone again unless it takes the place of the other.
fn beside(file: &Path) -> Result<tempfile::NamedTempFile, Error> {
    let failed = |source: io::Error| Error::Report { file: file.to_owned(), source };
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or_else(|| Path::new("."));
    tempfile::Builder::new().permissions(readable()).tempfile_in(directory).map_err(failed)
}

/// What others may do with it: a report is there to be read.
fn readable() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}

impl Section {
    /// A section that says `sentence` and shows nothing yet.
    #[must_use]
    pub fn new(heading: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { heading: heading.into(), sentence: sentence.into(), ..Self::default() }
    }

    /// With this table.
    #[must_use]
    pub fn table(mut self, table: Table) -> Self {
        self.table = Some(table);
        self
    }

    /// With these points, one below the other.
    #[must_use]
    pub fn points<T: Into<String>>(mut self, points: impl IntoIterator<Item = T>) -> Self {
        self.points.extend(points.into_iter().map(Into::into));
        self
    }

    /// With one plot more.
    #[must_use]
    pub fn plot(self, plot: Picture) -> Self {
        self.plot_showing(plot, "")
    }

    /// With one plot more, and what it shows in a sentence below.
    #[must_use]
    pub fn plot_showing(mut self, plot: Picture, shows: impl Into<String>) -> Self {
        self.plots.push((plot, shows.into()));
        self
    }

    /// With a text as it is, folded behind a line.
    #[must_use]
    pub fn text(mut self, line: impl Into<String>, text: impl Into<String>) -> Self {
        self.texts.push((line.into(), text.into()));
        self
    }
}

impl Table {
    /// A table with these columns and no rows.
    #[must_use]
    pub fn new<T: Into<String>>(head: impl IntoIterator<Item = T>) -> Self {
        Self { head: head.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// With words in place of figures: long ones are broken.
    #[must_use]
    pub fn of_words(self) -> Self {
        Self { of_words: true, ..self }
    }

    /// With one row more.
    #[must_use]
    pub fn row<T: Into<String>>(mut self, cells: impl IntoIterator<Item = T>) -> Self {
        self.rows.push(cells.into_iter().map(Into::into).collect());
        self
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = Escaped(&self.title);
        writeln!(f, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
        writeln!(f, "<meta name=\"viewport\" content=\"width=device-width\">")?;
        writeln!(f, "<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>")?;
        writeln!(f, "<h1>{title}</h1>\n<p>{}</p>", Escaped(&self.about))?;
        self.sections.iter().try_for_each(|section| section.fmt(f))?;
        writeln!(f, "</body>\n</html>")
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "<section>\n<h2>{}</h2>\n<p>{}</p>", Escaped(&self.heading), Escaped(&self.sentence))?;
        if !self.points.is_empty() {
            writeln!(f, "<ul>")?;
            self.points.iter().try_for_each(|point| writeln!(f, "<li>{}</li>", Escaped(point)))?;
            writeln!(f, "</ul>")?;
        }
        for (plot, shows) in &self.plots {
            let (title, svg) = (Escaped(&plot.title), &plot.svg);
            writeln!(f, "<figure>\n<div role=\"img\" aria-label=\"{title}\">{svg}</div>")?;
            if !shows.is_empty() {
                writeln!(f, "<figcaption>{}</figcaption>", Escaped(shows))?;
            }
            writeln!(f, "</figure>")?;
        }
        self.table.iter().try_for_each(|table| table.fmt(f))?;
        for (line, text) in &self.texts {
            let (line, text) = (Escaped(line), Escaped(text));
            writeln!(f, "<details><summary>{line}</summary>\n<pre>{text}</pre></details>")?;
        }
        writeln!(f, "</section>")
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, tag: &str, cells: &[String]| {
            write!(f, "<tr>")?;
            for cell in cells {
                match cell.split_once('\n') {
                    Some((first, below)) => {
                        write!(f, "<{tag}>{}<br><small>{}</small></{tag}>", Escaped(first), Escaped(below))?;
                    }
                    None => write!(f, "<{tag}>{}</{tag}>", Escaped(cell))?,
                }
            }
            writeln!(f, "</tr>")
        };
        let class = if self.of_words { "words" } else { "figures" };
        writeln!(f, "<div class=\"table\"><table class=\"{class}\">\n<thead>")?;
        row(f, "th", &self.head)?;
        writeln!(f, "</thead>\n<tbody>")?;
        self.rows.iter().try_for_each(|cells| row(f, "td", cells))?;
        writeln!(f, "</tbody>\n</table></div>")
    }
}

/// Text that means nothing to HTML.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            other => f.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_page_is_one_file_and_text_stays_text() {
        let table = Table::new(["name", "<b>"]).row(["a & b", "1\n<2>"]).row(["\"c\"", "2"]);
        let section = Section::new("H", "S").table(table).points(["<i>"]).text("all <of it>", "-m <n>");
        let page = Page::new("Title <1>", "About").section(section);
        let html = page.to_string();
        for part in [
            "<title>Title &lt;1&gt;</title>",
            "<th>&lt;b&gt;</th>",
            "<td>a &amp; b</td>",
            "&quot;c&quot;",
            "1<br><small>&lt;2&gt;</small>",
            "<li>&lt;i&gt;</li>",
            "<summary>all &lt;of it&gt;</summary>",
            "<pre>-m &lt;n&gt;</pre>",
        ] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
        for foreign in ["<script", "http:", "https:", "src=", "href=", "@import", "url("] {
            assert!(!html.contains(foreign), "{foreign} is in {html}");
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("report.html");
        std::fs::write(&file, "before").unwrap();
        page.write(&file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), html);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
        let missing = page.write(&directory.path().join("none/report.html")).unwrap_err();
        assert!(missing.to_string().contains("none/report.html"), "{missing}");
        // The same is known without a page, and nothing is changed by asking.
        Page::hold_writable(&file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), html);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        for none in [directory.path().join("none/report.html"), directory.path().to_owned()] {
            Page::hold_writable(&none).unwrap_err();
        }
    }
}
