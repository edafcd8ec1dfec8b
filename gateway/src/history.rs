//! Whether the versions of the configuration and the audit log are what was written, and a version as a file
//! that proves itself elsewhere.
//!
//! Such a file is the version's own text under a head of comments: `fyrhus check-config` reads it, any diff
//! compares two of them, and whoever knows the gateway's key sees that nothing in it was changed.
//!
//! **Never true:** a version or an entry is called proven whose chain is broken before it, or that only a
//! key other than the one asked for has signed.

use anyhow::bail;
use chrono::{DateTime, SecondsFormat, Utc};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use store::{Core, History, Store, StoreError, Version, VersionProof};
use tokio::sync::oneshot;
use web_ui::{AuditStands, BrokenEntry, HistoryProof, VersionStands};

/// What the pages ask of it.
#[derive(Clone, Debug)]
pub(crate) struct Histories {
    core: Core,
    /// Of this device.
    key: VerifyingKey,
}

impl Histories {
    /// Those of `store`, which `device` signs.
    pub(crate) fn of(store: &Store, device: &SigningKey) -> Self {
        Self { core: store.core(), key: device.verifying_key() }
    }

    /// Beside the others: all of it is read.
    pub(crate) fn prove(&self, reply: oneshot::Sender<Result<HistoryProof, StoreError>>) {
        let Self { core, key } = self.clone();
        tokio::spawn(async move {
            let proven = core.history().await.map(|history| for_pages(&history, &key));
            // Whoever asked may have gone away.
            drop(reply.send(proven));
        });
    }

    /// The version as a file; `None` if there is none of that number, or it is older than signatures.
    pub(crate) fn export(
        &self,
        number: u64,
        reply: oneshot::Sender<Result<Option<String>, StoreError>>,
    ) {
        let Self { core, key } = self.clone();
        tokio::spawn(async move {
            let version = core.version(number).await;
            drop(reply.send(version.map(|it| it.and_then(|version| document(&version, &key)))));
        });
    }
}

/// How a version stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The key has signed it, and it is what was saved.
    Signed,
    /// It is older than signatures, and what was there when they began.
    Earlier,
    /// It is not proven: why, as the rest of a sentence.
    Broken(String),
}

/// How each version stands, in their order: behind one that is broken only the signature of each speaks.
pub(crate) fn standings<'a>(
    history: &'a History,
    key: &'a VerifyingKey,
) -> impl Iterator<Item = (&'a VersionProof, Standing)> {
    history.versions.iter().map(|version| {
        let standing = match (&version.fault, &version.signature) {
            (Some(fault), _) => Standing::Broken(fault.clone()),
            (None, None) => Standing::Earlier,
            (None, Some(signature)) if is_signed(&version.hash, signature, key) => Standing::Signed,
            (None, Some(_)) => Standing::Broken(ANOTHER.to_owned()),
        };
        (version, standing)
    })
}

const ANOTHER: &str = "another key than this one signed it, or nobody";

/// Why the head does not hold; what is written since is chained alone.
pub(crate) fn wrong_head(history: &History, key: &VerifyingKey) -> Option<String> {
    let Some(head) = &history.head else {
        let nothing = history.versions.is_empty() && history.audit.entries == 0;
        return (!nothing).then(|| {
            "nothing has been signed yet: a gateway does so at its start and every ten minutes"
                .to_owned()
        });
    };
    let signed = is_signed(&head.hash, &head.signature, key);
    head.fault.clone().or_else(|| (!signed).then(|| ANOTHER.to_owned()))
}

fn is_signed(hash: &[u8], signature: &[u8], key: &VerifyingKey) -> bool {
    Signature::from_slice(signature).is_ok_and(|it| key.verify_strict(hash, &it).is_ok())
}

