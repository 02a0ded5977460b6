//! What looks like spam: transfers of nothing, addresses that look like known ones, and tokens with a message.

use std::{collections::BTreeSet, sync::Arc};

use alloy_primitives::{Address, B256, U256, address};
use domain::{
    BlockRef, ChainId, Content, DeliverAt, Event, EventId, EventParam, EventSchema, Fields, LogicalId,
    Origin, ParamType, Spam, Standard, Strategy, Suspicion, Telling, Value,
    filter::Filter,
    spam::{
        SLOTS, Said, counterparties, gathering, introduces, is_hostile, likeness, look_alike, named, slot,
        suspicion,
    },
    timing::{Attention, Gather, Timing, timing},
    transfers,
};
use proptest::prelude::*;

use crate::matching::watch;

const ME: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
const FRIEND: Address = address!("70997970C51812dc3A010C7d01b50e0d17dc79C8");

fn schema() -> Arc<EventSchema> {
    let param = |name: &str, ty, indexed| EventParam { name: name.into(), ty, indexed };
    Arc::new(EventSchema {
        name: "Transfer".into(),
        params: vec![
            param("from", ParamType::Address, true),
            param("to", ParamType::Address, true),
            param("value", ParamType::Uint(256), false),
        ],
        anonymous: false,
    })
}

fn transfer(from: Address, to: Address, value: u64) -> Event {
    let params = Fields::named([
        ("from", Value::Address(from)),
        ("to", Value::Address(to)),
        ("value", Value::Uint(U256::from(value))),
    ]);
    Event {
        id: EventId::derive(ChainId(1), B256::ZERO, 0),
        logical: LogicalId::derive(ChainId(1), B256::ZERO, B256::ZERO, 0),
        chain: ChainId(1),
        block: BlockRef::new(1, B256::ZERO),
        block_timestamp: 0,
        tx_hash: B256::ZERO,
        tx_index: 0,
        log_index: 0,
        address: Address::repeat_byte(9),
        contract: "token".parse().unwrap(),
        content: Content::Decoded { schema: schema(), params },
        origin: Origin::Live,
    }
}

fn mine() -> BTreeSet<Address> {
    let filter =
        Filter::compile(&format!("(to == {ME} or from == {ME}) and value < 1e30"), &schema()).unwrap();
    named(&filter, Standard::Erc20)
}

fn judge(event: &Event, known: &[Address], said: Said<'_>) -> Option<Suspicion> {
    suspicion(event, &transfers(event), &mine(), &known.iter().copied().collect(), said)
}

// Another address that begins and ends the same.
fn twin(of: Address, middle: u8) -> Address {
    let mut bytes = [middle; 20];
    let of = of.into_array();
    bytes[..2].copy_from_slice(&of[..2]);
    bytes[18..].copy_from_slice(&of[18..]);
    Address::from(bytes)
}

#[test]
fn a_transfer_of_nothing_is_suspected_and_one_of_something_is_not() {
    assert_eq!(mine(), BTreeSet::from([ME]));
    assert_eq!(judge(&transfer(ME, FRIEND, 0), &[], Said::default()), Some(Suspicion::ZeroValue));
    assert_eq!(judge(&transfer(ME, FRIEND, 1), &[], Said::default()), None);
    assert!(
        introduces(&transfers(&transfer(ME, FRIEND, 1))) && !introduces(&transfers(&transfer(ME, FRIEND, 0)))
    );
}

#[test]
fn a_counterparty_that_looks_like_the_watched_address_or_a_known_one_is_suspected() {
    let from = |party| judge(&transfer(party, ME, 5), &[FRIEND], Said::default());
    assert_eq!(from(FRIEND), None);
    assert_eq!(from(twin(FRIEND, 7)), Some(Suspicion::LookAlike));
    assert_eq!(from(twin(ME, 7)), Some(Suspicion::LookAlike));
    assert_eq!(
        judge(&transfer(ME, twin(FRIEND, 7), 0), &[FRIEND], Said::default()),
        Some(Suspicion::LookAlike)
    );
    assert_eq!(
        judge(&transfer(twin(FRIEND, 7), ME, 5), &[], Said::default()),
        None,
        "whom nobody knows nobody looks like"
    );
    // What is minted comes from nobody.
    assert_eq!(from(Address::ZERO), None);
    assert_eq!(counterparties(&transfers(&transfer(Address::ZERO, ME, 5)), &mine()), BTreeSet::new());
    assert_eq!(counterparties(&transfers(&transfer(FRIEND, ME, 5)), &BTreeSet::new()), BTreeSet::new());
}

#[test]
fn a_token_whose_name_is_a_lure_or_anothers_is_suspected() {
    for text in [
        "Visit https://usdc-bonus.example to claim",
        "claim at usdc-rewards.net",
        "$5000 at stake-eth.org/claim",
        "www.eth2.example",
        "t.me/rich",
        "ＣＬＡＩＭ USDC: Airdrop on get-usdc。com",
        "US\u{202e}CD",
        "USD\u{200b}C",
        "UЅDС",
        "USDТ",
        "ＵＳＤＣ",
        "ÙSDT",
        "ЕТН",
        "WΕΤH",
        "DАI",
        "𝐔𝐒𝐃𝐂",
    ] {
        assert!(is_hostile(text), "{text}");
        let said = Said { symbol: Some(text), ..Said::default() };
        assert_eq!(judge(&transfer(FRIEND, ME, 5), &[], said), Some(Suspicion::HostileToken), "{text}");
    }
    let hides = Said { hides: true, symbol: Some("USDC"), ..Said::default() };
    assert_eq!(judge(&transfer(FRIEND, ME, 5), &[], hides), Some(Suspicion::HostileToken));
}

