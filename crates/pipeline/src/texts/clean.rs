//! Text of strangers made harmless for a reader: no controls, no invisible characters, nothing that turns the
//! direction of text, one line, bounded. Escaping for a medium is the channels' work.

use abi::metadata::deceives;

/// The most characters of a symbol that are shown.
pub(super) const SYMBOL_CHARS_MAX: usize = 16;

/// The most characters of a token's name that are shown.
pub(super) const NAME_CHARS_MAX: usize = 64;

/// The text on one line, at most `limit` characters; a longer one ends in `…`. `None` where nothing remains.
pub(super) fn line(text: &str, limit: usize) -> Option<String> {
    let visible: String =
        text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !deceives(*c)).collect();
    let words: Vec<_> = visible.split(' ').filter(|word| !word.is_empty()).collect();
    let joined = words.join(" ");
    (!joined.is_empty()).then(|| shortened(&joined, limit))
}

/// At most `limit` characters, the last of them `…` where some are left out.
pub(super) fn shortened(text: &str, limit: usize) -> String {
    if text.chars().nth(limit).is_none() {
        return text.to_owned();
    }
    let kept: String = text.chars().take(limit.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_deceives_goes_and_what_is_long_is_shortened() {
        assert_eq!(line("US\u{202e}DC\u{200b}", 16).as_deref(), Some("USDC"));
        assert_eq!(line("a\n\tb\u{1b}[2J", 16).as_deref(), Some("a b[2J"));
        assert_eq!(line("\u{200d} \u{2028}", 16), None);
        assert_eq!(line(&"x".repeat(10_000), 16).unwrap(), format!("{}…", "x".repeat(15)));
        assert_eq!(line("0123456789abcdef", 16).as_deref(), Some("0123456789abcdef"));
        assert_eq!(line("{{7*7}}", 16).as_deref(), Some("{{7*7}}"));
    }
}
