//! Results as one HTML file that needs nothing else: no scripts, no network, plots as SVG within.
//!
//! A benchmark fills a [`Page`] with [`Section`]s, each of which says in one sentence what it shows, with a [`Table`]
//! of all figures and [plots](plot) of those that a picture says more about.
//!
//! ```
//! use netloom_benches::report::{Axis, Line, Lines, Page, Section, Table};
//!
//! let lines = Lines {
//!     title: "Answers by load".to_owned(),
//!     x: Axis::new("requests a second"),
//!     y: Axis::new("milliseconds"),
//!     lines: vec![Line { name: "ours".to_owned(), points: vec![(1.0, 2.0), (2.0, 3.5)] }],
//! };
//! let section = Section::new("Latency", "How long an answer takes.")
//!     .table(Table::new(["load", "ours"]).row(["1", "2.0"]).row(["2", "3.5"]))
//!     .plot(lines.draw()?);
//! let page = Page::new("An example", "Measured on nothing.").section(section);
//! assert!(page.to_string().contains("<svg"));
//! # Ok::<(), netloom_benches::Error>(())
//! ```

mod page;
pub mod plot;

pub use page::{Page, Section, Table};
pub use plot::{Axis, Bars, Line, Lines, Picture, Series};
