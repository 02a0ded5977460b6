//! Names and symbols of tokens that are not meant to name a token. Owns which they are; must not know what they named.

/// Symbols worth looking like.
const WELL_KNOWN: [&str; 9] = ["USDC", "USDT", "DAI", "ETH", "WETH", "BTC", "WBTC", "STETH", "BNB"];

/// Words that want something of the reader.
const LURES: [&str; 13] = [
    "claim", "visit", "airdrop", "reward", "redeem", "bonus", "voucher", "giveaway", "gift", "eligible",
    "free", "mint", "get",
];

/// Characters that a reader does not see, or that turn what is around them: controls of direction, and of no width. What
/// only spoils a text (broken UTF-8, the NULs of a `bytes32`) is none of them.
pub fn hides(text: &str) -> bool {
    text.chars().any(|c| {
        matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
    })
}

/// Whether a token's name or symbol is an address on the web, a lure with one, hides something, or is a well-known symbol
/// written in letters of another script.
pub fn is_hostile(text: &str) -> bool {
    hides(text) || leads_away(text) || looks_like_another(text)
}

fn leads_away(text: &str) -> bool {
    // The dot of another script ends a label in a browser, too.
    let text: String =
        text.to_lowercase().chars().map(|c| if matches!(c, '。' | '．' | '｡') { '.' } else { c }).collect();
    if text.contains("://") || text.contains("www.") {
        return true;
    }
    let words = || {
        text.split(|c: char| {
            c.is_whitespace() || matches!(c, '(' | ')' | '[' | ']' | '<' | '>' | '"' | '|' | ',')
        })
    };
    let lures = text
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| LURES.iter().any(|lure| word.starts_with(lure)));
    words().any(|word| {
        let (host, path) = word.split_once('/').map_or((word, None), |(host, path)| (host, Some(path)));
        is_domain(host.trim_matches(|c: char| !c.is_alphanumeric()))
            && (lures || path.is_some_and(|path| !path.is_empty()))
    })
}

// A name alone may be a project's: Curve.fi.
fn is_domain(host: &str) -> bool {
    let Some((labels, top)) = host.rsplit_once('.') else { return false };
    let label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && label.chars().any(char::is_alphanumeric)
    };
    labels.split('.').all(label) && top.chars().count() >= 2 && top.chars().all(char::is_alphabetic)
}

fn looks_like_another(text: &str) -> bool {
    let text = text.trim();
    if text.is_ascii() {
        return false;
    }
    let Some(letters) = text.chars().map(latin).collect::<Option<String>>() else { return false };
    WELL_KNOWN.contains(&letters.as_str())
}

/// The capital Latin letter that a character looks like; `None` where it looks like none (Unicode's confusables, as far as
/// the letters of [`WELL_KNOWN`] go). The tugrik sign `₮` is none: USD₮ is what Tether calls itself.
fn latin(c: char) -> Option<char> {
    let plain = match c {
        'A'..='Z' => c,
        'a'..='z' => c.to_ascii_uppercase(),
        '\u{ff21}'..='\u{ff3a}' => offset(c, 0xff21)?,
        '\u{ff41}'..='\u{ff5a}' => offset(c, 0xff41)?,
        // Mathematical letters: alphabets of capitals and of small letters, one after the other.
        '\u{1d400}'..='\u{1d6a3}' => char::from(b'A' + u8::try_from((u32::from(c) - 0x1d400) % 26).ok()?),
        'А' | 'а' | 'Α' | 'α' | 'Ꭺ' | 'ꓮ' | 'À'..='Å' | 'à'..='å' | 'Ā'..='ą' | 'Ạ'..='ặ' => {
            'A'
        }
        'В' | 'Β' | 'ꓐ' | 'Ᏼ' | 'ß' | 'Ḃ'..='ḇ' => 'B',
        'С' | 'с' | 'Ϲ' | 'ϲ' | 'Ꮯ' | 'ꓚ' | 'Ⅽ' | 'ⅽ' | 'Ç' | 'ç' | 'Ć'..='č' | 'Ḉ' | 'ḉ' => {
            'C'
        }
        'ԁ' | 'Ꭰ' | 'ꓓ' | 'Ⅾ' | 'ⅾ' | 'Ð' | 'Đ' | 'đ' | 'Ď' | 'ď' | 'Ḋ'..='ḓ' => 'D',
        'Е' | 'е' | 'Ε' | 'ε' | 'Ꭼ' | 'ꓰ' | 'È'..='Ë' | 'è'..='ë' | 'Ē'..='ě' | 'Ё' | 'ё' | 'Ẹ'..='ệ' => {
            'E'
        }
        'Н' | 'н' | 'Η' | 'һ' | 'Һ' | 'Ꮋ' | 'ꓧ' | 'Ĥ'..='ħ' | 'Ḣ'..='ḫ' => 'H',
        'І' | 'і' | 'Ι' | 'ι' | 'ꓲ' | 'Ӏ' | 'Ⅰ' | 'ⅰ' | 'Ì'..='Ï' | 'ì'..='ï' | 'Ĩ'..='ı' | 'Ї' | 'ї' => {
            'I'
        }
        'Ν' | 'ꓠ' | 'Ñ' | 'ñ' | 'Ń'..='ň' | 'Ṅ'..='ṋ' => 'N',
        'Ѕ' | 'ѕ' | 'Տ' | 'Ꮪ' | 'ꓢ' | 'Ś'..='š' | 'Ș' | 'ș' | 'Ṡ'..='ṩ' => 'S',
        'Т' | 'т' | 'Τ' | 'τ' | 'Ꭲ' | 'ꓔ' | 'Ţ'..='ŧ' | 'Ț' | 'ț' | 'Ṫ'..='ṱ' => 'T',
        'Ս' | 'ս' | 'ꓴ' | 'υ' | 'Ù'..='Ü' | 'ù'..='ü' | 'Ũ'..='ų' | 'Ụ'..='ự' => 'U',
        'Ԝ' | 'ԝ' | 'ω' | 'Ꮃ' | 'ꓪ' | 'Ŵ' | 'ŵ' | 'Ẁ'..='ẉ' => 'W',
        _ => return None,
    };
    Some(plain)
}

fn offset(c: char, from: u32) -> Option<char> {
    Some(char::from(b'A' + u8::try_from(u32::from(c) - from).ok()?))
}
