//! Protobuf by hand, from field numbers alone: what the library writes is read by other code than its own.

/// A field of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

/// The fields of a message in their order.
pub fn read(mut bytes: &[u8]) -> Option<Vec<(u64, Field)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)?),
            1 => Field::Bytes(take(&mut bytes, 8)?),
            2 => {
                let n = varint(&mut bytes)? as usize;
                Field::Bytes(take(&mut bytes, n)?)
            }
            5 => Field::Bytes(take(&mut bytes, 4)?),
            _ => return None,
        };
        fields.push((tag >> 3, field));
    }
    Some(fields)
}

fn take(bytes: &mut &[u8], n: usize) -> Option<Vec<u8>> {
    let (taken, rest) = bytes.split_at_checked(n)?;
    *bytes = rest;
    Some(taken.to_vec())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return Some(value);
        }
    }
    None
}

/// Every field of that number that holds bytes.
pub fn all(fields: &[(u64, Field)], number: u64) -> impl Iterator<Item = &[u8]> {
    fields.iter().filter_map(move |it| match it {
        (found, Field::Bytes(bytes)) if *found == number => Some(&bytes[..]),
        _ => None,
    })
}

/// The number of that field, 0 where it is not written.
pub fn number(fields: &[(u64, Field)], number: u64) -> u64 {
    fields
        .iter()
        .find_map(|it| match it {
            (found, Field::Number(value)) if *found == number => Some(*value),
            _ => None,
        })
        .unwrap_or(0)
}

/// A field of bytes.
pub fn bytes(number: u64, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_varint(&mut out, number << 3 | 2);
    write_varint(&mut out, value.len() as u64);
    out.extend(value);
    out
}

/// A field of a number.
pub fn integer(number: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    write_varint(&mut out, number << 3);
    write_varint(&mut out, value);
    out
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while 128 <= value {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}
