//! What a recipient believes, as a fold over what happened to the events that were told. Owns the decision when a
//! difference is told, and what is left then; must not know texts, rows or time.
//!
//! Whatever forks came between, the recipient ends up believing what the final chain says: a notification's facts are
//! made of the hits in [`Amendment::inside`] and of nothing else.

use crate::HitId;

/// A hit that was told, and how it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The hit.
    pub id: HitId,
    /// Since which height of the tip its event is in no block of the chain; `None` while it is in one.
    pub gone_since: Option<u64>,
    /// Whether the recipient was last told that it is so.
    pub believed: bool,
}

impl Told {
    /// Whether the recipient believes otherwise than the chain says.
    pub const fn is_wrong(&self) -> bool {
        self.believed == self.gone_since.is_some()
    }
}

/// What is to be told anew of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amendment {
    /// The hits that are left of it, in the order given; none: it is taken back.
    pub inside: Vec<HitId>,
    /// How many hits the recipient believes wrongly.
    pub changed: usize,
}

/// The amendment that a notification's hits call for when everything up to the height `settled` of the tip has settled.
/// `None` where the recipient believes the truth, and while an event may still come back: one amendment says all.
pub fn amendment(hits: &[Told], settled: u64) -> Option<Amendment> {
    let open = hits.iter().any(|hit| hit.believed && hit.gone_since.is_some_and(|since| since > settled));
    let changed = hits.iter().filter(|hit| hit.is_wrong()).count();
    if open || changed == 0 {
        return None;
    }
    let inside = hits.iter().filter(|hit| hit.gone_since.is_none()).map(|hit| hit.id).collect();
    Some(Amendment { inside, changed })
}

/// The hits as they stand after their recipient was told the amendment.
pub fn told(hits: &mut [Told]) {
    for hit in hits {
        hit.believed = hit.gone_since.is_none();
    }
}
