//! The world of a run: a store, a broker and a timer index of its own, proxies in front of the node, endpoints, and the
//! configuration that ties them together. Owns what is made and what is left behind.

use std::{path::PathBuf, sync::Arc};

use alloy_primitives::{Address, U256};
use domain::Clock;
use store::{Store, StoreClock};
use tempfile::TempDir;

use super::{chain::Chain, endpoints::Endpoints, judge::Interest, plan::Dice, proxy::Proxy};
use crate::failure::Failure;

/// The servers that a run may use: it makes a database, streams and keys of its own there.
#[derive(Debug, Clone)]
pub struct Servers {
    /// `postgres://…`: a server where databases may be made.
    pub postgres: String,
    /// `nats://…`
    pub nats: String,
    /// `redis://…`
    pub redis: String,
}

/// The world.
pub(super) struct World {
    pub(super) folder: TempDir,
    pub(super) store: Store,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) proxies: [Proxy; 2],
    pub(super) endpoints: Endpoints,
    // With the name under which everything of this run is there.
    servers: Option<(Servers, String)>,
}

impl World {
    pub(super) async fn build(
        seed: u64,
        chain: &Chain,
        servers: Option<&Servers>,
        dice: Dice,
    ) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix(&format!("chainbell-chaos-{seed}-")).tempdir()?;
        let name = format!("chaos_{seed}_{}", uuid::Uuid::new_v4().simple());
        let (sections, url) = match servers {
            None => {
                let url = format!("sqlite://{}", folder.path().join("chainbell.db").display());
                (format!("[store]\nurl = \"{url}\"\n"), url)
            }
            Some(Servers { postgres, nats, redis }) => {
                let url = store::create_database(postgres, &name).await?;
                let sections = format!(
                    "[store]\nurl = \"{url}\"\n[broker]\nurl = \"{nats}\"\nprefix = \"{name}\"\n[debounce]\nurl = \
                     \"{redis}\"\nprefix = \"{name}\"\n"
                );
                (sections, url)
            }
        };
        let store = Store::open(&url).await?;
        let clock: Arc<dyn Clock> = Arc::new(StoreClock::measure(&store).await?);
        let proxies = [Proxy::start(chain.node()).await?, Proxy::start(chain.node()).await?];
        let endpoints = Endpoints::start(dice, Arc::clone(&clock)).await?;
        let text = sections + &configuration(chain, &proxies, &endpoints);
        std::fs::write(folder.path().join("chainbell.toml"), text)?;
        let servers = servers.map(|servers| (servers.clone(), name));
        Ok(Self { folder, store, clock, proxies, endpoints, servers })
    }

    pub(super) async fn flush_timers(&self) -> Result<(), Failure> {
        match &self.servers {
            Some((servers, name)) => debounce::delete_all(&servers.redis, name).await?,
            None => self.store.window_clear().await?,
        }
        Ok(())
    }

    /// Says whether it succeeded: the server refuses to delete a stream that somebody is just making.
    pub(super) async fn purge_streams(&self) -> bool {
        match &self.servers {
            Some((servers, name)) => broker::delete_streams(&servers.nats, name).await.is_ok(),
            None => false,
        }
    }

    /// Leaves everything as it is, for somebody who wants to look.
    pub(super) fn keep(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }

    /// Gives the servers back what was made on them; the folder is the caller's now.
    pub(super) async fn end(self) -> TempDir {
        self.store.close().await;
        if let Some((servers, name)) = &self.servers {
            // What cannot be cleared away now is only in the way.
            let _ = broker::delete_streams(&servers.nats, name).await;
            let _ = debounce::delete_all(&servers.redis, name).await;
            let _ = store::drop_database(&servers.postgres, name).await;
        }
        self.folder
    }
}

type Wants = Box<dyn Fn(Address, U256) -> bool + Send + Sync>;

/// The watches, as the configuration says them and as a person would.
pub(super) fn interests(chain: &Chain) -> Vec<Interest> {
    let account = |index| chain.account(index);
    let (one, two, three) = (account(1), account(2), account(3));
    let million = |count: u64| U256::from(count * 1_000_000);
    let ann: &[&str] = &["steady", "moody-ann"];
    let bob: &[&str] = &["moody-bob"];
    let interest = |watch, endpoints, wants| Interest { watch, endpoints, wants, by_receiver: false };
    vec![
        interest("large", ann, Box::new(move |_, value| value >= million(8)) as Wants),
        interest("gathered", ann, Box::new(move |to, _| to == one)),
        interest("sliding", bob, Box::new(move |to, _| to == two)),
        interest("full", bob, Box::new(move |_, value| value < million(3))),
        interest("deep", bob, Box::new(move |to, _| to == three)),
        interest("safe", ann, Box::new(move |to, value| to == one && value >= million(9))),
        interest("leading", bob, Box::new(move |to, value| to == three && value >= million(2))),
        Interest {
            by_receiver: true,
            ..interest("grouped", ann, Box::new(move |_, value| value >= million(5) && value < million(7)))
        },
        interest("paused", bob, Box::new(|_, _| false)),
    ]
}

const TEMPLATE: &str = include_str!("../../../../config/chaos.toml");
const TRIES: usize = 200;

fn configuration(chain: &Chain, proxies: &[Proxy; 2], endpoints: &Endpoints) -> String {
    let filled = [
        ("retry", vec!["\"300ms\""; TRIES].join(", ")),
        ("node_one", proxies[0].address().to_string()),
        ("node_two", proxies[1].address().to_string()),
        ("token", chain.token().to_string()),
        ("one", chain.account(1).to_string()),
        ("two", chain.account(2).to_string()),
        ("three", chain.account(3).to_string()),
        ("steady", endpoints.url("steady")),
        ("moody-ann", endpoints.url("moody-ann")),
        ("moody-bob", endpoints.url("moody-bob")),
    ];
    filled
        .iter()
        .fold(TEMPLATE.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value))
}
