//! Sheets of A4, as a PDF: what is to be read, kept and filed by people.
//!
//! ```text
//! blocks, from top to bottom ──▶ lines, broken where they are full ──▶ pages, numbered
//! ```
//!
//! The letters are embedded, so a sheet looks the same everywhere and in ten years. The file says
//! neither when nor by whom it was made: the same blocks are the same bytes, which can be made again
//! and compared.
//!
//! **Never true:** that something is left out because there is no room. A line is broken, a table
//! goes on overleaf under its head again.

mod drawn;
mod face;
mod jpeg;

use std::fmt;

use pdf_writer::{Content, Filter, Finish as _, Name, Pdf, Rect, Ref, Str, TextStr};

use face::Face;
pub use jpeg::Jpeg;

/// A document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paper {
    /// What PDF readers call it.
    pub title: String,
    /// In which language it is, for those who have it read to them: `nb`.
    pub language: &'static str,
    /// At the foot of every page, beside its number.
    pub foot: String,
    /// From top to bottom.
    pub blocks: Vec<Block>,
}

/// A part of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// The one line that says what it is.
    Title(String),
    /// The head of what follows; never the last on a page.
    Head(String),
    /// A paragraph.
    Text(String),
    /// A paragraph that has to be seen.
    Strong(String),
    /// A paragraph in small letters.
    Note(String),
    /// What is what, a line each.
    Facts(Vec<(String, String)>),
    /// Rows and columns.
    Table(Grid),
    /// Photos beside each other, each with what is below it.
    Photos(Vec<(Jpeg, String)>),
    /// A signature: lines through points on a field 1000 wide and 400 high, above a rule.
    Signature(Vec<Vec<(u16, u16)>>),
    /// A text for a camera, and what stands beside it.
    Code(String, String),
    /// An empty line.
    Space,
}

/// A table of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grid {
    /// From left to right.
    pub columns: Vec<Column>,
    /// Each as long as the columns.
    pub rows: Vec<Vec<String>>,
    /// The row that the others come to, below a line.
    pub sum: Option<Vec<String>>,
}

/// A column of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// What it holds.
    pub head: String,
    /// Its share of the width, against the other columns'.
    pub share: u8,
    /// Figures stand at the right.
    pub figures: bool,
}

/// The letters cannot be used: the program itself is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPdf;

impl fmt::Display for NoPdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the letters of documents cannot be used; install the program again")
    }
}

impl std::error::Error for NoPdf {}

/// The whole file.
///
/// # Errors
///
/// [`NoPdf`] if the program is damaged.
pub fn pdf(paper: &Paper) -> Result<Vec<u8>, NoPdf> {
    let mut press = Press::new()?;
    for block in &paper.blocks {
        press.block(block);
    }
    press.bound(paper)
}

/// Lays out one page after the other.
struct Press {
    regular: Face,
    strong: Face,
    full: Vec<Content>,
    page: Content,
    /// How far down the page the next line begins, in points from its lower edge.
    at: f32,
    /// In the order in which the pages show them: the first is `P0`.
    photos: Vec<Jpeg>,
}

/// How a line is set.
#[derive(Clone, Copy)]
struct Type {
    strong: bool,
    /// Of the letters, in points.
    size: f32,
    /// From one line to the next, in points.
    step: f32,
    /// From black, 0, to white, 1.
    gray: f32,
}

const TITLE: Type = Type { strong: true, size: 17.0, step: 22.0, gray: 0.05 };
const HEAD: Type = Type { strong: true, size: 11.0, step: 15.0, gray: 0.05 };
const TEXT: Type = Type { strong: false, size: 9.5, step: 13.5, gray: 0.1 };
const STRONG: Type = Type { strong: true, ..TEXT };
const LABEL: Type = Type { gray: 0.35, ..TEXT };
const NOTE: Type = Type { strong: false, size: 8.0, step: 11.0, gray: 0.35 };
const CELL: Type = Type { strong: false, size: 8.5, step: 11.5, gray: 0.1 };
const CELL_HEAD: Type = Type { gray: 0.35, size: 7.5, ..CELL };
const CELL_SUM: Type = Type { strong: true, ..CELL };

