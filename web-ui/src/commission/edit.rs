//! Changes of `site.toml` that the wizard makes for people: section by section, and everything else in
//! the file stays as somebody wrote it, remarks too.
//!
//! Whether the outcome is right is for the daemon to say, which checks it as a whole.

use metering::Moment;
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, Value, value};
use uuid::Uuid;

use crate::Web;
use crate::api::site::not_saved;
use crate::handles::{NotSaved, Wish};
use crate::problem::{Code, Problem};
use crate::session::Visitor;

/// Changes the newest version of `site.toml` and has the daemon take it over: the new version. Where somebody
/// else saved one in between, the same change is made of that.
pub(crate) async fn change(
    web: &Web,
    visitor: &Visitor,
    why: &str,
    change: impl Fn(&mut DocumentMut) -> Result<(), Problem>,
) -> Result<u64, Problem> {
    drop(web.change_by(visitor).await?);
    for _ in 0..TRIES {
        let newest = web.handles.core.current_version().await?;
        let (text, expected) = newest.map_or((String::new(), 0), |it| (it.text, it.number));
        let mut document: DocumentMut = text.parse().map_err(|_| {
            let detail = "The configuration cannot be read as it is; mend it under Setup first.";
            Problem::new(Code::ConfigWrong, detail).with("count", &1)
        })?;
        change(&mut document)?;
        let text = document.to_string();
        let (who, why) = (visitor.user.name.to_string(), why.to_owned());
        match web.wish(|reply| Wish::SaveSite { text, expected, who, why, reply }).await? {
            Err(NotSaved::Changed { .. }) => {}
            saved => return saved.map_err(not_saved),
        }
    }
    Err(Problem::new(Code::Busy, "Others are changing the configuration. Try again in a moment."))
}

/// Of two people one is first, of three one is second.
const TRIES: usize = 4;

/// The section of the building, made if there is none.
pub(crate) fn site<'d>(
    document: &'d mut DocumentMut,
    now: &Moment,
) -> Result<&'d mut Table, Problem> {
    let site = document.entry("site").or_insert_with(|| {
        let mut site = Table::new();
        site.insert("id", value(new_id(now)));
        Item::Table(site)
    });
    site.as_table_mut().ok_or_else(not_sections)
}

/// The sections `[[name]]`.
pub(crate) fn sections<'d>(
    document: &'d mut DocumentMut,
    name: &str,
) -> Result<&'d mut ArrayOfTables, Problem> {
    let sections =
        document.entry(name).or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    sections.as_array_of_tables_mut().ok_or_else(not_sections)
}

/// The section of the meter with this id.
pub(crate) fn meter<'d>(document: &'d mut DocumentMut, id: &str) -> Result<&'d mut Table, Problem> {
    let meters = sections(document, "meter")?;
    let is_it = |it: &&mut Table| it.get("id").and_then(Item::as_str) == Some(id);
    meters.iter_mut().find(is_it).ok_or_else(Problem::no_such_meter)
}

/// Sets `key` to `text`, or takes it away where that is empty.
pub(crate) fn set(table: &mut Table, key: &str, text: &str) {
    let text = text.trim();
    if text.is_empty() {
        table.remove(key);
    } else if table.get(key).and_then(Item::as_str) != Some(text) {
        put(table, key, Value::from(text));
    }
}

/// The same of a list.
pub(crate) fn set_list(table: &mut Table, key: &str, texts: &[String]) {
    let texts: Vec<&str> = texts.iter().map(|it| it.trim()).filter(|it| !it.is_empty()).collect();
    if texts.is_empty() {
        table.remove(key);
    } else {
        put(table, key, Value::Array(Array::from_iter(texts)));
    }
}

/// Sets `key` of a section; what stands around the old value stays, such as a remark behind it.
pub fn put(table: &mut Table, key: &str, new: Value) {
    if let Some(old) = table.get_mut(key).and_then(Item::as_value_mut) {
        let around = old.decor().clone();
        *old = new;
        *old.decor_mut() = around;
    } else {
        table.insert(key, Item::Value(new));
    }
}

