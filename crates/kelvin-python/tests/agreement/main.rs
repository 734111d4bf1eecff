//! Agreement with the CPython that is installed, on texts that nobody wrote: programs with one or a few things
//! wrong with them, and what looks like literals. A part of each suite always runs, all of it with
//! `KELVIN_SLOW=1`.

mod interpreter;
mod literals;
mod mutants;
mod programs;
mod stripped;
mod syntax;

use std::env;

/// How many texts to draw: `slow` where the long suites are asked for; says so where they are not.
fn n_texts(quick: usize, slow: usize) -> usize {
    if env::var_os("KELVIN_SLOW").is_some() {
        return slow;
    }
    eprintln!("{quick} texts instead of {slow}: more take minutes and ask for KELVIN_SLOW=1");
    quick
}

/// The generator of SplitMix64 (Steele, Lea, Flood 2014): the same texts in every run.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn of<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }
}
