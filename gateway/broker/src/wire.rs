//! One connection's packets, whatever carries its bytes.

use std::io;

use bytes::BytesMut;
use rumqttc::Packet;
use rumqttc::mqttbytes::Error as Malformed;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Anything that carries bytes both ways.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// The half that reads.
#[derive(Debug)]
pub(crate) struct Reader<R> {
    stream: R,
    bytes: BytesMut,
    most: usize,
}

/// What came instead of a packet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The other end hung up.
    #[error("the connection ended")]
    Ended,
    /// The connection failed.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// That is no MQTT 3.1.1.
    #[error("what came is not MQTT 3.1.1: {0:?}")]
    Malformed(Malformed),
    /// Another version of the protocol, by its number.
    #[error("version {0} of MQTT is not spoken here, but 4, which is 3.1.1")]
    Version(u8),
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Takes packets of at most `most` bytes from `stream`.
    pub(crate) fn new(stream: R, most: usize) -> Self {
        Self { stream, bytes: BytesMut::new(), most }
    }

    /// From now on packets may be so long.
    pub(crate) const fn grow(&mut self, most: usize) {
        self.most = most;
    }

    /// The next packet.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn packet(&mut self) -> Result<Packet, Broken> {
        loop {
            match Packet::read(&mut self.bytes, self.most) {
                Ok(packet) => return Ok(packet),
                Err(Malformed::InsufficientBytes(_)) => self.more().await?,
                Err(malformed) => return Err(Broken::Malformed(malformed)),
            }
        }
    }

    /// The first packet, if it is a CONNECT of our version of the protocol.
    ///
    /// The codec would take one of MQTT 5 for one of 3.1.1 and read its properties as a name.
    pub(crate) async fn connect(&mut self) -> Result<Packet, Broken> {
        loop {
            match level(&self.bytes) {
                Level::Unknown if self.bytes.len() < HEAD => self.more().await?,
                Level::Is(4) | Level::Unknown => return self.packet().await,
                Level::Is(other) => return Err(Broken::Version(other)),
            }
        }
    }

    async fn more(&mut self) -> Result<(), Broken> {
        self.bytes.reserve(CHUNK);
        match self.stream.read_buf(&mut self.bytes).await? {
            0 => Err(Broken::Ended),
            _ => Ok(()),
        }
    }
}

/// Most packets are shorter; a long one is read in as many pieces as come, so that announcing one
/// costs us nothing.
const CHUNK: usize = 4_096;

/// Of a CONNECT, with room for the longest length: type, length, name, version.
const HEAD: usize = 1 + 4 + 2 + 6 + 1;

#[derive(Debug, PartialEq, Eq)]
enum Level {
    Is(u8),
    Unknown,
}

/// The version that a CONNECT says, as far as it has come.
fn level(bytes: &[u8]) -> Level {
    let Some((&0x10, rest)) = bytes.split_first() else { return Level::Unknown };
    let length = rest.iter().take_while(|byte| **byte >= 0x80).count() + 1;
    let name = rest.get(length..).unwrap_or_default();
    let level = name.strip_prefix(b"\0\x04MQTT").or_else(|| name.strip_prefix(b"\0\x06MQIsdp"));
    level.and_then(|rest| rest.first()).map_or(Level::Unknown, |level| Level::Is(*level))
}

/// Sends packets in one piece.
pub(crate) async fn send<W: AsyncWrite + Unpin>(
    stream: &mut W,
    packets: &[Packet],
) -> Result<(), Broken> {
    let mut bytes = BytesMut::with_capacity(packets.iter().map(Packet::size).sum());
    for packet in packets {
        packet.write(&mut bytes, usize::MAX).map_err(Broken::Malformed)?;
    }
    stream.write_all(&bytes).await?;
    Ok(stream.flush().await?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_version_of_a_connect_is_found_however_little_has_come() {
        let connect = b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02id";
        for end in 0..=8 {
            assert_eq!(level(&connect[..end]), Level::Unknown);
        }
        for end in 9..connect.len() {
            assert_eq!(level(&connect[..end]), Level::Is(4));
        }
        assert_eq!(level(b"\x10\x80\x80\x80\x01\0\x04MQTT\x05"), Level::Is(5));
        assert_eq!(level(b"\x10\x0f\0\x06MQIsdp\x03"), Level::Is(3));
        assert_eq!(level(b"GET / HTTP/1.1\r\n"), Level::Unknown);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_codec_panic(
            kind in 0_u8..=255,
            body in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut bytes = BytesMut::from(&[kind, u8::try_from(body.len()).unwrap()][..]);
            bytes.extend_from_slice(&body);
            drop(Packet::read(&mut bytes, 1_000));
        }

        #[test]
        fn no_connect_makes_the_codec_panic(
            flags: u8,
            body in prop::collection::vec(0_u8..4, 0..40),
        ) {
            let mut packet = b"\0\x04MQTT\x04".to_vec();
            packet.extend([flags, 0, 60]);
            packet.extend(body);
            let mut bytes = BytesMut::from(&[0x10, u8::try_from(packet.len()).unwrap()][..]);
            bytes.extend_from_slice(&packet);
            drop(Packet::read(&mut bytes, 1_000));
        }
    }
}
