//! The events that somebody names, out of those that an ABI has.

use domain::{EventSchema, suggest::mend};

use crate::AbiError;

/// The events that `wanted` names, in the ABI's order; every event where `wanted` is empty. A name takes all its
/// overloads, a signature one.
///
/// # Errors
/// [`AbiError::UnknownEvent`] with the events that there are.
pub fn select<N: AsRef<str>>(events: &[EventSchema], wanted: &[N]) -> Result<Vec<EventSchema>, AbiError> {
    for name in wanted.iter().map(AsRef::as_ref) {
        if !events.iter().any(|event| event.is_named(name)) {
            return Err(unknown(events, name));
        }
    }
    let chosen =
        |event: &EventSchema| wanted.is_empty() || wanted.iter().any(|name| event.is_named(name.as_ref()));
    Ok(events.iter().filter(|event| chosen(event)).cloned().collect())
}

fn unknown(events: &[EventSchema], name: &str) -> AbiError {
    let mut known: Vec<_> = events
        .iter()
        .map(|event| {
            let overloaded = events.iter().filter(|other| other.name == event.name).count() > 1;
            if overloaded { event.signature() } else { event.name.clone() }
        })
        .collect();
    known.dedup();
    // A signature is compared with signatures, so that a wrong type is found under the right name.
    let signatures: Vec<_> = events.iter().map(EventSchema::signature).collect();
    let candidates = if name.contains('(') { &signatures } else { &known };
    AbiError::UnknownEvent { event: name.to_owned(), mend: mend(name, candidates, "it has") }
}
