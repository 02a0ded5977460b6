//! Owns several questions in one message: how many of them a URL takes, down to one, and whether a refusal is about their
//! number or about what is asked.

use serde_json::{Value as Json, value::RawValue};

use crate::{
    endpoint::Transport,
    fault::Fault,
    learner::{Doubt, may_refuse, rounds},
    upstream::Upstream,
};

type Answer = Result<Box<RawValue>, Fault>;

impl Upstream {
    /// Several requests of one method, in batches that the URL takes; the answers in the order of the questions. A batch
    /// that is refused while a single question of it is answered was too large, whatever the words are.
    pub(crate) async fn requests(&self, method: &'static str, params: &[Json]) -> Result<Vec<Answer>, Fault> {
        let mut answers = Vec::with_capacity(params.len());
        while let Some(rest) = params.get(answers.len()..).filter(|rest| !rest.is_empty()) {
            let chunk = &rest[..rest.len().min(self.batch_max())];
            let together = self.exchange(method, chunk).await;
            let refused = chunk.len() > 1 && self.may_refuse_batch(&together);
            let doubt = refused.then(|| self.batches().doubt(chunk.len() as u64));
            match doubt {
                None => {
                    let given = together?;
                    self.granted(&given);
                    answers.extend(given);
                }
                Some(Doubt::Passing) => answers.extend(together?),
                Some(doubt) => {
                    answers.extend(self.judge(method, chunk, together, doubt).await?);
                }
            }
        }
        Ok(answers)
    }

    /// How many questions to send in one message.
    fn batch_max(&self) -> usize {
        let configured = self.shared.config.max_batch.max(1);
        if !matches!(self.endpoint.transport, Transport::Http(_)) {
            // They travel one by one there.
            return configured;
        }
        let learned = self.batches().limit().and_then(|limit| usize::try_from(limit).ok());
        learned.map_or(configured, |learned| learned.clamp(1, configured))
    }

    /// Asks the first question alone, and where that is answered those behind it together once more, as often as it takes
    /// to tell a limit from chance. Returns the answers to as many questions as were answered so.
    async fn judge(
        &self,
        method: &'static str,
        chunk: &[Json],
        mut together: Result<Vec<Answer>, Fault>,
        doubt: Doubt,
    ) -> Result<Vec<Answer>, Fault> {
        let (mut refused, mut answers) = (chunk.len(), Vec::new());
        let rounds = rounds(doubt, self.recent_blame());
        for round in 0..=rounds {
            let behind = &chunk[answers.len()..];
            if round > 0 {
                if behind.len() < 2 {
                    // Too few are left to tell a limit from chance.
                    if rounds > 1 {
                        return Ok(answers);
                    }
                    break;
                }
                let again = self.exchange(method, behind).await;
                if !self.may_refuse_batch(&again) {
                    let given = again?;
                    self.granted(&given);
                    answers.extend(given);
                    return Ok(answers);
                }
                (together, refused) = (again, behind.len());
            }
            let alone = self.exchange(method, &behind[..1]).await.ok().and_then(|mut alone| alone.pop());
            // Alone it fares no better: it is what is asked, or the node.
            let Some(alone) = alone.filter(|alone| !is_same(alone, &together)) else {
                return if answers.is_empty() { together } else { Ok(answers) };
            };
            self.batches().grant(1);
            answers.push(alone);
        }
        self.batch_too_large(refused, &together);
        Ok(answers)
    }

    fn batch_too_large(&self, asked: usize, together: &Result<Vec<Answer>, Fault>) {
        let why = match together {
            Err(fault) => Some(fault),
            Ok(answers) => answers.iter().find_map(|answer| answer.as_ref().err()),
        };
        let why = why.map(|fault| self.endpoint.clean(&fault.detail())).unwrap_or_default();
        if self.batches().refuse(asked as u64, None, &why) {
            let (chain, url) = (&self.shared.config.chain, self.endpoint.redacted());
            tracing::info!(
                %chain, url, questions = asked, why, "the node refuses so many questions in one message: it is asked fewer"
            );
        }
    }

    fn granted(&self, answers: &[Answer]) {
        if answers.iter().any(Result::is_ok) {
            self.batches().grant(answers.len() as u64);
        }
    }

    /// Whether nothing of several questions in one message was answered.
    fn may_refuse_batch(&self, together: &Result<Vec<Answer>, Fault>) -> bool {
        matches!(self.endpoint.transport, Transport::Http(_))
            && match together {
                Ok(answers) => {
                    answers.len() > 1 && answers.iter().all(|answer| answer.as_ref().is_err_and(may_refuse))
                }
                Err(fault) => may_refuse(fault),
            }
    }

    /// One message: a single question, or several.
    async fn exchange(&self, method: &'static str, params: &[Json]) -> Result<Vec<Answer>, Fault> {
        let link = self.link().await?;
        let result = match params {
            [] => return Ok(Vec::new()),
            [params] => match self.timed(method, &link, link.request(method, params.clone())).await {
                // What ends a batch ends a single question too.
                Err(
                    fault @ (Fault::Unavailable(_)
                    | Fault::Silent(_)
                    | Fault::NotJsonRpc(_)
                    | Fault::Denied(_)),
                ) => Err(fault),
                answer => Ok(vec![answer]),
            },
            several => self.timed(method, &link, link.batch(method, several)).await,
        };
        self.drop_if_spoilt(&link).await;
        result
    }
}

/// Whether a question alone was refused as it was among others, or for the rate.
fn is_same(alone: &Answer, together: &Result<Vec<Answer>, Fault>) -> bool {
    match (alone, together) {
        (Ok(_), _) => false,
        (Err(Fault::RateLimited { .. } | Fault::Held(_)), _) => true,
        (Err(fault), Err(of_all)) => fault == of_all,
        (Err(fault), Ok(answers)) => answers.iter().any(|answer| answer.as_ref().err() == Some(fault)),
    }
}
