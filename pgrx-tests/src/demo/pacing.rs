//! A budget paced evenly over a bursty day, simulated by the extension and drawn.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};
use postgres::{Client, Row};

use crate::workspace::Workspace;

/// How things stand at a moment, as shares of the day and of the budget.
struct Point {
    x: f64,
    target: f64,
    delivered: f64,
    traffic: f64,
    price: f64,
}

/// Draws the delivery of a simulated day as text, and as a picture beside the demo's other files.
pub fn draw(client: &mut Client, margin: &str) -> Result<()> {
    let rows = client.query(include_str!("../../demo/pacing.sql"), &[])?;
    let points: Vec<Point> = rows.iter().map(point).collect();
    let last = points.last().context("the simulation is empty")?;
    let farthest = points
        .iter()
        .map(|point| (point.delivered - point.target).abs())
        .fold(0.0, f64::max);
    let requests: f64 = points.iter().map(|point| point.traffic).sum();
    println!(
        "{margin}10,000 exposures over a day of {} requests in bursts and lulls, 20 to 1. Delivered: {:.2} % at the end, and never\n\
         {margin}more than {:.1} % of the budget from the line. The price settled near {:.2} deviations of the score.",
        super::count(requests as i64),
        last.delivered * 100.0,
        farthest * 100.0,
        points[points.len() / 2].price,
    );
    for line in as_text(&points) {
        println!("{margin}{line}");
    }
    let folder = Workspace::find()?.target("demo");
    fs::create_dir_all(&folder)?;
    let picture = folder.join("pacing.svg");
    fs::write(&picture, as_svg(&points))?;
    println!("{margin}The same as a picture: {}", picture.display());
    Ok(())
}

fn point(row: &Row) -> Point {
    Point {
        x: row.get("x"),
        target: row.get("target"),
        delivered: row.get("delivered"),
        traffic: f64::from(row.get::<_, i32>("traffic")),
        price: row.get("price"),
    }
}

/// A line per two hours: what was asked for, what was delivered and what should have been.
fn as_text(points: &[Point]) -> Vec<String> {
    const WIDTH: f64 = 60.0;
    let mut lines = vec![format!(
        "{:>5}  {:>8}  delivered (#), line (|)",
        "hour", "requests"
    )];
    let each = points.len() / 12;
    for part in points.chunks_exact(each.max(1)) {
        let Some(end) = part.last() else { continue };
        let requests: f64 = part.iter().map(|point| point.traffic).sum();
        let (done, line) = (
            (end.delivered * WIDTH).round(),
            (end.target * WIDTH).round(),
        );
        let bar: String = (0..=WIDTH as usize)
            .map(|place| match place as f64 {
                place if place == line => '|',
                place if place < done => '#',
                _ => ' ',
            })
            .collect();
        let hour = (end.x * 24.0).round();
        let text = format!("{hour:>5}  {requests:>8}  {bar}");
        lines.push(format!("{} {:.1} %", text, end.delivered * 100.0));
    }
    lines
}

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 300.0;
const EDGE: f64 = 50.0;

/// Two panels above each other: delivery along its line, and traffic with the price.
fn as_svg(points: &[Point]) -> String {
    let most = points.iter().map(|point| point.traffic).fold(1.0, f64::max);
    let dearest = points.iter().map(|point| point.price).fold(0.1, f64::max);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        WIDTH + 2.0 * EDGE,
        1.5 * HEIGHT + 3.0 * EDGE,
    );
    let top = EDGE;
    let below = EDGE + HEIGHT + EDGE;
    panel(
        &mut svg,
        top,
        HEIGHT,
        "delivered (blue) and its line (grey), of the budget",
    );
    band(&mut svg, points, top);
    line(&mut svg, points, top, HEIGHT, "#888888", |point| {
        point.target
    });
    line(&mut svg, points, top, HEIGHT, "#1f5fbf", |point| {
        point.delivered
    });
    panel(
        &mut svg,
        below,
        HEIGHT / 2.0,
        "requests a minute (grey) and the price of a unit (red)",
    );
    line(&mut svg, points, below, HEIGHT / 2.0, "#bbbbbb", |point| {
        point.traffic / most
    });
    line(&mut svg, points, below, HEIGHT / 2.0, "#c03020", |point| {
        point.price / dearest
    });
    for hour in (0..=24).step_by(3) {
        let x = EDGE + WIDTH * f64::from(hour) / 24.0;
        let y = below + HEIGHT / 2.0 + 18.0;
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{hour}:00</text>"
        );
    }
    svg + "</svg>\n"
}

/// A frame with its title.
fn panel(svg: &mut String, top: f64, height: f64, title: &str) {
    let _ = writeln!(
        svg,
        "<rect x=\"{EDGE}\" y=\"{top}\" width=\"{WIDTH}\" height=\"{height}\" fill=\"none\" stroke=\"#dddddd\"/>\n\
         <text x=\"{EDGE}\" y=\"{}\">{title}</text>",
        top - 8.0
    );
}

/// What is within 5 % of the budget from the line.
fn band(svg: &mut String, points: &[Point], top: f64) {
    let place = |point: &Point, off: f64| {
        let share = (point.target + off).clamp(0.0, 1.0);
        format!(
            "{:.1},{:.1}",
            EDGE + WIDTH * point.x,
            top + HEIGHT * (1.0 - share)
        )
    };
    let above = points.iter().map(|point| place(point, 0.05));
    let under = points.iter().rev().map(|point| place(point, -0.05));
    let outline: Vec<String> = above.chain(under).collect();
    let _ = writeln!(
        svg,
        "<polygon points=\"{}\" fill=\"#eef3fa\"/>",
        outline.join(" ")
    );
}

fn line(
    svg: &mut String,
    points: &[Point],
    top: f64,
    height: f64,
    colour: &str,
    of: impl Fn(&Point) -> f64,
) {
    let places: Vec<String> = points
        .iter()
        .map(|point| {
            format!(
                "{:.1},{:.1}",
                EDGE + WIDTH * point.x,
                top + height * (1.0 - of(point))
            )
        })
        .collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
        places.join(" ")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_reach_as_far_as_what_was_delivered() {
        let points: Vec<Point> = (1..=24)
            .map(|hour| Point {
                x: f64::from(hour) / 24.0,
                target: f64::from(hour) / 24.0,
                delivered: f64::from(hour) / 48.0,
                traffic: 10.0,
                price: 0.0,
            })
            .collect();
        let lines = as_text(&points);
        assert_eq!(lines.len(), 13);
        assert!(lines[12].contains("20"), "{}", lines[12]);
        assert_eq!(lines[12].matches('#').count(), 30);
        assert!(as_svg(&points).ends_with("</svg>\n"));
    }
}