impl Press {
    fn new() -> Result<Self, NoPdf> {
        let (regular, strong) = (Face::regular()?, Face::strong()?);
        let (full, photos) = (Vec::new(), Vec::new());
        Ok(Self { regular, strong, full, page: Content::new(), at: TOP, photos })
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Title(text) => {
                self.lines(text, TITLE);
                self.at -= 4.0;
            }
            Block::Head(text) => {
                self.at -= 10.0;
                // Two lines have to follow it on the same page.
                self.room(HEAD.step + 3.0 * TEXT.step);
                self.lines(text, HEAD);
                self.at -= 2.0;
            }
            Block::Text(text) => self.paragraph(text, TEXT),
            Block::Strong(text) => self.paragraph(text, STRONG),
            Block::Note(text) => self.paragraph(text, NOTE),
            Block::Facts(facts) => {
                for (label, fact) in facts {
                    self.fact(label, fact);
                }
                self.at -= 3.0;
            }
            Block::Table(grid) => self.table(grid),
            Block::Photos(photos) => self.photos(photos),
            Block::Signature(strokes) => self.signature(strokes),
            Block::Code(text, beside) => self.code(text, beside),
            Block::Space => self.at -= TEXT.step,
        }
    }

    /// Goes to the next page if there is less room than `height`.
    fn room(&mut self, height: f32) {
        if self.at - height < BOTTOM {
            self.full.push(std::mem::replace(&mut self.page, Content::new()));
            self.at = TOP;
        }
    }

    fn paragraph(&mut self, text: &str, set: Type) {
        self.lines(text, set);
        self.at -= 4.0;
    }

    fn lines(&mut self, text: &str, set: Type) {
        for line in self.broken(text, set, WIDTH) {
            self.room(set.step);
            self.at -= set.step;
            self.set(LEFT, self.at, &line, set);
        }
    }

    fn fact(&mut self, label: &str, fact: &str) {
        let labels = self.broken(label, LABEL, FACT - 10.0);
        let facts = self.broken(fact, TEXT, WIDTH - FACT);
        self.side_by_side(&[(LEFT, labels, LABEL), (LEFT + FACT, facts, TEXT)]);
    }

    /// Sets columns of lines beside each other, all of it on one page.
    fn side_by_side(&mut self, columns: &[(f32, Vec<String>, Type)]) {
        let height = |(_, lines, set): &(f32, Vec<String>, Type)| {
            lines.iter().map(|_| set.step).sum::<f32>()
        };
        let tallest = columns.iter().map(height).fold(0.0, f32::max);
        self.room(tallest);
        for (left, lines, set) in columns {
            let mut at = self.at;
            for line in lines {
                at -= set.step;
                self.set(*left, at, line, *set);
            }
        }
        self.at -= tallest;
    }

    fn table(&mut self, grid: &Grid) {
        let shares: f32 = grid.columns.iter().map(|column| f32::from(column.share)).sum();
        let shares = shares.max(1.0);
        let mut left = LEFT;
        let places: Vec<(f32, f32, bool)> = grid
            .columns
            .iter()
            .map(|column| {
                // The gutter after the last column lies outside.
                let width = (WIDTH + GUTTER) * f32::from(column.share) / shares;
                let place = (left, width - GUTTER, column.figures);
                left += width;
                place
            })
            .collect();
        let heads: Vec<String> = grid.columns.iter().map(|column| column.head.clone()).collect();
        self.room(CELL_HEAD.step + 3.0 * CELL.step);
        self.row(&places, &heads, CELL_HEAD);
        self.rule(0.6);
        for (place, row) in grid.rows.iter().enumerate() {
            // A page that was begun for this row begins with the head again.
            let pages = self.full.len();
            let height = self.height(&places, row, CELL);
            // What the rows come to is read with the last of them above it.
            let sum = grid.sum.as_ref().filter(|_| place + 1 == grid.rows.len());
            let sum = sum.map_or(0.0, |sum| RULE + BETWEEN + self.height(&places, sum, CELL_SUM));
            self.room(height + sum);
            if self.full.len() > pages {
                self.row(&places, &heads, CELL_HEAD);
                self.rule(0.6);
            }
            self.row(&places, row, CELL);
        }
        if let Some(sum) = &grid.sum {
            self.rule(0.6);
            self.row(&places, sum, CELL_SUM);
        }
        self.at -= 6.0;
    }

    fn height(&self, places: &[(f32, f32, bool)], row: &[String], set: Type) -> f32 {
        let lines = places.iter().zip(row).map(|((_, width, _), cell)| {
            self.broken(cell, set, *width).iter().map(|_| set.step).sum::<f32>()
        });
        lines.fold(0.0, f32::max)
    }

    fn row(&mut self, places: &[(f32, f32, bool)], row: &[String], set: Type) {
        let mut columns = Vec::new();
        for ((left, width, figures), cell) in places.iter().zip(row) {
            let lines = self.broken(cell, set, *width);
            if *figures {
                // One line of figures each, at its own place from the right.
                for (number, line) in lines.iter().enumerate() {
                    let at = left + width - self.face(set).width(line, set.size);
                    let mut above = vec![String::new(); number];
                    above.push(line.clone());
                    columns.push((at, above, set));
                }
            } else {
                columns.push((*left, lines, set));
            }
        }
        self.side_by_side(&columns);
        self.at -= BETWEEN;
    }

    fn rule(&mut self, gray: f32) {
        self.at -= RULE - BETWEEN;
        let at = self.at;
        self.page.set_stroke_gray(gray).set_line_width(0.5);
        self.page.move_to(LEFT, at).line_to(LEFT + WIDTH, at).stroke();
        self.at -= BETWEEN;
    }

    const fn face(&self, set: Type) -> &Face {
        if set.strong { &self.strong } else { &self.regular }
    }

    /// `text` in lines of at most `width`.
    fn broken(&self, text: &str, set: Type, width: f32) -> Vec<String> {
        let face = self.face(set);
        let fits = |line: &str| face.width(line, set.size) <= width;
        let mut lines = Vec::new();
        for part in text.lines() {
            let mut line = String::new();
            for word in part.split(' ') {
                let longer =
                    if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
                if fits(&longer) {
                    line = longer;
                    continue;
                }
                if !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                }
                // A word that is wider than the line is broken where it is full.
                for letter in word.chars() {
                    line.push(letter);
                    if line.chars().nth(1).is_some() && !fits(&line) {
                        line.pop();
                        lines.push(std::mem::replace(&mut line, letter.to_string()));
                    }
                }
            }
            lines.push(line);
        }
        lines
    }

    fn set(&mut self, left: f32, at: f32, line: &str, set: Type) {
        if line.is_empty() {
            return;
        }
        let (face, name) = if set.strong {
            (&mut self.strong, STRONG_NAME)
        } else {
            (&mut self.regular, REGULAR_NAME)
        };
        let coded = face.coded(line);
        self.page.set_fill_gray(set.gray).begin_text().set_font(name, set.size);
        self.page.next_line(left, at).show(Str(&coded)).end_text();
    }

    /// All pages, with their feet, as one file.
    fn bound(mut self, paper: &Paper) -> Result<Vec<u8>, NoPdf> {
        let mut pages = std::mem::take(&mut self.full);
        pages.push(std::mem::replace(&mut self.page, Content::new()));
        let of = pages.len();
        let mut contents = Vec::new();
        for (number, page) in (1..).zip(pages) {
            self.page = page;
            self.at = BOTTOM - 8.0;
            self.rule(0.75);
            let number = format!("{number} / {of}");
            let at = LEFT + WIDTH - self.regular.width(&number, NOTE.size);
            let foot = self.broken(&paper.foot, NOTE, WIDTH - 50.0);
            self.set(at, self.at - NOTE.step, &number, NOTE);
            for line in foot {
                self.at -= NOTE.step;
                self.set(LEFT, self.at, &line, NOTE);
            }
            contents.push(std::mem::replace(&mut self.page, Content::new()).finish());
        }

        let mut pdf = Pdf::new();
        let mut next = 1_i32;
        let mut numbers = |many: i32| {
            next += many;
            Ref::new(next - many)
        };
        let (catalog, tree, info) = (numbers(1), numbers(1), numbers(1));
        let (regular, strong) = (numbers(5), numbers(5));
        let shown: Vec<_> = self.photos.iter().map(|photo| (numbers(1), photo)).collect();
        let numbered: Vec<_> = contents.iter().map(|_| (numbers(1), numbers(1))).collect();

        pdf.catalog(catalog).pages(tree).lang(TextStr(paper.language));
        pdf.document_info(info).title(TextStr(&paper.title));
        let count = i32::try_from(of).map_err(|_| NoPdf)?;
        pdf.pages(tree).kids(numbered.iter().map(|(page, _)| *page)).count(count);
        for ((page, content), written) in numbered.iter().zip(&contents) {
            let mut page = pdf.page(*page);
            page.media_box(Rect::new(0.0, 0.0, 595.276, 841.89)).parent(tree).contents(*content);
            let mut resources = page.resources();
            resources.fonts().pair(REGULAR_NAME, regular).pair(STRONG_NAME, strong);
            let mut photos = resources.x_objects();
            for (number, (photo, _)) in shown.iter().enumerate() {
                photos.pair(Name(format!("P{number}").as_bytes()), *photo);
            }
            photos.finish();
            resources.finish();
            page.finish();
            pdf.stream(*content, written.as_slice());
        }
        for (number, photo) in shown {
            let mut image = pdf.image_xobject(number, &photo.bytes);
            image.filter(Filter::DctDecode);
            image.width(photo.width.into()).height(photo.height.into()).bits_per_component(8);
            if photo.gray {
                image.color_space().device_gray();
            } else {
                image.color_space().device_rgb();
            }
        }
        self.regular.write(&mut pdf, regular)?;
        self.strong.write(&mut pdf, strong)?;
        Ok(pdf.finish())
    }
}

