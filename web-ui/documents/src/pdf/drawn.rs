//! What is drawn and not set: photos, a signature, a code for a camera.

use pdf_writer::Name;
use qrcode::{Color, EcLevel, QrCode};

use super::{CELL, GUTTER, LEFT, NOTE, Press, TEXT, WIDTH};
use crate::pdf::Jpeg;

impl Press {
    /// Two in a row, each as large as its half allows.
    pub(super) fn photos(&mut self, photos: &[(Jpeg, String)]) {
        let half = (WIDTH - GUTTER) / 2.0;
        for row in photos.chunks(2) {
            let heights: Vec<f32> = row.iter().map(|(photo, _)| fitted(photo, half).1).collect();
            let tallest = heights.iter().copied().fold(0.0, f32::max);
            self.room(tallest + 2.0 * NOTE.step + 8.0);
            let top = self.at - 4.0;
            let mut below = Vec::new();
            for (place, (photo, caption)) in row.iter().enumerate() {
                let left = if place == 0 { LEFT } else { LEFT + half + GUTTER };
                let (width, height) = fitted(photo, half);
                let name = format!("P{}", self.photos.len());
                self.photos.push(photo.clone());
                self.page.save_state();
                self.page.transform([width, 0.0, 0.0, height, left, top - height]);
                self.page.x_object(Name(name.as_bytes())).restore_state();
                below.push((left, self.broken(caption, NOTE, half), NOTE));
            }
            self.at = top - tallest - 2.0;
            self.side_by_side(&below);
            self.at -= 8.0;
        }
    }

    pub(super) fn signature(&mut self, strokes: &[Vec<(u16, u16)>]) {
        let (width, height) = (200.0, 80.0);
        self.room(height + 12.0);
        self.at -= height;
        self.page.save_state().set_stroke_gray(0.05).set_line_width(1.3);
        let place = |(x, y): (u16, u16)| {
            (LEFT + f32::from(x) / 1_000.0 * width, f32::from(y) / 400.0 * height)
        };
        for stroke in strokes {
            let mut points = stroke.iter().map(|point| place(*point));
            let Some((x, y)) = points.next() else { continue };
            self.page.move_to(x, self.at + height - y);
            // A dot is a stroke too.
            self.page.line_to(x + 0.6, self.at + height - y);
            for (x, y) in points {
                self.page.line_to(x, self.at + height - y);
            }
            self.page.stroke();
        }
        self.page.restore_state();
        self.page.set_stroke_gray(0.4).set_line_width(0.5);
        self.page.move_to(LEFT, self.at).line_to(LEFT + width, self.at).stroke();
        self.at -= 4.0;
    }

    /// A text that is too long for a code is only set.
    pub(super) fn code(&mut self, text: &str, beside: &str) {
        let side = 70.0;
        let lines = self.broken(beside, TEXT, WIDTH - side - 20.0);
        let tall = lines.iter().map(|_| TEXT.step).sum::<f32>() + 4.0;
        let height = side.max(tall);
        let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::M) else {
            self.paragraph(beside, TEXT);
            return;
        };
        self.room(height + 8.0);
        let top = self.at - 4.0;
        let modules = code.width();
        #[expect(clippy::cast_precision_loss, reason = "at most 177 modules")]
        let module = side / modules as f32;
        self.page.set_fill_gray(0.0);
        let (mut x, mut y) = (0, 0);
        for color in code.to_colors() {
            if color == Color::Dark {
                #[expect(clippy::cast_precision_loss, reason = "at most 177 modules")]
                let (left, down) = (x as f32 * module, (y + 1) as f32 * module);
                // A hair more than a module, or white lines shine through on screens.
                self.page.rect(LEFT + left, top - down, module + 0.05, module + 0.05);
            }
            x += 1;
            if x == modules {
                (x, y) = (0, y + 1);
            }
        }
        self.page.fill_nonzero();
        let mut at = top;
        for line in lines {
            at -= TEXT.step;
            self.set(LEFT + side + 20.0, at, &line, TEXT);
        }
        self.at = top - height - CELL.step;
    }
}

/// As wide as `most` and as high as a third of a page at most.
fn fitted(photo: &Jpeg, most: f32) -> (f32, f32) {
    let (width, height) = (f32::from(photo.width), f32::from(photo.height));
    let by = (most / width).min(240.0 / height);
    (width * by, height * by)
}
