//! `fyrhus sla evaluate` as whoever settles a claim runs it: the worked examples of the promise of
//! uptime, each under its number, and cases that are refused.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use site_tests::paths;

/// Status, answers and standard error of cases, one on each line.
fn evaluate(lines: &str) -> (i32, Vec<Value>, String) {
    let mut child = Command::new(paths::binary("fyrhus").unwrap())
        .args(["sla", "evaluate", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines = lines.to_owned();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code().unwrap(), answers, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn every_worked_example_comes_to_what_it_says() {
    let examples: Vec<Value> = include_str!("sla/examples.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let numbers: BTreeSet<u64> =
        examples.iter().map(|it| it["example"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=20).collect());

    let cases: Vec<String> = examples.iter().map(|it| it["case"].to_string()).collect();
    let (status, results, error) = evaluate(&cases.join("\n"));
    assert_eq!((status, error.as_str(), results.len()), (0, "", examples.len()));
    for (example, result) in examples.iter().zip(&results) {
        assert_eq!(result["id"], example["case"]["id"]);
        for (place, expected) in example["expect"].as_object().unwrap() {
            let found = result.pointer(place);
            assert_eq!(found, Some(expected), "{place} of example {}", result["id"]);
        }
        let totals = &result["totals"];
        let parts = ["short_s", "excluded_s", "counted_s"].map(|it| totals[it].as_i64().unwrap());
        assert_eq!(totals["down_s"], parts.iter().sum::<i64>(), "{}", result["id"]);
    }
}

#[test]
fn a_case_that_is_refused_has_a_code_and_a_sentence_with_its_place() {
    let good = json!({
        "schema": "sla-case/1", "id": 7, "month": "2026-01", "fee": {"annual_ore": 1},
    });
    let with = |key: &str, value: Value| {
        let mut case = good.clone();
        case[key] = value;
        case.to_string()
    };
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let lines = [
        (with("month", json!("2026-13")), "bad_month", "line 1: $.month: \"2026-13\" is here"),
        (with("fee", json!({"annual_ore": 1.5})), "bad_fee", "line 2: $.fee.annual_ore: 1.5"),
        (
            with("outages", json!([{"id": "a", "start": "2026-01-01T00:00:00Z", "end": 1}])),
            "bad_time",
            "line 3: $.outages[0].end: 1 is here",
        ),
        (with("policy", json!({"rounding": "up"})), "bad_policy", "line 4: $.policy.rounding"),
        (with("cap", json!({"paid_last_12_months_ore": -1})), "bad_cap", "line 5: $.cap.paid"),
        (deep, "bad_json", "line 6: $: this is not JSON"),
        (with("fee", json!({"annual_ore": u64::MAX})), "bad_fee", "line 7: $.fee.annual_ore"),
    ];
    let mut text: Vec<String> = lines.iter().map(|(line, ..)| line.clone()).collect();
    text.push(good.to_string());
    let (status, answers, error) = evaluate(&text.join("\n"));
    assert_eq!(status, 2);
    let said: Vec<&str> = error.lines().collect();
    assert_eq!((answers.len(), said.len()), (lines.len() + 1, lines.len()), "{error}");
    for (((_, code, sentence), answer), said) in lines.iter().zip(&answers).zip(said) {
        assert_eq!(answer, &json!({"schema": "sla-result/1", "error": code}));
        assert!(said.contains(sentence), "{said}");
    }
    assert_eq!(answers[lines.len()]["id"], 7, "those after it are answered all the same");
}
