//! Reading ahead, from a node that answers when the test says so.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use abi::Decoder;
use alloy_primitives::{Address, B256, Bytes};
use async_trait::async_trait;
use domain::{
    BlockReceipts, BlockRef, Catalog, ChainClient, ChainId, Children, Clock, Contract, Header, Heads,
    LogFilter, LogQuery, Providers, RawLog, StartBlock, Wake,
};
use jiff::Timestamp;
use tokio::sync::watch;

use super::{super::source::Past, *};

const TOKEN: Address = Address::repeat_byte(7);

#[derive(Debug)]
struct Still;

#[async_trait]
impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    async fn sleep(&self, _duration: Duration) {}
}

type Answer = Result<u64, ChainError>;

/// The ranges that were asked for, each with the answer that it gets.
type Asked = BTreeMap<(u64, u64), watch::Sender<Option<Answer>>>;

/// Answers a range when it was told what: how many logs each of its blocks has.
#[derive(Debug)]
struct Told {
    asked: Mutex<Asked>,
    changes: watch::Sender<u64>,
    /// What is answered at once, by the number of blocks.
    at_once: Option<fn(u64) -> Answer>,
    /// Every question, in order.
    questions: Mutex<Vec<(u64, u64)>>,
}

impl Told {
    fn new(at_once: Option<fn(u64) -> Answer>) -> Arc<Self> {
        Arc::new(Self {
            asked: Mutex::default(),
            changes: watch::Sender::new(0),
            at_once,
            questions: Mutex::default(),
        })
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap()
    }

    async fn when_asked(&self, ranges: &[(u64, u64)]) {
        let mut changes = self.changes.subscribe();
        while !ranges.iter().all(|range| self.asked().contains_key(range)) {
            changes.changed().await.unwrap();
        }
    }

    fn questions(&self) -> usize {
        self.questions.lock().unwrap().len()
    }

    fn asked_since(&self, question: usize, range: (u64, u64)) -> usize {
        self.questions.lock().unwrap()[question..].iter().filter(|asked| **asked == range).count()
    }

    fn tell(&self, range: (u64, u64), answer: Answer) {
        self.asked()[&range].send_replace(Some(answer));
    }
}

impl Providers for Told {}

#[async_trait]
impl ChainClient for Told {
    async fn chain_id(&self) -> Result<ChainId, ChainError> {
        Ok(ChainId(1))
    }

    async fn heads(&self) -> Result<Heads, ChainError> {
        Err(too_large(None))
    }

    async fn headers_by_number(&self, _numbers: &[u64]) -> Result<Vec<Option<Header>>, ChainError> {
        Ok(Vec::new())
    }

    async fn header_by_hash(&self, _hash: B256) -> Result<Option<Header>, ChainError> {
        Ok(None)
    }

    async fn logs(&self, query: LogQuery, _filter: &LogFilter) -> Result<Vec<RawLog>, ChainError> {
        let LogQuery::Range { from, to } = query else { return Ok(Vec::new()) };
        self.questions.lock().unwrap().push((from, to));
        let mut told = self.asked().entry((from, to)).or_insert_with(|| watch::Sender::new(None)).subscribe();
        self.changes.send_modify(|count| *count += 1);
        let answer = match self.at_once {
            Some(answer) => answer(to - from + 1),
            None => told.wait_for(Option::is_some).await.unwrap().clone().unwrap(),
        };
        let block = |number| (0..answer.clone().unwrap_or_default()).map(move |index| log(number, index));
        answer.clone().map(|_| (from..=to).flat_map(block).collect())
    }

    async fn receipts(&self, _block: BlockRef) -> Result<Option<BlockReceipts>, ChainError> {
        Ok(None)
    }

    async fn transaction_logs(&self, _tx_hash: B256) -> Result<Option<Vec<RawLog>>, ChainError> {
        Ok(None)
    }

    async fn call(&self, _to: Address, _input: Bytes) -> Result<Bytes, ChainError> {
        Ok(Bytes::new())
    }

    async fn next_wake(&self, _filters: &[LogFilter], _limit: Duration) -> Option<Wake> {
        None
    }
}

fn log(number: u64, index: u64) -> RawLog {
    RawLog {
        address: TOKEN,
        topics: vec![abi::parse_signature("event Ring()").unwrap().topic0()],
        data: Bytes::new(),
        block: BlockRef::new(number, B256::with_last_byte(u8::try_from(number % 256).unwrap())),
        block_timestamp: Some(number),
        tx_hash: B256::with_last_byte(u8::try_from(index % 256).unwrap()),
        tx_index: index,
        log_index: index,
        removed: false,
    }
}

