//! Bytes into values (Solidity ABI specification, "Formal Specification of the Encoding"). Strict where a lenient
//! reading would invent a value, lenient where real contracts are sloppy; must not know events.
//!
//! - A word with bits set where its type has none is refused: masking them would show an address that is not there.
//! - A dynamic tail that is not padded to 32 bytes is read: some real contracts emit such logs.
//! - A length is believed only as far as the data that is there, and tails that overlap are read only until four
//!   times the data has been read, so that a small log cannot claim a large allocation.

use alloy_primitives::{Address, B256, Bytes, I256, U256};
use domain::{Fields, ParamType, Value, value::field_keys};

const WORD: usize = 32;

/// How many bytes may be read of a log, as a multiple of its data. An honest encoding reads each once; a compressed
/// one may point at equal tails.
const MAX_REREAD: usize = 4;

/// A type, prepared for reading.
#[derive(Debug)]
pub(crate) struct Codec {
    kind: Kind,
    /// Bytes in the head: a word for a dynamic type, all of a static one.
    head: usize,
    dynamic: bool,
}

#[derive(Debug)]
enum Kind {
    Word(Word),
    Bytes,
    Text,
    Array(Box<Codec>),
    FixedArray(Box<Codec>, usize),
    Tuple(Box<[(String, Codec)]>),
}

/// A type of one word.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Word {
    Uint(u16),
    Int(u16),
    Address,
    Bool,
    /// Bytes at the left, by length: `bytesN` and `function`.
    Left(u8),
}

impl Word {
    /// The word type that `ty` is, if it is one.
    pub(crate) fn of(ty: &ParamType) -> Option<Self> {
        match ty {
            ParamType::Uint(bits) => Some(Self::Uint(*bits)),
            ParamType::Int(bits) => Some(Self::Int(*bits)),
            ParamType::Address => Some(Self::Address),
            ParamType::Bool => Some(Self::Bool),
            ParamType::FixedBytes(length) => Some(Self::Left(*length)),
            ParamType::Function => Some(Self::Left(24)),
            _ => None,
        }
    }

    /// The value of a word, or why it is none of this type.
    pub(crate) fn value(self, word: &[u8; WORD]) -> Result<Value, String> {
        match self {
            Self::Uint(bits) => {
                let value = U256::from_be_bytes(*word);
                if value.bit_len() > usize::from(bits) {
                    return Err(format!("a uint{bits} has bits set above its {bits}"));
                }
                Ok(Value::Uint(value))
            }
            Self::Int(bits) => {
                let value = I256::from_be_bytes(*word);
                let above = value.asr(usize::from(bits.max(1)) - 1);
                if !above.is_zero() && above != I256::MINUS_ONE {
                    return Err(format!("an int{bits} is not extended by its sign"));
                }
                Ok(Value::Int(value))
            }
            Self::Address => {
                if word[..12].iter().any(|byte| *byte != 0) {
                    return Err("an address has bytes set before its 20".to_owned());
                }
                Ok(Value::Address(Address::from_slice(&word[12..])))
            }
            Self::Bool => match (word[..31].iter().all(|byte| *byte == 0), word[31]) {
                (true, 0) => Ok(Value::Bool(false)),
                (true, 1) => Ok(Value::Bool(true)),
                _ => Err("a bool is neither 0 nor 1".to_owned()),
            },
            Self::Left(length) => {
                let (bytes, padding) = word.split_at(usize::from(length.min(32)));
                if padding.iter().any(|byte| *byte != 0) {
                    return Err(format!("a value of {length} bytes has bytes set behind them"));
                }
                Ok(Value::Bytes(Bytes::copy_from_slice(bytes)))
            }
        }
    }
}

impl Codec {
    pub(crate) fn new(ty: &ParamType) -> Self {
        if let Some(word) = Word::of(ty) {
            return Self { kind: Kind::Word(word), head: WORD, dynamic: false };
        }
        match ty {
            ParamType::String => Self { kind: Kind::Text, head: WORD, dynamic: true },
            ParamType::Array(inner) => {
                Self { kind: Kind::Array(Box::new(Self::new(inner))), head: WORD, dynamic: true }
            }
            ParamType::FixedArray(inner, length) => {
                let inner = Self::new(inner);
                let dynamic = inner.dynamic;
                let head = if dynamic { WORD } else { inner.head.saturating_mul(*length) };
                Self { kind: Kind::FixedArray(Box::new(inner), *length), head, dynamic }
            }
            ParamType::Tuple(fields) => {
                let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
                let codecs = fields.iter().map(|field| Self::new(&field.ty));
                let members: Box<[_]> = field_keys(&names).into_iter().zip(codecs).collect();
                let dynamic = members.iter().any(|(_, codec)| codec.dynamic);
                let inline = members.iter().fold(0_usize, |sum, (_, codec)| sum.saturating_add(codec.head));
                Self { kind: Kind::Tuple(members), head: if dynamic { WORD } else { inline }, dynamic }
            }
            _ => Self { kind: Kind::Bytes, head: WORD, dynamic: true },
        }
    }

    /// Bytes in the head.
    pub(crate) const fn head(&self) -> usize {
        self.head
    }

