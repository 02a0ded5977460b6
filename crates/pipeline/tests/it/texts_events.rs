//! What a person reads about events that are no transfers.

use alloy_primitives::{Address, Bytes};
use domain::Content;

use crate::texts_world::{ALICE, BELL, ME, World, bells, erc20, erc721, order_filled, stored};

#[test]
fn a_mixture_of_kinds_is_told_as_contract_events() {
    let events = [erc20(0, ALICE, ME, bells(1, 0)), erc721(1, ALICE, ME, 1)];
    let text = World::watching_me("en").render(&events);
    assert_eq!((text.kind, text.title.as_str()), ("contract_event", "2 Transfer events on bell"));
    assert!(text.body.starts_with("from (1): 0x3C44…93BC (2)\nto (1): 0xf39F…2266 (2)\n"));
}

#[test]
fn a_single_contract_event_shows_its_parameters() {
    let text = World::new("en").render(&[order_filled(0, ALICE)]);
    assert_eq!(text.title, "OrderFilled on bell");
    assert!(
        text.body.starts_with(
            "maker: 0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC\n\
             order: {amount: 340282366920938463463374607431768211456, legs: [-1, -2, -3, -4, -5, -6, -7, -8, … +1]}\n\
             note: hello world\n\
             proof: 0xabababababababab…abababababababab\n\
             Contract: bell, "
        ),
        "{}",
        text.body
    );
}

#[test]
fn many_contract_events_show_who_they_speak_of() {
    let events: Vec<_> = (0..6)
        .map(|index| order_filled(index, Address::with_last_byte(u8::try_from(index % 4).unwrap())))
        .collect();
    let text = World::new("en").render(&events);
    assert!(text.body.starts_with(
        "maker (4): 0x0000…0000 (2), 0x0000…0001 (2), 0x0000…0002 (1) and 1 more\nContract: bell, "
    ));
    assert!(text.facts["params"].is_null());
    let text = World::new("ru").render(&events);
    assert!(text.body.starts_with(
        "maker (4): 0x0000…0000 (2), 0x0000…0001 (2), 0x0000…0002 (1) и ещё 1\nКонтракт: bell, "
    ));
}

#[test]
fn an_undecoded_log_is_told_too() {
    let content =
        || Content::Undecoded { topics: Vec::new(), data: Bytes::new(), reason: "no layout".into() };
    let one = [stored(content(), BELL, 0)];
    assert_eq!(World::new("en").render(&one).title, "Undecoded log on bell");
    assert_eq!(World::new("ru").render(&one).title, "Нераспознанная запись в bell");
    let mixed = [stored(content(), BELL, 0), order_filled(1, ALICE)];
    let text = World::new("en").render(&mixed);
    assert_eq!(text.title, "2 events on bell");
    assert!(text.body.starts_with("Events: undecoded (1), OrderFilled (1)\nmaker (1): 0x3C44…93BC (1)\n"));
}
