//! What a token says of itself, which is whatever its author liked: `name()`, `symbol()` and `decimals()` of
//! ERC-20, read tolerantly and cleaned of what could deceive a reader. Must not know who asks, or how.

use alloy_primitives::{Bytes, U256, keccak256};

/// The most characters of a name or symbol that are kept.
pub const MAX_TEXT_CHARS: usize = 64;

/// The most decimals that make sense: 10^77 is the largest power of ten in 256 bits.
pub const MAX_DECIMALS: u8 = 77;

/// A question to a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataCall {
    /// `name()`.
    Name,
    /// `symbol()`.
    Symbol,
    /// `decimals()`.
    Decimals,
}

impl MetadataCall {
    /// The input of the call: the function's selector.
    pub fn input(self) -> Bytes {
        let signature = match self {
            Self::Name => "name()",
            Self::Symbol => "symbol()",
            Self::Decimals => "decimals()",
        };
        Bytes::copy_from_slice(&keccak256(signature)[..4])
    }
}

/// Reads the answer to `name()` or `symbol()`: a string, or the `bytes32` of older tokens. `None` where it is
/// neither, or nothing printable remains.
pub fn decode_text(answer: &[u8]) -> Option<String> {
    let bytes = dynamic(answer).or_else(|| fixed(answer))?;
    let text = printable(&String::from_utf8_lossy(bytes));
    (!text.is_empty()).then_some(text)
}

/// The answer to `name()` or `symbol()` as it was said, with all that [`decode_text`] removes. Not for showing.
pub fn raw_text(answer: &[u8]) -> Option<String> {
    dynamic(answer).or_else(|| fixed(answer)).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// Reads the answer to `decimals()`; `None` where it is none or above [`MAX_DECIMALS`].
pub fn decode_decimals(answer: &[u8]) -> Option<u8> {
    let decimals = U256::from_be_bytes(*answer.first_chunk::<32>()?);
    u8::try_from(decimals).ok().filter(|decimals| *decimals <= MAX_DECIMALS)
}

/// The content of an encoded string; its padding may be missing.
fn dynamic(answer: &[u8]) -> Option<&[u8]> {
    let size = |at: usize| usize::try_from(U256::from_be_bytes(*answer.get(at..)?.first_chunk::<32>()?)).ok();
    let at = size(0)?;
    let length = size(at)?;
    let start = at.checked_add(32)?;
    answer.get(start..start.checked_add(length)?)
}

/// The text of a `bytes32`, which ends at its first NUL.
fn fixed(answer: &[u8]) -> Option<&[u8]> {
    let word: &[u8; 32] = answer.try_into().ok()?;
    let end = word.iter().position(|byte| *byte == 0).unwrap_or(32);
    // A number in a word starts with zeros and is no text.
    word[end..].iter().all(|byte| *byte == 0).then(|| &word[..end])
}

/// The text without what a reader would not see or would be misled by, on one line.
fn printable(text: &str) -> String {
    let visible: String =
        text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !deceives(*c)).collect();
    let words: Vec<_> = visible.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(MAX_TEXT_CHARS).collect::<String>().trim_end().to_owned()
}

/// Controls, characters that turn the direction of text, and those of no width (Unicode categories Cc and Cf, and
/// the default-ignorable code points of `DerivedCoreProperties.txt`); also U+FFFD, which stands for broken UTF-8.
pub fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{fffd}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}
