//! What is given up, and where it goes.

use std::{sync::Arc, time::Duration};

use broker::{ConsumerConfig, STREAM_DEAD, dead_subject};
use domain::{Consumer, Message, message::STREAM_NOTIFY};

use crate::{
    on_both,
    world::{BRIEFLY, PATIENT, World, assert_empty, config, message, next},
};

on_both!(
    after_the_last_delivery_a_message_is_a_dead_letter,
    the_ack_wait_counts_as_a_delivery_too,
    what_can_never_be_handled_is_given_up_at_once,
    a_dead_letter_of_one_consumer_is_alive_for_another,
    a_dead_letter_leaves_the_messages_beside_it_alone,
);

async fn graveyard(world: &World) -> anyhow::Result<Arc<dyn Consumer>> {
    Ok(world.broker.consumer(STREAM_DEAD, "graveyard", PATIENT).await?)
}

fn buried(message: Message) -> Message {
    Message { id: format!("{}:dead", message.id), subject: dead_subject(STREAM_NOTIFY), ..message }
}

async fn after_the_last_delivery_a_message_is_a_dead_letter(world: &World) -> anyhow::Result<()> {
    let dead = graveyard(world).await?;
    let consumer = world.consumer("deliver", ConsumerConfig { deliveries_max: 2, ..PATIENT }).await?;
    let replayed = message("one").replayed("r1");
    world.publish(vec![replayed.clone()]).await?;
    for deliveries in [1, 2] {
        let incoming = next(&*consumer).await?;
        assert_eq!(incoming.deliveries, deliveries);
        consumer.nak(&incoming.token, Duration::ZERO).await?;
    }
    assert_empty(&*consumer, BRIEFLY).await?;
    assert_eq!(next(&*dead).await?.message, buried(replayed));
    assert_empty(&*consumer, BRIEFLY).await
}

async fn the_ack_wait_counts_as_a_delivery_too(world: &World) -> anyhow::Result<()> {
    let dead = graveyard(world).await?;
    let impatient = ConsumerConfig { deliveries_max: 2, ..config(Duration::from_millis(500)) };
    let consumer = world.consumer("deliver", impatient).await?;
    world.publish(vec![message("one")]).await?;
    assert_eq!(next(&*consumer).await?.deliveries, 1);
    assert_eq!(next(&*consumer).await?.deliveries, 2);
    assert_empty(&*consumer, Duration::from_secs(1)).await?;
    assert_eq!(next(&*dead).await?.message, buried(message("one")));
    assert_empty(&*consumer, Duration::from_secs(1)).await
}

async fn what_can_never_be_handled_is_given_up_at_once(world: &World) -> anyhow::Result<()> {
    let dead = graveyard(world).await?;
    let consumer = world.consumer("deliver", config(Duration::from_millis(500))).await?;
    world.publish(vec![message("one")]).await?;
    let incoming = next(&*consumer).await?;
    consumer.dead_letter(&incoming, "it is no CloudEvent").await?;
    assert_eq!(next(&*dead).await?.message, buried(message("one")));
    assert_empty(&*consumer, Duration::from_secs(1)).await
}

async fn a_dead_letter_of_one_consumer_is_alive_for_another(world: &World) -> anyhow::Result<()> {
    let consumer = world.consumer("deliver", PATIENT).await?;
    let other = world.consumer("audit", PATIENT).await?;
    world.publish(vec![message("one")]).await?;
    consumer.dead_letter(&next(&*consumer).await?, "it is no CloudEvent").await?;
    assert_eq!(next(&*other).await?.message, message("one"));
    Ok(())
}

async fn a_dead_letter_leaves_the_messages_beside_it_alone(world: &World) -> anyhow::Result<()> {
    let consumer = world.consumer("deliver", ConsumerConfig { deliveries_max: 1, ..PATIENT }).await?;
    world.publish(vec![message("one")]).await?;
    let incoming = next(&*consumer).await?;
    consumer.nak(&incoming.token, Duration::ZERO).await?;
    world.publish(vec![message("two")]).await?;
    assert_eq!(next(&*consumer).await?.message, message("two"));
    Ok(())
}
