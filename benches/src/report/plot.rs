//! Plots, as SVG.

use plotters::prelude::*;
use plotters::style::FontTransform;

use crate::Error;

/// Width of a plot, in pixels.
const WIDTH: u32 = 860;
/// Its height.
const HEIGHT: u32 = 420;
/// Width of the legend, beside the plot: within it, it would hide something.
const LEGEND: u32 = 160;
/// The size of its letters.
const LETTERS: u32 = 14;
/// What tells series from each other, for people who see few colours, too (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// A plot that is drawn.
#[derive(Clone, Debug)]
pub struct Picture {
    pub(super) title: String,
    pub(super) svg: String,
}

/// An axis: what it counts, and how far it goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    label: String,
    most: Option<f64>,
}

impl Axis {
    /// As far as the values go. The label says the unit.
    #[must_use]
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), most: None }
    }

    /// As far as this, whatever the values are.
    #[must_use]
    pub fn to(self, most: f64) -> Self {
        Self { most: Some(most), ..self }
    }

    /// The end, a little beyond the greatest value.
    fn end(&self, values: impl Iterator<Item = f64>) -> f64 {
        let greatest = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        self.most.unwrap_or(if greatest > 0.0 { greatest * 1.05 } else { 1.0 })
    }
}

/// Lines over a scale: how something changes with something else. Both axes begin at 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Lines {
    /// What is shown.
    pub title: String,
    /// What is varied.
    pub x: Axis,
    /// What is measured.
    pub y: Axis,
    /// The lines.
    pub lines: Vec<Line>,
}

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What it is, for the legend.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// Bars in groups: several things compared in several cases. The axis begins at 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// What is shown.
    pub title: String,
    /// The cases, from left to right.
    pub groups: Vec<String>,
    /// What is measured.
    pub y: Axis,
    /// What is compared.
    pub series: Vec<Series>,
}

/// The bars of one colour, one in each group.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    name: String,
    values: Vec<Option<f64>>,
    intervals: Vec<Option<(f64, f64)>>,
    colour: Option<RGBColor>,
}

impl Series {
    /// A name for the legend, and one value for each group; none where it was not measured.
    #[must_use]
    pub fn new(name: impl Into<String>, values: Vec<Option<f64>>) -> Self {
        Self { name: name.into(), values, intervals: Vec::new(), colour: None }
    }

    /// With the interval in which each value lies, drawn as a line over its bar.
    #[must_use]
    pub fn between(self, intervals: Vec<Option<(f64, f64)>>) -> Self {
        Self { intervals, ..self }
    }

    /// In this colour (red, green, blue), whatever its place: the same thing has the same in all plots of a page.
    #[must_use]
    pub fn coloured(self, (red, green, blue): (u8, u8, u8)) -> Self {
        Self { colour: Some(RGBColor(red, green, blue)), ..self }
    }
}

impl Lines {
    /// Draws the plot.
    ///
    /// # Errors
    /// [`Error::Plot`].
    pub fn draw(&self) -> Result<Picture, Error> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let (x, y) = (self.x.end(points().map(|point| point.0)), self.y.end(points().map(|point| point.1)));
        let names = self.lines.iter().map(|line| &line.name).zip(COLOURS.iter().copied().cycle());
        picture(&self.title, names, |root| {
            let mut chart = frame(&self.title, root).build_cartesian_2d(0.0..x, 0.0..y)?;
            chart
                .configure_mesh()
                .x_desc(&self.x.label)
                .y_desc(&self.y.label)
                .x_label_formatter(&|value| tick(*value, x))
                .y_label_formatter(&|value| tick(*value, y))
                .axis_desc_style(letters())
                .label_style(letters())
                .light_line_style(WHITE)
                .draw()?;
            for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
                let style = colour.stroke_width(2);
                chart.draw_series(LineSeries::new(line.points.iter().copied(), style).point_size(4))?;
            }
            Ok(())
        })
    }
}

