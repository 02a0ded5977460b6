//! ABI files: a JSON array, or the artifact of a build tool that has it under `abi`. Only the events matter, so an
//! ABI whose functions nobody can read still serves.

use std::{fs, io::Read, path::Path};

use domain::{EventParam, EventSchema, Field, ParamType};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::{AbiError, signature::parse_signature_of_abi, types};

/// The longest file that is read, in bytes. Artifacts carry bytecode and sources beside the ABI.
pub const MAX_ABI_BYTES: u64 = 64 * 1024 * 1024;

/// What chainbell needs of an ABI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbiFile {
    /// Every event in the file's order, each declaration once; at least one that can be decoded. Those with a type that
    /// is not decoded are among them: their logs are stored raw.
    pub events: Vec<EventSchema>,
    /// How many functions it declares.
    pub functions: usize,
    /// Entries that are no event that can be known by a log: a name or its place in the file, and why.
    pub unreadable: Vec<(String, String)>,
}

impl AbiFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`AbiError`], in one sentence that names the file and the mend.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, AbiError> {
        let path = path.as_ref();
        let file = path.display().to_string();
        let unreadable =
            |error: std::io::Error| AbiError::Unreadable { file: file.clone(), detail: error.to_string() };
        let mut bytes = Vec::new();
        // A directory opens on Linux and fails at the first read.
        let opened = fs::File::open(path).map_err(unreadable)?;
        opened.take(MAX_ABI_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_ABI_BYTES {
            return Err(AbiError::TooLong { file, max: MAX_ABI_BYTES });
        }
        let not_json =
            |_| AbiError::NotJson { file: file.clone(), detail: "it is not UTF-8 text".to_owned() };
        let text = String::from_utf8(bytes).map_err(not_json)?;
        Self::parse(&file, &text)
    }

    /// Reads the text of a file; `file` names it in errors.
    ///
    /// # Errors
    /// [`AbiError`], in one sentence that names the file and the mend.
    pub fn parse(file: &str, text: &str) -> Result<Self, AbiError> {
        let text = text.trim_start_matches('\u{feff}');
        let json: Json = serde_json::from_str(text)
            .map_err(|error| AbiError::NotJson { file: file.to_owned(), detail: error.to_string() })?;
        let items = items(json).map_err(|detail| AbiError::NoAbi { file: file.to_owned(), detail })?;
        let mut abi = Self { events: Vec::new(), functions: 0, unreadable: Vec::new() };
        for (position, item) in items.into_iter().enumerate() {
            if let Err((event, detail)) = abi.add(item) {
                abi.unreadable.push((event.unwrap_or_else(|| format!("entry {position}")), detail));
            }
        }
        if abi.events.iter().any(|event| event.opaque().is_none()) {
            return Ok(abi);
        }
        let opaque = abi.events.iter().find_map(|event| Some((event.name.clone(), why_opaque(event)?)));
        let first = abi.unreadable.into_iter().next().or(opaque);
        let file = file.to_owned();
        Err(first.map_or_else(
            || AbiError::NoEvents { file: file.clone() },
            |(event, detail)| AbiError::BadEvent { file: file.clone(), event, detail },
        ))
    }

    /// A sentence for each event that is not decoded.
    pub fn notes(&self) -> Vec<String> {
        let opaque = self.events.iter().filter_map(raw_note);
        let unreadable = self
            .unreadable
            .iter()
            .map(|(event, detail)| format!("event '{event}' cannot be read and is left out: {detail}"));
        opaque.chain(unreadable).collect()
    }

    fn add(&mut self, item: Json) -> Result<(), (Option<String>, String)> {
        let event = match item_kind(&item) {
            Kind::Function => {
                self.functions += 1;
                return Ok(());
            }
            Kind::Other => return Ok(()),
            Kind::Event => {
                let name = item.get("name").and_then(Json::as_str).map(str::to_owned);
                schema(item).map_err(|detail| (name, detail))?
            }
            Kind::ReadableEvent(text) => {
                parse_signature_of_abi(&text).map_err(|error| (Some(text), error.message))?
            }
        };
        // Proxies' merged ABIs declare the same event twice.
        if !self.events.contains(&event) {
            self.events.push(event);
        }
        Ok(())
    }
}

