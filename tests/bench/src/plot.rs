//! Pictures and tables of what was measured, made from the JSON files alone: the same files give the same pictures.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use plotters::coord::Shift;
use plotters::prelude::*;
use serde::de::DeserializeOwned;

use crate::figures::Figures;
use crate::ledger::FullLedger;
use crate::scale::{Row, Scale};
use crate::uplink::Line;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where `scale.json`, `compare.json`, `uplink.json` and `ledger.json` are, and the pictures go; what is not there is
    /// left out
    #[arg(long, default_value = "docs/bench")]
    folder: PathBuf,
    /// A page in which the table of `compare` is put between `<!-- figures -->` and `<!-- /figures -->`
    #[arg(long)]
    page: Option<PathBuf>,
}

const BEGIN: &str = "<!-- figures -->\n";
const END: &str = "<!-- /figures -->\n";

const WIDTH: u32 = 760;
const HEIGHT: u32 = 340;
const BAR: u32 = 26;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Makes `scale.svg`, `compare.svg` and `figures.md`.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let folder = &options.folder;
    let mut text = String::from(
        "# What was measured\n\nMade by `tests/bench/run plot` from the JSON files here.\n",
    );
    if let Some(scale) = read::<Scale>(folder, "scale")? {
        draw_scale(&scale, &folder.join("scale.svg"))?;
        let table = scale.table();
        let _ = write!(
            text,
            "\n## One controller, ever more hosts\n\nThe second release on scripted hosts (`tests/bench/run scale`).\n\n{table}\n\
             ![CPU, time and memory by number of hosts](scale.svg)\n"
        );
    }
    if let Some(line) = read::<Line>(folder, "uplink")? {
        let table = line.table();
        let _ = write!(
            text,
            "\n## A narrow line\n\nFrom the first byte of an artifact to the last (`tests/bench/run uplink`).\n\n{table}"
        );
    }
    if let Some(ledger) = read::<FullLedger>(folder, "ledger")? {
        let table = ledger.table();
        let _ = write!(
            text,
            "\n## A full ledger\n\nWhole commands (`tests/bench/run ledger`).\n\n{table}"
        );
    }
    if let Some(figures) = read::<Figures>(folder, "compare")? {
        draw_compare(&figures, &folder.join("compare.svg"))?;
        let table = figures.table();
        if let Some(page) = &options.page {
            let picture = folder.join("compare.svg");
            let picture = picture.display();
            fill(
                page,
                &format!("{table}\n![How often rollctl's time goes into each tool's]({picture})\n"),
            )?;
        }
        let _ = write!(
            text,
            "\n## The same release by other tools\n\nOn the same real hosts (`tests/bench/run compare`).\n\n{table}\n\
             ![How often rollctl's time goes into each tool's](compare.svg)\n"
        );
    }
    fs::write(folder.join("figures.md"), text)?;
    Ok(())
}

/// Puts a text between the marks of a page.
fn fill(page: &Path, text: &str) -> anyhow::Result<()> {
    let old = fs::read_to_string(page)?;
    let marks = old.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) =
        marks.with_context(|| format!("{} has no place for the figures", page.display()))?;
    fs::write(page, format!("{before}{BEGIN}{text}{END}{after}"))?;
    Ok(())
}

/// Nothing: there is no such file.
fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> anyhow::Result<Option<T>> {
    let path = folder.join(name).with_extension("json");
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path)?;
    let figures = serde_json::from_str(&text);
    figures.with_context(|| format!("{} is not what the bench writes", path.display()))
}

/// One line of a picture.
struct Curve {
    label: &'static str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

fn draw_scale(scale: &Scale, path: &Path) -> anyhow::Result<()> {
    let curve = |label, colour, value: fn(&Row) -> f64| Curve {
        label,
        colour,
        points: scale
            .rows
            .iter()
            .map(|row| (f64::from(row.hosts), value(row)))
            .collect(),
    };
    let time = [
        curve("CPU of the controller, s", BLUE, |row| {
            (row.cpu_ms_per_host + row.child_cpu_ms_per_host) * f64::from(row.hosts) / 1e3
        }),
        curve("from start to end, s", RED, |row| row.seconds),
    ];
    let memory = [curve("peak memory, MB", GREEN, |row| row.peak_memory_mb)];
    let area = SVGBackend::new(path, (WIDTH, HEIGHT)).into_drawing_area();
    area.fill(&WHITE)?;
    let (left, right) = area.split_horizontally(WIDTH / 2);
    draw_curves(&left, &time)?;
    draw_curves(&right, &memory)?;
    area.present()?;
    Ok(())
}

/// Both axes are logarithmic: what grows in proportion to the hosts rises at 45 degrees a decade for a decade.
fn draw_curves(area: &Area<'_>, curves: &[Curve]) -> anyhow::Result<()> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let span = |values: &mut dyn Iterator<Item = f64>| {
        let (low, high) = values.fold((f64::MAX, 0.0_f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        (low * 0.6)..(high * 1.8)
    };
    let across = span(&mut points().map(|(hosts, _)| *hosts));
    let up = span(&mut points().map(|(_, value)| *value));
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(across.log_scale(), up.log_scale())
        .map_err(|error| anyhow!("{error}"))?;
    let number = |value: &f64| format!("{value}");
    chart
        .configure_mesh()
        .x_desc("hosts")
        .x_label_formatter(&number)
        .y_label_formatter(&number)
        .light_line_style(TRANSPARENT)
        .draw()
        .map_err(|error| anyhow!("{error}"))?;
    for curve in curves {
        let colour = curve.colour;
        let line = LineSeries::new(curve.points.clone(), colour.stroke_width(2)).point_size(3);
        chart
            .draw_series(line)
            .map_err(|error| anyhow!("{error}"))?
            .label(curve.label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .draw()
        .map_err(|error| anyhow!("{error}"))?;
    Ok(())
}

/// A bar for each tool in each job, as long as its time goes into rollctl's.
fn draw_compare(figures: &Figures, path: &Path) -> anyhow::Result<()> {
    let bars = u32::try_from(figures.rows.len())?;
    let area = SVGBackend::new(path, (WIDTH, bars * BAR + 20)).into_drawing_area();
    area.fill(&WHITE)?;
    let longest = figures
        .rows
        .iter()
        .map(|row| row.times_rollctl)
        .fold(1.0, f64::max);
    let (begin, room) = (280, f64::from(WIDTH - 280 - 70));
    let text = ("sans-serif", 13).into_font();
    for (place, row) in (0..).zip(&figures.rows) {
        let top = 10 + place * 26;
        let colour = match row.tool.as_str() {
            "rollctl" => BLUE.mix(0.8),
            _ => BLACK.mix(0.35),
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a picture is some hundred points wide"
        )]
        let end = begin + (row.times_rollctl / longest * room) as i32;
        area.draw(&Rectangle::new(
            [(begin, top + 3), (end, top + 21)],
            colour.filled(),
        ))?;
        let what = format!("{}: {}", row.job, row.tool);
        area.draw(&Text::new(what, (10, top + 6), text.clone()))?;
        let times = format!("{:.1}", row.times_rollctl);
        area.draw(&Text::new(times, (end + 6, top + 6), text.clone()))?;
    }
    area.present()?;
    Ok(())
}
