//! The nodes as the configuration describes them. Owns the way from a `[[chain]]` to a connected node; must not know what it
//! is asked.

use std::{sync::Arc, time::Duration};

use chain::{Node, NodeConfig};
use domain::Clock;

use crate::{config::Chain, failure::Failure};

/// How long a start waits before it asks again for a node that is not there: it may be starting too, or have broken off.
const NODE_AGAIN: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// As [`node`], asked again a few times.
///
/// # Errors
/// As [`node`].
pub async fn patient_node(chain: &Chain, clock: &Arc<dyn Clock>) -> Result<Node, Failure> {
    for wait in NODE_AGAIN {
        match node(chain, Arc::clone(clock)).await {
            Err(failure @ Failure::World(_)) => {
                tracing::warn!(chain = %chain.name, again.in_ms = wait.as_millis(), "{failure}");
                clock.sleep(wait).await;
            }
            ended => return ended,
        }
    }
    node(chain, Arc::clone(clock)).await
}

/// The node of a chain, connected.
///
/// # Errors
/// One sentence that names the redacted URL and the mend.
pub async fn node(chain: &Chain, clock: Arc<dyn Clock>) -> Result<Node, Failure> {
    let config = NodeConfig {
        max_concurrent_calls: chain.keys.calls_max,
        poll_interval: chain.keys.poll.0,
        ..NodeConfig::new(chain.name.clone(), chain.id, chain.rpc.clone())
    };
    Node::connect(config, clock).await.map_err(|error| {
        let sentence = error.to_string();
        if error.is_misconfigured() { Failure::usage(sentence) } else { Failure::world(sentence) }
    })
}