fn too_large(suggested_blocks: Option<u64>) -> ChainError {
    ChainError::RangeTooLarge { url: "told".to_owned(), detail: String::new(), suggested_blocks }
}

fn ahead_of(client: &Arc<Told>) -> ReadAhead {
    let contract = Contract {
        name: "bell".parse().unwrap(),
        chain: ChainId(1),
        addresses: vec![TOKEN],
        factory: None,
        events: vec![Arc::new(abi::parse_signature("event Ring()").unwrap())],
        start: StartBlock::Number(0),
    };
    let catalog = Arc::new(Catalog::new(vec![contract]));
    let mut ahead = ReadAhead::default();
    ahead.follow(Source {
        url: "told".to_owned(),
        client: Arc::clone(client) as Arc<dyn ChainClient>,
        filters: Catalog::filters(catalog.contracts()),
        names: vec!["bell".parse().unwrap()],
        chain: ChainId(1),
        name: "local".parse().unwrap(),
        decoder: Arc::new(Decoder::new(catalog)),
        cursors: Vec::new(),
        children: Children::default(),
        clock: Arc::new(Still),
        rows: None,
        logs_wanted: 10,
        decoding: tokio::sync::Mutex::default(),
    });
    ahead
}

/// What was taken, as the first and the last block that has events, and the last block that was read.
fn span(part: &Part) -> (u64, u64, u64) {
    let numbers = numbers(part);
    (numbers.first().copied().unwrap_or_default(), numbers.last().copied().unwrap_or_default(), part.to)
}

fn numbers(part: &Part) -> Vec<u64> {
    let Past::Events(events) = &part.content else { panic!("nobody is told") };
    events.iter().map(|event| event.block.number).collect()
}

/// A reach that has seen 10 logs in 10 blocks, wants 10, and so goes 10 blocks far.
fn ten() -> RangeSize {
    let mut range_size = RangeSize::new(10, 10_000, 10);
    range_size.granted(10, 10);
    range_size
}

#[tokio::test]
async fn a_range_that_answers_first_is_taken_in_its_turn() {
    let node = Told::new(None);
    let (mut ahead, mut range_size) = (ahead_of(&node), ten());
    let answers = async {
        node.when_asked(&[(0, 9), (10, 19), (20, 29)]).await;
        for range in [(20, 29), (10, 19), (0, 9)] {
            node.tell(range, Ok(1));
        }
    };
    let (taken, ()) = tokio::join!(ahead.take(0, 99, &mut range_size), answers);
    assert_eq!(span(&taken.unwrap()), (0, 9, 9));
    assert_eq!(span(&ahead.take(10, 99, &mut range_size).await.unwrap()), (10, 19, 19));
    assert_eq!(span(&ahead.take(20, 99, &mut range_size).await.unwrap()), (20, 29, 29));
}

#[tokio::test]
async fn the_first_range_is_read_alone_since_nobody_knows_what_it_brings() {
    let node = Told::new(None);
    let (mut ahead, mut range_size) = (ahead_of(&node), RangeSize::new(10, 10_000, 10));
    let answers = async {
        node.when_asked(&[(0, 9)]).await;
        let asked: Vec<_> = node.asked().keys().copied().collect();
        node.tell((0, 9), Ok(1));
        asked
    };
    let (taken, asked) = tokio::join!(ahead.take(0, 99, &mut range_size), answers);
    assert_eq!((span(&taken.unwrap()), asked), ((0, 9, 9), vec![(0, 9)]));
    assert_eq!(ahead.held().0, PIECES_MAX, "the next ones are on their way while this one is committed");
}

#[tokio::test]
async fn a_refused_range_in_the_middle_is_asked_for_in_smaller_ones_in_order() {
    let node = Told::new(None);
    let (mut ahead, mut range_size) = (ahead_of(&node), ten());
    let answers = async {
        node.when_asked(&[(0, 9), (10, 19), (20, 29)]).await;
        node.tell((20, 29), Ok(1));
        node.tell((10, 19), Err(too_large(Some(4))));
        node.tell((0, 9), Ok(1));
        node.when_asked(&[(10, 13)]).await;
        node.tell((10, 13), Ok(1));
    };
    let takes = async {
        assert_eq!(span(&ahead.take(0, 99, &mut range_size).await.unwrap()), (0, 9, 9));
        assert_eq!(span(&ahead.take(10, 99, &mut range_size).await.unwrap()), (10, 13, 13));
    };
    tokio::join!(takes, answers);
}

