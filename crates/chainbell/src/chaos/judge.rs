//! The verdict: every endpoint's inbox against a naive recomputation from the final chain. Owns what counts as lost,
//! doubled, not taken back and wrong; it uses nothing of the pipeline, neither its decoder nor its filters.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use alloy_primitives::{Address, U256};
use domain::EventId;
use serde_json::Value as Json;

use super::{
    chain::{Lasting, Transfer},
    endpoints::Inbox,
};

/// A watch, as a person would say it: whose endpoints hear of which transfers.
pub(super) struct Interest {
    pub(super) watch: &'static str,
    pub(super) endpoints: &'static [&'static str],
    pub(super) wants: Box<dyn Fn(Address, U256) -> bool + Send + Sync>,
    /// Whether what goes to different addresses is told apart.
    pub(super) by_receiver: bool,
}

/// The transfer under an event's id, on whatever branch it was.
pub(super) type Ever<'a> = &'a dyn Fn(EventId) -> Option<Transfer>;

/// What is wrong, counted, with a sentence about each.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) not_taken_back: u64,
    pub(super) wrong: u64,
    /// How many transfers the endpoints rightly believe in, each once for each watch and endpoint.
    pub(super) believed: u64,
    /// How many of all messages were corrections, and how many retractions.
    pub(super) corrected: u64,
    pub(super) retracted: u64,
    pub(super) sentences: Vec<String>,
}

impl Verdict {
    pub(super) fn is_clean(&self) -> bool {
        self.lost + self.doubled + self.not_taken_back + self.wrong == 0 && self.sentences.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "lost {}, doubled {}, not taken back {}, wrong {}",
            self.lost, self.doubled, self.not_taken_back, self.wrong
        )
    }
}

/// What an endpoint holds a notification to be after everything that it was sent about it.
struct Belief<'a> {
    revision: u64,
    body: &'a Json,
}

// The last revision of each notification, by the first one's id: whatever came late is older.
fn beliefs<'a>(inbox: &'a Inbox, watch: &str) -> BTreeMap<String, Belief<'a>> {
    let mut beliefs: BTreeMap<String, Belief<'a>> = BTreeMap::new();
    for body in inbox.values().filter(|body| body["data"]["watch"] == watch) {
        let data = &body["data"];
        let first = data["corrects"].as_str().or_else(|| data["id"].as_str()).unwrap_or_default();
        let revision = data["revision"].as_u64().unwrap_or_default();
        let newer = beliefs.get(first).is_none_or(|belief| belief.revision < revision);
        if newer {
            beliefs.insert(first.to_owned(), Belief { revision, body });
        }
    }
    beliefs
}

/// Compares the inboxes with the final chain.
pub(super) fn judge(
    ever: Ever<'_>,
    truth: &[Transfer],
    interests: &[Interest],
    inboxes: &BTreeMap<String, Inbox>,
) -> Verdict {
    let mut verdict = Verdict::default();
    let none = Inbox::default();
    for body in inboxes.values().flat_map(Inbox::values) {
        match body["type"].as_str() {
            Some("notification.corrected") => verdict.corrected += 1,
            Some("notification.retracted") => verdict.retracted += 1,
            _ => {}
        }
    }
    for interest in interests {
        let wanted: HashSet<Lasting> = truth
            .iter()
            .filter(|transfer| (interest.wants)(transfer.to, transfer.value))
            .map(|transfer| transfer.lasting)
            .collect();
        for endpoint in interest.endpoints {
            let beliefs = beliefs(inboxes.get(*endpoint).unwrap_or(&none), interest.watch);
            let place = format!("{endpoint}, watch {}", interest.watch);
            let mut case = Case {
                ever,
                wanted: &wanted,
                by_receiver: interest.by_receiver,
                place,
                verdict: &mut verdict,
            };
            case.compare(&beliefs);
        }
    }
    verdict
}

/// One watch at one endpoint.
struct Case<'a> {
    ever: Ever<'a>,
    wanted: &'a HashSet<Lasting>,
    by_receiver: bool,
    place: String,
    verdict: &'a mut Verdict,
}