fn for_pages(history: &History, key: &VerifyingKey) -> HistoryProof {
    let versions = standings(history, key).map(|(version, standing)| {
        let stands = match standing {
            Standing::Signed => VersionStands::Signed,
            Standing::Earlier => VersionStands::Earlier,
            Standing::Broken(_) => VersionStands::Broken,
        };
        (version.number.unsigned_abs(), stands)
    });
    let mut versions: Vec<_> = versions.collect();
    versions.reverse();
    let audit = &history.audit;
    let broken = audit.fault.as_ref().map(|fault| BrokenEntry {
        number: fault.number.unsigned_abs(),
        at: DateTime::from_timestamp_millis(fault.at_ms).unwrap_or_default(),
    });
    HistoryProof {
        key: HEXLOWER.encode(key.as_bytes()),
        versions,
        audit: AuditStands {
            first: audit.first.unsigned_abs(),
            newest: audit.newest.unsigned_abs(),
            hash: HEXLOWER.encode(&audit.hash),
            broken,
            signed: match (wrong_head(history, key), &history.head) {
                (None, Some(head)) => Some(head.audit.unsigned_abs()),
                _ => None,
            },
            forged: history.head.is_some() && wrong_head(history, key).is_some(),
        },
    }
}

const TITLE: &str = "# A version of a gateway's configuration, signed: fyrhus audit check FILE";

/// A version as a file; `None` if nobody signed it.
pub(crate) fn document(version: &Version, key: &VerifyingKey) -> Option<String> {
    let signature = version.signature.as_ref()?;
    let at = DateTime::from_timestamp_millis(version.at_ms).unwrap_or_default();
    let said = |text: &str| serde_json::Value::from(text).to_string();
    let (hash, before) = (HEXLOWER.encode(&version.hash), HEXLOWER.encode(&version.before));
    Some(format!(
        "{TITLE}\n# version: {}\n# at: {}\n# who: {}\n# why: {}\n# before: {before}\n# hash: {hash}\n\
         # key: {}\n# signature: {}\n#\n{}",
        version.number,
        at.to_rfc3339_opts(SecondsFormat::Millis, true),
        said(&version.who),
        said(&version.why),
        HEXLOWER.encode(key.as_bytes()),
        HEXLOWER.encode(signature),
        version.text
    ))
}

/// What a file says, and whether it is what was signed.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) version: Version,
    /// Whose signature it is said to have.
    pub(crate) key: VerifyingKey,
    /// Why it is not what was signed with that key.
    pub(crate) fault: Option<String>,
}

/// Reads a file that [`document`] wrote.
///
/// # Errors
///
/// If it is none.
pub(crate) fn check(file: &str) -> anyhow::Result<Checked> {
    let Some(mut rest) = file.strip_prefix(TITLE).and_then(|it| it.strip_prefix('\n')) else {
        bail!("it is no signed version of a configuration: `{TITLE}` is not its first line");
    };
    let mut next = |name: &str| -> anyhow::Result<String> {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = after;
        let found = line.strip_prefix("# ").and_then(|it| it.strip_prefix(name));
        match found.and_then(|it| it.strip_prefix(": ")) {
            Some(value) => Ok(value.to_owned()),
            None => bail!("`{line}` stands where `# {name}: …` has to be"),
        }
    };
    let (number, at) = (next("version")?, next("at")?);
    let (who, why) = (next("who")?, next("why")?);
    let (before, hash) = (next("before")?, next("hash")?);
    let (key, signature) = (next("key")?, next("signature")?);
    let Some(text) = rest.strip_prefix("#\n") else {
        bail!("its head does not end with a line of `#` alone");
    };
    let said = |name: &str, text: &str| match serde_json::from_str::<String>(text) {
        Ok(said) => Ok(said),
        Err(_) => bail!("`# {name}: {text}` is not a text in quotation marks"),
    };
    let bytes = |name: &str, text: &str| match HEXLOWER_PERMISSIVE.decode(text.as_bytes()) {
        Ok(bytes) => Ok(bytes),
        Err(_) => bail!("`# {name}: {text}` is not hexadecimal"),
    };
    let at: DateTime<Utc> = match at.parse() {
        Ok(at) => at,
        Err(_) => bail!("`# at: {at}` is not a time such as 2026-11-23T01:02:03.004Z"),
    };
    let Ok(number) = number.parse() else { bail!("`# version: {number}` is not a number") };
    let version = Version {
        number,
        at_ms: at.timestamp_millis(),
        who: said("who", &who)?,
        why: said("why", &why)?,
        text: text.to_owned(),
        before: bytes("before", &before)?,
        hash: bytes("hash", &hash)?,
        signature: Some(bytes("signature", &signature)?),
    };
    let Some(key) = parsed_key(&key) else { bail!("`# key: {key}` is not an Ed25519 key") };
    let again = version.hash_again();
    let signature = version.signature.as_deref().unwrap_or_default();
    let fault = if again[..] != version.hash[..] {
        Some("it was changed after it was signed".to_owned())
    } else if is_signed(&again, signature, &key) {
        None
    } else {
        Some("its signature is not one of the key that it names".to_owned())
    };
    Ok(Checked { version, key, fault })
}

