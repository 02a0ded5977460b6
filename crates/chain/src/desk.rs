//! Owns who waits for what on one socket: the questions that are yet to be answered, and the listeners of its
//! subscriptions. Every frame goes straight to whom it is for. It must not know the socket, nor what a frame says.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use alloy_json_rpc::{Id, Response, ResponsePayload, SerializedRequest, SubId};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

use crate::{
    frame::{Frame, News},
    limits::ANNOUNCEMENTS_MAX,
};

/// With more questions than this unanswered, those that nobody waits for any more are forgotten.
const UNANSWERED_MAX: usize = 256;

/// A request, and who waits for its answer.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) request: SerializedRequest,
    pub(crate) reply: oneshot::Sender<Answer>,
}

/// An answer; of a subscription with its listener.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response,
    pub(crate) listener: Option<Listener>,
}

/// What a subscription brings.
#[derive(Debug)]
pub(crate) enum Heard {
    /// An announcement.
    News(Box<RawValue>),
    /// The listener was too slow, and some are gone.
    Lost,
}

/// The reading end of a subscription.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Its id, as the node wrote it.
    pub(crate) id: SubId,
    news: mpsc::Receiver<Box<RawValue>>,
    lost: Arc<AtomicBool>,
}

impl Listener {
    /// The next announcement; `None` when the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        if self.lost.swap(false, Ordering::AcqRel) {
            return Some(Heard::Lost);
        }
        self.news.recv().await.map(Heard::News)
    }
}

/// The writing end.
#[derive(Debug)]
struct Line {
    // As the node wrote it when it answered, which is how it mostly writes it ever after.
    text: Box<str>,
    id: SubId,
    news: mpsc::Sender<Box<RawValue>>,
    lost: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Waiting {
    reply: oneshot::Sender<Answer>,
    subscribes: bool,
}

/// Whose turn a frame is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The one that waits for an answer.
    Asker,
    /// The listener of a subscription.
    Listener(SubId),
    /// Nobody's.
    Nobody,
}

/// The desk.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    waiting: HashMap<Id, Waiting>,
    lines: Vec<Line>,
}

impl Desk {
    /// Takes note of a question that is about to be sent.
    pub(crate) fn asked(&mut self, request: &SerializedRequest, reply: oneshot::Sender<Answer>) {
        if self.waiting.len() >= UNANSWERED_MAX {
            self.waiting.retain(|_, waiting| !waiting.reply.is_closed());
        }
        let subscribes = request.is_subscription();
        self.waiting.insert(request.id().clone(), Waiting { reply, subscribes });
    }

    /// Hands a frame to whom it is for, and says whose turn that makes it.
    pub(crate) fn hand_on(&mut self, frame: Frame<'_>) -> Turn {
        match frame.news() {
            Some(news) => self.announce(&news),
            None => self.answer(frame.into_response()),
        }
    }

    fn answer(&mut self, mut response: Response) -> Turn {
        // An error that names no question is the answer to the only one there is.
        if response.id == Id::None
            && response.payload.is_error()
            && let Some(only) = self.waiting.keys().next().filter(|_| self.waiting.len() == 1)
        {
            response.id = only.clone();
        }
        let Some(Waiting { reply, subscribes }) = self.waiting.remove(&response.id) else {
            return Turn::Nobody;
        };
        let listener = if subscribes { self.open(&response.payload) } else { None };
        // Who asked may have given up.
        let _ = reply.send(Answer { response, listener });
        Turn::Asker
    }

    // Before anybody hears of the answer: what is announced right behind it has its listener already.
    fn open(&mut self, payload: &ResponsePayload) -> Option<Listener> {
        let ResponsePayload::Success(raw) = payload else { return None };
        let id: SubId = serde_json::from_str(raw.get()).ok()?;
        let (sender, news) = mpsc::channel(ANNOUNCEMENTS_MAX);
        let lost = Arc::new(AtomicBool::new(false));
        self.lines.retain(|line| line.id != id && !line.news.is_closed());
        self.lines.push(Line {
            text: raw.get().into(),
            id: id.clone(),
            news: sender,
            lost: Arc::clone(&lost),
        });
        Some(Listener { id, news, lost })
    }

    fn announce(&self, news: &News<'_>) -> Turn {
        let Some(line) = self.line(news.subscription) else { return Turn::Nobody };
        if line.news.try_send(news.result.to_owned()).is_err() {
            line.lost.store(true, Ordering::Release);
        }
        Turn::Listener(line.id.clone())
    }

    fn line(&self, subscription: &RawValue) -> Option<&Line> {
        let same = self.lines.iter().find(|line| *line.text == *subscription.get());
        same.or_else(|| {
            // The same number may be written otherwise.
            let id: SubId = serde_json::from_str(subscription.get()).ok()?;
            self.lines.iter().find(|line| line.id == id)
        })
    }
}

#[cfg(test)]
mod tests {
    use alloy_json_rpc::Request;

    use super::*;
    use crate::frame::Packet;

    fn ask(desk: &mut Desk, method: &'static str, id: u64) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        let request = Request::new(method, Id::Number(id), ["newHeads"]).serialize().unwrap();
        desk.asked(&request, reply);
        answer
    }

