//! Random expressions against a naive evaluator that knows nothing of positions, covers or 256-bit types.

use std::{cmp::Ordering, sync::Arc};

use alloy_primitives::{B256, Bytes, I256, U256, hex, keccak256};
use domain::{
    Event, Fields, Value,
    filter::{CoverPlace, Filter},
};
use proptest::prelude::*;

use crate::events::{address, event, kitchen_sink};

/// An integer as the naive evaluator has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Int {
    negative: bool,
    size: U256,
}

impl Int {
    fn new(value: i64) -> Self {
        Self { negative: value < 0, size: U256::from(value.unsigned_abs()) }
    }

    fn order(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.size.cmp(&other.size),
            (true, true) => other.size.cmp(&self.size),
            (negative, _) => {
                if negative {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
        }
    }

    fn signed(&self) -> Value {
        let value = I256::from_raw(self.size);
        Value::Int(if self.negative { value.wrapping_neg() } else { value })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Plain {
    Int(Int),
    Bool(bool),
    Bytes(Vec<u8>),
    Text(String),
}

/// The event's parameters, as plain as can be.
#[derive(Debug, Clone)]
struct Sample {
    amounts: [Int; 2],
    delta: Int,
    small: u8,
    tick: i32,
    flags: [bool; 2],
    id: [u8; 4],
    blob: Vec<u8>,
    texts: [String; 2],
    legs: Vec<(u8, u8)>,
    people: [u8; 2],
}

const PATHS: [&str; 22] = [
    "amount",
    "order.amount",
    "delta",
    "small",
    "tick",
    "legs[0].amount",
    "legs[1].amount",
    "len(legs)",
    "len(blob)",
    "len(note)",
    "pair[1]",
    "$14",
    "block_number",
    "open",
    "order.$2",
    "id",
    "blob",
    "note",
    "label",
    "who",
    "$0",
    "order.token",
];

impl Sample {
    fn get(&self, path: &str) -> Option<Plain> {
        let int = |value: usize| Plain::Int(Int::new(i64::try_from(value).unwrap()));
        let person = |last: u8| Plain::Bytes(address(last).to_vec());
        Some(match path {
            "amount" => Plain::Int(self.amounts[0]),
            "order.amount" => Plain::Int(self.amounts[1]),
            "delta" => Plain::Int(self.delta),
            "small" => int(self.small.into()),
            "tick" => Plain::Int(Int::new(self.tick.into())),
            "legs[0].amount" => int(self.legs.first()?.1.into()),
            "legs[1].amount" => int(self.legs.get(1)?.1.into()),
            "len(legs)" => int(self.legs.len()),
            "len(blob)" => int(self.blob.len()),
            "len(note)" => int(self.texts[0].chars().count()),
            "pair[1]" => int(2),
            "$14" => int(42),
            "block_number" => int(100),
            "open" => Plain::Bool(self.flags[0]),
            "order.$2" => Plain::Bool(self.flags[1]),
            "id" => Plain::Bytes(self.id.to_vec()),
            "blob" => Plain::Bytes(self.blob.clone()),
            "note" => Plain::Text(self.texts[0].clone()),
            "label" => Plain::Text(self.texts[1].clone()),
            "who" | "$0" => person(self.people[0]),
            "order.token" => person(self.people[1]),
            other => panic!("{other}"),
        })
    }

    fn event(&self) -> Event {
        let leg = |(token, amount): (u8, U256), flag: bool| {
            Value::Tuple(Fields::named([
                ("token", Value::Address(address(token))),
                ("amount", Value::Uint(amount)),
                ("", Value::Bool(flag)),
            ]))
        };
        let small = |value: u64| Value::Uint(U256::from(value));
        let legs = self.legs.iter().map(|(token, amount)| leg((*token, U256::from(*amount)), true)).collect();
        let values = vec![
            Value::Address(address(self.people[0])),
            Value::Uint(self.amounts[0].size),
            self.delta.signed(),
            small(self.small.into()),
            Int::new(self.tick.into()).signed(),
            Value::Bool(self.flags[0]),
            Value::Bytes(Bytes::copy_from_slice(&self.id)),
            Value::Bytes(Bytes::copy_from_slice(&self.blob)),
            Value::String(self.texts[0].clone()),
            Value::Hash(keccak256(&self.texts[1])),
            leg((self.people[1], self.amounts[1].size), self.flags[1]),
            Value::Array(legs),
            Value::Array(vec![small(1), small(2)]),
            Value::Hash(B256::ZERO),
            small(42),
        ];
        event(&Arc::new(kitchen_sink()), address(0xcc), values)
    }
}

fn unsigned() -> impl Strategy<Value = Int> {
    let size = prop_oneof![
        (0..4_u64).prop_map(U256::from),
        Just(U256::MAX),
        Just(U256::ONE << 128),
        Just((U256::ONE << 255) - U256::ONE),
        (1..70_u64).prop_map(|power| U256::from(10).pow(U256::from(power))),
    ];
    size.prop_map(|size| Int { negative: false, size })
}

fn signed() -> impl Strategy<Value = Int> {
    prop_oneof![
        (-3..4_i64).prop_map(Int::new),
        Just(Int { negative: false, size: (U256::ONE << 255) - U256::ONE }),
        Just(Int { negative: true, size: U256::ONE << 255 }),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), Just("gold".to_owned()), Just("a'\"\\\n🔔".to_owned())]
}

fn sample() -> impl Strategy<Value = Sample> {
    let numbers = ([unsigned(), unsigned()], signed(), 0..4_u8, prop_oneof![-2..3_i32, Just(-8_388_608)]);
    let bytes = (prop::sample::select(vec![[0; 4], [1, 2, 3, 4]]), prop::collection::vec(0..2_u8, 0..3));
    let rest = (
        any::<[bool; 2]>(),
        [text(), text()],
        prop::collection::vec((0..3_u8, 0..3_u8), 0..3),
        [0..3_u8, 0..3_u8],
    );
    (numbers, bytes, rest).prop_map(
        |((amounts, delta, small, tick), (id, blob), (flags, texts, legs, people))| Sample {
            amounts,
            delta,
            small,
            tick,
            flags,
            id,
            blob,
            texts,
            legs,
            people,
        },
    )
}

#[derive(Debug, Clone)]
enum Ast {
    Constant(bool),
    Flag(&'static str),
    Compare { path: &'static str, op: &'static str, literal: Plain, flipped: bool, style: u8 },
    In { path: &'static str, list: Vec<Plain>, negated: bool },
    Pair(&'static str, &'static str, &'static str),
    Not(Box<Ast>),
    All(Vec<Ast>),
    Any(Vec<Ast>),
}

/// A literal of the path's type, taken from another event, so that it is often equal.
fn literal(path: &'static str) -> impl Strategy<Value = Plain> {
    sample().prop_filter_map("the path is absent", move |sample| sample.get(path))
}

fn is_int(path: &str) -> bool {
    PATHS[..13].contains(&path)
}

fn operator(path: &'static str) -> impl Strategy<Value = &'static str> {
    let all = ["==", "!=", "<", "<=", ">", ">="];
    prop::sample::select(if is_int(path) { all.to_vec() } else { all[..2].to_vec() })
}

fn leaf() -> impl Strategy<Value = Ast> {
    let path = || prop::sample::select(&PATHS[..]);
    let compare = path().prop_flat_map(|path| {
        (operator(path), literal(path), any::<bool>(), any::<u8>())
            .prop_map(move |(op, literal, flipped, style)| Ast::Compare { path, op, literal, flipped, style })
    });
    let within =
        path().prop_flat_map(|path| {
            (prop::collection::vec(literal(path), 1..4), any::<bool>())
                .prop_map(move |(list, negated)| Ast::In { path, list, negated })
        });
    let ints = prop::sample::select(&PATHS[..13]);
    let pair = (ints.clone(), ints)
        .prop_flat_map(|(one, two)| operator(one).prop_map(move |op| Ast::Pair(one, op, two)));
    prop_oneof![
        1 => any::<bool>().prop_map(Ast::Constant),
        1 => prop::sample::select(vec!["open", "order.$2"]).prop_map(Ast::Flag),
        6 => compare,
        3 => within,
        2 => pair,
    ]
}

fn ast() -> impl Strategy<Value = Ast> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Ast::Not(Box::new(inner))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Ast::All),
            prop::collection::vec(inner, 2..4).prop_map(Ast::Any),
        ]
    })
}

fn order_holds(op: &str, order: Ordering) -> bool {
    match op {
        "==" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    }
}

fn compare(one: &Plain, op: &str, two: &Plain) -> bool {
    match (one, two) {
        (Plain::Int(one), Plain::Int(two)) => order_holds(op, one.order(two)),
        _ => (one == two) == (op == "=="),
    }
}

fn naive(ast: &Ast, sample: &Sample) -> bool {
    match ast {
        Ast::Constant(verdict) => *verdict,
        Ast::Flag(path) => sample.get(path) == Some(Plain::Bool(true)),
        Ast::Compare { path, op, literal, flipped, .. } => sample.get(path).is_some_and(|value| {
            if *flipped { compare(literal, op, &value) } else { compare(&value, op, literal) }
        }),
        Ast::In { path, list, negated } => {
            sample.get(path).is_some_and(|value| list.contains(&value) != *negated)
        }
        Ast::Pair(one, op, two) => match (sample.get(one), sample.get(two)) {
            (Some(one), Some(two)) => compare(&one, op, &two),
            _ => false,
        },
        Ast::Not(inner) => !naive(inner, sample),
        Ast::All(parts) => parts.iter().all(|part| naive(part, sample)),
        Ast::Any(parts) => parts.iter().any(|part| naive(part, sample)),
    }
}

fn spelled(literal: &Plain, style: u8) -> String {
    match literal {
        Plain::Int(Int { negative: true, size }) => format!("-{size}"),
        Plain::Int(Int { size, .. }) => {
            let digits = size.to_string();
            let zeros = digits.len() - digits.trim_end_matches('0').len();
            match style % 4 {
                0 => format!("0x{size:x}"),
                1 if zeros > 0 && digits.len() > zeros => {
                    format!("{}e{zeros}", &digits[..digits.len() - zeros])
                }
                2 => digits.chars().map(String::from).collect::<Vec<_>>().join("_"),
                _ => digits,
            }
        }
        Plain::Bool(flag) => flag.to_string(),
        Plain::Bytes(bytes) if style.is_multiple_of(2) => hex::encode_prefixed(bytes),
        Plain::Bytes(bytes) => format!("0x{}", hex::encode_upper(bytes)),
        Plain::Text(text) => {
            let quote = if style.is_multiple_of(2) { '"' } else { '\'' };
            let escaped: String = text
                .chars()
                .map(|c| match c {
                    '\n' => "\\n".to_owned(),
                    '\\' => "\\\\".to_owned(),
                    c if c == quote => format!("\\{c}"),
                    '🔔' if style.is_multiple_of(3) => "\\u{1f514}".to_owned(),
                    c => c.to_string(),
                })
                .collect();
            format!("{quote}{escaped}{quote}")
        }
    }
}

/// The expression as text, with no more parentheses than it needs. `tight` is 0 inside `or`, 1 inside `and`, 2
/// behind `not`.
fn written(ast: &Ast, tight: u8) -> String {
    let join = |parts: &[Ast], word: &str, level: u8| {
        let parts: Vec<_> = parts.iter().map(|part| written(part, level)).collect();
        parts.join(word)
    };
    match ast {
        Ast::Constant(verdict) => verdict.to_string(),
        Ast::Flag(path) => (*path).to_owned(),
        Ast::Compare { path, op, literal, flipped: false, style } => {
            format!("{path} {op} {}", spelled(literal, *style))
        }
        Ast::Compare { path, op, literal, flipped: true, style } => {
            format!("{}{op}{path}", spelled(literal, *style))
        }
        Ast::In { path, list, negated } => {
            let list: Vec<_> = list.iter().zip(0..).map(|(literal, style)| spelled(literal, style)).collect();
            let not = if *negated { "not " } else { "" };
            format!("{path} {not}in [{}]", list.join(", "))
        }
        Ast::Pair(one, op, two) => format!("{one} {op} {two}"),
        Ast::Not(inner) => format!("not {}", written(inner, 2)),
        Ast::All(parts) if tight < 2 => join(parts, " and ", 1),
        Ast::Any(parts) if tight < 1 => join(parts, " or\n", 0),
        Ast::All(_) | Ast::Any(_) => format!("({})", written(ast, 0)),
    }
}

fn compile(ast: &Ast) -> Filter {
    let source = written(ast, 0);
    Filter::compile(&source, &kitchen_sink()).unwrap_or_else(|error| panic!("{}", error.render(&source)))
}

proptest! {
    #[test]
    fn an_expression_means_what_the_naive_evaluator_says(ast in ast(), samples in prop::collection::vec(sample(), 4)) {
        let filter = compile(&ast);
        for sample in samples {
            prop_assert_eq!(filter.matches(&sample.event()), naive(&ast, &sample), "{} of {:?}", filter, sample);
        }
    }

    #[test]
    fn every_matching_event_has_a_key_of_the_cover(ast in ast(), samples in prop::collection::vec(sample(), 4)) {
        let filter = compile(&ast);
        let Some(keys) = filter.cover() else { return Ok(()) };
        for event in samples.iter().map(Sample::event).filter(|event| filter.matches(event)) {
            let domain::Content::Decoded { params, .. } = &event.content else { unreachable!() };
            let has = |key: &domain::filter::CoverKey| match key.place {
                CoverPlace::Address => key.value == Value::Address(event.address),
                CoverPlace::Param(position) => params.at(position as usize) == Some(&key.value),
            };
            prop_assert!(keys.iter().any(has), "{}", filter);
        }
    }

    #[test]
    fn the_explained_clauses_join_to_the_verdict(ast in ast(), sample in sample()) {
        let (filter, event) = (compile(&ast), sample.event());
        let clauses = filter.explain(&event);
        prop_assert_eq!(clauses.iter().all(|clause| clause.holds), filter.matches(&event));
    }

    #[test]
    fn no_text_makes_the_compiler_panic(text in any::<String>()) {
        check_error(&text);
    }

    #[test]
    fn no_heap_of_tokens_makes_the_compiler_panic(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "and", "or", "not", "in", "(", ")", "[", "]", ",", ".", "-", "==", "<", "amount", "order", "legs", "len",
                "$0", "label", "0x", "0xab", "1", "1.5e1", "1e999", "'a'", "\"", "\\", "é", "true", "open", "hash",
            ]),
            0..20,
        ),
        glue in prop::sample::select(vec!["", " "]),
    ) {
        check_error(&tokens.join(glue));
    }
}

fn check_error(text: &str) {
    if let Err(error) = Filter::compile(text, &kitchen_sink()) {
        assert!(text.is_char_boundary(error.position.offset));
        assert!(error.render(text).contains('^'));
    }
}