#[tokio::test]
async fn every_block_comes_once_whatever_the_node_refuses() {
    // At most seven blocks at a time, and no suggestion.
    let node = Told::new(Some(|blocks| if blocks > 7 { Err(too_large(None)) } else { Ok(3) }));
    let (mut ahead, mut range_size) = (ahead_of(&node), RangeSize::new(100, 10_000, 60));
    let (mut next, mut blocks) = (0, Vec::new());
    while next <= 199 {
        let taken = ahead.take(next, 199, &mut range_size).await.unwrap();
        blocks.extend(numbers(&taken));
        assert!(taken.to >= next);
        next = taken.to + 1;
    }
    let all: Vec<u64> = (0..200).flat_map(|number| [number; 3]).collect();
    assert_eq!(blocks, all);
}

#[tokio::test]
async fn pieces_are_bounded_in_number_and_in_logs() {
    let node = Told::new(Some(|_| Ok(1)));
    let (mut ahead, mut range_size) = (ahead_of(&node), ten());
    let mut next = 0;
    while next < 200 {
        next = ahead.take(next, 10_000, &mut range_size).await.unwrap().to + 1;
        let (pieces, logs) = ahead.held();
        assert!(pieces <= PIECES_MAX && logs <= 10 * LOGS_MAX, "{pieces} pieces, {logs} logs");
    }
}

#[tokio::test]
async fn a_piece_that_is_much_larger_than_wanted_is_handed_out_in_whole_blocks() {
    let node = Told::new(Some(|_| Ok(7)));
    let (mut ahead, mut range_size) = (ahead_of(&node), RangeSize::new(10, 10, 10));
    let (mut next, mut sizes, mut blocks) = (0, Vec::new(), Vec::new());
    while next <= 9 {
        let taken = ahead.take(next, 9, &mut range_size).await.unwrap();
        sizes.push(numbers(&taken).len());
        blocks.extend(numbers(&taken));
        next = taken.to + 1;
    }
    assert!(sizes.iter().all(|size| *size <= 20), "{sizes:?}");
    assert_eq!(blocks, (0..10).flat_map(|number| [number; 7]).collect::<Vec<u64>>());
    assert_eq!(node.asked().len(), 1, "and was asked for once");
}

#[tokio::test]
async fn an_error_comes_in_its_turn_and_costs_its_own_range_only() {
    let node = Told::new(None);
    let (mut ahead, mut range_size) = (ahead_of(&node), ten());
    let unknown = ChainError::UnknownBlock { url: "told".to_owned(), block: "10".to_owned() };
    let answers = async {
        node.when_asked(&[(0, 9), (10, 19), (20, 29)]).await;
        node.tell((10, 19), Err(unknown));
        node.tell((20, 29), Ok(1));
        node.tell((0, 9), Ok(1));
    };
    let takes = async {
        assert_eq!(span(&ahead.take(0, 99, &mut range_size).await.unwrap()), (0, 9, 9));
        ahead.take(10, 99, &mut range_size).await.unwrap_err();
        let before = node.questions();
        node.tell((10, 19), Ok(1));
        assert_eq!(span(&ahead.take(10, 99, &mut range_size).await.unwrap()), (10, 19, 19));
        assert_eq!(span(&ahead.take(20, 99, &mut range_size).await.unwrap()), (20, 29, 29));
        assert_eq!(node.asked_since(before, (20, 29)), 0, "what was answered is not asked for again");
        assert_eq!(node.asked_since(before, (10, 19)), 1);
    };
    tokio::join!(takes, answers);
}

#[tokio::test]
async fn another_place_or_another_plan_drops_what_was_read() {
    let node = Told::new(Some(|_| Ok(1)));
    let (mut ahead, mut range_size) = (ahead_of(&node), ten());
    ahead.take(0, 99, &mut range_size).await.unwrap();
    assert!(ahead.held().0 > 0);
    // The cursor is elsewhere: as after a fence.
    assert_eq!(span(&ahead.take(50, 99, &mut range_size).await.unwrap()).0, 50);
    // The end came nearer: as after a reorg.
    assert_eq!(ahead.take(60, 62, &mut range_size).await.unwrap().to, 62);
    ahead.take(63, 99, &mut range_size).await.unwrap();
    let other = ahead_of(&node).source.take().unwrap();
    ahead.follow(Arc::into_inner(other).unwrap());
    assert_eq!(ahead.held(), (0, 0));
}
