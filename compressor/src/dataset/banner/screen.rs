//! Text of unknown senders on a screen: bounded, on one line, in the order in which it is read.

/// What stands for a character that is not shown.
const HIDDEN: char = char::REPLACEMENT_CHARACTER;
/// Marks that may stack on one letter; Vietnamese and pointed Hebrew have up to three.
const MARKS_MAX: usize = 4;

/// A text as it may be shown: at most so many characters, an ellipsis where there are more; what steers a terminal or turns the order of
/// letters, and marks that pile up, replaced by U+FFFD.
pub fn on_screen(text: &str, characters_max: usize) -> String {
    let mut shown = String::new();
    let mut marks = 0;
    for (place, character) in text.chars().enumerate() {
        if place == characters_max {
            shown.push('…');
            break;
        }
        marks = if is_mark(character) { marks + 1 } else { 0 };
        shown.push(if steers(character) || marks > MARKS_MAX { HIDDEN } else { character });
    }
    shown
}

/// Control characters, line and paragraph separators, marks and embeddings of direction, characters without width, tags.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF9}'..='\u{FFFB}' | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}' | '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..='\u{10FFFF}')
}

/// Combining marks of the scripts in question (Unicode general category Mn, by block).
fn is_mark(character: char) -> bool {
    matches!(character,
        '\u{0300}'..='\u{036F}' | '\u{0483}'..='\u{0489}' | '\u{0591}'..='\u{05C7}' | '\u{0610}'..='\u{061A}' | '\u{064B}'..='\u{065F}'
        | '\u{0E31}' | '\u{0E34}'..='\u{0E3A}' | '\u{0E47}'..='\u{0E4E}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}'
        | '\u{20D0}'..='\u{20FF}' | '\u{3099}' | '\u{309A}' | '\u{FE00}'..='\u{FE0F}' | '\u{FE20}'..='\u{FE2F}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_stay_as_they_are() {
        for name in [
            "Yamada^Tarou",
            "山田^太郎",
            "ﾔﾏﾀﾞ^ﾀﾛｳ",
            "김희중",
            "قباني^لنزار",
            "Люкceмбypг",
            "Nguyễn Thị",
            "שרון^דבורה",
        ] {
            assert_eq!(on_screen(name, 64), name);
        }
    }

    #[test]
    fn what_steers_is_replaced_and_what_is_long_is_cut() {
        assert_eq!(
            on_screen("A\u{1b}[2JB\r\n\u{202e}C\u{2066}\u{200b}D", 64),
            "A\u{fffd}[2JB\u{fffd}\u{fffd}\u{fffd}C\u{fffd}\u{fffd}D"
        );
        assert_eq!(on_screen(&"X".repeat(65_536), 64), format!("{}…", "X".repeat(64)));
        let piled = format!("a{}", "\u{0301}".repeat(60));
        assert_eq!(on_screen(&piled, 100).matches('\u{0301}').count(), MARKS_MAX);
    }

    proptest! {
        #[test]
        fn nothing_steers_whatever_comes(text in any::<String>(), most in 0_usize..80) {
            let shown = on_screen(&text, most);
            prop_assert!(shown.chars().count() <= most + 1);
            prop_assert!(!shown.chars().any(steers));
        }
    }
}
