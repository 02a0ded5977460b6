//! Making hostile text harmless where it is shown to a person.

/// The text without characters that move the cursor, hide text or turn its direction; line breaks stay.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !is_deceptive(*c)).collect()
}

fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn escapes_and_direction_marks_do_not_reach_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\u{202e}c\r\n\td\u{200b}e"), "a[2Jbc\nde");
        assert_eq!(plain("a\u{9b}31mb\u{7f}\u{85}c\u{e0041}d\u{2066}"), "a31mbcd");
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        let text = "Überweisung → 1 000,50 ₽\n🔔 שלום, 你好";
        assert_eq!(plain(text), text);
    }
}