    /// Whether a part of it lies behind the head.
    pub(crate) const fn is_dynamic(&self) -> bool {
        self.dynamic
    }

    fn tail_head(&self) -> usize {
        match &self.kind {
            Kind::Tuple(members) => members.iter().fold(0, |sum, (_, codec)| sum.saturating_add(codec.head)),
            Kind::FixedArray(inner, length) => inner.head.saturating_mul(*length),
            _ => WORD,
        }
    }
}

/// A cursor over the data of one log.
#[derive(Debug)]
pub(crate) struct Reader<'d> {
    data: &'d [u8],
    budget: usize,
    extent: usize,
}

impl<'d> Reader<'d> {
    pub(crate) fn new(data: &'d [u8]) -> Self {
        Self { data, budget: data.len().saturating_mul(MAX_REREAD), extent: 0 }
    }

    /// Whether the values read so far are all that the data holds, padding aside.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.extent.next_multiple_of(WORD) == self.data.len().next_multiple_of(WORD)
    }

    /// The value whose head is `at`, in a sequence that begins at `base`.
    pub(crate) fn value(&mut self, codec: &Codec, base: usize, at: usize) -> Result<Value, String> {
        if !codec.dynamic {
            return self.parts(codec, base, at);
        }
        let offset = self.size(at, "an offset")?;
        let tail = base.saturating_add(offset);
        if tail.saturating_add(codec.tail_head()) > self.data.len() {
            return Err(format!(
                "an offset of {offset} points behind the data, which has {} bytes",
                self.data.len()
            ));
        }
        match &codec.kind {
            Kind::Bytes => self.content(tail).map(|bytes| Value::Bytes(Bytes::copy_from_slice(bytes))),
            Kind::Text => self.content(tail).map(Value::text),
            Kind::Array(inner) => self.array(inner, tail),
            _ => self.parts(codec, tail, tail),
        }
    }

    /// A value that lies at `at` without an offset; `base` is what the offsets inside of it count from.
    fn parts(&mut self, codec: &Codec, base: usize, at: usize) -> Result<Value, String> {
        match &codec.kind {
            Kind::Word(word) => self.word(at).and_then(|bytes| word.value(bytes)),
            Kind::FixedArray(inner, length) => self.elements(inner, *length, base, at),
            Kind::Tuple(members) => {
                let mut fields = Vec::with_capacity(members.len());
                let mut at = at;
                for (key, codec) in members {
                    fields.push((key.clone(), self.value(codec, base, at)?));
                    at = at.saturating_add(codec.head);
                }
                Ok(Value::Tuple(Fields(fields)))
            }
            Kind::Bytes | Kind::Text | Kind::Array(_) => self.value(codec, base, at),
        }
    }

    fn array(&mut self, inner: &Codec, tail: usize) -> Result<Value, String> {
        let length = self.size(tail, "the length of an array")?;
        let first = tail + WORD;
        self.elements(inner, length, first, first)
    }

    fn elements(&mut self, inner: &Codec, length: usize, base: usize, first: usize) -> Result<Value, String> {
        let left = self.data.len().saturating_sub(first);
        if inner.head.saturating_mul(length) > left {
            return Err(format!(
                "an array of {length} elements does not fit into the {left} bytes that are left"
            ));
        }
        let mut values = Vec::with_capacity(length);
        for position in 0..length {
            values.push(self.value(inner, base, first + position * inner.head)?);
        }
        Ok(Value::Array(values))
    }

    /// Bytes behind their length, padded or not.
    fn content(&mut self, tail: usize) -> Result<&'d [u8], String> {
        let length = self.size(tail, "the length of bytes")?;
        let start = tail + WORD;
        let left = self.data.len().saturating_sub(start);
        if length > left {
            return Err(format!("{length} bytes do not fit into the {left} that are left"));
        }
        self.spend(length, start + length)?;
        Ok(&self.data[start..start + length])
    }

    fn size(&mut self, at: usize, what: &str) -> Result<usize, String> {
        let word = self.word(at)?;
        let size = U256::from_be_bytes(*word);
        // More than the data is wrong in any case; the comparison keeps it small enough for sums.
        match usize::try_from(size) {
            Ok(size) if size <= self.data.len() => Ok(size),
            _ => Err(format!("{what} is {size}, and the data has {} bytes", self.data.len())),
        }
    }

    fn word(&mut self, at: usize) -> Result<&'d [u8; WORD], String> {
        let word = self.data.get(at..).and_then(<[u8]>::first_chunk);
        let word = word.ok_or_else(|| format!("the data ends after {} bytes", self.data.len()))?;
        self.spend(WORD, at + WORD)?;
        Ok(word)
    }

    fn spend(&mut self, bytes: usize, end: usize) -> Result<(), String> {
        self.extent = self.extent.max(end);
        self.budget =
            self.budget.checked_sub(bytes).ok_or("its offsets read the same bytes again and again")?;
        Ok(())
    }
}

/// The value of a topic.
pub(crate) fn topic(word: Option<Word>, topic: &B256) -> Result<Value, String> {
    // A type of more than a word leaves its hash only.
    word.map_or_else(|| Ok(Value::Hash(*topic)), |word| word.value(&topic.0))
}