/// `text` for the next building: a building and meters of their own, and nothing that belongs to one
/// device alone.
pub(crate) fn clone(text: &str, now: &Moment) -> Result<String, Problem> {
    let mut document: DocumentMut =
        text.parse().map_err(|_| Problem::malformed("the configuration cannot be read"))?;
    site(&mut document, now)?.insert("id", value(new_id(now)));
    document.remove("cloud");
    let meters = sections(&mut document, "meter")?;
    // Whoever is called by its own number is another device there.
    meters.retain(|meter| !meter.contains_key("secondary"));
    let mut ids = std::collections::HashMap::new();
    for meter in meters.iter_mut() {
        let new = new_id(now);
        if let Some(old) = meter.get("id").and_then(Item::as_str) {
            ids.insert(old.to_owned(), new.clone());
        }
        put(meter, "id", Value::from(new));
        meter.remove("serial");
    }
    for meter in meters.iter_mut() {
        let Some(whole) = meter.get("part_of").and_then(Item::as_str) else { continue };
        match ids.get(whole).cloned() {
            Some(whole) => put(meter, "part_of", Value::from(whole)),
            None => drop(meter.remove("part_of")),
        }
    }
    if meters.is_empty() {
        document.remove("meter");
    }
    Ok(document.to_string())
}

/// Version 7, so that what is newer sorts behind what is older.
pub(crate) fn new_id(now: &Moment) -> String {
    let ms = u64::try_from(now.wall_ms()).unwrap_or_default();
    let nanos = u32::try_from(ms % 1_000).unwrap_or_default() * 1_000_000;
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, ms / 1_000, nanos)).to_string()
}

fn not_sections() -> Problem {
    let detail = "The configuration writes its sections in another way than [site] and [[meter]]; \
                  change it under Setup.";
    Problem::new(Code::ConfigWrong, detail).with("count", &1)
}

#[cfg(test)]
mod tests {
    use metering::Clock as _;
    use store::testing::FixedClock;

    use super::*;

    const TEXT: &str = "# Ola's house\n[site]\nid = \"a\"  # for ever\nname = \"Old\" # as on the door\n\n\
                        [[bus]]\nid = \"riser\"\n\n[[meter]]\nid = \"m1\"\nname = \"One\"\naddress = 1\n\
                        serial = \"7\"\n\n[[meter]]\nid = \"m2\"\nname = \"Two\"\npart_of = \"m1\"\n";

    fn now() -> Moment {
        FixedClock::at(1_790_000_000_000).now()
    }

    #[test]
    fn what_is_not_changed_stays_as_somebody_wrote_it() {
        let mut document: DocumentMut = TEXT.parse().unwrap();
        set(site(&mut document, &now()).unwrap(), "name", "New");
        let two = meter(&mut document, "m2").unwrap();
        set(two, "name", "Zwei \"2\"");
        set(two, "part_of", " ");
        set_list(two, "tags", &["riser A".to_owned(), " ".to_owned()]);
        let expected = TEXT
            .replace("\"Old\"", "\"New\"")
            .replace("\"Two\"", "'Zwei \"2\"'")
            .replace("part_of = \"m1\"\n", "tags = [\"riser A\"]\n");
        assert_eq!(document.to_string(), expected);
        assert!(meter(&mut document, "m3").is_err());
    }

    #[test]
    fn a_file_is_begun_and_gone_on_with() {
        let mut document = DocumentMut::new();
        set(site(&mut document, &now()).unwrap(), "name", "House");
        let mut bus = Table::new();
        set(&mut bus, "id", "a");
        sections(&mut document, "bus").unwrap().push(bus);
        for name in ["one", "two"] {
            let mut meter = Table::new();
            set(&mut meter, "name", name);
            sections(&mut document, "meter").unwrap().push(meter);
        }
        let mut late = Table::new();
        set(&mut late, "id", "b");
        sections(&mut document, "bus").unwrap().push(late);
        let text = document.to_string();
        let lines: Vec<&str> =
            text.lines().filter(|it| !it.is_empty() && !it.starts_with("id = \"0")).collect();
        assert_eq!(
            lines,
            [
                "[site]",
                "name = \"House\"",
                "[[bus]]",
                "id = \"a\"",
                "[[bus]]",
                "id = \"b\"",
                "[[meter]]",
                "name = \"one\"",
                "[[meter]]",
                "name = \"two\""
            ]
        );
    }

    #[test]
    fn the_next_building_has_ids_of_its_own_and_no_device_of_this_one() {
        let text = format!(
            "{TEXT}\n[[meter]]\nid = \"m3\"\nsecondary = \"67001122\"\n[cloud]\nurl = \"https://a\"\n"
        );
        let clone = clone(&text, &now()).unwrap();
        for gone in ["\"a\"", "m1", "m2", "m3", "serial", "67001122", "cloud"] {
            assert!(!clone.contains(gone), "{gone}: {clone}");
        }
        let read: DocumentMut = clone.parse().unwrap();
        let meters = read["meter"].as_array_of_tables().unwrap();
        let of = |at: usize, key: &str| meters.get(at).unwrap()[key].as_str().unwrap().to_owned();
        assert_eq!(of(1, "part_of"), of(0, "id"));
        assert!(clone.contains("# Ola's house"));
    }
}
