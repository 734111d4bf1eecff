//! Which modules a worker has ready before it forks. A child opens no file, so what is not ready cannot be imported;
//! what is ready makes every fork dearer. Most programs import little.

use std::collections::HashSet;
use std::sync::LazyLock;

use kelvin_core::executor::{Job, Names};

/// What a worker has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preload {
    /// The modules that most programs import.
    Lean,
    /// All that a program may import, and every codec.
    Full,
    /// That, and the modules of the standard library that benchmarks use.
    Library,
}

impl Preload {
    /// The driver's word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Preload::Lean => "lean",
            Preload::Full => "full",
            Preload::Library => "library",
        }
    }
}

/// Words without which a program needs none of the modules and codecs that only a full worker has: their names, the
/// ways to name a module or a codec by another text, and the methods that take a codec.
const TELLING: &str = "array base64 binascii cmath dataclasses decimal difflib encoding encodings fractions json \
    numbers pprint queue statistics struct textwrap unicodedata zlib \
    __builtins__ __import__ builtins codecs compile eval exec getattr globals import_module importlib \
    bytearray bytes decode encode memoryview";

static TELLING_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| TELLING.split_whitespace().collect());

/// What a job needs.
pub(crate) fn needed(job: &Job) -> Preload {
    match job.names {
        Names::Library => Preload::Library,
        Names::Literals | Names::Program => {
            of_texts(job.inputs.iter().chain([&job.program]).map(String::as_str))
        }
    }
}

/// What a program and its inputs need, told from their words; in doubt [`Preload::Full`].
fn of_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Preload {
    if texts.into_iter().any(tells) { Preload::Full } else { Preload::Lean }
}

fn tells(text: &str) -> bool {
    // Names are normalised and `\N{...}` looked up with a module of their own.
    if !text.is_ascii() || text.contains("\\N") {
        return true;
    }
    let word_parts = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let bytes_literal = ["b'", "b\"", "B'", "B\""].iter().any(|it| text.contains(it));
    bytes_literal || text.split(word_parts).any(|word| TELLING_WORDS.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_lean_worker_lacks_is_told_from_the_words() {
        for text in [
            "def f(x):\n    return x[::-1]",
            "import math, itertools\nfrom collections import Counter as C\ndef f(x): return C(x)",
            "from typing import List",
            "my_json = 3",
        ] {
            assert_eq!(of_texts([text]), Preload::Lean, "{text}");
        }
        for text in [
            "import json",
            "from  decimal\timport Decimal",
            "import math;import zlib",
            "__import__('de' + 'cimal')",
            "x.encode('cp1252')",
            "str(b'a', 'utf-16')",
            "def f(é): return é",
            "'\\N{BULLET}'",
        ] {
            assert_eq!(of_texts(["def f(): pass", text]), Preload::Full, "{text}");
        }
    }
}
