//! The table as a picture: a bar for each row, as long as the row's speed.
//!
//! Drawn with a built-in bitmap font: a font of the system would look different on each machine,
//! and be missing on a server.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use embedded_graphics::mono_font::ascii::{FONT_6X12, FONT_7X13_BOLD};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Baseline, Text};

use crate::Result;
use crate::rounds::Section;
use crate::table::short;

const WIDTH: u32 = 940;
const MARGIN: i32 = 16;
const NAMES: i32 = 270;
const BARS: i32 = 430;
const ROW: i32 = 16;
const HEAD: i32 = 34;

const INK: Rgb888 = Rgb888::new(0x22, 0x22, 0x22);
const FAINT: Rgb888 = Rgb888::new(0xaa, 0xaa, 0xaa);
const LIMIT: Rgb888 = Rgb888::new(0x8a, 0x93, 0x9c);
const OURS: Rgb888 = Rgb888::new(0x1f, 0x6f, 0xb5);
const THEIRS: Rgb888 = Rgb888::new(0xd9, 0x8e, 0x3a);

/// Draws `sections` into the PNG file `path`; `foot` stands below.
pub(crate) fn draw(sections: &[Section], foot: &str, path: &Path) -> Result<()> {
    let rows: usize = sections.iter().map(|section| section.rows.len()).sum();
    let height = MARGIN * 2 + HEAD * sections.len() as i32 + ROW * (rows as i32 + 1);
    let mut canvas = Canvas::new(WIDTH, height.unsigned_abs());
    let mut y = MARGIN;
    for section in sections {
        canvas.text(MARGIN, y + 10, &section.title, &FONT_7X13_BOLD, INK);
        y = canvas.section(section, y + HEAD - 8) + 8;
    }
    canvas.text(MARGIN, y, foot, &FONT_6X12, LIMIT);
    canvas.save(path)
}

struct Canvas {
    size: Size,
    pixels: Vec<u8>,
}

impl Canvas {
    fn new(width: u32, height: u32) -> Self {
        let white = vec![0xff; width as usize * height as usize * 3];
        Self { size: Size::new(width, height), pixels: white }
    }

    fn section(&mut self, section: &Section, top: i32) -> i32 {
        let speeds: Vec<f64> =
            (0..section.rows.len()).map(|index| section.speed(index, 0)).collect();
        let longest = speeds.iter().copied().filter(|speed| speed.is_finite()).fold(1.0, f64::max);
        let length = |speed: f64| {
            #[allow(clippy::cast_possible_truncation, reason = "a share of a few hundred")]
            let pixels = (speed / longest * f64::from(BARS)) as i32;
            pixels.clamp(1, BARS)
        };
        let mut y = top;
        for (index, (row, speed)) in section.rows.iter().zip(speeds).enumerate() {
            let colour = match index {
                _ if row.name.starts_with("leasehold") => OURS,
                0 => LIMIT,
                _ if row.name.starts_with("limit") || row.name.starts_with("by hand") => LIMIT,
                _ => THEIRS,
            };
            self.text(MARGIN, y, &row.name, &FONT_6X12, INK);
            self.bar(MARGIN + NAMES, y, length(speed), colour);
            let figures = format!("{} x  {} {}", short(speed), short(row.median()), section.unit);
            self.text(MARGIN + NAMES + BARS + 8, y, &figures, &FONT_6X12, INK);
            y += ROW;
        }
        let limit = Rectangle::new(
            Point::new(MARGIN + NAMES + length(1.0), top - 2),
            Size::new(1, (y - top).unsigned_abs()),
        );
        self.fill(limit, FAINT);
        y
    }

    fn bar(&mut self, x: i32, y: i32, length: i32, colour: Rgb888) {
        let size = Size::new(length.unsigned_abs(), ROW.unsigned_abs() - 5);
        self.fill(Rectangle::new(Point::new(x, y), size), colour);
    }

    fn fill(&mut self, area: Rectangle, colour: Rgb888) {
        let Ok(()) = area.into_styled(PrimitiveStyle::with_fill(colour)).draw(self);
    }

    fn text(&mut self, x: i32, y: i32, text: &str, font: &MonoFont<'_>, colour: Rgb888) {
        let style = MonoTextStyle::new(font, colour);
        let at = Point::new(x, y);
        let Ok(_) = Text::with_baseline(text, at, style, Baseline::Top).draw(self);
    }

    fn save(&self, path: &Path) -> Result<()> {
        let file = File::create(path).map_err(|cause| format!("{}: {cause}", path.display()))?;
        let mut encoder =
            png::Encoder::new(BufWriter::new(file), self.size.width, self.size.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        Ok(writer.finish()?)
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        self.size
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = std::convert::Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(
        &mut self,
        pixels: I,
    ) -> std::result::Result<(), Self::Error> {
        let area = Rectangle::new(Point::zero(), self.size);
        for Pixel(at, colour) in pixels {
            if area.contains(at) {
                let (x, y) = (at.x.unsigned_abs() as usize, at.y.unsigned_abs() as usize);
                let place = (y * self.size.width as usize + x) * 3;
                self.pixels[place..place + 3].copy_from_slice(&[
                    colour.r(),
                    colour.g(),
                    colour.b(),
                ]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::{Better, Row, Sample};

    #[test]
    fn a_bar_is_as_long_as_the_row_is_fast() {
        let row = |name: &str, value| Row { name: name.into(), samples: vec![Sample::of(value)] };
        let section = Section {
            title: "pairs".into(),
            unit: "1/s",
            better: Better::Higher,
            rows: vec![row("limit", 100.0), row("leasehold", 50.0), row("other", 25.0)],
            note: String::new(),
        };
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("chart.png");
        draw(&[section], "here", &path).expect("it can be drawn");
        let file = std::io::BufReader::new(File::open(path).expect("it was written"));
        let mut reader = png::Decoder::new(file).read_info().expect("it is a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("it is small")];
        reader.next_frame(&mut pixels).expect("it has a picture");
        let count = |colour: Rgb888| {
            let colour = [colour.r(), colour.g(), colour.b()];
            pixels.chunks_exact(3).filter(|pixel| **pixel == colour).count()
        };
        let (ours, theirs) = (count(OURS), count(THEIRS));
        assert!(ours > 0 && ours.abs_diff(2 * theirs) <= 2 * ROW.unsigned_abs() as usize);
    }
}
