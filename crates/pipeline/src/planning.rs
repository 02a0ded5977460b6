//! From found hits to plans for telling them. Shared by the rooms that find hits and release them: asks once for a batch
//! what is known of its recipients' budgets and of led windows, and leaves to the store's transaction what only that can
//! decide. Must not know how an event was matched.

use std::collections::{BTreeSet, HashMap, HashSet};

use domain::{
    HitId, HitState, RecipientId, Strategy, Watch, WindowAdd, WindowKey, WindowRule,
    budget::Period,
    timing::{Attention, Gather, Timing, timing},
};
use jiff::{SignedDuration, Timestamp};
use store::{Bundle, HitPlan, Lead, PendingHit, Spend, Store, StoredEvent};

use crate::{
    RoomError,
    notify::{Audience, Notifier},
};

/// A hit whose telling is to be planned.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    pub(crate) id: HitId,
    pub(crate) watch: &'a Watch,
    pub(crate) stored: &'a StoredEvent,
    /// The key of its group.
    pub(crate) group: String,
    /// Whether the chain is as sure of it as its watch asks for. A hit that is not yet gets no notification.
    pub(crate) sure: bool,
}

/// How a hit is told, and how it joins a window where it is not told at once.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) plan: HitPlan,
    rule: WindowRule,
}

/// What plans are made of.
#[derive(Debug)]
pub(crate) struct Planner<'a> {
    pub(crate) store: &'a Store,
    pub(crate) notifier: &'a Notifier,
    pub(crate) audience: &'a Audience,
    pub(crate) now: Timestamp,
}

/// The hits of a batch that may lead a window.
#[derive(Debug, Default)]
struct Leads {
    leads: HashMap<HitId, Lead>,
    // Of each window whose next hit is told at once, the first.
    first: HashSet<HitId>,
}

