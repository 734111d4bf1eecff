"""Writes crates/kelvin-python/src/value/printable.rs: which characters CPython's repr escapes.

Run with the CPython whose Unicode tables are wanted (3.11: Unicode 14), from the repository root:

    python3 xtask/py/printable.py > crates/kelvin-python/src/value/printable.rs
"""

import sys
import unicodedata

SURROGATES = range(0xD800, 0xE000)


def escaped_ranges():
    start = None
    for code in range(0x7F, sys.maxunicode + 2):
        escaped = code <= sys.maxunicode and (code in SURROGATES or not chr(code).isprintable())
        if escaped and start is None:
            start = code
        elif not escaped and start is not None:
            yield start, code - 1
            start = None


def main():
    ranges = [f"(0x{first:x}, 0x{last:x})" for first, last in escaped_ranges()]
    print("//! Which characters `repr` escapes: the complement of `str.isprintable` in Unicode")
    print(f"//! {unicodedata.unidata_version}, the tables of CPython {sys.version_info[0]}.{sys.version_info[1]}. ", end="")
    print("Written by `xtask/py/printable.py`.")
    print()
    print("/// Whether `repr` writes the character as it is.")
    print("pub(super) fn is_printable(c: char) -> bool {")
    print("    let code = u32::from(c);")
    print("    if code < 0x7f {")
    print("        return code >= 0x20;")
    print("    }")
    print("    let next = ESCAPED.partition_point(|&(_, last)| last < code);")
    print("    ESCAPED.get(next).is_none_or(|&(first, _)| code < first)")
    print("}")
    print()
    print("/// First and last code point of each run of escaped characters, from U+007F on.")
    print("#[rustfmt::skip]")
    print(f"static ESCAPED: [(u32, u32); {len(ranges)}] = [")
    for start in range(0, len(ranges), 5):
        print("    " + ", ".join(ranges[start : start + 5]) + ",")
    print("];")


main()
