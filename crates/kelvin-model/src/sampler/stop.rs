//! Stop sequences, found in the bytes of a row's text as its tokens come. A match may lie across tokens and across the
//! bytes of one character; each byte is looked at a bounded number of times.

/// The text that a row has spoken, in bytes.
#[derive(Default)]
pub(crate) struct Spoken(Vec<u8>);

impl Spoken {
    /// Adds a token's bytes. Returns where the match that begins first begins, if a stop sequence ends in them.
    pub(crate) fn say(&mut self, bytes: &[u8], stops: &[String]) -> Option<usize> {
        let said = self.0.len();
        self.0.extend_from_slice(bytes);
        let place = |stop: &String| {
            // What ended earlier was seen earlier.
            let from = said.saturating_sub(stop.len() - 1);
            let rest = &self.0[from..];
            rest.windows(stop.len()).position(|window| window == stop.as_bytes()).map(|place| from + place)
        };
        stops.iter().filter_map(place).min()
    }

    /// The text before the byte `end`, as the tokenizer would decode it.
    pub(crate) fn text_before(&self, end: usize) -> String {
        String::from_utf8_lossy(&self.0[..end]).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first_end(text: &[u8], stops: &[String]) -> Option<usize> {
        let ends = |end: &usize| stops.iter().any(|stop| text[..*end].ends_with(stop.as_bytes()));
        (1..=text.len()).find(ends)
    }

    proptest! {
        /// However a text is cut into tokens, the first token in which a stop sequence ends finds it.
        #[test]
        fn cuts_do_not_matter(
            text in "[abé]{0,24}",
            cuts in proptest::collection::vec(0usize..5, 0..60),
            stops in proptest::collection::vec("[abé]{1,4}", 1..4),
        ) {
            let (mut spoken, mut rest, mut said) = (Spoken::default(), text.as_bytes(), 0);
            let expected = first_end(text.as_bytes(), &stops);
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let (token, after) = rest.split_at(cut.min(rest.len()));
                (rest, said) = (after, said + token.len());
                let found = spoken.say(token, &stops);
                prop_assert_eq!(found.is_some(), expected.is_some_and(|end| end <= said));
                let Some(start) = found else { continue };
                let heard = &text.as_bytes()[..said];
                let begins = |at: usize| stops.iter().any(|stop| heard[at..].starts_with(stop.as_bytes()));
                prop_assert_eq!(Some(start), (0..heard.len()).find(|&at| begins(at)));
                prop_assert_eq!(spoken.text_before(start), &text[..start]);
                return Ok(());
            }
        }
    }

    #[test]
    fn a_character_may_come_in_bytes() {
        let (mut spoken, stops) = (Spoken::default(), ["é!".to_owned()]);
        let euro = "€é!".as_bytes();
        let found: Vec<_> = euro.iter().map(|byte| spoken.say(&[*byte], &stops)).collect();
        assert_eq!(found, [None, None, None, None, None, Some(3)]);
        assert_eq!(spoken.text_before(3), "€");
    }
}
