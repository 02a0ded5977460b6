//! Before the first run: every command knows what the file configures, and a store of another chain is refused.

use testkit::{deployment::Deployment, scripted_node::ScriptedNode};

use crate::{
    commands::say,
    on_both,
    scripted::{bell, chain, configure, ring, stored, world},
    world::{World, immediate_watch},
};

on_both!(
    commands_know_the_file_before_the_first_run,
    what_left_the_file_can_be_changed_before_the_next_run,
    a_name_of_a_chain_that_the_store_knows_by_another_id_is_one_sentence,
    a_renamed_chain_goes_on_where_it_was,
);

async fn unread(deployment: Deployment, node: &ScriptedNode) -> anyhow::Result<World> {
    let watch = immediate_watch("of-file", "bell", "Ring", "block_number > 0");
    world(deployment, &(chain("local", node, "") + &bell("bell", "local", "") + &watch)).await
}

async fn commands_know_the_file_before_the_first_run(deployment: Deployment) -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    let world = unread(deployment, &node).await?;
    let config = Some(world.config.as_path());
    let add = ["watch", "add", "mine", "--recipient", "ops", "--contract", "bell", "--event", "Ring"];
    say(config, &add).await?.well()?;
    say(config, &["target", "test", "ops", "hook"]).await?.well()?;
    assert_eq!(world.receiver.received().len(), 1);
    let shown = say(config, &["recipient", "show", "ops"]).await?.well()?.out;
    for part in ["ops", "hook", "of-file", "mine"] {
        assert!(shown.contains(part), "'{part}' is not in {shown}");
    }
    let lists: [(&[&str], &str); 4] = [
        (&["recipient", "list"], "ops"),
        (&["target", "list"], "hook"),
        (&["watch", "list"], "of-file"),
        (&["watch", "show", "of-file"], "of-file"),
    ];
    for (command, part) in lists {
        let listed = say(config, command).await?.well()?.out;
        assert!(listed.contains(part), "'{part}' is not in {listed}");
    }
    let doctor = say(config, &["doctor"]).await?;
    assert!(doctor.out.contains("target 'hook' of 'ops'"), "{doctor:?}");
    say(config, &["watch", "remove", "of-file"]).await?.refused(2, &["configuration file"]);
    say(config, &["watch", "pause", "of-file"]).await?.refused(2, &["configuration file"]);
    say(config, &["target", "remove", "ops", "hook"]).await?.refused(2, &["configuration file"]);
    say(config, &["target", "add", "ops", "second", "stdout:"]).await?.well()?;
    let unknown = format!("0x{}", "12".repeat(32));
    let explained = say(config, &["explain", &unknown, "--recipient", "ops"]).await?;
    assert!(!explained.err.contains("there is no recipient"), "{explained:?}");
    Ok(())
}

async fn what_left_the_file_can_be_changed_before_the_next_run(deployment: Deployment) -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    let world = unread(deployment, &node).await?;
    let config = Some(world.config.as_path());
    say(config, &["watch", "list"]).await?.well()?;
    configure(&world, &(chain("local", &node, "") + &bell("bell", "local", "")))?;
    // A list removes nothing: another file over the same store may still name it.
    let listed = say(config, &["watch", "list"]).await?.well()?.out;
    assert!(listed.contains("of-file"), "{listed}");
    say(config, &["watch", "pause", "of-file"]).await?.well()?;
    say(config, &["watch", "remove", "of-file"]).await?.well()?;
    let listed = say(config, &["watch", "list"]).await?.well()?.out;
    assert!(!listed.contains("of-file"), "{listed}");
    Ok(())
}

async fn a_name_of_a_chain_that_the_store_knows_by_another_id_is_one_sentence(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    node.mine(vec![ring(1)]);
    let world = unread(deployment, &node).await?;
    world.run_through(11).await?;
    node.chain(|chain| chain.id = 31_338);
    configure(&world, &(chain("local", &node, "") + &bell("bell", "local", "")))?;
    let config = Some(world.config.as_path());
    let parts =
        ["chain 'local'", "31337", "31338", "set chain_id = 31337 again", "another name", "store.url"];
    let said = say(config, &["run"]).await?;
    said.refused(2, &parts);
    for text in ["UNIQUE", "constraint", "one_chain_per_name"] {
        assert!(!said.err.contains(text), "{said:?}");
    }
    let doctor = say(config, &["doctor"]).await?;
    for part in parts {
        assert!(doctor.out.contains(part), "'{part}' is not in {doctor:?}");
    }
    // Under a name of its own the other chain is welcome beside the old one.
    configure(&world, &(chain("other", &node, "") + &bell("bell", "other", "")))?;
    world.run_through(11).await?;
    assert_eq!(stored(&world.store().await?, &node).await?.len(), 1);
    Ok(())
}

async fn a_renamed_chain_goes_on_where_it_was(deployment: Deployment) -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    node.mine(vec![ring(1)]);
    let world = unread(deployment, &node).await?;
    world.run_through(11).await?;
    // What was committed and not yet published waits under the old name.
    let store = world.store().await?;
    let waiting = domain::Message {
        id: "waiting".to_owned(),
        subject: "chain.local.bell.Ring".to_owned(),
        replay: None,
        payload: "{}".to_owned(),
    };
    let lane = |name: &str| name.parse().map(|name| store::Store::lane_of_chain(&name));
    store.outbox_insert(&lane("local")?, std::slice::from_ref(&waiting), jiff::Timestamp::UNIX_EPOCH).await?;
    node.mine(vec![ring(2)]);
    configure(&world, &(chain("renamed", &node, "") + &bell("bell", "renamed", "")))?;
    world.run_through(12).await?;
    assert_eq!(stored(&store, &node).await?.len(), 2);
    for name in ["local", "renamed"] {
        assert!(!store.outbox_has(&lane(name)?).await?, "everything is published: {name}");
    }
    Ok(())
}
