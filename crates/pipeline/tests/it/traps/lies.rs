//! Headers and logs that say what is not so, and what no question was asked for: a bloom alone decides nothing, a gap that
//! does not fill is not stepped over, and a topic is not yet a layout.

use std::sync::Arc;

use alloy_primitives::{B256, Bloom, Bytes, U256, keccak256};
use anyhow::Context as _;
use chain::{Node, NodeConfig};
use domain::{Catalog, ChainClient, Content, Contract, StartBlock, Value};
use serde_json::{Value as Json, json};
use store::StoreClock;
use testkit::scripted_node::{LogSpec, Reply, ScriptedChain, ScriptedNode};

use super::{branch, sound, struggle};
use crate::world::{BELL, CHAIN, World, contract, name, ring, settle};

/// The node's headers have this bloom from now on, whatever their blocks hold.
fn with_bloom(world: &World, bloom: Bloom) {
    for method in ["eth_getBlockByNumber", "eth_getBlockByHash"] {
        let chain = world.branch();
        world.node.answer(method, move |params| match chain.answer(method, params) {
            Reply::Result(mut header) if header.is_object() => {
                header["logsBloom"] = json!(bloom);
                Reply::Result(header)
            }
            reply => reply,
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bloom_of_zero_over_real_logs_hides_them_only_from_those_who_trust_it() -> anyhow::Result<()> {
    for trust in [false, true] {
        let world = World::sqlite().await?;
        let mut ingest = world.ingest_with(|config| config.trust_bloom = trust);
        settle(&mut ingest).await?;
        world.ring(11..=13);
        with_bloom(&world, Bloom::ZERO);
        settle(&mut ingest).await?;
        assert_eq!(world.tip().await?, 13);
        let held = world.held(BELL).await?;
        if trust {
            assert!(held.is_empty(), "the operator said so: {held:?}");
        } else {
            assert_eq!(held, world.truth(BELL));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bloom_that_claims_logs_where_there_are_none_costs_questions_and_holds_up_nothing()
-> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    for _ in 0..3 {
        world.node.mine(Vec::new());
    }
    let before = world.node.calls().len();
    with_bloom(&world, Bloom::repeat_byte(0xff));
    settle(&mut ingest).await?;
    assert_eq!(world.tip().await?, 13);
    assert_eq!(world.questions(before).len(), 9, "twice, and once more when nobody else can tell");
    assert_eq!(world.client.providers()[0].lies, 0, "no logs where there are none is no lie");
    // A real log under such a bloom is one all the same.
    world.ring(14..=14);
    with_bloom(&world, Bloom::repeat_byte(0xff));
    settle(&mut ingest).await?;
    world.agrees().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_that_does_not_fill_or_does_not_link_is_not_stepped_over() -> anyhow::Result<()> {
    type Fault = fn(&ScriptedChain) -> Reply;
    let faults: [(&str, Fault); 5] = [
        ("it fails", |_| Reply::error(-32603, "Internal error")),
        ("nothing is there", |_| Reply::Result(Json::Null)),
        ("it names another parent", |chain| {
            let mut header = chain.block(13).unwrap().header_json();
            header["parentHash"] = json!(B256::repeat_byte(9));
            Reply::Result(header)
        }),
        ("it is of another branch", |chain| {
            Reply::Result(branch(chain, 5, 50..=54).block(13).unwrap().header_json())
        }),
        ("it is another block", |chain| Reply::Result(chain.block(14).unwrap().header_json())),
    ];
    for (what, fault) in faults {
        let world = World::sqlite().await?;
        let mut ingest = world.ingest();
        settle(&mut ingest).await?;
        world.ring(11..=15);
        let (chain, fault) = (world.branch(), fault(&world.branch()));
        world.node.answer("eth_getBlockByNumber", move |params| {
            if params[0] == "0xd" { fault.clone() } else { chain.answer("eth_getBlockByNumber", params) }
        });
        for _ in 0..6 {
            // It may say so, and it may wait for the next head.
            let _ = ingest.advance().await;
        }
        let tip = world.tip().await?;
        assert!(tip <= 12, "{what}: the tip is at {tip}");
        let below: Vec<_> = world.truth(BELL).into_iter().filter(|(number, ..)| *number <= tip).collect();
        assert_eq!(world.held(BELL).await?, below, "{what}");
        world.node.restore("eth_getBlockByNumber");
        settle(&mut ingest).await?;
        assert_eq!(world.tip().await?, 15, "{what}");
        sound(&world).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_whose_next_block_is_built_on_another_than_ours_is_not_waited_for_in_silence()
-> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    world.ring(11..=15);
    let chain = world.branch();
    world.node.answer("eth_getBlockByNumber", move |params| {
        let Reply::Result(mut header) = chain.answer("eth_getBlockByNumber", params) else {
            panic!("a header")
        };
        if header["number"] == "0xd" {
            header["parentHash"] = json!(B256::repeat_byte(9));
        }
        Reply::Result(header)
    });
    let mut said = Vec::new();
    for _ in 0..6 {
        said.extend(ingest.advance().await.err().map(|error| error.to_string()));
    }
    assert_eq!(world.tip().await?, 12);
    let last = said.last().context("it says so")?;
    assert!(last.contains("as the parent of block 13") && last.contains("do not link"), "{last}");
    world.node.restore("eth_getBlockByNumber");
    settle(&mut ingest).await?;
    assert_eq!(world.tip().await?, 15);
    sound(&world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_marks_the_logs_of_its_answers_as_removed_is_left_for_another() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let other = ScriptedNode::start().await?;
    other.chain(|chain| *chain = world.branch());
    let urls = vec![world.node.http_url(), other.http_url()];
    let clock = Arc::new(StoreClock::measure(&world.store).await?);
    let node = Node::connect(NodeConfig::new(name(), CHAIN, urls), clock).await?;
    let client: Arc<dyn ChainClient> = Arc::new(node);
    let mut ingest = world.ingest_of(&client, &world.catalog(), |_| {});
    settle(&mut ingest).await?;
    world.ring(11..=13);
    let whole = world.branch();
    other.chain(|chain| *chain = whole.clone());
    world.node.answer("eth_getLogs", move |params| match whole.answer("eth_getLogs", params) {
        Reply::Result(Json::Array(mut logs)) => {
            for log in &mut logs {
                log["removed"] = json!(true);
            }
            Reply::Result(logs.into())
        }
        reply => reply,
    });
    struggle(&mut ingest).await?;
    assert!(other.count("eth_getLogs") > 0);
    assert_eq!(world.tip().await?, 13);
    world.agrees().await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_topic_with_several_layouts_and_a_tail_without_padding_lose_no_log() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let declarations = [
        "event Transfer(address indexed from, address indexed to, uint256 value)",
        "event Transfer(address indexed from, address indexed to, uint256 indexed tokenId)",
        "event Note(string text)",
    ];
    let mut events = Vec::new();
    for declaration in declarations {
        events.push(Arc::new(abi::parse_signature(declaration)?));
    }
    let of_bell = Contract { events, ..contract("bell", &[BELL], StartBlock::Number(0)) };
    let mut ingest = world.ingest_of(&world.client, &Arc::new(Catalog::new(vec![of_bell])), |_| {});
    settle(&mut ingest).await?;
    let word = |number: u64| B256::from(U256::from(number));
    let (transfer, note) = (keccak256("Transfer(address,address,uint256)"), keccak256("Note(string)"));
    let unpadded = [word(32).as_slice(), word(5).as_slice(), b"hello"].concat();
    let logs = [
        (vec![transfer, word(1), word(2)], word(5).to_vec()),
        (vec![transfer, word(1), word(2), word(9)], Vec::new()),
        (vec![note], unpadded),
        (vec![transfer, word(1)], [word(2).as_slice(), word(5).as_slice()].concat()),
    ];
    let logs = logs.map(|(topics, data)| LogSpec { topics, data: Bytes::from(data), ..ring(BELL, 11) });
    world.node.mine(logs.to_vec());
    settle(&mut ingest).await?;
    let told: Vec<_> = world.stored().await?.into_iter().map(|stored| stored.event.content).collect();
    let param = |content: &Content, name: &str| match content {
        Content::Decoded { params, .. } => params.get(name).cloned(),
        Content::Undecoded { .. } => None,
    };
    assert_eq!(told.len(), 4, "{told:#?}");
    assert_eq!(param(&told[0], "value"), Some(Value::Uint(U256::from(5))));
    assert_eq!(param(&told[1], "tokenId"), Some(Value::Uint(U256::from(9))));
    assert_eq!(param(&told[2], "text"), Some(Value::String("hello".to_owned())));
    // What fits no layout is kept with its words and the reason.
    let Content::Undecoded { topics, data, reason } = &told[3] else { panic!("{:?}", told[3]) };
    assert_eq!((topics.len(), data.len()), (2, 64));
    assert!(reason.contains("2 topics"), "{reason}");
    Ok(())
}
