//! The routes, over real HTTP and on a real store.

use std::sync::{Arc, Mutex, PoisonError};

use api::{Api, bind};
use metrics_exporter_prometheus::PrometheusBuilder;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use store::Store;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

type FaultList = Arc<Mutex<Vec<(String, String)>>>;

struct World {
    client: Client,
    base: String,
    faults: FaultList,
    stop: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
    _dir: tempfile::TempDir,
}

impl World {
    async fn start() -> anyhow::Result<Self> {
        // Another test of this process may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir()?;
        let store = Store::open(&format!("sqlite://{}", dir.path().join("test.db").display())).await?;
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            metrics::counter!("chainbell_events_total", "chain" => "a\"b\\c\n").increment(3);
        });
        let faults = FaultList::default();
        let list = Arc::clone(&faults);
        let said = move || list.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let waits = || vec![("ingest:local".to_owned(), "it waits for process 7".to_owned())];
        let server =
            bind("127.0.0.1:0", Api { store, metrics, faults: Arc::new(said), standing_by: Arc::new(waits) })
                .await?;
        let base = format!("http://{}", server.address());
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server.serve(stop.clone()));
        Ok(Self { client: Client::builder().no_proxy().build()?, base, faults, stop, serving, _dir: dir })
    }

    async fn get(&self, path: &str) -> anyhow::Result<Response> {
        Ok(self.client.get(format!("{}{path}", self.base)).send().await?)
    }

    fn fault(&self, part: &str, fault: &str) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push((part.to_owned(), fault.to_owned()));
    }
}

fn waits() -> Value {
    json!([{ "part": "ingest:local", "why": "it waits for process 7" }])
}

#[tokio::test]
async fn a_process_that_runs_is_alive_whatever_is_wrong() -> anyhow::Result<()> {
    let world = World::start().await?;
    world.fault("ingest", "the node does not answer");
    let answer = world.get("/healthz").await?;
    assert_eq!((answer.status(), answer.text().await?), (StatusCode::OK, "ok\n".to_owned()));
    Ok(())
}

#[tokio::test]
async fn it_is_ready_when_every_room_is_well_and_says_what_is_wrong_otherwise() -> anyhow::Result<()> {
    let world = World::start().await?;
    let answer = world.get("/readyz").await?;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.json::<Value>().await?, json!({ "ready": true, "faults": [], "standing_by": waits() }));

    world.fault("ingest", "the node does not answer");
    let answer = world.get("/readyz").await?;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let faults = json!([{ "part": "ingest", "fault": "the node does not answer" }]);
    assert_eq!(
        answer.json::<Value>().await?,
        json!({ "ready": false, "faults": faults, "standing_by": waits() })
    );
    Ok(())
}

#[tokio::test]
async fn metrics_are_in_prometheus_text_format() -> anyhow::Result<()> {
    let world = World::start().await?;
    let answer = world.get("/metrics").await?;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text().await?;
    assert!(text.contains("# TYPE chainbell_events_total counter\n"), "{text}");
    assert!(text.contains("chainbell_events_total{chain=\"a\\\"b\\\\c\\n\"} 3\n"), "{text}");
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_nothing_can_be_changed() -> anyhow::Result<()> {
    let world = World::start().await?;
    for path in ["/", "/health", "/metrics/", "/../etc/passwd", "/api/v1/watches"] {
        assert_eq!(world.get(path).await?.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let posted = world.client.post(format!("{}/healthz", world.base)).body("x").send().await?;
    assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
    Ok(())
}

#[tokio::test]
async fn it_stops_when_it_is_told_to() -> anyhow::Result<()> {
    let world = World::start().await?;
    assert!(world.get("/healthz").await?.status().is_success());
    world.stop.cancel();
    world.serving.await??;
    assert!(world.client.get(format!("{}/healthz", world.base)).send().await.is_err());
    Ok(())
}

#[tokio::test]
async fn an_address_that_cannot_be_listened_on_is_named_with_the_mend() -> anyhow::Result<()> {
    let world = World::start().await?;
    let taken = world.base.trim_start_matches("http://").to_owned();
    for listen in [taken.as_str(), "nonsense", "127.0.0.1:99999"] {
        let dir = tempfile::tempdir()?;
        let store = Store::open(&format!("sqlite://{}", dir.path().join("test.db").display())).await?;
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let refused =
            bind(listen, Api { store, metrics, faults: Arc::new(Vec::new), standing_by: Arc::new(Vec::new) })
                .await
                .expect_err("in use");
        let sentence = refused.to_string();
        assert!(sentence.contains("api.listen") && sentence.contains(listen), "{sentence}");
    }
    Ok(())
}
