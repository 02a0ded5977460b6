//! How a found hit is told: at once, or in a window. Owns the decisions that only a transaction can make, since two
//! processes may find hits of one person at one moment: who leads a window, and who still has a budget. Must not know
//! clocks or zones.

use std::collections::{BTreeMap, HashMap, HashSet};

use domain::{Held, HitId, RecipientId, WindowKey};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{attention::spend_budgets, bulk::Bulk, digest::Bundle, error::TxError, tx::Tx};

/// How a hit is told.
#[derive(Debug, Clone)]
pub struct HitPlan {
    /// The window that it joins, where it is not told at once.
    pub window: WindowKey,
    /// When that window should have closed at the latest.
    pub due_hint: Timestamp,
    /// Why that is later than its watch asks for.
    pub held: Option<Held>,
    /// The notification that tells it at once, where it may be.
    pub bundle: Option<Bundle>,
    /// What it is told at once by: being the first. One that follows another joins the window.
    pub lead: Option<Lead>,
    /// What telling it at once costs its recipient, where that is limited.
    pub spend: Option<Spend>,
}

/// The window that opens behind a hit which is told at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lead {
    /// When the window closes that gathers what follows.
    pub closes: Timestamp,
    /// From when on the next hit is told at once again.
    pub until: Timestamp,
    /// Whether the window slides: then `closes` is when it would close if nothing more came.
    pub slide: bool,
}

/// One notification of a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spend {
    /// Whose.
    pub recipient: RecipientId,
    /// How many there are in a period.
    pub limit: u32,
    /// When the present period began.
    pub period: Timestamp,
    /// When what is refused is told instead.
    pub next: Timestamp,
}

impl HitPlan {
    /// Whether it is told at once without asking anybody.
    pub(crate) const fn is_free(&self) -> bool {
        self.bundle.is_some() && self.lead.is_none() && self.spend.is_none()
    }
}

/// What is to be decided about hits that are pending now, and what was.
#[derive(Debug, Default)]
pub(crate) struct Settling<'a> {
    hits: Vec<(HitId, &'a HitPlan)>,
    at_once: Vec<(HitId, &'a HitPlan)>,
    /// Where they are due at another time than planned: when, and whether they are held back.
    pub(crate) moved: HashMap<Uuid, (i64, bool)>,
    refused: BTreeMap<&'a str, (&'a Spend, &'a WindowKey)>,
}

impl<'a> Settling<'a> {
    /// Of hits in chain order.
    pub(crate) fn of(hits: Vec<(HitId, &'a HitPlan)>) -> Self {
        let at_once =
            hits.iter().filter(|(_, plan)| plan.bundle.is_some() && plan.lead.is_none()).copied().collect();
        Self { hits, at_once, ..Self::default() }
    }

    /// Rows of `window_lead`: for each window the hit that leads it if nobody does.
    pub(crate) fn leads(&self, slide: bool, now: Timestamp) -> Option<Bulk> {
        let mut first: BTreeMap<&str, (HitId, &Lead)> = BTreeMap::new();
        for (id, plan) in &self.hits {
            if let Some(lead) = plan.lead.as_ref().filter(|lead| lead.slide == slide) {
                first.entry(plan.window.as_str()).or_insert((*id, lead));
            }
        }
        let rows = || first.values();
        (!first.is_empty()).then(|| {
            Bulk::new()
                .texts("window_key", first.keys())
                .uuids("leader", rows().map(|(id, _)| id.0))
                .numbers("opened", rows().map(|_| now.as_millisecond()))
                .numbers("closes", rows().map(|(_, lead)| lead.closes.as_millisecond()))
                .numbers("until", rows().map(|(_, lead)| lead.until.as_millisecond()))
        })
    }

    /// What `window_lead` says now: window, leader, and when the window closes.
    pub(crate) fn led(&mut self, rows: &[(String, Uuid, i64)]) {
        let rows: HashMap<_, _> =
            rows.iter().map(|(key, leader, closes)| (key.as_str(), (leader, closes))).collect();
        for (id, plan) in &self.hits {
            let (Some(lead), Some((leader, closes))) = (&plan.lead, rows.get(plan.window.as_str())) else {
                continue;
            };
            if **leader == id.0 && plan.bundle.is_some() {
                self.at_once.push((*id, plan));
            } else if !lead.slide {
                self.moved.insert(id.0, (**closes, false));
            }
        }
    }

    /// The budgets that are asked for something.
    pub(crate) fn spends(&self) -> BTreeMap<&'a str, &'a Spend> {
        let spends = self.at_once.iter().filter_map(|(_, plan)| plan.spend.as_ref());
        spends.map(|spend| (spend.recipient.as_str(), spend)).collect()
    }

    /// Gives what budgets have left, first come, first served; `taken` is what is spent or promised of each. Returns what
    /// is spent now.
    pub(crate) fn spend(&mut self, taken: &HashMap<String, i64>) -> BTreeMap<&'a str, i64> {
        let mut granted: BTreeMap<&str, i64> = BTreeMap::new();
        let asking = std::mem::take(&mut self.at_once);
        for (id, plan) in asking {
            if let Some(spend) = &plan.spend {
                let given = granted.entry(spend.recipient.as_str()).or_default();
                let taken = taken.get(spend.recipient.as_str()).copied().unwrap_or_default();
                if taken + *given >= i64::from(spend.limit) {
                    self.moved.insert(id.0, (spend.next.as_millisecond(), true));
                    self.refused.entry(plan.window.as_str()).or_insert((spend, &plan.window));
                    continue;
                }
                *given += 1;
            }
            self.at_once.push((id, plan));
        }
        granted.retain(|_, given| *given > 0);
        granted
    }

    /// Rows of `window_held` for what was refused.
    pub(crate) fn refused(&self, now: Timestamp) -> Option<Bulk> {
        let rows = || self.refused.values();
        (!self.refused.is_empty()).then(|| {
            Bulk::new()
                .texts("window_key", rows().map(|(_, key)| key.as_str()))
                .texts("recipient_id", rows().map(|(spend, _)| spend.recipient.as_str()))
                .numbers("since", rows().map(|_| now.as_millisecond()))
                .numbers("due", rows().map(|(spend, _)| spend.next.as_millisecond()))
        })
    }

    /// The hits that are due at another time than planned.
    pub(crate) fn moves(&self, now: Timestamp) -> Option<Bulk> {
        let held = |held: bool| held.then(|| Held::Budget.as_str().to_owned());
        (!self.moved.is_empty()).then(|| {
            Bulk::new()
                .uuids("id", self.moved.keys().copied())
                .numbers("due", self.moved.values().map(|(due, _)| *due))
                .numbers("noted", self.moved.values().map(|_| now.as_millisecond()))
                .maybe_texts("held", self.moved.values().map(|(_, over)| held(*over)))
        })
    }

    /// The hits that are told at once, with their notifications.
    pub(crate) fn tellings(&self) -> Option<Bulk> {
        let rows = || self.at_once.iter().filter_map(|(id, plan)| Some((id, plan.bundle.as_ref()?)));
        (!self.at_once.is_empty()).then(|| {
            Bulk::new()
                .uuids("id", rows().map(|(id, _)| id.0))
                .uuids("notification_id", rows().map(|(_, bundle)| bundle.notification.id.0))
        })
    }

    /// The notifications of the hits that were still there to be told.
    pub(crate) fn bundles(&self, told: &HashSet<Uuid>) -> Vec<&'a Bundle> {
        let told = self.at_once.iter().filter(|(id, _)| told.contains(&id.0));
        told.filter_map(|(_, plan)| plan.bundle.as_ref()).collect()
    }
}

