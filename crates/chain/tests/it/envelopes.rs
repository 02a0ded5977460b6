//! Envelopes that can mean only one thing, however they are written.

use domain::{ChainClient, LogFilter, LogQuery};
use serde_json::json;
use testkit::scripted_node::{Ids, LogSpec, Reply, ScriptedNode};

use super::world::{config, connect, listening, wake};

#[tokio::test]
async fn ids_that_come_back_as_strings_or_floats_are_the_ids_that_were_asked() -> anyhow::Result<()> {
    for ids in [Ids::Strings, Ids::Hex, Ids::Floats] {
        let scripted = ScriptedNode::start().await?;
        scripted.ids(ids);
        for url in [scripted.http_url(), scripted.ws_url()] {
            let node = connect(config(&[url])).await?;
            assert_eq!(node.heads().await?.finalized.unwrap().number, 6, "{ids:?}");
            let headers = node.headers_by_number(&[3, 4, 5]).await?;
            let numbers: Vec<_> = headers.iter().map(|header| header.unwrap().block.number).collect();
            assert_eq!(numbers, [3, 4, 5], "{ids:?}");
            assert_eq!(node.logs(LogQuery::Range { from: 1, to: 5 }, &LogFilter::default()).await?, []);
        }
        assert!(scripted.calls().iter().any(|call| call.batch == 3), "{ids:?}: no batch was sent");
    }
    Ok(())
}

#[tokio::test]
async fn subscriptions_are_had_from_a_node_that_writes_ids_as_strings() -> anyhow::Result<()> {
    let scripted = ScriptedNode::start().await?;
    scripted.ids(Ids::Strings);
    let node = connect(config(&[scripted.ws_url()])).await?;
    listening(&node, &[]).await;
    let block = scripted.mine(vec![LogSpec::new(Default::default(), Default::default(), 1)]).block;
    let head = wake(&node, &[], "the head", |wake| match wake {
        domain::Wake::Head(head) => Some(head.block),
        _ => None,
    });
    assert_eq!(head.await, block);
    Ok(())
}

#[tokio::test]
async fn answers_of_a_batch_without_ids_are_asked_for_one_by_one() -> anyhow::Result<()> {
    let scripted = ScriptedNode::start().await?;
    scripted.ids(Ids::Null);
    let node = connect(config(&[scripted.http_url()])).await?;
    let heads = node.heads().await?;
    assert_eq!((heads.latest.block.number, heads.safe.unwrap().number), (10, 8));
    assert_eq!(node.headers_by_number(&[3, 4, 5]).await?.iter().flatten().count(), 3);
    Ok(())
}

#[tokio::test]
async fn an_error_without_an_id_on_a_socket_answers_the_only_question_and_is_not_waited_for()
-> anyhow::Result<()> {
    let scripted = ScriptedNode::start().await?;
    let node = connect(config(&[scripted.ws_url()])).await?;
    let error =
        json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32000, "message": "computer says no" } });
    scripted.next("eth_getLogs", Reply::Raw(error.to_string()));
    let query = LogQuery::Range { from: 1, to: 1 };
    let error = node.logs(query, &LogFilter::default()).await.unwrap_err();
    assert!(error.to_string().contains("computer says no"), "{error}");
    Ok(())
}
