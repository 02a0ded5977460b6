//! A world on scripted nodes: what no real node can be made to do, through the real binary.

use alloy_primitives::{Address, keccak256};
use anyhow::Context as _;
use serde_json::Value as Json;
use store::{EventQuery, Store, StoredEvent};
use testkit::{
    deployment::Deployment,
    receiver::{Receiver, SECRET},
    scripted_node::{LogSpec, Reply, ScriptedNode},
};

use crate::world::World;

pub(crate) const BELL: Address = Address::repeat_byte(0xbe);

/// The bell rings in transaction `tx`.
pub(crate) fn ring(tx: u64) -> LogSpec {
    LogSpec::new(BELL, keccak256("Ring()"), tx)
}

/// Ten blocks with two rings each, of which the node leaves out some, under the right hashes: it answers questions for logs
/// without those at `places`, a block and an index in it as a node writes them. Their receipts are whole.
pub(crate) fn ten_pairs_without(node: &ScriptedNode, places: &'static [(&'static str, &'static str)]) {
    for tx in 0..10_u64 {
        node.mine(vec![ring(2 * tx), ring(2 * tx + 1)]);
    }
    let whole = node.chain(|chain| chain.clone());
    node.answer("eth_getLogs", move |params| {
        let Reply::Result(logs) = whole.answer("eth_getLogs", params) else { return Reply::Silence };
        let kept = logs.as_array().into_iter().flatten().filter(|log| {
            let place = log["blockNumber"].as_str().zip(log["logIndex"].as_str());
            place.is_none_or(|place| !places.contains(&place))
        });
        Reply::Result(kept.cloned().collect())
    });
}

/// A `[[chain]]` of a scripted node; `keys` are further lines of it.
pub(crate) fn chain(name: &str, node: &ScriptedNode, keys: &str) -> String {
    let id = node.chain(|chain| chain.id);
    format!(
        "[[chain]]\nname = \"{name}\"\nchain_id = {id}\nrpc = [\"{}\"]\npoll = \"200ms\"\n{keys}\n",
        node.ws_url()
    )
}

/// A `[[contract]]` that rings.
pub(crate) fn bell(name: &str, chain: &str, keys: &str) -> String {
    let start = if keys.contains("start_block") { "" } else { "start_block = 0\n" };
    let events = if keys.contains("events") { "" } else { "events = [\"event Ring()\"]\n" };
    let address = if keys.contains("address") || keys.contains("factory") {
        String::new()
    } else {
        format!("address = \"{BELL}\"\n")
    };
    format!("[[contract]]\nname = \"{name}\"\nchain = \"{chain}\"\n{address}{events}{start}{keys}\n")
}

/// A deployment with these tables, and a recipient `ops` with a signed webhook.
pub(crate) async fn world(deployment: Deployment, tables: &str) -> anyhow::Result<World> {
    let receiver = Receiver::start().await?;
    let (config, log) =
        (deployment.folder.path().join("chainbell.toml"), deployment.folder.path().join("log.txt"));
    let world = World { deployment, receiver, config, log };
    configure(&world, tables)?;
    Ok(world)
}

/// Writes the configuration anew, with these tables.
pub(crate) fn configure(world: &World, tables: &str) -> anyhow::Result<()> {
    let text = format!(
        "{}\n[api]\nlisten = \"127.0.0.1:0\"\n[channels]\nallow_private = true\nretry = [\"200ms\", \"1s\"]\n\
         [run]\nsweep_grace = \"1s\"\nlease = \"1s\"\n[[recipient]]\nid = \"ops\"\n[[recipient.target]]\nname = \"hook\"\n\
         url = \"{}\"\nsecrets = [\"{SECRET}\"]\n{tables}",
        world.deployment.sections(),
        world.receiver.url(),
    );
    Ok(std::fs::write(&world.config, text)?)
}

/// Lets the API listen on a free port of its own, which is returned.
pub(crate) async fn listen(world: &World) -> anyhow::Result<u16> {
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
    let text = std::fs::read_to_string(&world.config)?;
    std::fs::write(&world.config, text.replace("127.0.0.1:0", &format!("127.0.0.1:{port}")))?;
    Ok(port)
}

/// Block hash and log index of the logs of `address` on the node's chain, in order.
pub(crate) fn told(node: &ScriptedNode, address: Address) -> Vec<(String, u64)> {
    node.chain(|chain| {
        let blocks = (0..=chain.head().block.number).filter_map(|number| chain.block(number));
        let places = blocks.flat_map(|block| {
            let of = move |(index, log): (usize, &LogSpec)| {
                (log.address == address).then(|| (block.block.hash.to_string(), index as u64))
            };
            block.logs.iter().enumerate().filter_map(of)
        });
        places.collect()
    })
}

/// The canonical events of a chain that the store holds.
pub(crate) async fn stored(store: &Store, node: &ScriptedNode) -> anyhow::Result<Vec<StoredEvent>> {
    let chain = domain::ChainId(node.chain(|chain| chain.id));
    let query = EventQuery { chain, from: 0, to: u64::MAX, contract: None, after: None, limit: 100_000 };
    Ok(store.events(&query).await?)
}

/// As [`told`], of what the store holds.
pub(crate) async fn held(
    store: &Store,
    node: &ScriptedNode,
    address: Address,
) -> anyhow::Result<Vec<(String, u64)>> {
    let stored = stored(store, node).await?;
    let of = stored.iter().map(|stored| &stored.event).filter(|event| event.address == address);
    Ok(of.map(|event| (event.block.hash.to_string(), event.log_index)).collect())
}

/// The blocks of the canonical events that `watch` told of, in order; an event that was told twice is an error.
pub(crate) async fn told_blocks(
    world: &World,
    store: &Store,
    node: &ScriptedNode,
    watch: &str,
) -> anyhow::Result<Vec<u64>> {
    let told = crate::world::told_once(&world.receiver.inbox(), watch)?;
    let stored = stored(store, node).await?;
    let canonical = stored.iter().filter(|stored| told.contains(&stored.event.id.to_string()));
    Ok(canonical.map(|stored| stored.event.block.number).collect())
}

/// What an HTTP path answers: the status, and the body as JSON.
pub(crate) async fn get(port: u16, path: &str) -> anyhow::Result<(u16, Json)> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).context("a status")?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    Ok((status, serde_json::from_str(body)?))
}
