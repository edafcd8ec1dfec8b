//! A photo as a PDF takes it: the file itself, and what its head says of it.
//!
//! ```text
//! FF D8 │ FF E0 len … │ FF C0 len 08 height width components … │ FF DA …
//! start   segments      frame: one of baseline or progressive     scan
//! ```
//!
//! ISO/IEC 10918-1, annex B. Nothing is decoded.

use std::sync::Arc;

/// A JPEG of one or three components with 8 bits each. A copy of it is the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jpeg {
    pub(super) bytes: Arc<[u8]>,
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) gray: bool,
}

impl Jpeg {
    /// Width and height, in pixels.
    pub const fn size(&self) -> (u16, u16) {
        (self.width, self.height)
    }

    /// `None` of bytes that are no such photo.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&[0xFF, 0xD8])?;
        loop {
            let (&[0xFF, kind], after) = rest.split_first_chunk()? else { return None };
            // A marker may be padded.
            if kind == 0xFF {
                rest = rest.get(1..)?;
                continue;
            }
            let (&length, _) = after.split_first_chunk()?;
            let length = usize::from(u16::from_be_bytes(length));
            let segment = after.get(2..length)?;
            match kind {
                0xC0..=0xC2 => {
                    let (&[8, h1, h0, w1, w0, components], _) = segment.split_first_chunk()? else {
                        return None;
                    };
                    let (width, height) =
                        (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
                    let whole = bytes.ends_with(&[0xFF, 0xD9]);
                    let known = matches!(components, 1 | 3) && width > 0 && height > 0 && whole;
                    let gray = components == 1;
                    return known.then(|| Self { bytes: bytes.into(), width, height, gray });
                }
                // The scan before any frame.
                0xDA | 0xD9 => return None,
                _ => rest = after.get(length..)?,
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// With a head of its own and nothing behind it.
    pub(crate) fn photo(width: u16, height: u16, components: u8) -> Vec<u8> {
        let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 1, 2, 0xFF, 0xC0, 0, 8, 8];
        bytes.extend(height.to_be_bytes());
        bytes.extend(width.to_be_bytes());
        bytes.extend([components, 0xFF, 0xD9]);
        bytes
    }

    #[test]
    fn a_photo_tells_its_size() {
        let jpeg = Jpeg::of(&photo(640, 480, 3)).unwrap();
        assert_eq!((jpeg.width, jpeg.height, jpeg.gray), (640, 480, false));
        assert!(Jpeg::of(&photo(640, 480, 1)).unwrap().gray);
    }

    #[test]
    fn what_is_no_photo_is_none() {
        let whole = photo(640, 480, 3);
        for length in 0..whole.len() {
            assert_eq!(Jpeg::of(&whole[..length]), None, "{length}");
        }
        assert_eq!(Jpeg::of(&photo(0, 480, 3)), None);
        assert_eq!(Jpeg::of(&photo(640, 480, 4)), None);
        assert_eq!(Jpeg::of(b"<svg onload=alert(1)>"), None);
        assert_eq!(Jpeg::of(b"\x89PNG\r\n\x1a\n"), None);
    }
}
