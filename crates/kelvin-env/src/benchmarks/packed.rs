//! Base 64 and pickled texts, in which LiveCodeBench packs its hidden tests. A pickle is a program; only the few that make
//! one text are understood, and nothing is run.

/// The bytes of a text in base 64; blanks are passed over.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut n_bits) = (Vec::with_capacity(text.len() / 4 * 3), 0u32, 0);
    for sign in text.bytes().filter(|it| !it.is_ascii_whitespace()) {
        let value = match sign {
            b'A'..=b'Z' => sign - b'A',
            b'a'..=b'z' => sign - b'a' + 26,
            b'0'..=b'9' => sign - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => break,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        n_bits += 6;
        if 8 <= n_bits {
            n_bits -= 8;
            bytes.push((bits >> n_bits) as u8);
        }
    }
    Some(bytes)
}

/// The text of a pickle that is nothing but one: a protocol, a frame, a text, a memo, the end.
pub(super) fn pickled_text(pickle: &[u8]) -> Option<&str> {
    let (mut rest, mut text) = (pickle, None);
    loop {
        let (&code, after) = rest.split_first()?;
        rest = match code {
            // PROTO and BINPUT; FRAME; LONG_BINPUT; MEMOIZE.
            0x80 | b'q' => after.get(1..)?,
            0x95 => after.get(8..)?,
            b'r' => after.get(4..)?,
            0x94 => after,
            // SHORT_BINUNICODE, BINUNICODE and BINUNICODE8.
            0x8c => text_of(1, after, &mut text)?,
            b'X' => text_of(4, after, &mut text)?,
            0x8d => text_of(8, after, &mut text)?,
            b'.' => return text,
            _ => return None,
        };
    }
}

/// Takes a text behind its length; a second one is refused.
fn text_of<'it>(n_length: usize, after: &'it [u8], text: &mut Option<&'it str>) -> Option<&'it [u8]> {
    let (length, after) = after.split_at_checked(n_length)?;
    let length = length
        .iter()
        .rev()
        .try_fold(0usize, |sum, &it| sum.checked_mul(256)?.checked_add(usize::from(it)))?;
    let (inside, after) = after.split_at_checked(length)?;
    let is_first = text.replace(str::from_utf8(inside).ok()?).is_none();
    is_first.then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm9v", "foo"), ("Zm9v\nYmE=", "fooba")] {
            assert_eq!(from_base64(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(from_base64("Zm9*"), None);
    }

    /// What CPython 3.11 writes for protocols 2 and 4.
    #[test]
    fn a_pickle_of_a_text_is_read_and_no_other() {
        assert_eq!(pickled_text(b"\x80\x02X\x02\x00\x00\x00hiq\x00."), Some("hi"));
        assert_eq!(pickled_text(b"\x80\x04\x95\x06\x00\x00\x00\x00\x00\x00\x00\x8c\x02hi\x94."), Some("hi"));
        for bad in [
            &b""[..],
            b".",
            b"\x80\x04K\x01.",
            b"\x80\x04\x8c\xffhi.",
            b"\x80\x02X\xff\xff\xff\xffhi.",
            b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
            b"\x80\x04\x8c\x01a\x8c\x01b.",
        ] {
            assert_eq!(pickled_text(bad), None, "{bad:?}");
        }
        assert_eq!(pickled_text(b"."), None);
    }
}
