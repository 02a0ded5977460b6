//! Text into tokens. Owns the spelling of literals and operators; must not know what a name stands for.

use std::ops::Range;

use alloy_primitives::U256;

use super::{
    error::FilterError,
    number::{BadNumber, parse_decimal},
    program::Op,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'s> {
    /// A name or a keyword.
    Name(&'s str),
    /// A whole number, without sign.
    Number(U256),
    /// The digits after `0x`.
    Hex(&'s str),
    /// A string, its escapes resolved.
    Text(String),
    Op(Op),
    /// One of `( ) [ ] , . -`.
    Mark(char),
    End,
}

#[derive(Debug, Clone)]
pub(super) struct Spanned<'s> {
    pub(super) token: Token<'s>,
    pub(super) span: Range<usize>,
}

/// Splits `source`; the last token is [`Token::End`].
pub(super) fn tokens(source: &str) -> Result<Vec<Spanned<'_>>, FilterError> {
    let mut lexer = Lexer { source, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip(char::is_whitespace);
        let start = lexer.at;
        let token = lexer.next_token()?;
        let end = token == Token::End;
        tokens.push(Spanned { token, span: start..lexer.at });
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip(&mut self, wanted: impl Fn(char) -> bool) -> &'s str {
        let rest = self.rest();
        let length = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn error(&self, start: usize, message: impl Into<String>) -> FilterError {
        FilterError::new(self.source, start..self.at.max(start + 1), message)
    }

    fn next_token(&mut self) -> Result<Token<'s>, FilterError> {
        let Some(first) = self.peek() else { return Ok(Token::End) };
        match first {
            '0'..='9' => self.number(),
            'a'..='z' | 'A'..='Z' | '_' | '$' => Ok(Token::Name(self.skip(name_char))),
            '"' | '\'' => self.text(first),
            '(' | ')' | '[' | ']' | ',' | '.' | '-' => {
                self.at += 1;
                Ok(Token::Mark(first))
            }
            _ => self.operator(first),
        }
    }

    fn operator(&mut self, first: char) -> Result<Token<'s>, FilterError> {
        let start = self.at;
        for (text, op) in
            [("==", Op::Eq), ("!=", Op::Ne), ("<=", Op::Le), (">=", Op::Ge), ("<", Op::Lt), (">", Op::Gt)]
        {
            if self.rest().starts_with(text) {
                self.at += text.len();
                return Ok(Token::Op(op));
            }
        }
        self.at += first.len_utf8();
        let mend = match first {
            '=' => "'=' compares nothing; write '=='".to_owned(),
            '&' => "'&' is not part of the language; write 'and'".to_owned(),
            '|' => "'|' is not part of the language; write 'or'".to_owned(),
            '!' => "'!' is not part of the language; write 'not'".to_owned(),
            '+' | '*' | '/' | '%' | '^' => {
                format!("'{first}' is not part of the language; write the result of the calculation")
            }
            '“' | '”' | '‘' | '’' => {
                format!("'{first}' opens no string; use the plain quotes \" or '")
            }
            other => format!("the character '{}' is not part of the language", other.escape_debug()),
        };
        Err(self.error(start, mend))
    }

    fn number(&mut self) -> Result<Token<'s>, FilterError> {
        let start = self.at;
        if self.rest().starts_with("0x") || self.rest().starts_with("0X") {
            return self.hex();
        }
        self.skip(|c| c.is_ascii_digit() || c == '_');
        let fraction =
            self.rest().strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if fraction {
            self.at += 1;
            self.skip(|c| c.is_ascii_digit() || c == '_');
        }
        if self.rest().starts_with(['e', 'E']) {
            self.at += 1;
            if self.rest().starts_with(['+', '-']) {
                self.at += 1;
            }
        }
        self.skip(name_char);
        let text = &self.source[start..self.at];
        parse_decimal(text).map(Token::Number).map_err(|bad| {
            let shown = shorten(text);
            let message = match bad {
                BadNumber::Malformed => format!("'{shown}' is not a number"),
                BadNumber::NotWhole => {
                    format!("{shown} is not a whole number; amounts are in the token's smallest unit, such as 1.5e18")
                }
                BadNumber::TooLarge => format!("{shown} does not fit into 256 bits"),
            };
            self.error(start, message)
        })
    }

    fn hex(&mut self) -> Result<Token<'s>, FilterError> {
        let start = self.at;
        self.at += 2;
        // No digits are the empty bytes.
        let digits = self.skip(name_char);
        if let Some(wrong) = digits.find(|c: char| !c.is_ascii_hexdigit()) {
            let position = start + 2 + wrong;
            let letter = &digits[wrong..=wrong];
            let message = format!("'{letter}' is not a hex digit");
            return Err(FilterError::new(self.source, position..position + 1, message));
        }
        Ok(Token::Hex(digits))
    }

    fn text(&mut self, quote: char) -> Result<Token<'s>, FilterError> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            text.push_str(self.skip(|c| c != quote && c != '\\'));
            match self.peek() {
                None => {
                    self.at = start + 1;
                    return Err(self.error(start, format!("the string is not closed; end it with {quote}")));
                }
                Some('\\') => text.push(self.escape()?),
                Some(_) => {
                    self.at += 1;
                    return Ok(Token::Text(text));
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, FilterError> {
        let start = self.at;
        self.at += 1;
        let letter = self.peek().unwrap_or(' ');
        self.at = (self.at + letter.len_utf8()).min(self.source.len());
        let resolved = match letter {
            '\\' | '"' | '\'' => Some(letter),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'u' => self.unicode_escape(),
            _ => None,
        };
        resolved.ok_or_else(|| {
            let message = r#"this escape is unknown; use one of \\ \" \' \n \r \t \u{1f514}"#;
            self.error(start, message)
        })
    }

    fn unicode_escape(&mut self) -> Option<char> {
        let (digits, _) = self.rest().strip_prefix('{')?.split_once('}')?;
        let code = (digits.len() <= 6).then(|| u32::from_str_radix(digits, 16).ok()).flatten()?;
        self.at += digits.len() + 2;
        char::from_u32(code)
    }
}

fn name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$'
}

/// The start of a text, for a message.
pub(super) fn shorten(text: &str) -> String {
    shorten_to(text, 80)
}

/// The first `chars` characters of a text.
pub(super) fn shorten_to(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
