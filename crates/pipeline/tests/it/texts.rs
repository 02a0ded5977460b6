//! What a person reads about transfers and events, in both languages.

use std::sync::Arc;

use alloy_primitives::{Address, U256};
use pipeline::texts::Texts;
use store::TokenRow;

use crate::texts_world::{
    ALICE, BELL, BOB, ME, World, bells, erc20, erc721, nameless, order_filled, token, transfer,
    transfer_schema,
};

const NBSP: &str = "\u{a0}";

#[test]
fn a_single_received_transfer_reads_as_one_sentence() {
    let text = World::watching_me("en").render(&[erc20(0, ALICE, ME, bells(1240, 5))]);
    assert_eq!(text.kind, "erc20_transfer");
    assert_eq!(text.title, "1,240.5 BELL received from 0x3C44…93BC");
    assert_eq!(
        text.body,
        "From: 0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC\n\
         To: 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\n\
         Amount: 1,240.5 BELL\n\
         Token: Bell Token\n\
         Contract: bell, 0x5FbDB2315678afecb367f032d93F642f64180aa3\n\
         Chain: anvil\n\
         Block: 100\n\
         Time: Nov 14, 2023, 23:13 CET\n\
         Transaction: 0x000000000000000000000000000000000000000000000000000000000000abc0\n\
         Watch: bells"
    );
}

#[test]
fn the_same_transfer_reads_as_well_in_russian() {
    let text = World::watching_me("ru").render(&[erc20(0, ALICE, ME, bells(1240, 5))]);
    assert_eq!(text.title, format!("Получено 1{NBSP}240,5 BELL от 0x3C44…93BC"));
    assert_eq!(
        text.body,
        format!(
            "От кого: 0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC\n\
             Кому: 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\n\
             Сумма: 1{NBSP}240,5 BELL\n\
             Токен: Bell Token\n\
             Контракт: bell, 0x5FbDB2315678afecb367f032d93F642f64180aa3\n\
             Сеть: anvil\n\
             Блок: 100\n\
             Время: 14.11.2023, 23:13 CET\n\
             Транзакция: 0x000000000000000000000000000000000000000000000000000000000000abc0\n\
             Наблюдение: bells"
        )
    );
}

#[test]
fn a_single_transfer_is_told_from_the_side_of_the_watched_address() {
    let zero = Address::ZERO;
    for (from, to, en, ru) in [
        (ME, ALICE, "2 BELL sent to 0x3C44…93BC", "Отправлено 2 BELL на 0x3C44…93BC"),
        (ME, ME, "2 BELL moved between watched addresses", "Перевод 2 BELL между наблюдаемыми адресами"),
        (zero, ME, "2 BELL received (minted)", "Получено 2 BELL (выпуск)"),
        (ME, zero, "2 BELL burned", "Сожжено 2 BELL"),
    ] {
        let events = [erc20(0, from, to, bells(2, 0))];
        assert_eq!(World::watching_me("en").render(&events).title, en);
        assert_eq!(World::watching_me("ru").render(&events).title, ru);
    }
    for (from, to, en, ru) in [
        (
            ALICE,
            BOB,
            "2 BELL moved from 0x3C44…93BC to 0x7099…79C8",
            "Перевод 2 BELL с 0x3C44…93BC на 0x7099…79C8",
        ),
        (zero, BOB, "2 BELL minted to 0x7099…79C8", "Выпущено 2 BELL на 0x7099…79C8"),
        (BOB, zero, "2 BELL burned by 0x7099…79C8", "Сожжено 2 BELL с 0x7099…79C8"),
    ] {
        let events = [erc20(0, from, to, bells(2, 0))];
        assert_eq!(World::new("en").render(&events).title, en);
        assert_eq!(World::new("ru").render(&events).title, ru);
    }
}

#[test]
fn a_watch_on_mints_does_not_take_the_zero_address_for_its_owner() {
    let mut world = World::new("en");
    world.watch.filter = Some(format!("from == {}", Address::ZERO));
    let text = world.render(&[erc20(0, Address::ZERO, BOB, bells(2, 0))]);
    assert_eq!(text.title, "2 BELL minted to 0x7099…79C8");
    assert!(text.facts["watched"].is_null());
}