/// The sentence about an event whose logs are stored raw, if it is one.
pub fn raw_note(event: &EventSchema) -> Option<String> {
    let why = why_opaque(event)?;
    Some(format!("event '{}' is not decoded, its logs are stored raw: {why}", event.signature()))
}

fn why_opaque(event: &EventSchema) -> Option<String> {
    types::elementary(event.opaque()?).err()
}

/// The ABI's entries, wherever the file has them.
fn items(json: Json) -> Result<Vec<Json>, String> {
    match json {
        Json::Array(items) => entries(items, "it is an array of something else"),
        Json::Object(mut artifact) => match artifact.remove("abi") {
            Some(Json::Array(items)) => entries(items, "its \"abi\" is an array of something else"),
            // Old compilers wrote the ABI as a text.
            Some(Json::String(text)) => match serde_json::from_str(&text) {
                Ok(Json::Array(items)) => entries(items, "its \"abi\" is an array of something else"),
                _ => Err("its \"abi\" is a text that is no JSON array".to_owned()),
            },
            Some(_) => Err("its \"abi\" is no array".to_owned()),
            None => Err("it is an object without \"abi\"".to_owned()),
        },
        _ => Err("it is neither an array nor an object".to_owned()),
    }
}

fn entries(items: Vec<Json>, otherwise: &str) -> Result<Vec<Json>, String> {
    let usable = items.iter().all(|item| item.is_object() || item.is_string());
    if usable { Ok(items) } else { Err(otherwise.to_owned()) }
}

enum Kind {
    Function,
    Event,
    ReadableEvent(String),
    Other,
}

fn item_kind(item: &Json) -> Kind {
    match item {
        Json::String(text) if text.trim_start().starts_with("event ") => Kind::ReadableEvent(text.clone()),
        Json::String(text) if text.trim_start().starts_with("function ") => Kind::Function,
        // An entry without a type is a function (Solidity ABI specification, "JSON").
        Json::Object(_) => match item.get("type").and_then(Json::as_str) {
            Some("event") => Kind::Event,
            Some("function") | None => Kind::Function,
            Some(_) => Kind::Other,
        },
        _ => Kind::Other,
    }
}

/// An event as the specification's "JSON" section describes it. Tools leave out what is false or empty.
#[derive(Deserialize)]
struct EventEntry {
    name: String,
    #[serde(default)]
    inputs: Vec<InputEntry>,
    #[serde(default)]
    anonymous: bool,
}

/// A parameter or a struct's member.
#[derive(Deserialize)]
struct InputEntry {
    #[serde(default)]
    name: String,
    #[serde(rename = "type")]
    ty: String,
    #[serde(default)]
    components: Vec<InputEntry>,
    #[serde(default)]
    indexed: bool,
}

fn schema(item: Json) -> Result<EventSchema, String> {
    let event: EventEntry = serde_json::from_value(item).map_err(|error| error.to_string())?;
    let param = |input: InputEntry| {
        let ty = param_type(&input.ty, &input.components, 0)?;
        Ok(EventParam { name: name(input.name)?, ty, indexed: input.indexed })
    };
    let params = event.inputs.into_iter().map(param).collect::<Result<_, String>>()?;
    let schema = EventSchema { name: name(event.name)?, params, anonymous: event.anonymous };
    types::check_event(&schema)?;
    if schema.name.is_empty() { Err("its name is empty".to_owned()) } else { Ok(schema) }
}

fn param_type(ty: &str, components: &[InputEntry], depth: usize) -> Result<ParamType, String> {
    if depth > types::MAX_NESTING {
        return Err(format!("structs nest deeper than {} levels", types::MAX_NESTING));
    }
    let (word, suffix) = ty.split_at(ty.find('[').unwrap_or(ty.len()));
    let base = if word == "tuple" {
        let field = |part: &InputEntry| {
            Ok(Field {
                name: name(part.name.clone())?,
                ty: param_type(&part.ty, &part.components, depth + 1)?,
            })
        };
        ParamType::Tuple(components.iter().map(field).collect::<Result<_, String>>()?)
    } else {
        types::elementary_or_opaque(word)?
    };
    types::arrays(base, suffix)
}

/// Names become JSON keys, subjects and terminal output, so that they are nothing but names.
fn name(given: String) -> Result<String, String> {
    if given.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$') {
        Ok(given)
    } else {
        Err(format!("'{}' is no name; names are letters, digits, '_' and '$'", given.escape_debug()))
    }
}
