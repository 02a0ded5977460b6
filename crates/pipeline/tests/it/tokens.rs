//! What tokens say of themselves, and when they are asked again.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use alloy_primitives::{Address, Bytes, U256, hex};
use domain::Clock;
use pipeline::tokens::Tokens;
use serde_json::Value as Json;
use store::TokenRow;
use testkit::scripted_node::Reply;

use crate::world::{CHAIN, World, on_both_stores};

on_both_stores!(
    a_token_that_does_not_answer_is_asked_again_with_growing_pauses,
    a_fact_is_renewed_and_outlives_questions_without_an_answer,
    what_another_process_learns_is_known_here_within_seconds,
    a_token_is_asked_at_once_when_somebody_wants_it,
    a_row_from_under_a_clock_that_was_ahead_is_asked_again,
    a_row_that_lacks_a_fact_from_before_pauses_were_kept_is_asked_again,
);

const TOKEN: Address = Address::repeat_byte(0x70);
const DAY: u64 = 24 * 60 * 60;

/// A text as a contract encodes it.
fn text(text: &str) -> Bytes {
    let mut encoded = [U256::from(32), U256::from(text.len())].map(|word| word.to_be_bytes::<32>()).concat();
    encoded.extend(text.as_bytes());
    encoded.resize(encoded.len().next_multiple_of(32), 0);
    encoded.into()
}

fn number(number: u64) -> Bytes {
    U256::from(number).to_be_bytes::<32>().to_vec().into()
}

fn facts(name: &str, symbol: &str, decimals: u8) -> TokenRow {
    TokenRow { name: Some(name.into()), symbol: Some(symbol.into()), decimals: Some(decimals), hides: false }
}

/// Counts the questions, each of which is about one of three facts.
fn answering(world: &World, replies: [Reply; 3]) -> Arc<AtomicUsize> {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    world.node.answer("eth_call", move |params: &Json| {
        count.fetch_add(1, Ordering::Relaxed);
        let [name, symbol, decimals] = &replies;
        let call = &params[0];
        let input = call["input"].as_str().or_else(|| call["data"].as_str()).unwrap_or_default();
        match input {
            "0x06fdde03" => name.clone(),
            "0x95d89b41" => symbol.clone(),
            _ => decimals.clone(),
        }
    });
    asked
}

fn result(bytes: &Bytes) -> Reply {
    Reply::Result(Json::from(hex::encode_prefixed(bytes)))
}

fn whole(name: &str, symbol: &str, decimals: u64) -> [Reply; 3] {
    [result(&text(name)), result(&text(symbol)), result(&number(decimals))]
}

fn nothing() -> Reply {
    Reply::Result(Json::from("0x"))
}

fn revert() -> Reply {
    Reply::error(3, "execution reverted")
}

fn tokens(world: &World) -> Tokens {
    let clients = HashMap::from([(CHAIN, Arc::clone(&world.client))]);
    Tokens::new(world.store.clone(), clients, Arc::clone(&world.clock) as Arc<dyn Clock>)
}

async fn of(tokens: &Tokens) -> anyhow::Result<TokenRow> {
    let known = tokens.of(CHAIN, &HashSet::from([TOKEN])).await?;
    Ok(known[&TOKEN].clone())
}

fn pass(world: &World, seconds: u64) {
    world.clock.advance(Duration::from_secs(seconds));
}

async fn a_token_that_does_not_answer_is_asked_again_with_growing_pauses(world: World) -> anyhow::Result<()> {
    let asked = answering(&world, [nothing(), revert(), nothing()]);
    let here = tokens(&world);
    let mut times = 0;
    for pause in [10, 60, 300, 1_800, 7_200, 21_600, DAY, DAY, DAY] {
        assert_eq!(of(&here).await?, TokenRow::default());
        times += 3;
        assert_eq!(asked.load(Ordering::Relaxed), times, "before a pause of {pause} s");
        pass(&world, pause - 1);
        // Nor does a process that starts meanwhile.
        of(&here).await?;
        of(&tokens(&world)).await?;
        assert_eq!(asked.load(Ordering::Relaxed), times, "within a pause of {pause} s");
        pass(&world, 1);
    }
    // It is set up meanwhile, but for its decimals; what it says now is known at once, and the rest is asked again.
    answering(&world, [result(&text("Bell")), result(&text("BELL")), revert()]);
    let named = TokenRow { decimals: None, ..facts("Bell", "BELL", 0) };
    assert_eq!(of(&here).await?, named);
    let asked = answering(&world, whole("Bell", "BELL", 6));
    pass(&world, DAY);
    assert_eq!(of(&here).await?, facts("Bell", "BELL", 6));
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    assert_eq!(world.store.token(CHAIN, TOKEN).await?, Some(facts("Bell", "BELL", 6)));
    Ok(())
}

