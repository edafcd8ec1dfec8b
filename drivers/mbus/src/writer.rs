//! A cursor over a buffer that the caller lends.

/// Writes a telegram from front to back.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    /// Starts at the first byte of `buffer`.
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    /// Appends `byte`.
    pub fn byte(&mut self, byte: u8) -> Result<(), Full> {
        *self.buffer.get_mut(self.len).ok_or(Full)? = byte;
        self.len += 1;
        Ok(())
    }

    /// Appends `bytes`, all of them or none.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.len.checked_add(bytes.len()).ok_or(Full)?;
        self.buffer.get_mut(self.len..end).ok_or(Full)?.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    /// How much has been written.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been written.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How much has room.
    pub const fn room(&self) -> usize {
        self.buffer.len() - self.len
    }

    /// Takes back what was written behind `len`, so that a record that did not fit leaves no half.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// The part of the buffer that has been written.
    pub fn written(self) -> &'a [u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }
}

/// The buffer, or the frame, ends before the telegram does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the telegram does not fit into its buffer")]
pub struct Full;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_not_begun() {
        let mut buffer = [0; 3];
        let mut w = Writer::new(&mut buffer);
        assert_eq!(w.bytes(&[1, 2]), Ok(()));
        assert_eq!(w.bytes(&[3, 4]), Err(Full));
        assert_eq!(w.byte(5), Ok(()));
        assert_eq!(w.byte(6), Err(Full));
        assert_eq!(w.written(), [1, 2, 5]);
    }
}
