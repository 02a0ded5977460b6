//! Strings that a database cannot hold as they are: they come back byte by byte, and look the same on both dialects.

use alloy_primitives::Bytes;
use domain::{Content, Finality, Value};

use crate::{
    on_both,
    world::{World, all, block, header},
};

on_both!(
    strings_with_nul_and_strings_that_are_not_utf8_come_back_as_they_were,
    what_an_older_chainbell_stored_of_a_string_with_nul_reads_as_that_string,
);

fn noted(world: &World, log_index: u64, note: Value) -> domain::Event {
    let mut event = world.event(block(1, 1), log_index, 1);
    if let Content::Decoded { params, .. } = &mut event.content {
        params.0[2].1 = note;
    }
    event
}

async fn strings_with_nul_and_strings_that_are_not_utf8_come_back_as_they_were(
    world: &World,
) -> anyhow::Result<()> {
    let notes = [
        (Value::String("a\0b".to_owned()), r#""a\u0000b""#),
        (Value::RawString(Bytes::from_static(b"a\xff\0b")), r#"{"hex":"0x61ff0062"}"#),
        (Value::String("{\"hex\":\"0x61\"}".to_owned()), r#""{\"hex\":\"0x61\"}""#),
        (Value::String("\\u0000 \u{fffd}".to_owned()), "\"\\\\u0000 \u{fffd}\""),
    ];
    let events: Vec<_> = (0..).zip(&notes).map(|(at, (note, _))| noted(world, at, note.clone())).collect();
    world.commit(None, None, &[header(1, 1, 1)], &events).await?;
    let stored = world.store.events(&all()).await?;
    assert_eq!(stored.len(), notes.len());
    for (stored, (event, (_, json))) in stored.iter().zip(events.iter().zip(&notes)) {
        assert_eq!(stored.event.content, event.content);
        assert_eq!(stored.event.to_json(Finality::Seen)["params"]["note"].to_string(), *json);
    }
    Ok(())
}

async fn what_an_older_chainbell_stored_of_a_string_with_nul_reads_as_that_string(
    world: &World,
) -> anyhow::Result<()> {
    let event = noted(world, 0, Value::String("a\0b".to_owned()));
    let Content::Decoded { params, .. } = &event.content else { anyhow::bail!("it is decoded") };
    let mut text = String::new();
    params.write_stored(&mut text);
    assert!(text.ends_with(r#""note":{"hex":"0x610062"}}"#), "{text}");
    world.commit(None, None, &[header(1, 1, 1)], std::slice::from_ref(&event)).await?;
    assert_eq!(world.store.events(&all()).await?[0].event.content, event.content);
    Ok(())
}
