//! Whether a response mixes languages, by its letters.

/// Whether a text has letters of another script than Latin. Greek ones, and the alphabets of mathematics, do not
/// count: formulas are written with them. Languages that share the Latin script are not told apart.
pub fn mixes_scripts(text: &str) -> bool {
    // Most text is ASCII, which the library skips over fast.
    !text.is_ascii() && text.chars().any(|it| it.is_alphabetic() && !is_latin_or_mathematical(it))
}

fn is_latin_or_mathematical(letter: char) -> bool {
    matches!(letter,
        '\0'..='\u{02ff}' // Latin with its extensions, phonetic letters, modifiers
        | '\u{0300}'..='\u{036f}' // accents that combine
        | '\u{0370}'..='\u{03ff}' | '\u{1f00}'..='\u{1fff}' // Greek
        | '\u{1d00}'..='\u{1dbf}' // phonetic extensions
        | '\u{1e00}'..='\u{1eff}' // Latin extended additional
        | '\u{2071}'..='\u{209c}' // raised and lowered letters
        | '\u{2100}'..='\u{218f}' // letterlike symbols, number forms
        | '\u{24b6}'..='\u{24e9}' // letters in circles
        | '\u{2c60}'..='\u{2c7f}' | '\u{a720}'..='\u{a7ff}' | '\u{ab30}'..='\u{ab6f}' // Latin extended C, D, E
        | '\u{fb00}'..='\u{fb06}' | '\u{ff21}'..='\u{ff5a}' // ligatures, full width
        | '\u{1d400}'..='\u{1d7ff}') // mathematical alphanumerics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_no_other_language() {
        for text in ["", "plain", "naïve Škoda œuvre", "Σ x² ≤ π, ℝ, 𝑥 → ∞, ½, Å", "— “quoted” … 1 000 €"]
        {
            assert!(!mixes_scripts(text), "{text}");
        }
        for text in ["so 首先 we", "значит x = 2", "まず", "그래서", "इसलिए", "لذلك", "לכן"]
        {
            assert!(mixes_scripts(text), "{text}");
        }
    }
}
