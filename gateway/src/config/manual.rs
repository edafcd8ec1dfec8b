//! The manual's page on both files, printed from their tables of keys.

use super::key::Table;
use super::{machine, site};

/// The page, in Markdown.
pub fn page() -> String {
    [HEAD.to_owned(), section(MACHINE, machine::TABLES), section(SITE, site::TABLES)].concat()
}

fn section(head: &str, tables: &[&Table]) -> String {
    let mut lines = vec![head.to_owned()];
    for table in tables {
        lines.push(format!("\n### `{table}`\n\n{}\n\n", table.says));
        lines.push("| Key | Takes | Without it | For |\n|---|---|---|---|\n".to_owned());
        lines.extend(table.keys.iter().map(|key| {
            let (name, says) = (key.name, key.says);
            format!("| `{name}` | {} | {} | {says} |\n", key.takes, key.without)
        }));
    }
    lines.concat()
}

const HEAD: &str = "\
# Configuration

<!-- Printed from the tables of keys in the source; do not edit. -->

The gateway reads two files, both in TOML.

`fyrhus check-config FILE` checks either of them and lists every mistake with its line and what to
write instead. Check a file before you put it in place. A file with mistakes never stops the
gateway: it goes on with the last good one, of which it keeps a copy, and says what is wrong in the
log and on its pages. Without any good one it starts in commissioning mode, with its pages alone.

A changed `site.toml` is taken over within seconds, or at once on `SIGHUP`
(`systemctl reload fyrhus`). Only the buses that changed are started anew, after the meter that is
being read. `fyrhus.toml` is read when the gateway starts.
";

const MACHINE: &str = "
## `/etc/fyrhus/fyrhus.toml`: the machine

Every key may be left out.
";

const SITE: &str = "
## `site.toml` in the state directory: the building

```toml
[site]
id = \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77\"
name = \"Kvernhusgata 4\"

[[bus]]
id = \"riser-a\"
kind = \"mbus\"
port = \"tcp://10.0.4.2:10001\"
poll_every_secs = 60

[[meter]]
id = \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e01\"
name = \"Heat, main meter\"
bus = \"riser-a\"
address = 5
```
";

#[cfg(test)]
mod tests {
    use std::{env, fs};

    use super::*;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operator/configuration.md");

    /// `UPDATE=1 cargo test -p gateway` writes the page anew.
    #[test]
    fn the_page_in_the_manual_is_that_of_the_tables() {
        if env::var_os("UPDATE").is_some() {
            fs::write(PAGE, page()).unwrap();
        }
        let written = fs::read_to_string(PAGE).unwrap_or_default();
        assert!(written == page(), "run UPDATE=1 cargo test -p gateway, and commit {PAGE}");
    }

    #[test]
    fn the_example_of_the_page_loads() {
        let example = SITE.split("```toml\n").nth(1).and_then(|it| it.split("```").next());
        site::Site::load(example.unwrap(), &[]).unwrap();
    }
}