impl Case<'_> {
    fn compare(&mut self, beliefs: &BTreeMap<String, Belief<'_>>) {
        let mut told: HashSet<Lasting> = HashSet::new();
        for (id, belief) in beliefs {
            if belief.body["type"] == "notification.retracted" {
                continue;
            }
            for transfer in self.transfers(belief.body, id) {
                let (transaction, which) = transfer.lasting;
                let what = format!("log {which} of {transaction}");
                if !self.wanted.contains(&transfer.lasting) {
                    self.verdict.not_taken_back += 1;
                    self.say(&format!("{what} is still believed in, by {id}"));
                } else if !told.insert(transfer.lasting) {
                    self.verdict.doubled += 1;
                    self.say(&format!("{what} was told twice, by {id} too"));
                } else {
                    self.verdict.believed += 1;
                }
            }
        }
        for (transaction, which) in self.wanted.difference(&told) {
            self.verdict.lost += 1;
            self.say(&format!("log {which} of {transaction} was never told"));
        }
    }

    // The transfers that a message tells of, after a look at its own figures.
    fn transfers(&mut self, body: &Json, id: &str) -> Vec<Transfer> {
        let data = &body["data"];
        let ids: Vec<_> = data["events"].as_array().into_iter().flatten().collect();
        let known = ids.iter().filter_map(|id| id.as_str()?.parse().ok()).filter_map(|id| (self.ever)(id));
        let transfers: Vec<_> = known.collect();
        let total: U256 = transfers.iter().map(|transfer| transfer.value).sum();
        let facts = data["facts"]["tokens"][0]["total"]["raw"].as_str().unwrap_or_default();
        let (count, told) = (data["count"].as_u64().unwrap_or_default(), transfers.len());
        if told != ids.len() {
            self.wrong(&format!("{id} names an event that no branch ever had"));
        } else if count != told as u64 || facts != total.to_string() {
            self.wrong(&format!(
                "{id} says {count} transfers of {facts} together, of {told} that come to {total}"
            ));
        } else if self.by_receiver && transfers.windows(2).any(|two| two[0].to != two[1].to) {
            self.wrong(&format!("{id} tells together what goes to different addresses"));
        }
        transfers
    }

    fn wrong(&mut self, sentence: &str) {
        self.verdict.wrong += 1;
        self.say(sentence);
    }

    fn say(&mut self, sentence: &str) {
        self.verdict.sentences.push(format!("{}: {sentence}", self.place));
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn transfer(number: u8) -> Transfer {
        let to = Address::repeat_byte(number % 2);
        Transfer { lasting: (B256::repeat_byte(number), 0), to, value: U256::from(number) }
    }

    // Event 7 is the transfer 7, and 107 the same one on another branch.
    fn id(number: u8) -> EventId {
        EventId(Uuid::from_u128(u128::from(number)))
    }

    fn ever(id: EventId) -> Option<Transfer> {
        let number = u8::try_from(id.0.as_u128()).ok()?;
        (number > 0).then(|| transfer(number % 100))
    }

    fn message(first: u8, revision: u64, kind: &str, events: &[u8]) -> (String, Json) {
        let total: u64 = events.iter().map(|number| u64::from(number % 100)).sum();
        let ids: Vec<_> = events.iter().map(|number| id(*number)).collect();
        let body = json!({ "type": format!("notification.{kind}"), "data": {
            "id": format!("{first}-{revision}"), "watch": "w", "revision": revision, "count": events.len(), "events": ids,
            "corrects": (revision > 1).then(|| format!("{first}-1")),
            "facts": { "tokens": [{ "total": { "raw": total.to_string() } }] },
        }});
        (format!("{first}-{revision}"), body)
    }

    fn verdict(truth: &[u8], by_receiver: bool, messages: Vec<(String, Json)>) -> Verdict {
        let truth: Vec<_> = truth.iter().map(|number| transfer(*number)).collect();
        let wants = Box::new(|_: Address, value: U256| value < U256::from(50));
        let interest = Interest { watch: "w", endpoints: &["e"], wants, by_receiver };
        let inboxes = BTreeMap::from([("e".to_owned(), messages.into_iter().collect::<Inbox>())]);
        judge(&ever, &truth, &[interest], &inboxes)
    }

    fn counts(verdict: &Verdict) -> (u64, u64, u64, u64) {
        (verdict.lost, verdict.doubled, verdict.not_taken_back, verdict.wrong)
    }

    #[test]
    fn what_the_final_chain_says_is_right_on_whatever_branch_it_was_told() {
        let told = vec![message(1, 1, "created", &[1, 102]), message(3, 1, "created", &[3])];
        let clean = verdict(&[1, 2, 3, 60], false, told);
        assert!(clean.is_clean() && clean.believed == 3, "{clean:?}");
    }

    #[test]
    fn each_way_to_be_wrong_is_found() {
        let one = || message(1, 1, "created", &[1]);
        assert_eq!(counts(&verdict(&[1, 2], false, vec![one()])), (1, 0, 0, 0));
        let again = message(2, 1, "created", &[101]);
        assert_eq!(counts(&verdict(&[1], false, vec![one(), again])), (0, 1, 0, 0));
        assert_eq!(counts(&verdict(&[], false, vec![one()])), (0, 0, 1, 0));
        // It satisfies no watch.
        assert_eq!(counts(&verdict(&[60], false, vec![message(1, 1, "created", &[60])])), (0, 0, 1, 0));
        let mut figures = message(1, 1, "created", &[1, 2]);
        figures.1["data"]["facts"]["tokens"][0]["total"]["raw"] = json!("4");
        assert_eq!(counts(&verdict(&[1, 2], false, vec![figures])), (0, 0, 0, 1));
        let mut count = message(1, 1, "created", &[1, 2]);
        count.1["data"]["count"] = json!(3);
        assert_eq!(counts(&verdict(&[1, 2], false, vec![count])), (0, 0, 0, 1));
        assert_eq!(counts(&verdict(&[1], false, vec![message(1, 1, "created", &[1, 0])])), (0, 0, 0, 1));
        let mixed = || vec![message(1, 1, "created", &[1, 2])];
        assert_eq!(counts(&verdict(&[1, 2], true, mixed())), (0, 0, 0, 1));
        assert_eq!(counts(&verdict(&[1, 2], false, mixed())), (0, 0, 0, 0));
    }

    #[test]
    fn the_last_revision_counts_in_whatever_order_they_came() {
        let first = || message(1, 1, "created", &[1, 2]);
        assert!(verdict(&[1], false, vec![message(1, 2, "corrected", &[1]), first()]).is_clean());
        assert!(verdict(&[], false, vec![first(), message(1, 2, "retracted", &[])]).is_clean());
        let restored = vec![first(), message(1, 2, "retracted", &[]), message(1, 3, "corrected", &[1, 2])];
        assert!(verdict(&[1, 2], false, restored).is_clean());
    }
}
