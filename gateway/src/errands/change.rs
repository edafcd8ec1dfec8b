//! What a change of the portfolio's does to `site.toml`: key by key, and everything else stays as somebody
//! wrote it.
//!
//! **Never true:** that a change from afar touches what is not in [`LIST`]: who may get in, keys, ports and
//! listeners, which meters there are, where the readings go.

use cloud_sync::{KeyChange, KeyValue};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, Value};

use crate::config::{Mistake, Site};

/// The sections, whether there are several of them, and their keys that can be changed from afar.
pub(super) const LIST: [(&str, bool, &[&str]); 4] = [
    ("site", false, &["name", "place"]),
    ("bus", true, &["name", "poll_every_secs"]),
    ("meter", true, &["name", "place", "poll_every_secs"]),
    ("cloud", false, &["profile", "data_mb_a_month", "proxy"]),
];

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    /// The whole file.
    pub(super) text: String,
    /// The lines that are other: `- ` before what goes, `+ ` before what comes, each under its section.
    pub(super) lines: String,
    /// The same for the portfolio, which does not learn where in this network the gateway turns to.
    pub(super) told: String,
}

/// The lines for the people here, and those for the portfolio.
#[derive(Default)]
struct Lines {
    place: String,
    here: Vec<String>,
    told: Vec<String>,
}

impl Lines {
    fn begin(&mut self, place: String) {
        if self.place != place {
            self.here.push(place.clone());
            self.told.push(place.clone());
            self.place = place;
        }
    }
}

/// Whether somebody here has to allow it each time, whatever is left to the portfolio: it says where in this
/// network the gateway turns to.
pub(super) fn is_for_people(changes: &[KeyChange]) -> bool {
    changes.iter().any(is_of_the_network)
}

fn is_of_the_network(change: &KeyChange) -> bool {
    change.section == "cloud" && change.key == "proxy"
}

/// `text` with `changes`, if it is a good configuration then.
///
/// # Errors
///
/// In lines which of them cannot be made, or what would be wrong and where.
pub(super) fn made(
    text: &str,
    changes: &[KeyChange],
    profiles: &[&str],
) -> Result<Changed, String> {
    let mut document: DocumentMut = text
        .parse()
        .map_err(|_| "the configuration of the gateway cannot be read as it is".to_owned())?;
    let (mut lines, mut mistakes) = (Lines::default(), Vec::new());
    for change in changes {
        if let Err(mistake) = make(&mut document, change, &mut lines) {
            mistakes.push(mistake);
        }
    }
    if !mistakes.is_empty() {
        return Err(mistakes.join("\n"));
    }
    if lines.here.is_empty() {
        return Err("this changes nothing: the configuration says so already".to_owned());
    }
    let changed = document.to_string();
    if let Err(mistakes) = Site::load(&changed, profiles) {
        let told: Vec<String> = mistakes.iter().map(|it| placed(&changed, it)).collect();
        return Err(told.join("\n"));
    }
    Ok(Changed { text: changed, lines: lines.here.join("\n"), told: lines.told.join("\n") })
}

fn make(document: &mut DocumentMut, change: &KeyChange, lines: &mut Lines) -> Result<(), String> {
    let KeyChange { section, id, key, value: wanted } = change;
    let Some((_, several, keys)) = LIST.iter().find(|(name, ..)| name == section) else {
        return Err(format!("the section [{section}] cannot be changed from afar"));
    };
    if !keys.contains(&key.as_str()) {
        let keys = keys.join(", ");
        return Err(format!("of [{section}] only {keys} can be changed from afar, not {key}"));
    }
    let place = if *several { format!("[[{section}]] {id}") } else { format!("[{section}]") };
    let table = if *several { one_of(document, section, id) } else { the(document, section, id) };
    let table = table.ok_or_else(|| format!("the configuration of the gateway has no {place}"))?;
    // People know it by its name.
    let place = match table.get("name").and_then(Item::as_str) {
        Some(name) if *several => format!("{place} # {name}"),
        _ => place,
    };
    let before = table.get(key).and_then(Item::as_value).map(said);
    let after = wanted.as_ref().map(of);
    let after_said = after.as_ref().map(said);
    let is_of_the_network = is_of_the_network(change);
    if before == after_said {
        // Whether it says so already is not told from afar: whoever guesses would learn it.
        if is_of_the_network {
            lines.begin(place);
            let stays = before.map_or_else(|| format!("  {key}"), |it| format!("  {key} = {it}"));
            lines.here.push(stays);
            lines.told.push(format!("  {key}: {HERE_ALONE}"));
        }
        return Ok(());
    }
    match after {
        Some(after) => web_ui::put_into_toml(table, key, after),
        None => drop(table.remove(key)),
    }
    lines.begin(place);
    let other = [
        before.map(|it| format!("- {key} = {it}")),
        after_said.map(|it| format!("+ {key} = {it}")),
    ];
    let other = other.into_iter().flatten();
    if is_of_the_network {
        lines.told.push(format!("  {key}: {HERE_ALONE}"));
        lines.here.extend(other);
    } else {
        for line in other {
            lines.told.push(line.clone());
            lines.here.push(line);
        }
    }
    Ok(())
}