const REGULAR_NAME: Name<'static> = Name(b"R");
const STRONG_NAME: Name<'static> = Name(b"S");

/// The margins of an A4 sheet, in points from its lower left corner.
const LEFT: f32 = 56.7;
const WIDTH: f32 = 481.9;
const TOP: f32 = 785.0;
const BOTTOM: f32 = 70.0;

/// Where facts begin, right of their labels.
const FACT: f32 = 165.0;

/// Below a row of a table, or a rule.
const BETWEEN: f32 = 1.5;

/// What a rule takes, with the air around it.
const RULE: f32 = 4.0;

/// Between two columns of a table.
const GUTTER: f32 = 8.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(rows: usize) -> Grid {
        let column = |head: &str, figures| Column { head: head.to_owned(), share: 1, figures };
        let row = |row: usize| vec![format!("row {row}"), row.to_string()];
        Grid {
            columns: vec![column("what", false), column("s", true)],
            rows: (0..rows).map(row).collect(),
            sum: None,
        }
    }

    fn paper(blocks: Vec<Block>) -> Paper {
        Paper { title: "Å".into(), language: "nb", foot: "foot".into(), blocks }
    }

    /// How many pages a file says that it has.
    fn pages(file: &[u8]) -> usize {
        let text = String::from_utf8_lossy(file);
        text.matches("/Type /Page\n").count()
    }

    #[test]
    fn the_same_blocks_are_the_same_bytes() {
        let blocks = vec![Block::Title("Oppgjør".into()), Block::Table(grid(3))];
        let first = pdf(&paper(blocks.clone())).unwrap();
        assert!(first.starts_with(b"%PDF-1.7"));
        assert_eq!(first, pdf(&paper(blocks)).unwrap());
    }

    #[test]
    fn a_table_goes_on_overleaf() {
        let few = pdf(&paper(vec![Block::Table(grid(5))])).unwrap();
        let many = pdf(&paper(vec![Block::Table(grid(120))])).unwrap();
        assert_eq!((pages(&few), pages(&many)), (1, 3));
    }

    #[test]
    fn a_sum_is_never_alone_on_a_page() {
        for rows in 1..140 {
            let sum = Some(vec!["sum".to_owned(), "1".to_owned()]);
            let mut press = Press::new().unwrap();
            press.table(&Grid { sum, ..grid(rows) });
            let (head, row) = (CELL_HEAD.step + RULE + BETWEEN, CELL.step + BETWEEN);
            let least = head + row + RULE + row + 6.0 - 0.1;
            assert!(TOP - press.at >= least, "{rows} rows: {} points", TOP - press.at);
        }
    }

    #[test]
    fn a_line_is_broken_where_it_is_full_and_nothing_is_lost() {
        let press = Press::new().unwrap();
        let long = "x".repeat(400);
        let text = format!("ord {long} ord");
        let lines = press.broken(&text, TEXT, 100.0);
        assert!(lines.iter().all(|line| press.regular.width(line, TEXT.size) <= 100.0));
        let letters: String = lines.concat().replace(' ', "");
        assert_eq!(letters, text.replace(' ', ""));
    }

    #[test]
    fn photos_are_in_the_file_as_they_are() {
        let photo = jpeg::tests::photo(640, 480, 3);
        let shown = || (Jpeg::of(&photo).unwrap(), "Vann".to_owned());
        let file = pdf(&paper(vec![
            Block::Photos(vec![shown(), shown(), shown(), shown(), shown()]),
            Block::Signature(vec![vec![(0, 0), (1_000, 400)], vec![(5, 5)], vec![]]),
            Block::Code("https://10.0.4.2:8443/".into(), "Live".into()),
            Block::Code("x".repeat(5_000), "Too long for a code".into()),
        ]))
        .unwrap();
        let count = |wanted: &[u8]| file.windows(wanted.len()).filter(|it| *it == wanted).count();
        assert_eq!((pages(&file), count(&photo), count(b"/DCTDecode")), (2, 5, 5));
    }

    #[test]
    fn letters_that_the_font_has_not_are_shown_as_such() {
        let file = pdf(&paper(vec![Block::Text("Sámi čđŋšŧž, 中, \u{7}".into())])).unwrap();
        assert_eq!(pages(&file), 1);
    }
}