#[test]
fn a_digest_begins_with_the_count_and_the_net_amount() {
    let events = [
        erc20(0, ALICE, ME, bells(1000, 0)),
        erc20(1, BOB, ME, bells(200, 0)),
        erc20(2, ME, ALICE, bells(20, 0)),
        erc20(3, ALICE, ME, bells(0, 5)),
        erc20(4, BOB, ME, bells(0, 0)),
    ];
    let text = World::watching_me("en").render(&events);
    assert_eq!(text.title, "5 transfers, net +1,180.5 BELL");
    assert_eq!(
        text.body,
        "In: 1,200.5 BELL\n\
         Out: 20 BELL\n\
         Net: +1,180.5 BELL\n\
         Token: Bell Token\n\
         Largest:\n\
         1,000 BELL from 0x3C44…93BC\n\
         200 BELL from 0x7099…79C8\n\
         20 BELL to 0x3C44…93BC\n\
         0.5 BELL from 0x3C44…93BC\n\
         0 BELL from 0x7099…79C8\n\
         Counterparties (2): 0x3C44…93BC (3), 0x7099…79C8 (2)\n\
         Contract: bell, 0x5FbDB2315678afecb367f032d93F642f64180aa3\n\
         Chain: anvil\n\
         Blocks: 100–104\n\
         Time: Nov 14, 2023, 23:13–23:17 CET\n\
         Transactions, newest first:\n\
         0x000000000000000000000000000000000000000000000000000000000000abc4\n\
         0x000000000000000000000000000000000000000000000000000000000000abc3\n\
         0x000000000000000000000000000000000000000000000000000000000000abc2\n\
         0x000000000000000000000000000000000000000000000000000000000000abc1\n\
         0x000000000000000000000000000000000000000000000000000000000000abc0\n\
         Watch: bells"
    );
    let text = World::watching_me("ru").render(&events);
    assert_eq!(text.title, format!("5 переводов, сальдо +1{NBSP}180,5 BELL"));
    assert!(text.body.starts_with(&format!(
        "Поступило: 1{NBSP}200,5 BELL\n\
         Отправлено: 20 BELL\n\
         Сальдо: +1{NBSP}180,5 BELL\n\
         Токен: Bell Token\n\
         Крупнейшие:\n\
         1{NBSP}000 BELL от 0x3C44…93BC\n\
         200 BELL от 0x7099…79C8\n\
         20 BELL на 0x3C44…93BC\n\
         0,5 BELL от 0x3C44…93BC\n\
         0 BELL от 0x7099…79C8\n\
         Контрагенты (2): 0x3C44…93BC (3), 0x7099…79C8 (2)\n"
    )));
    assert!(
        text.body
            .contains("Блоки: 100–104\nВремя: 14.11.2023, 23:13–23:17 CET\nТранзакции, сначала новые:\n")
    );
}

#[test]
fn a_net_outflow_is_negative() {
    let events = [erc20(0, ME, ALICE, bells(5000, 0)), erc20(1, ALICE, ME, bells(0, 5))];
    assert_eq!(World::watching_me("en").render(&events).title, "2 transfers, net -4,999.5 BELL");
    assert_eq!(
        World::watching_me("ru").render(&events).title,
        format!("2 перевода, сальдо -4{NBSP}999,5 BELL")
    );
}

#[test]
fn counts_agree_with_their_words_in_every_kind() {
    let counted = |world: &World, count: u64, make: &dyn Fn(u64) -> store::StoredEvent| {
        let events: Vec<_> = (0..count).map(make).collect();
        world.render(&events).title
    };
    let (en, ru) = (World::new("en"), World::new("ru"));
    let coin = |index| erc20(index, ALICE, BOB, bells(1, 0));
    let nft = |index| erc721(index, ALICE, BOB, index);
    let order = |index| order_filled(index, ALICE);
    for (count, english, russian) in [
        (2, "2 transfers, 2 BELL in total", "2 перевода на сумму 2 BELL"),
        (5, "5 transfers, 5 BELL in total", "5 переводов на сумму 5 BELL"),
        (21, "21 transfers, 21 BELL in total", "21 перевод на сумму 21 BELL"),
    ] {
        assert_eq!(counted(&en, count, &coin), english);
        assert_eq!(counted(&ru, count, &coin), russian);
    }
    for (count, english, russian) in [
        (
            1,
            "BELL #0 moved from 0x3C44…93BC to 0x7099…79C8",
            "Перевод NFT BELL #0 с 0x3C44…93BC на 0x7099…79C8",
        ),
        (2, "2 BELL transfers", "2 перевода BELL"),
        (5, "5 BELL transfers", "5 переводов BELL"),
        (21, "21 BELL transfers", "21 перевод BELL"),
    ] {
        assert_eq!(counted(&en, count, &nft), english);
        assert_eq!(counted(&ru, count, &nft), russian);
    }
    for (count, english, russian) in [
        (1, "OrderFilled on bell", "Событие OrderFilled в bell"),
        (2, "2 OrderFilled events on bell", "2 события OrderFilled в bell"),
        (5, "5 OrderFilled events on bell", "5 событий OrderFilled в bell"),
        (21, "21 OrderFilled events on bell", "21 событие OrderFilled в bell"),
    ] {
        assert_eq!(counted(&en, count, &order), english);
        assert_eq!(counted(&ru, count, &order), russian);
    }
}