/// The first hit of a window opens its lead. One that comes before `until` follows: the window that gathers it closes where
/// the last one said, and the quiet that a next leader needs begins there.
pub(crate) const LEAD_CONFLICT: &str = "ON CONFLICT (window_key) DO UPDATE SET
        leader = CASE WHEN window_lead.until <= excluded.opened THEN excluded.leader ELSE window_lead.leader END,
        opened = CASE WHEN window_lead.until <= excluded.opened THEN excluded.opened ELSE window_lead.opened END,
        closes = CASE WHEN window_lead.until <= excluded.opened THEN excluded.closes
            WHEN window_lead.closes <= excluded.opened THEN window_lead.until ELSE window_lead.closes END,
        until = CASE WHEN window_lead.until <= excluded.opened THEN excluded.until
            WHEN window_lead.closes <= excluded.opened THEN window_lead.until + (excluded.closes - excluded.opened)
            ELSE window_lead.closes + (excluded.closes - excluded.opened) END
    RETURNING window_key, leader, closes";

/// The same for a window that slides: it closes that long after whoever came last.
pub(crate) const SLIDING_LEAD_CONFLICT: &str = "ON CONFLICT (window_key) DO UPDATE SET
        leader = CASE WHEN window_lead.until <= excluded.opened THEN excluded.leader ELSE window_lead.leader END,
        opened = CASE WHEN window_lead.until <= excluded.opened THEN excluded.opened ELSE window_lead.opened END,
        closes = excluded.closes,
        until = CASE WHEN window_lead.until <= excluded.opened THEN excluded.until
            ELSE excluded.closes + (excluded.closes - excluded.opened) END
    RETURNING window_key, leader, closes";

/// Decides about pending hits, and carries it out. Returns the ids of those that notify now; their bundles are still to be
/// inserted.
pub(crate) async fn settle_plans(
    tx: &mut Tx<'_>,
    settling: &mut Settling<'_>,
    now: Timestamp,
) -> Result<HashSet<Uuid>, TxError> {
    for (slide, tail) in [(false, LEAD_CONFLICT), (true, SLIDING_LEAD_CONFLICT)] {
        let Some(bulk) = settling.leads(slide, now) else { continue };
        let rows: Vec<(String, Uuid, i64)> = tx.insert("window_lead", &bulk, tail).fetch_all().await?;
        settling.led(&rows);
    }
    spend_budgets(tx, settling, now).await?;
    if let Some(bulk) = settling.moves(now) {
        let statement =
            "UPDATE hit SET due_hint = k.due, due_noted_at = k.noted, held = k.held FROM ({rows}) k
             WHERE hit.id = k.id AND hit.state = 'pending'";
        tx.query_rows(statement, &bulk).execute().await?;
    }
    let Some(bulk) = settling.tellings() else { return Ok(HashSet::new()) };
    let statement = "UPDATE hit SET state = 'notified', notification_id = k.notification_id FROM ({rows}) k
         WHERE hit.id = k.id AND hit.state = 'pending' AND hit.notification_id IS NULL RETURNING hit.id";
    Ok(tx.query_rows(statement, &bulk).scalars().await?.into_iter().collect())
}
