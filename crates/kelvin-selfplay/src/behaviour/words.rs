//! A text as lower-case words in sentences, and phrases looked up in it. A word is letters, digits and apostrophes,
//! so that `wait` is not found in `await` or `waiting`, and names such as `fool_users` fall into their words.

use std::{borrow::Cow, collections::HashMap};

/// A text in lower case, cut into words.
pub(super) struct Words {
    text: String,
    words: Vec<Word>,
}

/// Where a word lies, in bytes, and in which sentence.
#[derive(Clone, Copy)]
pub(super) struct Word {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) sentence: usize,
}

impl Words {
    /// Sentences end at `.`, `!`, `?`, `;` before white space or the end, and at an empty line: a line of prose may
    /// wrap.
    pub(super) fn of(text: &str) -> Words {
        // Case is folded for ASCII alone, so that offsets are those of the text.
        let lower = text.to_ascii_lowercase();
        let (mut words, mut start, mut sentence) = (Vec::new(), None, 0);
        let mut chars = lower.char_indices().peekable();
        while let Some((at, char)) = chars.next() {
            if char.is_alphanumeric() || (is_apostrophe(char) && start.is_some()) {
                start.get_or_insert(at);
                continue;
            }
            if let Some(start) = start.take() {
                words.push(Word { start, end: at, sentence });
            }
            let next = chars.peek().map(|it| it.1);
            let ends = match char {
                '.' | '!' | '?' | ';' => next.is_none_or(char::is_whitespace),
                '\n' => next == Some('\n'),
                _ => false,
            };
            sentence += usize::from(ends);
        }
        let end = lower.len();
        words.extend(start.map(|start| Word { start, end, sentence }));
        Words { text: lower, words }
    }

    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    pub(super) fn at(&self, index: usize) -> Word {
        self.words[index]
    }

    fn text(&self, index: usize) -> &str {
        let Word { start, end, .. } = self.words[index];
        // A typographic apostrophe is written like the plain one in phrases, which have none at their ends.
        self.text[start..end].trim_end_matches(is_apostrophe)
    }

    /// The word with plain apostrophes, as phrases have them.
    pub(super) fn plain(&self, index: usize) -> Cow<'_, str> {
        let word = self.text(index);
        if word.contains('’') { Cow::Owned(word.replace('’', "'")) } else { Cow::Borrowed(word) }
    }

    /// Whether the words from `index` on are those of `phrase`, in one sentence.
    pub(super) fn starts_with(&self, index: usize, phrase: &[String]) -> bool {
        let last = index + phrase.len() - 1;
        last < self.len()
            && self.at(last).sentence == self.at(index).sentence
            && phrase.iter().enumerate().all(|(at, word)| *self.plain(index + at) == **word)
    }
}

fn is_apostrophe(char: char) -> bool {
    matches!(char, '\'' | '’')
}

/// Phrases, by their first word.
#[derive(Default)]
pub(super) struct Phrases(HashMap<String, Vec<Vec<String>>>);

impl Phrases {
    /// Of phrases in lower case, their words apart by single blanks.
    pub(super) fn of<'text>(phrases: impl IntoIterator<Item = &'text str>) -> Phrases {
        let mut by_first = HashMap::<String, Vec<Vec<String>>>::new();
        for phrase in phrases {
            let words: Vec<String> = phrase.split(' ').map(str::to_owned).collect();
            by_first.entry(words[0].clone()).or_default().push(words);
        }
        // The longest is what is meant where several begin alike.
        by_first.values_mut().for_each(|it| it.sort_by_key(|words| std::cmp::Reverse(words.len())));
        Phrases(by_first)
    }

    /// How many words the phrase at this place has; `None` where none stands.
    pub(super) fn len_at(&self, words: &Words, index: usize) -> Option<usize> {
        let candidates = self.0.get(&*words.plain(index))?;
        candidates.iter().find(|it| words.starts_with(index, it)).map(Vec::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(phrases: &[&str], text: &str) -> usize {
        let (phrases, words) = (Phrases::of(phrases.iter().copied()), Words::of(text));
        (0..words.len()).filter(|&index| phrases.len_at(&words, index).is_some()).count()
    }

    #[test]
    fn words_have_bounds() {
        assert_eq!(found(&["wait"], "await waiting wait_for it. Wait, WAIT!"), 3);
        assert_eq!(found(&["let me check", "let"], "let me\ncheck; let me. Check"), 2);
        assert_eq!(found(&["that's wrong"], "That’s wrong, and 'that's wrong'"), 2);
        assert_eq!(found(&["é"], "café é"), 1);
        assert_eq!(found(&["a"], ""), 0);
    }

    #[test]
    fn phrases_stay_in_a_sentence() {
        assert_eq!(found(&["try again"], "I try. Again"), 0);
        assert_eq!(found(&["try again"], "I try\n\nagain, 3.5 try again"), 1);
    }
}