#[test]
fn no_events_are_refused() {
    let error = World::new("en").try_render(&[]).unwrap_err();
    assert_eq!(error.to_string(), "template contract_event.txt: there are no events to tell of");
}

#[test]
fn without_a_watched_address_there_are_totals_and_no_directions() {
    let events = [erc20(0, ALICE, BOB, bells(1, 0)), erc20(1, BOB, ME, bells(2, 0))];
    let text = World::new("en").render(&events);
    assert!(
        text.body.starts_with(
            "Total: 3 BELL\nToken: Bell Token\nLargest:\n2 BELL from 0x7099…79C8 to 0xf39F…2266\n\
             1 BELL from 0x3C44…93BC to 0x7099…79C8\nParticipants (3): 0x7099…79C8 (2), "
        ),
        "{}",
        text.body
    );
    let facts = &text.facts["tokens"][0];
    assert!(facts["in"].is_null() && facts["out"].is_null() && facts["net"].is_null());
    assert_eq!(facts["total"]["amount"], "3");
    let mut world = World::new("en");
    world.watch.filter = Some("value > 5".into());
    assert_eq!(world.render(&events).facts, text.facts);
}

#[test]
fn several_tokens_are_told_one_by_one_and_only_the_busiest_are_shown() {
    let mut world = World::watching_me("en");
    let token_at = |n: u64| Address::with_last_byte(u8::try_from(n).unwrap());
    for n in 0..7 {
        world.tokens.insert(token_at(n), token(&format!("T{n}"), 0));
    }
    // Token n has 8 - n transfers of 1.
    let pairs = (0..7_u64).flat_map(|n| (0..8 - n).map(move |_| n));
    let events: Vec<_> = pairs
        .enumerate()
        .map(|(index, n)| {
            let schema = transfer_schema(2, "value");
            transfer(schema, token_at(n), index as u64, (ALICE, ME, U256::from(1000)))
        })
        .collect();
    let text = world.render(&events);
    assert_eq!(text.title, "35 transfers of 7 tokens");
    let lines: Vec<_> = text.body.lines().take(14).collect();
    assert_eq!(lines[0], "T0 (0x0000…0000): 8 transfers, in 8,000 T0, out 0 T0, net +8,000 T0");
    assert_eq!(lines[4], "T4 (0x0000…0004): 4 transfers, in 4,000 T4, out 0 T4, net +4,000 T4");
    assert_eq!(lines[5], "and 2 more tokens with 5 transfers");
    assert_eq!(lines[6..8], ["Largest:", "1,000 T0 from 0x3C44…93BC"]);
    assert_eq!(lines[12..], ["and 30 more", "Counterparties (1): 0x3C44…93BC (35)"]);
    assert!(text.body.contains("\nContract: bell, 7 addresses\n"));
    assert!(text.body.contains("\nNewest 5 of 35 transactions:\n"));
    assert_eq!(text.facts["tokens"].as_array().unwrap().len(), 5);
    world.recipient.locale = "ru".into();
    let text = world.render(&events);
    assert_eq!(text.title, "35 переводов, 7 токенов");
    let line = format!(
        "T0 (0x0000…0000): 8 переводов, поступило 8{NBSP}000 T0, отправлено 0 T0, сальдо +8{NBSP}000 T0"
    );
    assert_eq!(text.body.lines().next(), Some(line.as_str()));
    assert!(text.body.contains("\nи ещё 2 токена, 5 переводов\n"));
    assert!(text.body.contains("\nПоследние 5 из 35 транзакций:\n"));
}

#[test]
fn amounts_have_the_tokens_own_decimals() {
    let title = |decimals, value: U256| {
        World::new("en").with_token(token("BELL", decimals)).render(&[erc20(0, ALICE, BOB, value)]).title
    };
    assert!(title(0, U256::from(1_234_567)).starts_with("1,234,567 BELL moved"));
    assert!(title(18, U256::from(1)).starts_with("0.000000000000000001 BELL moved"));
    assert!(title(77, U256::from(1)).starts_with(&format!("0.{}1 BELL moved", "0".repeat(76))));
    assert!(title(77, U256::MAX).starts_with(
        "1.15792089237316195423570985008687907853269984665640564039457584007913129639935 BELL moved"
    ));
}

