//! Owns the vocabulary of scripts: what a call is, and what can be said to one.

use serde_json::Value as Json;

/// A call that arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// JSON-RPC method.
    pub method: String,
    /// Its parameters.
    pub params: Json,
    /// Its id.
    pub id: Json,
    /// How many calls came in the same message; 1 for one that came alone.
    pub batch: usize,
}

/// What the node says to a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// A result.
    Result(Json),
    /// A JSON-RPC error, over HTTP with status 200.
    Error {
        /// Its code.
        code: i64,
        /// Its message.
        message: String,
        /// Its data.
        data: Option<Json>,
    },
    /// An HTTP answer of this status, with these headers and this body. On a WebSocket, the body as a frame.
    Http {
        /// The status.
        status: u16,
        /// Headers besides the length.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// This text in place of an answer: the body over HTTP, a frame on a WebSocket.
    Raw(String),
    /// Nothing, ever.
    Silence,
    /// The end of the connection.
    Close,
}

impl Reply {
    /// A JSON-RPC error without data.
    pub fn error(code: i64, message: &str) -> Self {
        Self::Error { code, message: message.to_owned(), data: None }
    }

    /// An HTTP status with a body and no headers.
    pub fn http(status: u16, body: &str) -> Self {
        Self::Http { status, headers: Vec::new(), body: body.to_owned() }
    }
}

/// How a node writes the ids of its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// As they were asked.
    AsAsked,
    /// As strings.
    Strings,
    /// As strings in hexadecimal.
    Hex,
    /// As floats.
    Floats,
    /// Not at all.
    Null,
}

impl Ids {
    pub(super) fn write(self, id: &Json) -> Json {
        let number = id.as_u64().unwrap_or_default();
        match self {
            Self::AsAsked => id.clone(),
            Self::Strings => number.to_string().into(),
            Self::Hex => format!("0x{number:x}").into(),
            #[expect(clippy::cast_precision_loss, reason = "the ids of a test are small")]
            Self::Floats => (number as f64).into(),
            Self::Null => Json::Null,
        }
    }
}

/// How batches over HTTP are answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Batches {
    /// In the order of the questions.
    InOrder,
    /// The last question first.
    Reversed,
    /// Only so many of the answers.
    Partial(usize),
    /// In the order of the questions, up to so many of them; more are refused so: an error as one object without an id, an
    /// HTTP status, or any text.
    AtMost(usize, Reply),
    /// With one error for all.
    Refused {
        /// Its code.
        code: i64,
        /// Its message.
        message: String,
    },
}