impl Bars {
    /// Draws the plot.
    ///
    /// # Errors
    /// [`Error::Plot`].
    pub fn draw(&self) -> Result<Picture, Error> {
        let values = self.series.iter().flat_map(|series| &series.values).filter_map(|value| *value);
        let ends = self.series.iter().flat_map(|series| &series.intervals).filter_map(|value| *value);
        let y = self.y.end(values.chain(ends.map(|(_, high)| high)));
        let (groups, series) = (self.groups.len(), self.series.len().max(1));
        let colours = || {
            let own = self.series.iter().map(|series| series.colour);
            own.zip(COLOURS.iter().cycle()).map(|(own, other)| own.unwrap_or(*other))
        };
        let names = self.series.iter().map(|series| &series.name).zip(colours());
        picture(&self.title, names, |root| {
            let mut chart = frame(&self.title, root).build_cartesian_2d(0.0..groups.max(1) as f64, 0.0..y)?;
            chart
                .configure_mesh()
                .disable_x_mesh()
                .disable_x_axis()
                .y_desc(&self.y.label)
                .y_label_formatter(&|value| tick(*value, y))
                .axis_desc_style(letters())
                .label_style(letters())
                .light_line_style(WHITE)
                .draw()?;
            // Of each group a tenth stays free on both sides.
            let width = 0.8 / series as f64;
            for ((index, series), colour) in self.series.iter().enumerate().zip(colours()) {
                let bars = series.values.iter().enumerate().filter_map(|(group, value)| {
                    let left = group as f64 + 0.1 + width * index as f64;
                    Some(Rectangle::new([(left, 0.0), (left + width * 0.92, (*value)?)], colour.filled()))
                });
                chart.draw_series(bars)?;
                for (group, (low, high)) in
                    series.intervals.iter().enumerate().filter_map(|(group, ends)| Some((group, (*ends)?)))
                {
                    let middle = group as f64 + 0.1 + width * (index as f64 + 0.46);
                    let (left, right) = (middle - width * 0.15, middle + width * 0.15);
                    let strokes = [
                        [(middle, low), (middle, high)],
                        [(left, low), (right, low)],
                        [(left, high), (right, high)],
                    ];
                    chart
                        .draw_series(strokes.map(|stroke| PathElement::new(stroke, BLACK.stroke_width(1))))?;
                }
            }
            let below = letters().pos(plotters::style::text_anchor::Pos::new(
                plotters::style::text_anchor::HPos::Center,
                plotters::style::text_anchor::VPos::Top,
            ));
            chart.draw_series(self.groups.iter().enumerate().map(|(group, name)| {
                EmptyElement::at((group as f64 + 0.5, 0.0)) + Text::new(name.clone(), (0, 8), below.clone())
            }))?;
            Ok(())
        })
    }
}

/// What plots are drawn on.
type Root<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
/// Why one cannot be drawn.
type Failure = DrawingAreaErrorKind<std::io::Error>;

fn picture<'a>(
    title: &str,
    names: impl Iterator<Item = (&'a String, RGBColor)>,
    draw: impl FnOnce(&Root<'_>) -> Result<(), Failure>,
) -> Result<Picture, Error> {
    let mut svg = String::new();
    let drawn = {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        let (chart, beside) = root.split_horizontally(WIDTH - LEGEND);
        root.fill(&WHITE)
            .and_then(|()| draw(&chart))
            .and_then(|()| legend(&beside, names))
            .and_then(|()| root.present())
    };
    drawn.map_err(|source| Error::Plot { plot: title.to_owned(), source: Box::new(source) })?;
    Ok(Picture { title: title.to_owned(), svg })
}

/// A colour and a name a line.
fn legend<'a>(beside: &Root<'_>, names: impl Iterator<Item = (&'a String, RGBColor)>) -> Result<(), Failure> {
    for ((name, colour), top) in names.zip((60..).step_by(22)) {
        beside.draw(&Rectangle::new([(8, top), (20, top + 10)], colour.filled()))?;
        beside.draw(&Text::new(name.clone(), (28, top - 1), letters()))?;
    }
    Ok(())
}

fn frame<'a, 'b>(title: &str, root: &'a Root<'b>) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut chart = ChartBuilder::on(root);
    chart.caption(title, ("sans-serif", LETTERS + 4)).margin(12).x_label_area_size(46).y_label_area_size(64);
    chart
}