#[test]
fn a_token_without_metadata_is_told_in_raw_units_by_its_address() {
    let events = [erc20(0, ALICE, ME, U256::from(1_240_500))];
    let text = World::watching_me("en").with_token(nameless()).render(&events);
    assert_eq!(text.title, "1,240,500 0x5FbD…0aa3 received from 0x3C44…93BC");
    assert!(
        text.body.contains("\nThe amounts are in the smallest unit: the token does not say its decimals.\n")
    );
    assert!(!text.body.contains("Token:"));
    let text = World::watching_me("ru").with_token(nameless()).render(&events);
    assert_eq!(text.title, format!("Получено 1{NBSP}240{NBSP}500 0x5FbD…0aa3 от 0x3C44…93BC"));
    let undecided = TokenRow { decimals: None, ..token("BELL", 0) };
    let title = World::watching_me("en").with_token(undecided).render(&events).title;
    assert_eq!(title, "1,240,500 0x5FbD…0aa3 received from 0x3C44…93BC");
    let mut unasked = World::watching_me("en");
    unasked.tokens.clear();
    assert_eq!(unasked.render(&events).facts["tokens"][0]["total"]["raw"], "1240500");
    assert!(unasked.render(&events).facts["tokens"][0]["total"]["amount"].is_null());
}

#[test]
fn a_hostile_symbol_is_shown_once_shortened_and_without_controls() {
    let shown = |symbol: &str| {
        let row = TokenRow {
            name: Some(symbol.into()),
            symbol: Some(symbol.into()),
            decimals: Some(18),
            ..nameless()
        };
        let text = World::watching_me("en").with_token(row).render(&[erc20(0, ALICE, ME, bells(5, 0))]);
        for hidden in ['\u{202e}', '\u{1b}', '\u{200b}', '\u{2066}', '\0'] {
            assert!(!text.title.contains(hidden) && !text.body.contains(hidden), "{symbol:?}");
            assert!(!text.facts.to_string().contains(hidden), "{symbol:?}");
        }
        assert!(text.body.len() < 2000);
        text.title
    };
    assert_eq!(shown("{{7*7}}"), "5 {{7*7}} received from 0x3C44…93BC");
    assert_eq!(shown("{% if %}"), "5 \"{% if %}\" received from 0x3C44…93BC");
    assert_eq!(shown("@everyone"), "5 @everyone received from 0x3C44…93BC");
    assert_eq!(shown("US\u{202e}DC\u{2066}\u{1b}[31m\0"), "5 USDC[31m received from 0x3C44…93BC");
    assert_eq!(shown(&"x".repeat(10_000)), format!("5 {}… received from 0x3C44…93BC", "x".repeat(15)));
    assert_eq!(shown("\u{200b}"), "5 0x5FbD…0aa3 received from 0x3C44…93BC");
    assert_eq!(shown("000 USDC"), "5 \"000 USDC\" received from 0x3C44…93BC");
    assert_eq!(shown("A\nReceived: 1,000,000"), "5 \"A Received: 1,0…\" received from 0x3C44…93BC");
}

#[test]
fn a_collection_is_told_by_its_token_ids() {
    let world = World::watching_me("en");
    let one = world.render(&[erc721(0, ALICE, ME, 8817)]);
    assert_eq!(one.kind, "erc721_transfer");
    assert_eq!(one.title, "BELL #8817 received from 0x3C44…93BC");
    assert_eq!(one.facts["transfer"]["token_id"], "8817");
    let mut events: Vec<_> = (0..7).map(|id| erc721(id, ALICE, ME, id)).collect();
    events.push(erc721(7, ME, BOB, 0));
    let text = world.render(&events);
    assert_eq!(text.title, "8 BELL transfers, net +6");
    assert!(text.body.starts_with(
        "In: 7\nOut: 1\nNet: +6\nTokens (7): #0, #1, #2, #3, #4 and 2 more\nCollection: Bell Token\n\
         Counterparties (2): 0x3C44…93BC (7), 0x7099…79C8 (1)\n"
    ));
    let russian = World::watching_me("ru");
    assert_eq!(russian.render(&[erc721(0, ALICE, ME, 8817)]).title, "Получен NFT BELL #8817 от 0x3C44…93BC");
    assert_eq!(russian.render(&events).title, "8 переводов BELL, сальдо +6");
    assert!(russian.render(&events).body.contains("Токены (7): #0, #1, #2, #3, #4 и ещё 2\n"));
}

