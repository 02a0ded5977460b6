//! What JetStream answers when it refuses: the code decides how it is mended, and never the words.

use std::{error::Error, fmt::Display};

use async_nats::jetstream::{
    ErrorCode,
    context::{
        ConsumerInfoError, ConsumerInfoErrorKind, CreateStreamError, CreateStreamErrorKind, GetStreamError,
        GetStreamErrorKind, PublishError, RequestError, RequestErrorKind,
    },
    stream::{
        ConsumerCreateStrictError, ConsumerCreateStrictErrorKind, ConsumerUpdateError,
        ConsumerUpdateErrorKind,
    },
};

const NO_JETSTREAM: &str = "start nats-server with -js, or enable JetStream for the account of this login";

/// An error that may hold JetStream's code.
pub(super) trait Answer: Display {
    fn code(&self) -> Option<ErrorCode>;

    /// Whether nothing listens where JetStream does.
    fn unheard(&self) -> bool {
        false
    }

    /// Whether what was asked for came or went meanwhile.
    fn moved(&self) -> bool {
        false
    }
}

impl Answer for CreateStreamError {
    fn code(&self) -> Option<ErrorCode> {
        match self.kind() {
            CreateStreamErrorKind::JetStream(why) => Some(why.error_code()),
            _ => None,
        }
    }

    fn unheard(&self) -> bool {
        self.kind() == CreateStreamErrorKind::JetStreamUnavailable
    }

    fn moved(&self) -> bool {
        self.kind() == CreateStreamErrorKind::NotFound
    }
}

impl Answer for GetStreamError {
    fn code(&self) -> Option<ErrorCode> {
        match self.kind() {
            GetStreamErrorKind::JetStream(why) => Some(why.error_code()),
            _ => None,
        }
    }

    fn unheard(&self) -> bool {
        let request = self.source().and_then(|source| source.downcast_ref::<RequestError>());
        request.is_some_and(|request| request.kind() == RequestErrorKind::NoResponders)
    }
}

impl Answer for ConsumerInfoError {
    fn code(&self) -> Option<ErrorCode> {
        match self.kind() {
            ConsumerInfoErrorKind::JetStream(why) => Some(why.error_code()),
            _ => None,
        }
    }

    fn unheard(&self) -> bool {
        self.kind() == ConsumerInfoErrorKind::NoResponders
    }

    fn moved(&self) -> bool {
        matches!(self.kind(), ConsumerInfoErrorKind::NotFound | ConsumerInfoErrorKind::StreamNotFound)
    }
}

impl Answer for ConsumerCreateStrictError {
    fn code(&self) -> Option<ErrorCode> {
        match self.kind() {
            ConsumerCreateStrictErrorKind::JetStream(why) => Some(why.error_code()),
            _ => None,
        }
    }

    fn moved(&self) -> bool {
        self.kind() == ConsumerCreateStrictErrorKind::AlreadyExists
    }
}

impl Answer for ConsumerUpdateError {
    fn code(&self) -> Option<ErrorCode> {
        match self.kind() {
            ConsumerUpdateErrorKind::JetStream(why) => Some(why.error_code()),
            _ => None,
        }
    }

    fn moved(&self) -> bool {
        self.kind() == ConsumerUpdateErrorKind::DoesNotExist
    }
}

impl Answer for PublishError {
    fn code(&self) -> Option<ErrorCode> {
        self.source()?.downcast_ref().map(async_nats::jetstream::Error::error_code)
    }
}

/// What an error says, and how to mend what its code names.
pub(super) fn said(error: &impl Answer) -> String {
    let mend = match error.code() {
        Some(ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT) => NO_JETSTREAM,
        Some(
            ErrorCode::STORAGE_RESOURCES_EXCEEDED
            | ErrorCode::MEMORY_RESOURCES_EXCEEDED
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
            | ErrorCode::STREAM_STORE_FAILED,
        ) => {
            "it has no room for another message: free its disk, or raise the limits of JetStream, the account or the stream"
        }
        Some(ErrorCode::MAXIMUM_STREAMS_LIMIT) => "the account may have no more streams: raise that limit",
        None if error.unheard() => NO_JETSTREAM,
        _ => return error.to_string(),
    };
    format!("{error}; {mend}")
}
