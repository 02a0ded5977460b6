//! Human-readable events, as people write them in a configuration:
//! `event Filled(address indexed maker, (address token, uint256 amount)[] legs)`.

use domain::{EventParam, EventSchema, Field, ParamType};

use crate::types::{self, MAX_NESTING};

/// The longest signature, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// A signature that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the event signature '{shown}' is wrong at column {column}: {message}")]
pub struct SignatureError {
    /// What is wrong, and the mend.
    pub message: String,
    /// Bytes before the fault.
    pub offset: usize,
    /// Column of the fault in characters, from 1.
    pub column: usize,
    shown: String,
}

/// Reads `event Name(type indexed name, …) anonymous;`, where `event`, names and the semicolon may be missing.
///
/// # Errors
/// [`SignatureError`] with the place and the mend.
pub fn parse_signature(text: &str) -> Result<EventSchema, SignatureError> {
    parse(text, false)
}

/// As [`parse_signature`], for an entry of an ABI: a type that is not decoded is kept by its name.
pub(crate) fn parse_signature_of_abi(text: &str) -> Result<EventSchema, SignatureError> {
    parse(text, true)
}

fn parse(text: &str, opaque: bool) -> Result<EventSchema, SignatureError> {
    let mut parser = Parser { text, at: 0, depth: 0, opaque };
    parser.event().map_err(|(offset, message)| {
        let before = text.get(..offset).unwrap_or(text);
        let shown = text.chars().take(120).map(|c| if c.is_control() { ' ' } else { c }).collect();
        SignatureError { message, offset, column: before.chars().count() + 1, shown }
    })
}

type Fault = (usize, String);

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    /// Whether a type that is not decoded is kept by its name.
    opaque: bool,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn take(&mut self, mark: char) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(mark);
        if found {
            self.at += mark.len_utf8();
        }
        found
    }

    /// The name or keyword that comes next; empty where none does.
    fn word(&mut self) -> (usize, &'t str) {
        self.skip_space();
        let (start, rest) = (self.at, self.rest());
        let length =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len());
        self.at += length;
        (start, &rest[..length])
    }

    fn peek_word(&mut self) -> &'t str {
        let before = self.at;
        let (_, word) = self.word();
        self.at = before;
        word
    }

    fn found(&self) -> String {
        self.rest().chars().next().map_or_else(|| "the end".to_owned(), |c| format!("'{}'", c.escape_debug()))
    }

    fn expect(&mut self, mark: char, why: &str) -> Result<(), Fault> {
        if self.take(mark) { Ok(()) } else { Err((self.at, format!("{why}, not {}", self.found()))) }
    }

    fn event(&mut self) -> Result<EventSchema, Fault> {
        if self.text.len() > MAX_BYTES {
            return Err((0, format!("it is longer than {MAX_BYTES} bytes")));
        }
        if self.peek_word() == "event" {
            self.word();
        }
        let name = self.name()?;
        self.expect('(', "'(' must follow the event's name")?;
        let params = self.params()?;
        let anonymous = self.peek_word() == "anonymous";
        if anonymous {
            self.word();
        }
        self.take(';');
        self.skip_space();
        if !self.rest().is_empty() {
            return Err((self.at, format!("the end must stand here, not {}", self.found())));
        }
        let schema = EventSchema { name, params, anonymous };
        types::check_event(&schema).map_err(|message| (0, message))?;
        Ok(schema)
    }

    fn name(&mut self) -> Result<String, Fault> {
        let (start, name) = self.word();
        match name {
            "function" | "error" | "constructor" => Err((start, format!("it declares {name} and no event"))),
            "" => Err((start, format!("the event's name must stand here, not {}", self.found()))),
            _ if name.starts_with(|c: char| c.is_ascii_digit()) => {
                Err((start, format!("'{name}' is no name; a name starts with a letter")))
            }
            _ => Ok(name.to_owned()),
        }
    }

    fn params(&mut self) -> Result<Vec<EventParam>, Fault> {
        let mut params = Vec::new();
        if self.take(')') {
            return Ok(params);
        }
        loop {
            let ty = self.ty()?;
            let indexed = self.peek_word() == "indexed";
            if indexed {
                self.word();
            }
            let name = self.param_name()?;
            params.push(EventParam { name, ty, indexed });
            if self.take(')') {
                return Ok(params);
            }
            self.expect(',', "',' or ')' must follow a parameter")?;
        }
    }

    fn param_name(&mut self) -> Result<String, Fault> {
        let (start, name) = self.word();
        match name {
            "memory" | "calldata" | "storage" => {
                Err((start, format!("'{name}' has no meaning in an event; remove it")))
            }
            "indexed" => {
                Err((start, "'indexed' stands between type and name of a parameter, once".to_owned()))
            }
            _ if name.starts_with(|c: char| c.is_ascii_digit()) => {
                Err((start, format!("'{name}' is no name; a name starts with a letter")))
            }
            _ => Ok(name.to_owned()),
        }
    }

    fn ty(&mut self) -> Result<ParamType, Fault> {
        self.skip_space();
        let start = self.at;
        let (_, word) = self.type_word();
        let base = if self.rest().starts_with('(') && matches!(word, "" | "tuple") {
            self.tuple()?
        } else if word.is_empty() {
            return Err((start, format!("a type must stand here, not {}", self.found())));
        } else {
            let known = if self.opaque { types::elementary_or_opaque } else { types::elementary };
            known(word).map_err(|message| (start, message))?
        };
        if base == ParamType::Address && self.peek_word() == "payable" {
            self.word();
        }
        let brackets = self.brackets()?;
        types::arrays(base, brackets).map_err(|message| (start, message))
    }

    /// The name of a type, which in an ABI can be that of a library's: `Lib.Status`.
    fn type_word(&mut self) -> (usize, &'t str) {
        let (start, mut word) = self.word();
        while self.opaque && !word.is_empty() && self.rest().starts_with('.') {
            self.at += 1;
            let (_, behind) = self.word();
            word = &self.text[start..self.at];
            if behind.is_empty() {
                break;
            }
        }
        (start, word)
    }

    /// The text of `[3][]` behind a type.
    fn brackets(&mut self) -> Result<&'t str, Fault> {
        self.skip_space();
        let start = self.at;
        while self.take('[') {
            let (digits_at, digits) = self.word();
            if !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err((digits_at, format!("'{digits}' is no length of an array; write a number")));
            }
            self.expect(']', "']' must close the array")?;
        }
        Ok(self.text[start..self.at].trim())
    }

    fn tuple(&mut self) -> Result<ParamType, Fault> {
        if self.depth == MAX_NESTING {
            return Err((self.at, format!("structs nest deeper than {MAX_NESTING} levels")));
        }
        self.depth += 1;
        self.expect('(', "'(' must open a struct")?;
        let mut fields = Vec::new();
        loop {
            let ty = self.ty()?;
            let name = self.param_name()?;
            fields.push(Field { name, ty });
            if self.take(')') {
                break;
            }
            self.expect(',', "',' or ')' must follow a member")?;
        }
        self.depth -= 1;
        Ok(ParamType::Tuple(fields))
    }
}