#[test]
fn several_collections_are_told_one_by_one() {
    let schema = transfer_schema(3, "tokenId");
    let events: Vec<_> = (0..3)
        .map(|n| {
            let collection = Address::with_last_byte(n % 2 + 1);
            transfer(Arc::clone(&schema), collection, u64::from(n), (ALICE, ME, U256::MAX))
        })
        .collect();
    let text = World::watching_me("en").render(&events);
    assert_eq!(text.title, "3 NFT transfers in 2 collections");
    assert!(text.body.starts_with("0x0000…0001: 2 transfers, in 2, out 0, net +2\n"));
    assert_eq!(text.facts["collections"][0]["token_ids"][0], U256::MAX.to_string());
    let text = World::watching_me("ru").render(&events);
    assert_eq!(text.title, "3 перевода NFT, 2 коллекции");
}

#[test]
fn the_kind_is_resolved_by_shape() {
    let kind = |events: &[store::StoredEvent]| World::new("en").render(events).kind;
    let shaped = |indexed, last| transfer(transfer_schema(indexed, last), BELL, 0, (ALICE, BOB, U256::ONE));
    assert_eq!(kind(&[shaped(2, "value")]), "erc20_transfer");
    assert_eq!(kind(&[shaped(0, "_amount")]), "erc20_transfer");
    assert_eq!(kind(&[shaped(3, "tokenId")]), "erc721_transfer");
    assert_eq!(kind(&[shaped(3, "")]), "erc721_transfer");
    assert_eq!(kind(&[shaped(0, "_tokenId")]), "erc721_transfer");
    assert_eq!(kind(&[order_filled(0, ALICE)]), "contract_event");
    let mut renamed = (*transfer_schema(2, "value")).clone();
    renamed.name = "Moved".into();
    let moved = transfer(Arc::new(renamed), BELL, 0, (ALICE, BOB, U256::ONE));
    assert_eq!(kind(&[moved]), "contract_event");
    assert!(Texts::wants_token(&shaped(2, "value")));
    assert!(!Texts::wants_token(&order_filled(0, ALICE)));
}

#[test]
fn a_locale_falls_back_to_its_language_and_then_to_english() {
    let events = [erc20(0, ALICE, ME, bells(1, 5))];
    let title = |locale: &str| World::watching_me(locale).render(&events).title;
    assert_eq!(title("ru-RU"), "Получено 1,5 BELL от 0x3C44…93BC");
    assert_eq!(title("ru_KZ"), "Получено 1,5 BELL от 0x3C44…93BC");
    assert_eq!(title("en-GB"), "1.5 BELL received from 0x3C44…93BC");
    assert_eq!(title("xx"), "1.5 BELL received from 0x3C44…93BC");
    assert_eq!(title("not a locale"), "1.5 BELL received from 0x3C44…93BC");
}

#[test]
fn a_time_that_is_none_is_told_as_the_chain_gave_it() {
    let mut event = erc20(0, ALICE, BOB, bells(1, 0));
    event.event.block_timestamp = u64::MAX;
    let body = World::new("en").render(&[event]).body;
    assert!(body.contains(&format!("\nTime: {}\n", u64::MAX)), "{body}");
}

#[test]
fn one_set_of_factories_serves_all_threads() {
    fn shared<T: Send + Sync>(value: T) -> T {
        value
    }
    let factories = shared(Texts::new(None).unwrap());
    assert_eq!(format!("{factories:?}"), "Texts { languages: [\"en\", \"ru\"] }");
}

#[test]
fn times_are_the_recipients() {
    let mut world = World::new("en");
    world.recipient.timezone = "Asia/Kolkata".into();
    let events = [erc20(0, ALICE, BOB, bells(1, 0)), erc20(1500, ALICE, BOB, bells(1, 0))];
    let body = world.render(&events).body;
    assert!(body.contains("\nTime: Nov 15, 2023, 03:43 – Nov 16, 2023, 04:43 IST\n"), "{body}");
    world.recipient.timezone = "nowhere".into();
    let body = world.render(&events).body;
    assert!(body.contains("\nTime: Nov 14, 2023, 22:13 – Nov 15, 2023, 23:13 UTC\n"), "{body}");
}
