//! The files that are made from the routes and wire structs: `openapi.json`, and the types of the
//! front end. `UPDATE=1 cargo test -p web-ui` writes them.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::problem::Code;
use crate::routes::description;
use crate::told::{SaidKind, TroubleCode};

#[test]
fn the_description_of_the_api_is_up_to_date() {
    let mut text = serde_json::to_string_pretty(&description()).unwrap();
    text.push('\n');
    golden("openapi.json", &text);
}

#[test]
fn the_types_of_the_front_end_are_up_to_date() {
    let description = serde_json::to_value(description()).unwrap();
    golden("app/src/lib/api.gen.ts", &typescript(&description));
}

/// Compares `text` with the file that is committed, or writes it.
#[track_caller]
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "{name} is out of date: UPDATE=1 cargo test -p web-ui writes it; look at the difference"
    );
}

fn typescript(description: &Value) -> String {
    let mut text = String::from(
        "// Made from the wire structs by `UPDATE=1 cargo test -p web-ui`. Do not edit.\n",
    );
    let said = SaidKind::ALL.iter().map(|it| it.as_str());
    for (name, what, codes) in [
        ("ProblemCode", "What a failure is", Code::ALL.iter().map(|it| it.as_str()).collect()),
        (
            "TroubleCode",
            "What ails a wire",
            TroubleCode::ALL.iter().map(|it| it.as_str()).collect(),
        ),
        ("SaidKind", "What is told of something that is no number", said.collect::<Vec<_>>()),
    ] {
        union(&mut text, name, what, codes);
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

/// A closed set of codes, of which the language files have a sentence for each.
fn union(text: &mut String, name: &str, what: &str, mut codes: Vec<&str>) {
    writeln!(text, "\n/** {what}; the language files have a sentence for each. */").unwrap();
    write!(text, "export type {name} =").unwrap();
    codes.sort_unstable();
    for code in codes {
        write!(text, "\n  | '{code}'").unwrap();
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
