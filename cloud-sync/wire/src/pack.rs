//! Raw deflate (RFC 1951) with a length in front, so that nothing unpacks to more than it said.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::cbor::{Flaw, Malformed, Pen, Reader};
use crate::limits;

/// A message has more bytes than [`limits::RAW_BYTES`] before it is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message has {0} bytes, {max} are allowed", max = limits::RAW_BYTES)]
pub struct TooLarge(pub usize);

/// Writes `raw` as two fields: its length, and its packed bytes.
pub(crate) fn pack(pen: &mut Pen, raw: &[u8]) -> Result<(), TooLarge> {
    if raw.len() > limits::RAW_BYTES {
        return Err(TooLarge(raw.len()));
    }
    // Without a zlib header. Stored blocks add five bytes in each 16 kB, so this is always enough.
    let mut packed = Vec::with_capacity(raw.len() + raw.len() / 1_024 + 64);
    let mut deflate = Compress::new(Compression::new(LEVEL), false);
    match deflate.compress_vec(raw, &mut packed, FlushCompress::Finish) {
        Ok(Status::StreamEnd) => {}
        _ => return Err(TooLarge(raw.len())),
    }
    pen.unsigned(raw.len() as u64).bytes(&packed);
    Ok(())
}

/// What [`pack`] wrote, still packed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed<'b> {
    at: usize,
    raw_len: usize,
    bytes: &'b [u8],
}

impl<'b> Packed<'b> {
    pub(crate) fn read(r: &mut Reader<'b>) -> Result<Self, Malformed> {
        let at = r.at();
        let raw_len = usize::try_from(r.unsigned("length")?)
            .ok()
            .filter(|len| *len <= limits::RAW_BYTES)
            .ok_or(Malformed { at, flaw: Flaw::TooMany("bytes when unpacked") })?;
        let bytes = r.bytes("packed bytes", limits::POSTED_BYTES)?;
        Ok(Self { at, raw_len, bytes })
    }

    /// Unpacks into just as much memory as was announced: a bomb runs into its end.
    pub(crate) fn unpack(self) -> Result<Vec<u8>, Malformed> {
        let wrong = Malformed { at: self.at, flaw: Flaw::Packing };
        let mut raw = Vec::with_capacity(self.raw_len);
        let mut inflate = Decompress::new(false);
        match inflate.decompress_vec(self.bytes, &mut raw, FlushDecompress::Finish) {
            Ok(Status::StreamEnd)
                if raw.len() == self.raw_len && inflate.total_in() == self.bytes.len() as u64 =>
            {
                Ok(raw)
            }
            _ => Err(wrong),
        }
    }
}

/// The middle one, at which the bytes of a reading were measured.
const LEVEL: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(raw: &[u8]) -> Vec<u8> {
        let mut pen = Pen::new();
        pack(&mut pen, raw).unwrap();
        pen.finish()
    }

    #[track_caller]
    fn check(message: &[u8], expected: Result<&[u8], &str>) {
        let found = Packed::read(&mut Reader::new(message)).and_then(Packed::unpack);
        assert_eq!(
            found.as_deref().map_err(ToString::to_string),
            expected.map_err(ToOwned::to_owned)
        );
    }

    #[test]
    fn what_is_packed_unpacks() {
        check(&packed(b""), Ok(b""));
        check(&packed(b"fyrhus fyrhus fyrhus"), Ok(b"fyrhus fyrhus fyrhus"));
    }

    #[test]
    fn what_hardly_compresses_still_packs() {
        let noise: Vec<u8> = (0_u32..)
            .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2])
            .take(limits::RAW_BYTES)
            .collect();
        check(&packed(&noise), Ok(&noise));
    }

    #[test]
    fn a_bomb_unpacks_to_no_more_than_it_said() {
        let mut bomb = Vec::with_capacity(64 * 1024);
        Compress::new(Compression::best(), false)
            .compress_vec(&vec![0; 16 * 1024 * 1024], &mut bomb, FlushCompress::Finish)
            .unwrap();
        let mut pen = Pen::new();
        pen.unsigned(1_000_u64).bytes(&bomb);
        check(&pen.finish(), Err("byte 0: the content does not unpack to the length given"));

        let mut pen = Pen::new();
        pen.unsigned(16_u64 * 1024 * 1024).bytes(&bomb);
        check(&pen.finish(), Err("byte 0: too many bytes when unpacked"));
    }

    #[test]
    fn bytes_behind_the_packed_ones_are_refused() {
        let mut pen = Pen::new();
        pen.unsigned(0_u64).bytes(&[0x03, 0x00, 0xFF]);
        check(&pen.finish(), Err("byte 0: the content does not unpack to the length given"));
    }

    #[test]
    fn too_much_is_not_packed() {
        let raw = vec![0; limits::RAW_BYTES + 1];
        assert_eq!(pack(&mut Pen::new(), &raw), Err(TooLarge(limits::RAW_BYTES + 1)));
    }
}
