//! A tape archive (POSIX ustar) of a few small files, always with the same bytes for the same files.
//!
//! Nothing of this machine goes in: no owner, no rights beyond reading, no time.

/// Files as an archive.
pub(super) fn write(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, bytes) in files {
        tar.extend(header(name, bytes.len()));
        tar.extend(bytes);
        tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    }
    tar.resize(tar.len() + 2 * BLOCK, 0);
    tar
}

/// The files of an archive; `None` if it is none. Headers are not believed further than that: who
/// wants to know that nothing was changed writes it again and compares.
pub(super) fn read(mut tar: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    loop {
        let (header, rest) = tar.split_at_checked(BLOCK)?;
        if header.iter().all(|byte| *byte == 0) {
            return Some(files);
        }
        let name = header.get(..100)?.split(|byte| *byte == 0).next()?;
        let name = std::str::from_utf8(name).ok()?.to_owned();
        let length = header.get(124..135)?;
        let digit = |all: usize, byte: &u8| {
            let digit = usize::from(byte.checked_sub(b'0').filter(|digit| *digit < 8)?);
            all.checked_mul(8)?.checked_add(digit)
        };
        let length = length.iter().try_fold(0, digit)?;
        let bytes = rest.get(..length)?.to_vec();
        tar = rest.get(length.checked_next_multiple_of(BLOCK)?..)?;
        files.push((name, bytes));
    }
}

fn header(name: &str, length: usize) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| {
        if let Some(place) = header.get_mut(at..at + text.len()) {
            place.copy_from_slice(text);
        }
    };
    put(0, name.as_bytes().get(..name.len().min(99)).unwrap_or_default());
    put(100, b"0000444\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{length:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    // While the sum is made its own place holds spaces.
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    if let Some(place) = header.get_mut(148..156) {
        place.copy_from_slice(sum.as_bytes());
    }
    header
}

const BLOCK: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_back() {
        let files = vec![
            ("a/empty".to_owned(), Vec::new()),
            ("a/one".to_owned(), vec![7; 512]),
            ("a/more".to_owned(), b"text\n".repeat(300)),
        ];
        assert_eq!(read(&write(&files)), Some(files));
        assert_eq!(read(b"no archive"), None);
    }
}