    fn hand_on(desk: &mut Desk, text: &str) -> Turn {
        let Packet::Single(frame) = Packet::parse(text.as_bytes()).unwrap() else { panic!("a batch") };
        desk.hand_on(frame)
    }

    fn news(subscription: &str, result: u64) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":{subscription},"result":{result}}}}}"#
        )
    }

    fn subscribed(desk: &mut Desk, id: u64, subscription: &str) -> Listener {
        let mut answer = ask(desk, "eth_subscribe", id);
        hand_on(desk, &format!(r#"{{"id":{id},"result":{subscription}}}"#));
        answer.try_recv().unwrap().listener.unwrap()
    }

    async fn heard(listener: &mut Listener) -> String {
        match listener.next().await {
            Some(Heard::News(news)) => news.get().to_owned(),
            other => format!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn each_answer_goes_to_who_asked_in_whatever_order_they_come() {
        let mut desk = Desk::default();
        let (mut first, mut second) = (ask(&mut desk, "a", 16), ask(&mut desk, "b", 17));
        assert_eq!(hand_on(&mut desk, r#"{"id":17,"result":2}"#), Turn::Asker);
        assert_eq!(hand_on(&mut desk, r#"{"id":16,"result":1}"#), Turn::Asker);
        let text = |answer: &mut oneshot::Receiver<Answer>| {
            answer.try_recv().unwrap().response.payload.as_success().unwrap().get().to_owned()
        };
        assert_eq!([text(&mut first), text(&mut second)], ["1", "2"]);
        assert_eq!(hand_on(&mut desk, r#"{"id":17,"result":3}"#), Turn::Nobody, "asked once");
    }

    #[tokio::test]
    async fn an_error_that_names_no_question_is_for_the_only_one_that_waits() {
        const ERROR: &str = r#"{"id":null,"error":{"code":-32700,"message":"parse error"}}"#;
        let mut desk = Desk::default();
        assert_eq!(hand_on(&mut desk, ERROR), Turn::Nobody);
        let (mut first, _second) = (ask(&mut desk, "a", 16), ask(&mut desk, "b", 17));
        assert_eq!(hand_on(&mut desk, ERROR), Turn::Nobody, "it may be for either");
        hand_on(&mut desk, r#"{"id":17,"result":2}"#);
        assert_eq!(
            hand_on(&mut desk, r#"{"id":null,"result":1}"#),
            Turn::Nobody,
            "a result names its question"
        );
        assert_eq!(hand_on(&mut desk, ERROR), Turn::Asker);
        assert!(first.try_recv().unwrap().response.payload.is_error());
    }

    #[tokio::test]
    async fn what_is_announced_right_behind_the_answer_is_heard() {
        let mut desk = Desk::default();
        let mut answer = ask(&mut desk, "eth_subscribe", 16);
        hand_on(&mut desk, r#"{"id":16,"result":"0x5"}"#);
        hand_on(&mut desk, &news("\"0x5\"", 1));
        let mut listener = answer.try_recv().unwrap().listener.unwrap();
        assert_eq!(heard(&mut listener).await, "1");
    }

    #[tokio::test]
    async fn an_announcement_goes_to_its_own_listener_however_the_number_is_written() {
        let mut desk = Desk::default();
        let mut heads = subscribed(&mut desk, 16, "\"0x5\"");
        let mut logs = subscribed(&mut desk, 17, "6");
        let turn = |listener: &Listener| Turn::Listener(listener.id.clone());
        assert_eq!(hand_on(&mut desk, &news("\"0x6\"", 1)), turn(&logs));
        assert_eq!(hand_on(&mut desk, &news("\"0x05\"", 2)), turn(&heads));
        assert_eq!(hand_on(&mut desk, &news("\"0x7\"", 3)), Turn::Nobody);
        assert_eq!([heard(&mut heads).await, heard(&mut logs).await], ["2", "1"]);
    }

    #[tokio::test]
    async fn a_listener_that_is_too_slow_is_told() {
        let mut desk = Desk::default();
        let mut listener = subscribed(&mut desk, 16, "\"0x5\"");
        for number in 0..=ANNOUNCEMENTS_MAX as u64 {
            hand_on(&mut desk, &news("\"0x5\"", number));
        }
        assert_eq!(heard(&mut listener).await, "Some(Lost)");
        assert_eq!(heard(&mut listener).await, "0");
    }

    #[tokio::test]
    async fn who_listens_or_waits_hears_that_the_connection_ended() {
        let mut desk = Desk::default();
        let mut listener = subscribed(&mut desk, 16, "\"0x5\"");
        let answer = ask(&mut desk, "a", 17);
        drop(desk);
        assert!(listener.next().await.is_none());
        assert!(answer.await.is_err());
    }

    #[test]
    fn questions_that_nobody_waits_for_are_forgotten() {
        let mut desk = Desk::default();
        let _kept = ask(&mut desk, "a", 1);
        for id in 2..10_000 {
            drop(ask(&mut desk, "a", id));
        }
        assert!(desk.waiting.len() <= UNANSWERED_MAX && desk.waiting.contains_key(&Id::Number(1)));
    }
}
