//! The longest common subsequence, 64 cells of its table at a time (Hyyrö, "Bit-parallel LCS-length computation
//! revisited", 2004).

use std::collections::HashMap;

/// How many symbols two sequences have in common in the same order.
pub(super) fn longest_common(a: &[usize], b: &[usize]) -> usize {
    let n_words = a.len().div_ceil(64);
    let mut places: HashMap<usize, Vec<u64>> = HashMap::new();
    for (position, &symbol) in a.iter().enumerate() {
        places.entry(symbol).or_insert_with(|| vec![0; n_words])[position / 64] |= 1 << (position % 64);
    }
    // A zero stands where the row of the table is one more than in the column before.
    let mut row = vec![u64::MAX; n_words];
    for &symbol in b {
        let Some(matches) = places.get(&symbol) else { continue };
        let mut carry = false;
        for (word, mask) in row.iter_mut().zip(matches) {
            let common = *word & mask;
            let (sum, is_over) = word.overflowing_add(common);
            let (sum, is_over_by_carry) = sum.overflowing_add(u64::from(carry));
            carry = is_over || is_over_by_carry;
            *word = sum | (*word & !mask);
        }
    }
    // Bits past the end of `a` match nothing and stay ones.
    row.iter().map(|word| word.count_zeros() as usize).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_table(a: &[usize], b: &[usize]) -> usize {
        let mut above = vec![0; b.len() + 1];
        for x in a {
            let mut row = vec![0];
            for (column, y) in b.iter().enumerate() {
                let cell = if x == y { above[column] + 1 } else { above[column + 1].max(row[column]) };
                row.push(cell);
            }
            above = row;
        }
        above[b.len()]
    }

    proptest! {
        #[test]
        fn it_is_the_corner_of_the_table(
            a in prop::collection::vec(0usize..5, 0..200),
            b in prop::collection::vec(0usize..5, 0..200),
        ) {
            prop_assert_eq!(longest_common(&a, &b), by_table(&a, &b));
        }
    }
}
