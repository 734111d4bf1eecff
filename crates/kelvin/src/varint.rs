//! Whole numbers in as few bytes as they need, as protocol buffers and Thrift write them.

/// Seven bits a byte, the lowest first; all bytes but the last have their highest bit set.
pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while 0x80 <= value {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
