//! The files that are made from the routes and wire structs: `openapi.json`, and the types of the
//! front end. `UPDATE=1 cargo test -p web-ui` writes them.

use std::path::Path;

use openapi::typescript::{Union, golden, typescript};

use crate::problem::Code;
use crate::routes::description;
use crate::told::{SaidKind, TroubleCode};

const HOW: &str = "cargo test -p web-ui";

#[test]
fn the_description_of_the_api_is_up_to_date() {
    let mut text = serde_json::to_string_pretty(&description()).unwrap();
    text.push('\n');
    golden(&Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json"), &text, HOW);
}

#[test]
fn the_types_of_the_front_end_are_up_to_date() {
    let description = serde_json::to_value(description()).unwrap();
    let unions = [
        Union {
            name: "ProblemCode",
            what: "What a failure is",
            words: Code::ALL.iter().map(|it| it.as_str()).collect(),
        },
        Union {
            name: "TroubleCode",
            what: "What ails a wire",
            words: TroubleCode::ALL.iter().map(|it| it.as_str()).collect(),
        },
        Union {
            name: "SaidKind",
            what: "What is told of something that is no number",
            words: SaidKind::ALL.iter().map(|it| it.as_str()).collect(),
        },
    ];
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("app/src/lib/api.gen.ts");
    golden(&path, &typescript(&description, &unions, HOW), HOW);
}