#[test]
fn tokens_that_people_hold_are_not_suspected() {
    for text in [
        "USDC",
        "USDC.e",
        "USD Coin",
        "Tether USD",
        "USD₮",
        "USD₮0",
        "WETH",
        "Wrapped Ether",
        "DAI",
        "stETH",
        "BELL",
        "Curve.fi DAI/USDC/USDT",
        "yearn.finance",
        "Uniswap V2",
        "Aave v3 WETH",
        "1INCH",
        "Рубль",
        "юань",
        "東京",
        "Ξ",
        "",
        "Magic Internet Money",
        "Get Protocol",
        "S.A.F.E",
        "3.5% Note",
        "USDC/WETH 0.05%",
        "P.A.L./X",
        "Mintable",
    ] {
        assert!(!is_hostile(text), "{text}");
    }
}

#[test]
fn what_is_gathered_is_told_at_nine_by_its_recipients_clocks_however_urgent_its_watch() {
    let telling = Telling { critical: true, spam: Spam::Gather, ..Telling::default() };
    let urgent =
        domain::Watch { telling, deliver_at: DeliverAt::Safe, ..watch("w", "token", "Transfer", None) };
    let gathers = gathering(&urgent);
    assert_eq!((&gathers.id, gathers.deliver_at), (&urgent.id, urgent.deliver_at));
    assert!(matches!(gathers.strategy, Strategy::Digest(_)) && !gathers.telling.critical);
    let zone = domain::local::zone("Europe/Berlin");
    let attention = Attention { zone, quiet_hours: Some("22:00-10:00".parse().unwrap()), at_most: None };
    let now = "2026-01-10T12:00:00Z".parse().unwrap();
    let Timing::Window(Gather { due, .. }) = timing(&gathers, &attention, None, now) else {
        panic!("it is told at once")
    };
    assert_eq!(due, "2026-01-11T09:00:00Z".parse().unwrap(), "nine o'clock is quiet, and ten is not");
    let open = Attention { quiet_hours: None, ..attention };
    let Timing::Window(Gather { due, .. }) = timing(&gathers, &open, None, now) else {
        panic!("it is told at once")
    };
    assert_eq!(due, "2026-01-11T08:00:00Z".parse().unwrap());
}

#[test]
fn the_words_are_stable() {
    for suspicion in Suspicion::ALL {
        assert_eq!(Suspicion::parse(suspicion.as_str()), Some(suspicion));
    }
    assert_eq!(Suspicion::ALL.map(Suspicion::as_str), ["zero_value", "look_alike", "hostile_token"]);
    for word in Spam::WORDS {
        let spam = Spam::parse(word).unwrap();
        assert_eq!(serde_json::to_value(spam).unwrap(), word);
    }
    let plain = serde_json::to_string(&watch("w", "token", "Transfer", None)).unwrap();
    assert!(!plain.contains("spam"), "a watch that says nothing of it keeps its revision: {plain}");
}

proptest! {
    #[test]
    fn addresses_look_alike_where_their_ends_are_the_same_and_they_are_not(
        one in any::<[u8; 20]>(), other in any::<[u8; 20]>(), middle in any::<u8>(),
    ) {
        let (one, other) = (Address::from(one), Address::from(other));
        prop_assert!(!look_alike(one, one));
        prop_assert_eq!(look_alike(one, other), look_alike(other, one));
        let twin = twin(one, middle);
        prop_assert_eq!(look_alike(one, twin), one != twin && !one.is_zero() && !twin.is_zero());
        prop_assert_eq!((likeness(one), slot(one)), (likeness(twin), slot(twin)));
        prop_assert!(slot(one) < SLOTS);
        let hex = |address: Address| format!("{address:x}");
        let same = |one: &str, other: &str| one[2..6] == other[2..6] && one[38..] == other[38..];
        prop_assert_eq!(likeness(one) == likeness(other), same(&hex(one), &hex(other)));
    }

    #[test]
    fn any_text_is_judged_and_plain_words_of_one_script_are_not_hostile(
        text in any::<String>(), word in "[A-Za-z]{1,12}( [A-Za-z0-9]{1,8}){0,3}", russian in "[а-яА-Я]{7,12}",
    ) {
        let _ = is_hostile(&text);
        prop_assert!(!is_hostile(&word), "{}", word);
        prop_assert!(!is_hostile(&russian), "{}", russian);
    }

    #[test]
    fn a_transfer_of_something_between_strangers_is_never_suspected(from in any::<[u8; 20]>(), value in 1_u64..) {
        let from = Address::from(from);
        prop_assume!(!look_alike(from, ME) && !look_alike(from, FRIEND));
        prop_assert_eq!(judge(&transfer(from, ME, value), &[FRIEND], Said::default()), None);
    }
}
