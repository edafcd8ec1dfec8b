//! The shapes of a description as TypeScript, for the pages; and the files that hold what is made.
//!
//! What is made stands in the repository, so that a change of the API is seen in review. Only tests ask for it,
//! and panic when they find something that they do not know.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only tests call it; a test that cannot go on says where"
)]

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

/// A closed set of words, of which the language files have a sentence for each.
#[derive(Clone, Debug)]
pub struct Union<'a> {
    /// Of the type.
    pub name: &'a str,
    /// What its words are.
    pub what: &'a str,
    /// In any order.
    pub words: Vec<&'a str>,
}

/// Compares `text` with the file at `path`, or writes it if the environment has `UPDATE`; `how` is the command
/// that does.
///
/// # Panics
///
/// If they differ.
#[track_caller]
pub fn golden(path: &Path, text: &str, how: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    let name = path.file_name().unwrap_or_default().display();
    assert!(
        committed == text,
        "{name} is out of date: UPDATE=1 {how} writes it; look at the difference"
    );
}

/// The closed sets, and then the types of `description`; `how` is the command that makes them.
///
/// # Panics
///
/// If a schema has a type that is not known here.
pub fn typescript(description: &Value, unions: &[Union<'_>], how: &str) -> String {
    let mut text = format!("// Made from the wire structs by `UPDATE=1 {how}`. Do not edit.\n");
    for closed in unions {
        union(&mut text, closed);
    }
    for (name, schema) in description["components"]["schemas"].as_object().unwrap() {
        text.push('\n');
        comment(&mut text, "", schema);
        if schema["properties"].is_object() {
            writeln!(text, "export interface {name} {}", object(schema, "")).unwrap();
        } else {
            writeln!(text, "export type {name} = {};", of(schema, "")).unwrap();
        }
    }
    text
}

fn union(text: &mut String, closed: &Union<'_>) {
    let Union { name, what, words } = closed;
    writeln!(text, "\n/** {what}; the language files have a sentence for each. */").unwrap();
    write!(text, "export type {name} =").unwrap();
    let mut words = words.clone();
    words.sort_unstable();
    for word in words {
        write!(text, "\n  | '{word}'").unwrap();
    }
    text.push_str(";\n");
}

fn comment(text: &mut String, indent: &str, schema: &Value) {
    if let Some(description) = schema["description"].as_str() {
        let description = description.split_whitespace().collect::<Vec<_>>().join(" ");
        writeln!(text, "{indent}/** {description} */").unwrap();
    }
}

fn object(schema: &Value, indent: &str) -> String {
    let mut text = String::from("{\n");
    let deeper = format!("{indent}  ");
    for (key, property) in schema["properties"].as_object().unwrap() {
        comment(&mut text, &deeper, property);
        let required = schema["required"].as_array();
        let required = required.is_some_and(|keys| keys.iter().any(|it| it == key));
        let optional = if required { "" } else { "?" };
        writeln!(text, "{deeper}{key}{optional}: {};", of(property, &deeper)).unwrap();
    }
    write!(text, "{indent}}}").unwrap();
    text
}

fn of(schema: &Value, indent: &str) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.rsplit('/').next().unwrap().to_owned();
    }
    for (key, joined) in [("oneOf", " | "), ("anyOf", " | "), ("allOf", " & ")] {
        if let Some(parts) = schema[key].as_array() {
            let mut parts: Vec<String> = parts.iter().map(|part| of(part, indent)).collect();
            parts.sort_by_key(|part| part == "null");
            return parts.join(joined);
        }
    }
    match &schema["type"] {
        Value::Array(types) => {
            let each = types.iter().map(|one| {
                let mut schema = schema.clone();
                schema["type"] = one.clone();
                of(&schema, indent)
            });
            each.collect::<Vec<_>>().join(" | ")
        }
        Value::String(word) => match word.as_str() {
            "integer" | "number" => "number".into(),
            "array" => match of(&schema["items"], indent) {
                items if items.contains(' ') => format!("({items})[]"),
                items => format!("{items}[]"),
            },
            "object" if schema["properties"].is_object() => object(schema, indent),
            "object" => {
                format!("Record<string, {}>", of(&schema["additionalProperties"], indent))
            }
            word => word.to_owned(),
        },
        _ => panic!("no type is known for {schema}"),
    }
}