/// A number at an axis that ends there: as many digits as tell its marks apart.
fn tick(value: f64, end: f64) -> String {
    let whole = format!("{value:.0}");
    match end {
        ..1.0 => format!("{value:.2}"),
        ..10.0 => format!("{value:.1}"),
        _ => thousands(&whole),
    }
}

/// Digits in groups of three.
pub(crate) fn thousands(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    format!("{sign}{}", groups.join(","))
}

fn letters() -> TextStyle<'static> {
    ("sans-serif", LETTERS).into_font().transform(FontTransform::None).color(&BLACK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_bars_are_drawn_with_their_names() {
        let line = |name: &str, y: f64| Line { name: name.into(), points: vec![(0.0, y), (50.0, y / 2.0)] };
        let lines = Lines {
            title: "T & T".into(),
            x: Axis::new("taken, %").to(100.0),
            y: Axis::new("placed, %"),
            lines: vec![line("one", 100.0), line("two", 80.0)],
        };
        let svg = lines.draw().unwrap().svg;
        for part in ["<svg", "T &amp; T", "taken, %", "placed, %", "one", "two", "#0072B2", "#D55E00"] {
            assert!(svg.contains(part), "{part} is not in {svg}");
        }
        let lines = |colour: &str| {
            svg.split('<').filter(|tag| tag.starts_with("polyline") && tag.contains(colour)).count()
        };
        assert_eq!((lines("#0072B2"), lines("#D55E00")), (1, 1), "each has its line");

        let bars = Bars {
            title: "calls".into(),
            groups: vec!["small".into(), "large".into()],
            y: Axis::new("calls"),
            series: vec![
                Series::new("ours", vec![Some(3.0), None]),
                Series::new("theirs", vec![Some(5.0), Some(9.0)]),
            ],
        };
        let svg = bars.draw().unwrap().svg;
        for part in ["small", "large", "ours", "theirs"] {
            assert!(svg.contains(part), "{part} is not in {svg}");
        }
        // Three bars, two in the legend.
        let filled = |colour: &str| svg.matches(&format!("fill=\"{colour}\"")).count();
        assert_eq!((filled("#0072B2"), filled("#D55E00")), (2, 3));
    }

    #[test]
    fn intervals_are_within_the_plot_and_colours_stay() {
        let series = Series::new("ours", vec![Some(3.0)]).between(vec![Some((2.0, 9.0))]).coloured((1, 2, 3));
        let bars =
            Bars { title: "t".into(), groups: vec!["g".into()], y: Axis::new("y"), series: vec![series] };
        let svg = bars.draw().unwrap().svg;
        assert_eq!(svg.matches("fill=\"#010203\"").count(), 2, "a bar, and the legend's");
        // The axis goes to 9.45, so that the mark at 9 is drawn.
        assert!(svg.contains("\n9.0\n"), "{svg}");
    }

    #[test]
    fn marks_have_few_digits() {
        let told = [(0.1 + 0.2, 0.5), (2.5, 9.0), (80.0, 90.0), (9_000.0, 20_000.0), (12_000.0, 20_000.0)];
        assert_eq!(told.map(|(value, end)| tick(value, end)), ["0.30", "2.5", "80", "9,000", "12,000"]);
        assert_eq!(["1", "1000", "-1234567"].map(thousands), ["1", "1,000", "-1,234,567"]);
    }

    #[test]
    fn nothing_can_be_drawn_too() {
        let empty = Lines { title: "t".into(), x: Axis::new("x"), y: Axis::new("y"), lines: Vec::new() };
        assert!(empty.draw().unwrap().svg.ends_with("</svg>\n"));
        let empty = Bars { title: "t".into(), groups: Vec::new(), y: Axis::new("y"), series: Vec::new() };
        assert!(empty.draw().unwrap().svg.ends_with("</svg>\n"));
    }
}