impl Planner<'_> {
    /// A plan for each, in their order.
    ///
    /// # Errors
    /// See [`RoomError`].
    pub(crate) async fn plans(&self, found: &[Found<'_>]) -> Result<Vec<Planned>, RoomError> {
        let attentions = self.attentions(found);
        let spent = self.spent_periods(&attentions).await?;
        let timings: Vec<_> = found
            .iter()
            .map(|hit| {
                let id = &hit.watch.recipient;
                timing(hit.watch, &attentions[id], spent.get(id).copied(), self.now)
            })
            .collect();
        let leads = self.leads(found, &timings).await?;
        let mut planned = Vec::with_capacity(found.len());
        for (hit, timing) in found.iter().zip(timings) {
            let attention = &attentions[&hit.watch.recipient];
            planned.push(self.plan(hit, timing, attention, &leads).await?);
        }
        Ok(planned)
    }

    async fn plan(
        &self,
        hit: &Found<'_>,
        timing: Timing,
        attention: &Attention,
        leads: &Leads,
    ) -> Result<Planned, RoomError> {
        let window = WindowKey::grouped(&hit.watch.recipient, &hit.watch.id, &hit.group);
        let lead = leads.leads.get(&hit.id).copied();
        let told = hit.sure && (timing == Timing::AtOnce || leads.first.contains(&hit.id));
        let bundle = if told { Some(self.bundle(hit).await?) } else { None };
        let spend = bundle.as_ref().and_then(|_| spend(hit.watch, attention, self.now));
        let (rule, due_hint, held) = match timing {
            Timing::AtOnce => (WindowRule::NOW, self.now, None),
            Timing::Window(Gather { rule, due, held }) => {
                // A window that many watches have in common closes for them one after the other.
                let own = held.is_none() && hit.watch.telling.schedule.is_none() && lead.is_none();
                (if own { rule.spread(window.as_str()) } else { rule }, due, held)
            }
        };
        Ok(Planned { plan: HitPlan { window, due_hint, held, bundle, lead, spend }, rule })
    }

    async fn bundle(&self, hit: &Found<'_>) -> Result<Bundle, RoomError> {
        self.notifier.bundle(hit.watch, self.audience, std::slice::from_ref(hit.stored), hit.id).await
    }

    fn attentions(&self, found: &[Found<'_>]) -> HashMap<RecipientId, Attention> {
        let ids: BTreeSet<_> = found.iter().map(|hit| &hit.watch.recipient).collect();
        ids.into_iter().map(|id| (id.clone(), self.audience.attention(id))).collect()
    }

    /// The present periods of the budgets that are spent.
    async fn spent_periods(
        &self,
        attentions: &HashMap<RecipientId, Attention>,
    ) -> Result<HashMap<RecipientId, Period>, RoomError> {
        let limited: Vec<_> =
            attentions.iter().filter(|(_, one)| one.at_most.is_some()).map(|(id, _)| id.clone()).collect();
        let spent = self.store.budgets_spent(&limited).await?;
        Ok(spent
            .into_iter()
            .filter_map(|(id, spent)| {
                let period = attentions.get(&id)?.spent_period(spent, self.now)?;
                Some((id, period))
            })
            .collect())
    }

    async fn leads(&self, found: &[Found<'_>], timings: &[Timing]) -> Result<Leads, RoomError> {
        let leading: Vec<_> = found
            .iter()
            .zip(timings)
            .filter(|(hit, timing)| {
                let free = matches!(timing, Timing::Window(Gather { held: None, .. }));
                hit.sure && hit.watch.telling.leading && free
            })
            .map(|(hit, _)| hit)
            .collect();
        if leading.is_empty() {
            return Ok(Leads::default());
        }
        // One that was there before, and comes again by its message, neither leads nor follows anew.
        let ids: Vec<_> = leading.iter().map(|hit| hit.id).collect();
        let known = self.store.hits(&ids).await?;
        let known: HashSet<_> = known
            .iter()
            .filter(|row| !matches!(row.hit.state, HitState::Orphaned | HitState::Waiting))
            .map(|row| row.hit.id)
            .collect();
        let mut by_window: HashMap<WindowKey, Vec<&Found<'_>>> = HashMap::new();
        for hit in leading.into_iter().filter(|hit| !known.contains(&hit.id)) {
            let window = WindowKey::grouped(&hit.watch.recipient, &hit.watch.id, &hit.group);
            by_window.entry(window).or_default().push(hit);
        }
        let windows: Vec<_> = by_window.keys().cloned().collect();
        let until = self.store.window_leads(&windows).await?;
        let mut leads = Leads::default();
        for (window, hits) in by_window {
            if until.get(&window).is_none_or(|until| *until <= self.now) {
                leads.first.extend(hits.first().map(|hit| hit.id));
            }
            let followed = hits.len() > 1;
            leads.leads.extend(hits.iter().filter_map(|hit| Some((hit.id, self.lead(hit.watch, followed)?))));
        }
        Ok(leads)
    }

    // After a window in which something was gathered there is as long a quiet again before the next one leads.
    fn lead(&self, watch: &Watch, followed: bool) -> Option<Lead> {
        let Strategy::Digest(rule) = watch.strategy else { return None };
        let window = SignedDuration::try_from(rule.window).unwrap_or(SignedDuration::MAX);
        let later = |from: Timestamp| from.saturating_add(window).unwrap_or(Timestamp::MAX);
        let closes = later(self.now);
        Some(Lead { closes, until: if followed { later(closes) } else { closes }, slide: rule.slide })
    }
}

/// What one notification of a watch costs its recipient; nothing where that is not limited.
pub(crate) fn spend(watch: &Watch, attention: &Attention, now: Timestamp) -> Option<Spend> {
    let budget = attention.at_most.filter(|_| !watch.telling.critical)?;
    let period = attention.period(now)?;
    let (next, _) = attention.free_from(now, Some(period));
    Some(Spend { recipient: watch.recipient.clone(), limit: budget.limit, period: period.start, next })
}

/// The windows that pending hits join; `planned` are theirs by id.
pub(crate) fn window_adds(
    pending: &[PendingHit],
    planned: &HashMap<HitId, &Planned>,
    now: Timestamp,
) -> Vec<WindowAdd> {
    let mut adds: HashMap<(&WindowKey, WindowRule), Vec<HitId>> = HashMap::new();
    for hit in pending {
        let Some(planned) = planned.get(&hit.id) else { continue };
        adds.entry((&planned.plan.window, planned.rule_for(hit, now))).or_default().push(hit.id);
    }
    adds.into_iter().map(|((key, rule), hits)| WindowAdd { key: key.clone(), rule, hits, now }).collect()
}

impl Planned {
    // The store may have decided otherwise than planned, now or when the hit was found first.
    fn rule_for(&self, hit: &PendingHit, now: Timestamp) -> WindowRule {
        if hit.due_hint.as_millisecond() == self.plan.due_hint.as_millisecond() || hit.due_hint <= now {
            return self.rule;
        }
        let max_count = if hit.held { u32::MAX } else { self.rule.max_count };
        WindowRule { max_count, ..WindowRule::until(hit.due_hint, now) }
    }
}
