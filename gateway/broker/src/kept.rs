//! Retained messages over a restart, in one file that is replaced as a whole.
//!
//! ```text
//!  "fyrhus retained 1\n" │ topic length u16 │ payload length u32 │ qos u8 │ topic │ payload │ …
//!                        │ SHA-256 of all that stands before                  little endian
//! ```

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes};
use rumqttc::QoS;
use sha2::{Digest as _, Sha256};

use crate::retained::Message;
use crate::topic::valid_topic;

const MAGIC: &[u8] = b"fyrhus retained 1\n";
const SUM: usize = 32;

/// Puts `messages` in place of what `file` holds: after a power cut it has the one or the other.
pub(crate) fn save(file: &Path, messages: &[Arc<Message>]) -> io::Result<()> {
    let new = file.with_extension("new");
    let mut written = File::create(&new)?;
    written.write_all(&encoded(messages))?;
    written.sync_all()?;
    fs::rename(&new, file)?;
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// What `file` holds; nothing if there is none.
///
/// # Errors
///
/// If it cannot be read or is not as it was written. A damaged one is set aside.
pub(crate) fn load(file: &Path) -> io::Result<Vec<Message>> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    decoded(bytes.into()).ok_or_else(|| {
        let aside = file.with_extension("damaged");
        let kept = fs::rename(file, &aside).is_ok();
        let aside =
            if kept { format!("; it is kept as {}", aside.display()) } else { String::new() };
        let said = format!("{} is damaged and not used{aside}", file.display());
        io::Error::new(io::ErrorKind::InvalidData, said)
    })
}

fn encoded(messages: &[Arc<Message>]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for Message { topic, payload, qos } in messages.iter().map(AsRef::as_ref) {
        // A topic has 1,024 bytes at most, and a packet less than 2^28.
        bytes.put_u16_le(u16::try_from(topic.len()).unwrap_or(0));
        bytes.put_u32_le(u32::try_from(payload.len()).unwrap_or(0));
        bytes.put_u8(*qos as u8);
        bytes.put_slice(topic.as_bytes());
        bytes.put_slice(payload);
    }
    let sum = Sha256::digest(&bytes);
    bytes.put_slice(&sum);
    bytes
}

fn decoded(mut bytes: Bytes) -> Option<Vec<Message>> {
    let sum = bytes.split_off(bytes.len().checked_sub(SUM)?);
    if Sha256::digest(&bytes)[..] != sum[..] || !bytes.starts_with(MAGIC) {
        return None;
    }
    bytes.advance(MAGIC.len());
    let mut messages = Vec::new();
    while bytes.has_remaining() {
        let topic = usize::from(bytes.try_get_u16_le().ok()?);
        let payload = usize::try_from(bytes.try_get_u32_le().ok()?).ok()?;
        let qos = rumqttc::qos(bytes.try_get_u8().ok()?).ok()?;
        if bytes.len() < topic.checked_add(payload)? {
            return None;
        }
        let topic = String::from_utf8(bytes.split_to(topic).into()).ok()?;
        valid_topic(&topic).ok()?;
        // Its own bytes, so that one value does not hold the whole file in memory.
        let payload = Bytes::copy_from_slice(&bytes.split_to(payload));
        messages.push(Message { topic: topic.into(), payload, qos: lowest(qos) });
    }
    Some(messages)
}

/// Nothing is sent on with more than `QoS` 1.
const fn lowest(qos: QoS) -> QoS {
    match qos {
        QoS::AtMostOnce => QoS::AtMostOnce,
        QoS::AtLeastOnce | QoS::ExactlyOnce => QoS::AtLeastOnce,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages() -> Vec<Message> {
        let message = |topic: &str, payload: &[u8]| Message {
            topic: topic.into(),
            payload: Bytes::copy_from_slice(payload),
            qos: QoS::AtLeastOnce,
        };
        vec![message("øst/temperatur", b"21.5"), message("a", b"\0\xff"), message("b", &[7; 9_999])]
    }

    fn written() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("retained");
        let all: Vec<_> = messages().into_iter().map(Arc::new).collect();
        save(&file, &all).unwrap();
        (folder, file)
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let (folder, file) = written();
        assert_eq!(load(&file).unwrap(), messages());
        assert!(load(&folder.path().join("none")).unwrap().is_empty());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn a_file_with_one_byte_changed_or_missing_is_set_aside() {
        let (_folder, file) = written();
        let whole = fs::read(&file).unwrap();
        for at in (0..whole.len()).step_by(97) {
            let mut other = whole.clone();
            other[at] ^= 1;
            assert!(decoded(other.into()).is_none(), "byte {at}");
            assert!(decoded(whole[..at].to_vec().into()).is_none(), "cut at {at}");
        }
        fs::write(&file, &whole[1..]).unwrap();
        let error = load(&file).unwrap_err().to_string();
        assert!(error.contains("is damaged and not used; it is kept as "), "{error}");
        assert!(load(&file).unwrap().is_empty(), "the next start has none");
    }
}
