//! Several processes that open one new store at once.

use anyhow::Context as _;
use store::Store;

const AT_ONCE: usize = 8;

async fn open_at_once(url: &str) -> anyhow::Result<()> {
    let openers: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let url = url.to_owned();
            tokio::spawn(async move {
                let store = Store::open(&url).await?;
                store.ping().await?;
                store.close().await;
                anyhow::Ok(())
            })
        })
        .collect();
    for opener in openers {
        opener.await?.with_context(|| url.to_owned())?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_open_one_new_sqlite_file_at_once_all_succeed() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    for file in 0..10 {
        open_at_once(&format!("sqlite://{}", dir.path().join(format!("{file}.db")).display())).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_open_one_new_postgres_database_at_once_all_succeed() -> anyhow::Result<()> {
    let server = std::env::var("CHAINBELL_TEST_POSTGRES").context(
        "CHAINBELL_TEST_POSTGRES is not set: run `scripts/services start` and eval `scripts/services env`",
    )?;
    let database = format!("store_{}", uuid::Uuid::new_v4().simple());
    open_at_once(&store::create_database(&server, &database).await?).await
}