const HERE_ALONE: &str = "what it is and becomes is shown at the gateway alone";

fn the<'d>(document: &'d mut DocumentMut, section: &str, id: &str) -> Option<&'d mut Table> {
    document.get_mut(section)?.as_table_mut().filter(|_| id.is_empty())
}

fn one_of<'d>(document: &'d mut DocumentMut, section: &str, id: &str) -> Option<&'d mut Table> {
    let tables: &mut ArrayOfTables = document.get_mut(section)?.as_array_of_tables_mut()?;
    tables.iter_mut().find(|it| it.get("id").and_then(Item::as_str) == Some(id))
}

fn of(wanted: &KeyValue) -> Value {
    match wanted {
        // What is too large for TOML is too large for every key.
        KeyValue::Number(number) => Value::from(i64::try_from(*number).unwrap_or(i64::MAX)),
        KeyValue::Text(text) => Value::from(text.as_str()),
    }
}

/// Without what stands around it.
fn said(value: &Value) -> String {
    let mut bare = value.clone();
    bare.decor_mut().clear();
    bare.to_string()
}

/// A mistake with the section that it is in: whoever asked from afar does not see the lines.
fn placed(text: &str, mistake: &Mistake) -> String {
    let above = text.lines().take(mistake.line);
    let is_header = |line: &str| line.starts_with('[');
    let header = above.filter(|line| is_header(line)).last().unwrap_or_default().trim();
    let at = mistake.line.saturating_sub(1);
    let begins = (0..=at).rev().find(|at| text.lines().nth(*at).is_some_and(is_header));
    let mut body = text.lines().skip(begins.map_or(0, |it| it + 1)).take_while(|it| !is_header(it));
    let id = body.find_map(|line| line.strip_prefix("id = ")).unwrap_or_default();
    let id = id.trim().trim_matches('"');
    format!("{header} {id}, line {}: {}", mistake.line, mistake.advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[site]\nid = \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77\"\nname = \"Old\" # as on the door\n\n\
                        [[bus]]\nid = \"riser\"\nkind = \"mbus\"\nport = \"tcp://10.0.4.2:10001\"\n\n\
                        [[meter]]\nid = \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e01\"\nbus = \"riser\"\nname = \"One\"\naddress = 1\n\n\
                        [cloud]\nurl = \"https://a.example\"\n";
    const METER: &str = "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e01";

    fn change(section: &str, id: &str, key: &str, value: impl Into<Option<KeyValue>>) -> KeyChange {
        let [section, id, key] = [section, id, key].map(str::to_owned);
        let value = value.into();
        KeyChange { section, id, key, value }
    }

    fn text(text: &str) -> KeyValue {
        KeyValue::Text(text.to_owned())
    }

    #[test]
    fn what_is_wanted_changes_and_nothing_else() {
        let wanted = [
            change("site", "", "name", text("New \"house\"")),
            change("site", "", "place", text("Bergen")),
            change("meter", METER, "poll_every_secs", KeyValue::Number(300)),
            change("meter", METER, "name", text("One")),
        ];
        let changed = made(TEXT, &wanted, &[]).unwrap();
        let expected = TEXT
            .replace(
                "\"Old\" # as on the door\n",
                "'New \"house\"' # as on the door\nplace = \"Bergen\"\n",
            )
            .replace("address = 1\n", "address = 1\npoll_every_secs = 300\n");
        assert_eq!(changed.text, expected);
        let lines = [
            "[site]",
            "- name = \"Old\"",
            "+ name = 'New \"house\"'",
            "+ place = \"Bergen\"",
            "[[meter]] 019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e01 # One",
            "+ poll_every_secs = 300",
        ];
        assert_eq!(changed.lines, lines.join("\n"));
        assert_eq!(changed.told, changed.lines);

        let back = [change("site", "", "place", None)];
        let changed = made(&changed.text, &back, &[]).unwrap();
        assert_eq!(changed.lines, "[site]\n- place = \"Bergen\"");
    }

    #[track_caller]
    fn refused(changes: &[KeyChange], because: &str) {
        let why = made(TEXT, changes, &[]).unwrap_err();
        assert!(why.contains(because), "{why}");
    }

    #[test]
    fn what_is_not_on_the_list_is_refused_by_name() {
        refused(&[change("broker", "", "listen", text("0.0.0.0:1"))], "[broker] cannot be changed");
        let only = "only name, place, poll_every_secs";
        refused(&[change("meter", METER, "serial", text("8"))], only);
        let only = "only profile, data_mb_a_month, proxy";
        refused(&[change("cloud", "", "url", text("https://evil"))], only);
        refused(&[change("site", "", "id", None)], "not id");
        refused(&[change("meter", "m2", "name", text("x"))], "has no [[meter]] m2");
        refused(&[change("site", "", "name", text("Old"))], "changes nothing");
        refused(&[change("site", "s", "name", text("x"))], "has no [site]");
        let two = [change("site", "", "id", None), change("bms", "", "listen", None)];
        refused(&two, "not id\nthe section [bms]");
    }

    #[test]
    fn what_would_be_wrong_is_told_with_its_place() {
        let fast = change("meter", METER, "poll_every_secs", KeyValue::Number(1));
        let place = "[[meter]] 019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e01, line 15: poll_every_secs = 1";
        refused(std::slice::from_ref(&fast), place);
        let none = change("site", "", "name", None);
        refused(&[fast, none], "[site] 019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77, line 1: ");
    }

    #[test]
    fn where_the_gateway_turns_to_is_for_the_people_here() {
        let proxy = change("cloud", "", "proxy", text("http://10.0.0.9:3128"));
        assert!(is_for_people(&[change("site", "", "name", None), proxy.clone()]));
        assert!(!is_for_people(&[change("cloud", "", "profile", text("metered"))]));
        assert!(made(TEXT, &[proxy], &[]).is_ok());
    }

    #[test]
    fn where_the_gateway_turns_to_is_not_told_from_afar() {
        let old = "http://10.0.4.9:3128";
        let with = format!("{TEXT}proxy = \"{old}\"\n");
        let name = change("site", "", "name", text("New"));
        let told = "[site]\n- name = \"Old\"\n+ name = \"New\"\n[cloud]\n  proxy: what it is and becomes \
                    is shown at the gateway alone";
        let new = "http://10.0.4.7:1";
        // As it is told whoever guesses right sees no more than whoever guesses wrong.
        for (of, to, here) in [
            (&*with, None, format!("- proxy = \"{old}\"")),
            (&*with, Some(new), format!("- proxy = \"{old}\"\n+ proxy = \"{new}\"")),
            (&*with, Some(old), format!("  proxy = \"{old}\"")),
            (TEXT, Some(new), format!("+ proxy = \"{new}\"")),
            (TEXT, None, "  proxy".to_owned()),
        ] {
            let proxy = change("cloud", "", "proxy", to.map(text));
            let changed = made(of, &[name.clone(), proxy.clone()], &[]).unwrap();
            assert_eq!(changed.told, told, "{to:?}");
            assert!(changed.lines.ends_with(&format!("\n[cloud]\n{here}")), "{}", changed.lines);
            assert!(made(of, &[proxy], &[]).is_ok(), "{to:?}");
        }
    }

    #[test]
    fn every_key_on_the_list_is_one_of_the_configuration() {
        for (section, several, keys) in LIST {
            let table = crate::config::site::TABLES.iter().find(|it| it.name == section).unwrap();
            assert_eq!(table.repeats, several, "{section}");
            for key in keys {
                assert!(table.keys.iter().any(|it| it.name == *key), "{section}.{key}");
            }
        }
    }
}
