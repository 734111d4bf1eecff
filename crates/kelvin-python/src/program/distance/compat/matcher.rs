//! The similarity of two texts by the rules of Python's `difflib.SequenceMatcher` (Ratcliff and Obershelp's gestalt
//! matching): the longest common block, then the same left and right of it. With the heuristic `autojunk`, blocks
//! begin only at bytes that are rare in the second text.

/// From how many bytes of the second text on `autojunk` applies.
const MIN_BYTES_FOR_JUNK: usize = 200;

/// `2·M/T`: M bytes in matching blocks of T bytes in both texts; 1 for two empty ones. Neither symmetric nor a
/// metric.
pub(super) fn ratio(a: &[u8], b: &[u8]) -> f64 {
    if a.len() + b.len() == 0 {
        return 1.0;
    }
    2.0 * n_matching(a, b) as f64 / (a.len() + b.len()) as f64
}

/// Bytes in matching blocks.
fn n_matching(a: &[u8], b: &[u8]) -> usize {
    let mut matcher = Matcher::new(a, b);
    let mut n_matching = 0;
    // The order of the regions does not change their blocks; a list instead of recursion cannot exhaust the stack.
    let mut regions = vec![Region { a_from: 0, a_to: a.len(), b_from: 0, b_to: b.len() }];
    while let Some(region) = regions.pop() {
        let block = matcher.longest_match(&region);
        if block.len == 0 {
            continue;
        }
        n_matching += block.len;
        let left = Region { a_to: block.a_from, b_to: block.b_from, ..region };
        let right = Region { a_from: block.a_from + block.len, b_from: block.b_from + block.len, ..region };
        regions.extend([left, right].into_iter().filter(|it| it.a_from < it.a_to && it.b_from < it.b_to));
    }
    n_matching
}

/// Part of both texts that is still to be matched.
#[derive(Clone, Copy)]
struct Region {
    a_from: usize,
    a_to: usize,
    b_from: usize,
    b_to: usize,
}

struct Block {
    a_from: usize,
    b_from: usize,
    len: usize,
}

struct Matcher<'a> {
    a: &'a [u8],
    b: &'a [u8],
    /// For each byte where it stands in `b`, in order; nowhere for one that is too frequent to begin a block.
    places: Vec<Vec<usize>>,
    /// One past each place in `b`: how long the common run is that ends there and at the current byte of `a`. All
    /// zero between two searches.
    run_ending_before: Vec<usize>,
}

impl<'a> Matcher<'a> {
    fn new(a: &'a [u8], b: &'a [u8]) -> Matcher<'a> {
        let mut places: Vec<Vec<usize>> = vec![Vec::new(); 256];
        for (place, &byte) in b.iter().enumerate() {
            places[usize::from(byte)].push(place);
        }
        if b.len() >= MIN_BYTES_FOR_JUNK {
            let max_places = b.len() / 100 + 1;
            for places in places.iter_mut().filter(|places| places.len() > max_places) {
                places.clear();
            }
        }
        Matcher { a, b, places, run_ending_before: vec![0; b.len() + 1] }
    }

    /// The longest run of rare bytes that both texts have in the region, of equally long ones the first in `a` and
    /// then in `b`, with the equal bytes around it, rare or not. Without such a run, the equal bytes at the
    /// beginning of the region.
    fn longest_match(&mut self, region: &Region) -> Block {
        let mut block = self.longest_rare_run(region);
        while block.a_from > region.a_from
            && block.b_from > region.b_from
            && self.a[block.a_from - 1] == self.b[block.b_from - 1]
        {
            block.a_from -= 1;
            block.b_from -= 1;
            block.len += 1;
        }
        let a_after = &self.a[block.a_from + block.len..region.a_to];
        let b_after = &self.b[block.b_from + block.len..region.b_to];
        block.len += a_after.iter().zip(b_after).take_while(|(x, y)| x == y).count();
        block
    }

    fn longest_rare_run(&mut self, region: &Region) -> Block {
        let mut best = Block { a_from: region.a_from, b_from: region.b_from, len: 0 };
        let mut row: Vec<(usize, usize)> = Vec::new();
        let mut row_above: Vec<(usize, usize)> = Vec::new();
        for a_place in region.a_from..region.a_to {
            let places = &self.places[usize::from(self.a[a_place])];
            let first = places.partition_point(|place| *place < region.b_from);
            row.clear();
            for &b_place in places[first..].iter().take_while(|place| **place < region.b_to) {
                let len = self.run_ending_before[b_place] + 1;
                row.push((b_place, len));
                if len > best.len {
                    best = Block { a_from: a_place + 1 - len, b_from: b_place + 1 - len, len };
                }
            }
            // Written only now: the row reads what the row above left one place before.
            for (b_place, _) in &row_above {
                self.run_ending_before[b_place + 1] = 0;
            }
            for (b_place, len) in &row {
                self.run_ending_before[b_place + 1] = *len;
            }
            std::mem::swap(&mut row, &mut row_above);
        }
        for (b_place, _) in &row_above {
            self.run_ending_before[b_place + 1] = 0;
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What CPython's `difflib.SequenceMatcher(None, a, b).ratio()` gives.
    #[test]
    fn ratios_are_those_of_difflib() {
        let cases = [
            ("", "", 1.0),
            ("", "a", 0.0),
            ("abcd", "bcde", 0.75),
            ("private Thread currentThread;", "private volatile Thread currentThread;", 0.8656716417910447),
            ("qabxcd", "abycdf", 0.6666666666666666),
            // The order matters.
            ("tide", "diet", 0.25),
            ("diet", "tide", 0.5),
        ];
        for (a, b, expected) in cases {
            assert_eq!(ratio(a.as_bytes(), b.as_bytes()), expected, "{a:?} {b:?}");
        }
        // The heuristic begins at 200 bytes: 199 and 200 times one byte after another.
        assert_eq!(ratio(&[b'b'; 199], &[&b"a"[..], &[b'b'; 198]].concat()), 396.0 / 398.0);
        assert_eq!(ratio(&[b'b'; 200], &[&b"a"[..], &[b'b'; 199]].concat()), 0.0);
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![prop::collection::vec(0u8..4, 0..260), prop::collection::vec(any::<u8>(), 0..400)]
    }

    proptest! {
        #[test]
        fn ratio_is_between_0_and_1_and_1_for_a_text_and_itself(a in text(), b in text()) {
            prop_assert!((0.0..=1.0).contains(&ratio(&a, &b)));
            prop_assert_eq!(ratio(&a, &a), 1.0);
        }

        #[test]
        fn no_more_matches_than_what_both_texts_hold(a in text(), b in text()) {
            let n_of = |text: &[u8], byte: u8| text.iter().filter(|it| **it == byte).count();
            let n_shared: usize = (0..=u8::MAX).map(|byte| n_of(&a, byte).min(n_of(&b, byte))).sum();
            prop_assert!(n_matching(&a, &b) <= n_shared);
            prop_assert!(n_matching(&b, &a) <= n_shared);
        }
    }
}
