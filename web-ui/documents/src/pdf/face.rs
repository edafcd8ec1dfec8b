//! The two faces of a document, and of each the letters that it uses.

use std::collections::BTreeMap;

use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Finish as _, Name, Pdf, Rect, Ref, Str};
use subsetter::GlyphRemapper;
use ttf_parser::GlyphId;

use super::NoPdf;

/// A face, with the letters that a document has used of it.
pub(super) struct Face {
    font: ttf_parser::Face<'static>,
    file: &'static [u8],
    /// What PDF readers show as the font's name.
    name: &'static str,
    used: GlyphRemapper,
    /// The letter of each glyph that is used, by its number in the document.
    letters: BTreeMap<u16, (char, GlyphId)>,
}

impl Face {
    pub(super) fn regular() -> Result<Self, NoPdf> {
        Self::of(include_bytes!("../../fonts/Inter-Regular.ttf"), "FYRHUS+Inter-Regular")
    }

    pub(super) fn strong() -> Result<Self, NoPdf> {
        Self::of(include_bytes!("../../fonts/Inter-SemiBold.ttf"), "FYRHUS+Inter-SemiBold")
    }

    fn of(file: &'static [u8], name: &'static str) -> Result<Self, NoPdf> {
        let font = ttf_parser::Face::parse(file, 0).map_err(|_| NoPdf)?;
        Ok(Self { font, file, name, used: GlyphRemapper::new(), letters: BTreeMap::new() })
    }

    /// The glyph of a letter; of one that the font has not, the sign for that.
    fn glyph(&self, letter: char) -> GlyphId {
        let letter = if letter.is_control() { ' ' } else { letter };
        let found = self.font.glyph_index(letter).or_else(|| self.font.glyph_index('\u{FFFD}'));
        found.unwrap_or_default()
    }

    /// Of the em, in thousandths.
    fn thousandths(&self, units: impl Into<f32>) -> f32 {
        1_000.0 * units.into() / f32::from(self.font.units_per_em())
    }

    fn advance(&self, glyph: GlyphId) -> f32 {
        self.thousandths(self.font.glyph_hor_advance(glyph).unwrap_or_default())
    }

    /// How wide `text` is at `size`, both in points.
    pub(super) fn width(&self, text: &str, size: f32) -> f32 {
        text.chars().map(|letter| self.advance(self.glyph(letter))).sum::<f32>() * size / 1_000.0
    }

    /// `text` as the document's content says it.
    pub(super) fn coded(&mut self, text: &str) -> Vec<u8> {
        let mut coded = Vec::with_capacity(2 * text.len());
        for letter in text.chars() {
            let glyph = self.glyph(letter);
            let number = self.used.remap(glyph.0);
            self.letters.entry(number).or_insert((letter, glyph));
            coded.extend(number.to_be_bytes());
        }
        coded
    }

    /// Writes the letters that were used; takes the five numbers from `first` on.
    pub(super) fn write(&self, pdf: &mut Pdf, first: Ref) -> Result<(), NoPdf> {
        let [font, cid, descriptor, map, data] =
            [0, 1, 2, 3, 4].map(|at| Ref::new(first.get() + at));
        let name = Name(self.name.as_bytes());
        pdf.type0_font(font)
            .base_font(name)
            .encoding_predefined(Name(b"Identity-H"))
            .descendant_font(cid)
            .to_unicode(map);

        let mut described = pdf.cid_font(cid);
        described
            .subtype(CidFontType::Type2)
            .base_font(name)
            .system_info(IDENTITY)
            .font_descriptor(descriptor)
            .default_width(0.0)
            .cid_to_gid_map_predefined(Name(b"Identity"));
        let advances = self.letters.values().map(|(_, glyph)| self.advance(*glyph));
        // The numbers go up from 1 without a hole; 0 is the sign for a letter that is not there.
        described.widths().consecutive(1, advances);
        described.finish();

        let bounds = self.font.global_bounding_box();
        let [left, bottom, right, top] =
            [bounds.x_min, bounds.y_min, bounds.x_max, bounds.y_max].map(|it| self.thousandths(it));
        pdf.font_descriptor(descriptor)
            .name(name)
            .flags(FontFlags::NON_SYMBOLIC)
            .bbox(Rect::new(left, bottom, right, top))
            .italic_angle(0.0)
            .ascent(self.thousandths(self.font.ascender()))
            .descent(self.thousandths(self.font.descender()))
            .cap_height(self.thousandths(self.font.capital_height().unwrap_or_default()))
            .stem_v(80.0)
            .font_file2(data);

        let mut unicode = UnicodeCmap::new(Name(b"Letters"), IDENTITY);
        for (number, (letter, _)) in &self.letters {
            unicode.pair(*number, *letter);
        }
        let unicode = unicode.finish();
        pdf.cmap(map, unicode.as_slice());

        let subset = subsetter::subset(self.file, 0, &self.used).map_err(|_| NoPdf)?;
        let length = i32::try_from(subset.len()).map_err(|_| NoPdf)?;
        pdf.stream(data, &subset).pair(Name(b"Length1"), length);
        Ok(())
    }
}

const IDENTITY: SystemInfo<'static> =
    SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };
