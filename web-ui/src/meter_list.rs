//! A list of meters as a table, and what would change if it came true.
//!
//! ```text
//! id;name;bus;address;medium;profile;serial;place;tags;part_of     a line each; columns in any order
//! 019a…;Kaldtvann 3. vest;riser-a;67001122KAM0807;water;;;3. etg. vest;"riser A, 3rd floor";019a…
//! ```
//!
//! Spreadsheets have habits, and each is known here: a mark at the beginning of the file, semicolons,
//! letters of another code page, `5,0` for 5, `6,7001122E+07` for 67001122, seven digits where a leading zero
//! stood. What they have lost for good is said, with its line, and nothing is guessed.

use std::collections::HashMap;

use crate::Site;
use crate::handles::MeterInfo;

/// The columns, in the order in which they are written.
pub(crate) const COLUMNS: [&str; 10] =
    ["id", "name", "bus", "address", "medium", "profile", "serial", "place", "tags", "part_of"];

/// What is wrong with the file as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoList(pub(crate) String);

/// A line of the list: what it says, or why it says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Counted from 1, as the spreadsheet counts.
    pub(crate) number: usize,
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
    /// What of it was mended: one English sentence each.
    pub(crate) notes: Vec<String>,
}

/// What a line comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A meter that is not there yet: its keys.
    New(Vec<(&'static str, String)>),
    /// Keys of the meter with this id that are to be others: key, before, after.
    Changed(String, Vec<(&'static str, String, String)>),
    /// It is as it is.
    Same,
    /// It is not taken, because of this: one English sentence.
    Wrong(String),
}

/// What each line of `file` comes to in `site`.
pub(crate) fn compared(file: &[u8], site: &Site) -> Result<Vec<Line>, NoList> {
    let text = decoded(file);
    let mut rows = rows(&text).into_iter().filter(|(_, row)| row.iter().any(|it| !it.is_empty()));
    let Some((_, head)) = rows.next() else {
        return Err(NoList("The file is empty.".to_owned()));
    };
    let mut places = HashMap::new();
    for (at, name) in head.iter().enumerate() {
        let name = name.trim().to_lowercase();
        if let Some(column) = COLUMNS.iter().find(|column| ***column == *name) {
            places.insert(*column, at);
        } else if !name.is_empty() {
            let known = COLUMNS.join(", ");
            return Err(NoList(format!("The column `{name}` is not known; there are {known}.")));
        }
    }
    if !places.contains_key("name") && !places.contains_key("id") {
        return Err(NoList(
            "The first line names the columns; `name` or `id` is missing.".to_owned(),
        ));
    }
    let mut seen = HashMap::new();
    let lines = rows.take(MOST_LINES + 1).map(|(number, row)| {
        let cell = |column: &str| {
            let cell = places.get(column).and_then(|at| row.get(*at));
            cell.map(|cell| cell.trim().trim_start_matches('\'').to_owned())
        };
        line(number, &cell, site, &mut seen)
    });
    let lines: Vec<Line> = lines.collect();
    if lines.len() > MOST_LINES {
        return Err(NoList(format!("The list has more than {MOST_LINES} lines.")));
    }
    Ok(lines)
}

/// More than any building has.
const MOST_LINES: usize = 5_000;

fn line(
    number: usize,
    cell: &dyn Fn(&str) -> Option<String>,
    site: &Site,
    seen: &mut HashMap<String, usize>,
) -> Line {
    let mut notes = Vec::new();
    let name = cell("name").unwrap_or_default();
    let mut judged = || -> Result<Outcome, String> {
        let mut keys: Vec<(&'static str, String)> = Vec::new();
        for column in COLUMNS.into_iter().filter(|column| *column != "id") {
            let Some(text) = cell(column) else { continue };
            let text = match column {
                "address" => address(&text, &mut notes)?,
                "serial" => digits(&text, &mut notes)?,
                _ => text,
            };
            keys.push((column, text));
        }
        let of = |key: &str| keys.iter().find(|(it, _)| *it == key).map(|(_, text)| text.as_str());
        let id = cell("id").unwrap_or_default();
        let there = if id.is_empty() {
            let (bus, address) = (of("bus").unwrap_or_default(), of("address").unwrap_or_default());
            let is_it = |it: &&MeterInfo| it.bus == bus && it.address == address;
            site.meters.iter().find(is_it).filter(|_| !address.is_empty())
        } else {
            let there = site.meters.iter().find(|it| it.id.to_string() == id);
            Some(
                there.ok_or_else(|| {
                    format!("no meter has the id `{id}`; leave it out of a new one")
                })?,
            )
        };
        if let Some(meter) = there {
            if let Some(first) = seen.insert(meter.id.to_string(), number) {
                return Err(format!("line {first} is about the same meter"));
            }
            let before = |key: &str| told(meter, key);
            let changed: Vec<_> = keys
                .iter()
                .filter(|(key, after)| {
                    *after != before(key) && !(after.is_empty() && is_found(key))
                })
                .map(|(key, after)| (*key, before(key), after.clone()))
                .collect();
            return Ok(if changed.is_empty() {
                Outcome::Same
            } else {
                Outcome::Changed(meter.id.to_string(), changed)
            });
        }
        for key in ["name", "bus", "address"] {
            if of(key).is_none_or(str::is_empty) {
                return Err(format!("a new meter needs `{key}`"));
            }
        }
        let bus = of("bus").unwrap_or_default();
        if !site.buses.iter().any(|it| it.id == bus) {
            return Err(format!("there is no bus `{bus}`"));
        }
        let place = format!("{bus} {}", of("address").unwrap_or_default());
        if let Some(first) = seen.insert(place, number) {
            return Err(format!("line {first} has the same address"));
        }
        Ok(Outcome::New(keys.into_iter().filter(|(_, text)| !text.is_empty()).collect()))
    };
    let outcome = judged().unwrap_or_else(Outcome::Wrong);
    Line { number, name, outcome, notes }
}

/// What the configuration may leave to the meter itself: an empty cell says so too.
fn is_found(key: &str) -> bool {
    matches!(key, "medium" | "profile")
}

/// A meter's key as the table shows it.
pub(crate) fn told(meter: &MeterInfo, key: &str) -> String {
    match key {
        "id" => meter.id.to_string(),
        "name" => meter.name.clone(),
        "bus" => meter.bus.clone(),
        "address" => meter.address.clone(),
        "medium" => meter.medium.map(metering::Medium::code).unwrap_or_default().to_owned(),
        "profile" => meter.profile.clone().unwrap_or_default(),
        "serial" => meter.serial.clone().unwrap_or_default(),
        "place" => meter.place.clone().unwrap_or_default(),
        "tags" => meter.tags.join(", "),
        "part_of" => meter.part_of.map(|it| it.to_string()).unwrap_or_default(),
        _ => String::new(),
    }
}

/// An address on the bus, or a meter's own of eight digits and more.
fn address(text: &str, notes: &mut Vec<String>) -> Result<String, String> {
    let text = digits(text, notes)?;
    let is_number = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    if is_number && (4..8).contains(&text.len()) {
        notes.push(format!("`{text}` has lost its leading zeros: read as `{text:0>8}`"));
        return Ok(format!("{text:0>8}"));
    }
    // A meter's own number is written in capitals; a sensor's name is what it is.
    let is_own =
        text.len() >= 8 && text.bytes().take(8).all(|it| matches!(it, b'0'..=b'9' | b'F' | b'f'));
    Ok(if is_own { text.to_uppercase() } else { text })
}

/// Undoes what spreadsheets do to a number that is a name.
fn digits(text: &str, notes: &mut Vec<String>) -> Result<String, String> {
    let plain = text.replace([' ', '\u{a0}', '\u{202f}'], "");
    if let Some(whole) = plain.strip_suffix(",0").or_else(|| plain.strip_suffix(".0"))
        && !whole.is_empty()
        && whole.bytes().all(|it| it.is_ascii_digit())
    {
        notes.push(format!("`{text}` read as `{whole}`"));
        return Ok(whole.to_owned());
    }
    let Some((mantissa, exponent)) = plain.split_once(['E', 'e']) else { return Ok(plain) };
    let (Ok(exponent), true) = (
        exponent.trim_start_matches('+').parse::<usize>(),
        mantissa.bytes().all(|it| it.is_ascii_digit() || matches!(it, b'.' | b',')),
    ) else {
        return Ok(plain);
    };
    let (whole, fraction) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, ""));
    // `67E00012` could be a number of eight letters and digits; a spreadsheet writes one digit first.
    if whole.len() != 1 || exponent > 20 {
        return Ok(plain);
    }
    if fraction.len() < exponent {
        return Err(format!(
            "`{text}` is what a spreadsheet made of a long number, and its last digits are lost: \
             set the column to Text and type the number again"
        ));
    }
    let read: String = format!("{whole}{fraction}").chars().take(exponent + 1).collect();
    notes.push(format!("`{text}` read as `{read}`"));
    Ok(read)
}

/// As UTF-8, or as the code page of Western Europe, in which letters are those of Latin-1.
fn decoded(file: &[u8]) -> String {
    let file = file.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(file);
    match std::str::from_utf8(file) {
        Ok(text) => text.to_owned(),
        Err(_) => file.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// The cells of each line, and its number: RFC 4180, with whichever separator the first line has most of.
fn rows(text: &str) -> Vec<(usize, Vec<String>)> {
    let head = text.lines().next().unwrap_or_default();
    // Excel may say its separator in a line of its own.
    let said = head.strip_prefix("sep=").and_then(|it| it.chars().next());
    let most =
        [';', '\t', ','].into_iter().max_by_key(|it| (head.matches(*it).count(), *it == ';'));
    let separator = said.or(most).unwrap_or(';');

    let mut rows = Vec::new();
    let (mut row, mut cell, mut quoted, mut line, mut begun) =
        (Vec::new(), String::new(), false, 1, 1);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        line += usize::from(letter == '\n');
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => cell.extend(letters.next()),
            '"' if quoted || cell.is_empty() => quoted = !quoted,
            letter if letter == separator && !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell).trim_end_matches('\r').to_owned());
                rows.push((begun, std::mem::take(&mut row)));
                begun = line;
            }
            letter => cell.push(letter),
        }
    }
    row.push(cell);
    rows.push((begun, row));
    rows.retain(|(number, _)| said.is_none() || *number > 1);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::site;

    fn told_of(file: &str) -> Vec<String> {
        told_of_bytes(file.as_bytes())
    }

    fn told_of_bytes(file: &[u8]) -> Vec<String> {
        let lines = match compared(file, &site()) {
            Ok(lines) => lines,
            Err(NoList(why)) => return vec![why],
        };
        let told = |line: Line| {
            let outcome = match line.outcome {
                Outcome::New(keys) => {
                    let keys: Vec<_> =
                        keys.iter().map(|(key, text)| format!("{key}={text}")).collect();
                    format!("new {}", keys.join(" "))
                }
                Outcome::Changed(_, keys) => {
                    let keys: Vec<_> = keys
                        .iter()
                        .map(|(key, from, to)| format!("{key}: {from} → {to}"))
                        .collect();
                    format!("changed {}", keys.join(", "))
                }
                Outcome::Same => "same".to_owned(),
                Outcome::Wrong(why) => format!("wrong: {why}"),
            };
            format!("{} {outcome}", line.number)
        };
        lines.into_iter().map(told).collect()
    }

    #[track_caller]
    fn check(file: &str, expected: &[&str]) {
        assert_eq!(told_of(file), expected);
    }

    #[test]
    fn a_line_is_new_changed_or_the_same() {
        check(
            "name;bus;address;place\r\nFjernvarme;riser-a;17;Kjeller\r\nVarme 3. etg.;riser-a;18;\r\n\r\nNy;riser-a;67001122KAM0807;\"A; \"\"B\"\"\"\r\n",
            &[
                "2 changed place:  → Kjeller",
                "3 same",
                "5 new name=Ny bus=riser-a address=67001122KAM0807 place=A; \"B\"",
            ],
        );
    }

    #[test]
    fn what_a_spreadsheet_does_is_undone_or_said() {
        check(
            "\u{feff}bus,name,address\nriser-a,One,\"17,0\"\nriser-a,Two,\"6,7001122E+07\"\nriser-a,Three,\"6,70011E+07\"\nriser-a,Four,1122334\nriser-a,Five,67E00012\n",
            &[
                "2 changed name: Fjernvarme → One",
                "3 new name=Two bus=riser-a address=67001122",
                "4 wrong: `6,70011E+07` is what a spreadsheet made of a long number, and its last digits are lost: set the column to Text and type the number again",
                "5 new name=Four bus=riser-a address=01122334",
                "6 new name=Five bus=riser-a address=67E00012",
            ],
        );
        // The code page of a Western European Excel, and its way of saying the separator.
        let file = b"sep=;\nname;bus;address\nKj\xf8kken;riser-a;3\n";
        assert_eq!(told_of_bytes(file), ["3 new name=Kjøkken bus=riser-a address=3"]);
    }

    #[test]
    fn what_makes_no_sense_is_said_with_its_line() {
        check("", &["The file is empty."]);
        check(
            "name;adress\n",
            &[
                "The column `adress` is not known; there are id, name, bus, address, medium, profile, serial, place, tags, part_of.",
            ],
        );
        check(
            "bus;address\nriser-a;1\n",
            &["The first line names the columns; `name` or `id` is missing."],
        );
        check(
            "id;name;bus;address\n;New;riser-a;\n;New;attic;4\nx;;;\n;A;riser-a;4\n;B;riser-a;4\n",
            &[
                "2 wrong: a new meter needs `address`",
                "3 wrong: there is no bus `attic`",
                "4 wrong: no meter has the id `x`; leave it out of a new one",
                "5 new name=A bus=riser-a address=4",
                "6 wrong: line 5 has the same address",
            ],
        );
    }
}