async fn a_fact_is_renewed_and_outlives_questions_without_an_answer(world: World) -> anyhow::Result<()> {
    answering(&world, whole("Bell", "BELL", 6));
    let here = tokens(&world).renewed_after(Duration::from_secs(3_600));
    assert_eq!(of(&here).await?, facts("Bell", "BELL", 6));
    // An upgrade changes its name and symbol.
    let asked = answering(&world, whole("Gong", "GONG", 6));
    pass(&world, 3_599);
    assert_eq!(of(&here).await?, facts("Bell", "BELL", 6));
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    pass(&world, 1);
    assert_eq!(of(&here).await?, facts("Gong", "GONG", 6));
    // No answer takes nothing away, and is soon followed by another question.
    for silence in [nothing(), revert(), Reply::error(-32603, "internal error")] {
        let asked = answering(&world, [silence.clone(), silence.clone(), silence]);
        pass(&world, 3_600);
        assert_eq!(of(&here).await?, facts("Gong", "GONG", 6));
        assert!(asked.load(Ordering::Relaxed) > 0);
    }
    answering(&world, whole("Bell", "BELL", 18));
    pass(&world, 3_600);
    assert_eq!(of(&here).await?, facts("Bell", "BELL", 18));
    Ok(())
}

async fn what_another_process_learns_is_known_here_within_seconds(world: World) -> anyhow::Result<()> {
    answering(&world, whole("Bell", "BELL", 6));
    let (here, there) = (tokens(&world), tokens(&world));
    of(&here).await?;
    answering(&world, whole("Gong", "GONG", 6));
    there.refresh(CHAIN, TOKEN).await?;
    pass(&world, 10);
    assert_eq!(of(&here).await?, facts("Gong", "GONG", 6));
    Ok(())
}

async fn a_token_is_asked_at_once_when_somebody_wants_it(world: World) -> anyhow::Result<()> {
    let here = tokens(&world);
    answering(&world, [nothing(), nothing(), nothing()]);
    let refreshed = here.refresh(CHAIN, TOKEN).await?;
    assert_eq!((refreshed.before, refreshed.unanswered.len()), (None, 3));
    answering(&world, [result(&text("Bell")), result(&text("BELL")), nothing()]);
    let refreshed = here.refresh(CHAIN, TOKEN).await?;
    assert_eq!((refreshed.before, refreshed.unanswered), (Some(TokenRow::default()), vec!["decimals"]));
    assert_eq!(refreshed.now, TokenRow { decimals: None, ..facts("Bell", "BELL", 0) });
    Ok(())
}

async fn a_row_from_under_a_clock_that_was_ahead_is_asked_again(world: World) -> anyhow::Result<()> {
    answering(&world, whole("Bell", "BELL", 6));
    pass(&world, 30 * DAY);
    of(&tokens(&world)).await?;
    world.clock.rewind(Duration::from_secs(30 * DAY));
    answering(&world, whole("Gong", "GONG", 6));
    assert_eq!(of(&tokens(&world)).await?, facts("Gong", "GONG", 6));
    Ok(())
}

async fn a_row_that_lacks_a_fact_from_before_pauses_were_kept_is_asked_again(
    world: World,
) -> anyhow::Result<()> {
    let row = TokenRow { decimals: None, ..facts("Bell", "BELL", 0) };
    world.store.put_token(CHAIN, TOKEN, &row, world.now()).await?;
    answering(&world, whole("Bell", "BELL", 6));
    assert_eq!(of(&tokens(&world)).await?, facts("Bell", "BELL", 6));
    Ok(())
}
