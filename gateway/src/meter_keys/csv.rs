//! Keys in a table: a meter a line, between commas, semicolons or tabs.
//!
//! ```text
//! Serial number;AES key;Authentication key      columns are found by their names
//! 67001122;00112233445566778899AABBCCDDEEFF;
//!
//! 67001122,00112233445566778899AABBCCDDEEFF     without names: number, key, authentication key
//! ```

use anyhow::{Context as _, bail};
use drivers::{KeyName, MeterKeys};

/// Which column is which.
struct Columns {
    number: usize,
    encryption: usize,
    authentication: Option<usize>,
}

pub(super) fn read(bytes: &[u8]) -> anyhow::Result<Vec<(KeyName, MeterKeys)>> {
    let text = std::str::from_utf8(bytes).context("the file is no text in UTF-8")?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let separator = [';', '\t', ','].into_iter().find(|it| text.contains(*it));
    let separator = separator.context(
        "the file is neither a table (number and key between commas, semicolons or tabs) nor a KEM \
         file",
    )?;
    let mut columns = Columns { number: 0, encryption: 1, authentication: Some(2) };
    let mut keys = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let fields: Vec<&str> =
            line.split(separator).map(|it| it.trim().trim_matches('"').trim()).collect();
        if fields.iter().all(|field| field.is_empty()) {
            continue;
        }
        if keys.is_empty()
            && let Some(named) = named(&fields)
        {
            columns = named;
            continue;
        }
        // What stands there may be a key in part: it is not repeated.
        let line = index + 1;
        let field = |at: usize| fields.get(at).copied().filter(|it| !it.is_empty());
        let number = field(columns.number).and_then(|it| it.parse().ok());
        let Some(number) = number else { bail!("line {line} has no meter's number") };
        let encryption = field(columns.encryption).and_then(|it| it.parse().ok());
        let Some(encryption) = encryption else {
            bail!("line {line} has no key: one has 32 hex digits")
        };
        let authentication = columns.authentication.and_then(field).map(str::parse).transpose();
        let Ok(authentication) = authentication else {
            bail!("line {line}: what stands for the authentication key has not 32 hex digits")
        };
        keys.push((number, MeterKeys { encryption, authentication }));
    }
    if keys.is_empty() {
        bail!("the file has no key");
    }
    Ok(keys)
}

/// The columns, if `fields` are their names.
fn named(fields: &[&str]) -> Option<Columns> {
    let names: Vec<String> = fields
        .iter()
        .map(|it| it.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect())
        .collect();
    let find = |wanted: &[&str]| {
        wanted.iter().find_map(|wanted| names.iter().position(|name| name == wanted))
    };
    let authentication =
        find(&["authenticationkey", "authentication", "authkey", "gak", "ak", "gpk61"]);
    Some(Columns {
        number: find(&[
            "serialnumber",
            "serialno",
            "serial",
            "meternumber",
            "meterno",
            "meter",
            "number",
            "id",
            "deviceid",
            "maalernummer",
            "mlernummer",
        ])?,
        encryption: find(&[
            "aeskey",
            "encryptionkey",
            "key",
            "aes",
            "dek",
            "guek",
            "ek",
            "gpk60",
            "decryptionkey",
            "nkkel",
            "nggle",
        ])?,
        authentication,
    })
}
