//! What was told of a token holds for the corrections of what was told.

use domain::{DeliverAt, Spam, Telling};
use pipeline::{
    Bell,
    amend::{Amend, AmendConfig, AmendDeps},
};
use serde_json::{Value as Json, json};
use store::TokenRow;

use crate::{
    rooms::{drain, window},
    spam::{FRIEND, Scene, TOKEN, transfer},
    world::{CHAIN, World, on_both_stores},
};

on_both_stores!(a_correction_counts_in_the_units_that_were_told);

fn shown(facts: &Json) -> Json {
    let token = &facts["tokens"][0];
    json!([token["symbol"], token["decimals"], token["total"]["amount"]])
}

async fn a_correction_counts_in_the_units_that_were_told(world: World) -> anyhow::Result<()> {
    let telling = Telling { spam: Spam::Tell, ..Telling::default() };
    let mut scene = Scene::set(world, window(60), telling, DeliverAt::Seen).await?;
    scene.rooms.world.node.chain(|chain| chain.finalized_depth = Some(60));
    scene.mine(vec![transfer((TOKEN, FRIEND), 5_000_000, 11)]).await?;
    scene.mine(vec![transfer((TOKEN, FRIEND), 2_000_000, 12)]).await?;
    scene.pass(60).await?;
    assert_eq!(shown(&scene.told().await?[0].notification.facts), json!(["USDC", 6, "7"]));
    // An upgrade changes what the token says, and then one of the two leaves the chain.
    let said = TokenRow { symbol: Some("USDX".into()), decimals: Some(18), ..TokenRow::default() };
    scene.rooms.world.store.put_token(CHAIN, TOKEN, &said, scene.rooms.world.now()).await?;
    scene.rooms.world.node.chain(|chain| chain.rollback(1));
    for _ in 0..4 {
        scene.mine(Vec::new()).await?;
    }
    let deps = AmendDeps {
        store: scene.rooms.world.store.clone(),
        notifier: scene.rooms.notifier(),
        clock: scene.rooms.clock(),
        relay: Bell::new(),
    };
    drain(&mut Amend::new(deps, vec![(CHAIN, 2)], AmendConfig::default())).await?;
    let told = scene.told().await?;
    let corrected = &told.iter().find(|row| row.notification.corrects.is_some()).expect("it is corrected");
    assert_eq!(shown(&corrected.notification.facts), json!(["USDC", 6, "5"]));
    // What is told anew is told in the token's new words.
    scene.mine(vec![transfer((TOKEN, FRIEND), 3_000_000, 13)]).await?;
    scene.pass(60).await?;
    let told = scene.told().await?;
    let last = told.iter().max_by_key(|row| row.notification.created_at).expect("it is told");
    assert_eq!(shown(&last.notification.facts), json!(["USDX", 18, "0.000000000003"]));
    Ok(())
}