/// A public key as 64 hexadecimal digits.
pub(crate) fn parsed_key(text: &str) -> Option<VerifyingKey> {
    let bytes: [u8; 32] = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?.try_into().ok()?;
    VerifyingKey::from_bytes(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::Signer as _;

    use super::*;

    fn signed(text: &str) -> (String, VerifyingKey) {
        let device = SigningKey::from_bytes(&[7; 32]);
        let mut version = Version {
            number: 12,
            at_ms: 1_774_738_800_004,
            who: "Kari \"K\"".to_owned(),
            why: "new meter\nin flat 3".to_owned(),
            text: text.to_owned(),
            before: vec![9; 32],
            hash: Vec::new(),
            signature: Some(Vec::new()),
        };
        version.hash = version.hash_again().to_vec();
        version.signature = Some(device.sign(&version.hash).to_bytes().to_vec());
        let key = device.verifying_key();
        (document(&version, &key).unwrap(), key)
    }

    #[test]
    fn a_signed_file_proves_itself_and_is_the_configuration_still() {
        for text in ["[site]\nname = \"A\"\n", "", "# no line feed at the end", "#\n#\n"] {
            let (file, key) = signed(text);
            let Checked { version, key: found, fault } = check(&file).unwrap();
            assert_eq!((fault, found), (None, key));
            assert_eq!((version.number, version.text.as_str()), (12, text));
            assert_eq!((version.who.as_str(), version.at_ms), ("Kari \"K\"", 1_774_738_800_004));
            assert!(file.ends_with(text) && toml::from_str::<toml::Table>(&file).is_ok());
        }
    }

    /// Whichever character of the file is another one.
    #[test]
    fn no_character_of_it_can_be_another_one() {
        let (file, key) = signed("[site]\nname = \"A\"\n");
        for (at, was) in file.char_indices() {
            let mut other = file.clone();
            let is = if was == '7' { "8" } else { "7" };
            other.replace_range(at..at + was.len_utf8(), is);
            let held = check(&other).is_ok_and(|it| it.fault.is_none() && it.key == key);
            assert!(!held, "{at}: {was} is {is}");
            other.truncate(at);
            assert!(!check(&other).is_ok_and(|it| it.fault.is_none()), "cut at {at}");
        }
    }

    #[track_caller]
    fn refused(from: &str, to: &str, expected: &str) {
        let (file, _) = signed("[site]\n");
        assert!(file.contains(from), "{file}");
        let error = check(&file.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_is_no_such_file_is_told_in_a_sentence() {
        refused("# A version", "A version", "it is no signed version of a configuration");
        refused("# at:", "# wann:", "stands where `# at: …` has to be");
        refused("# at: 2", "# at: x", "is not a time such as");
        refused("# version: 12", "# version: 1b", "`# version: 1b` is not a number");
        refused("# who: \"", "# who: ", "is not a text in quotation marks");
        refused("# hash: ", "# hash: zz", "is not hexadecimal");
        refused("# key: ", "# key: 00", "is not an Ed25519 key");
        refused("\n#\n", "\n", "its head does not end with a line of `#` alone");
        assert!(check("").is_err());
    }
}
