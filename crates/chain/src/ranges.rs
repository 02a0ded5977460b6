//! Owns the question for the logs of a range, and whether its refusal means that the range has too many blocks.

use domain::{LogFilter, LogQuery, RawLog};

use crate::{
    fault::Fault,
    learner::{Doubt, may_refuse, rounds},
    questions::blocks,
    upstream::Upstream,
};

impl Upstream {
    /// Whether the URL is known to refuse so many blocks: then nothing is sent.
    pub(crate) fn check_range(&self, query: LogQuery) -> Result<(), Fault> {
        match self.ranges().limit() {
            Some(limit) if blocks(query) > limit => Err(Fault::RangeTooLarge {
                detail: format!("it is known to refuse more than {limit} blocks at once"),
                suggested_blocks: Some(limit),
                lasting: false,
            }),
            _ => Ok(()),
        }
    }

    /// The logs of a filter that fits into one question. A range that is refused again, in whatever words, while one
    /// block of it is answered, has too many blocks.
    pub(crate) async fn logs_of_part(
        &self,
        query: LogQuery,
        filter: &LogFilter,
    ) -> Result<Vec<RawLog>, Fault> {
        let asked = blocks(query);
        let LogQuery::Range { from, .. } = query else { return self.ask_for_logs(query, filter).await };
        let answer = self.ask_for_logs(query, filter).await;
        let Some(fault) = self.take(asked, &answer) else { return answer };
        if let Some(within) = self.between_voids(query, &fault).await {
            let LogQuery::Range { from, to } = within else { return answer };
            return if from > to { Ok(Vec::new()) } else { self.ask_for_logs(within, filter).await };
        }
        let doubt = self.ranges().doubt(asked);
        if asked == 1 || matches!(doubt, Doubt::New | Doubt::Passing) {
            return Err(fault);
        }
        let one = LogQuery::Range { from, to: from };
        if !self.answers(one, filter).await {
            return Err(fault);
        }
        // One answer between two refusals may be chance; an answer after each is not.
        for _ in 0..rounds(doubt, self.recent_blame()) {
            let again = self.ask_for_logs(query, filter).await;
            let Some(fault) = self.take(asked, &again) else { return again };
            if !self.answers(one, filter).await {
                return Err(fault);
            }
        }
        Err(self.range_too_long(asked, &fault))
    }

    /// Takes note of an answer; the fault, where that may be a refusal of so many blocks.
    fn take(&self, asked: u64, answer: &Result<Vec<RawLog>, Fault>) -> Option<Fault> {
        match answer {
            Ok(_) => self.ranges().grant(asked),
            Err(Fault::RangeTooLarge { suggested_blocks, lasting, detail }) => {
                if *lasting && asked > 1 {
                    self.ranges().refuse(asked, *suggested_blocks, &self.endpoint.clean(detail));
                }
            }
            // A node that works on a range for too long says nothing; and what is final is known.
            Err(fault) if may_refuse(fault) || matches!(fault, Fault::Silent(_) | Fault::UnknownBlock) => {
                return Some(fault.clone());
            }
            Err(_) => {}
        }
        None
    }

    async fn answers(&self, query: LogQuery, filter: &LogFilter) -> bool {
        let answer = self.ask_for_logs(query, filter).await;
        if answer.is_ok() {
            self.ranges().grant(blocks(query));
        }
        // More than it wants to give of one block is there.
        matches!(answer, Ok(_) | Err(Fault::RangeTooLarge { .. }))
    }

    fn range_too_long(&self, asked: u64, fault: &Fault) -> Fault {
        let why = self.endpoint.clean(&fault.detail());
        let mut ranges = self.ranges();
        let news = ranges.refuse(asked, None, &why);
        drop(ranges);
        if news {
            let (chain, url) = (&self.shared.config.chain, self.endpoint.redacted());
            tracing::info!(
                %chain, url, blocks = asked, why, "the node refuses ranges of so many blocks: it is asked for fewer"
            );
        }
        Fault::RangeTooLarge { detail: why, suggested_blocks: None, lasting: true }
    }
}
