//! A store that answers, and takes no writes: `doctor` names each kind with its mend; and a disk that is full while chainbell
//! runs.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::Context as _;
use store::{Store, testing::tamper};
use testkit::{
    deployment::{Deployment, server},
    disk::SmallDisk,
    postgres::Pooler,
    scripted_node::ScriptedNode,
    wait::eventually,
};

use crate::{
    commands::say,
    on_both,
    scripted::{bell, chain, get, held, listen, ring, told, told_blocks, world},
    world::{CAP, World, immediate_watch},
};

on_both!(doctor_writes_to_a_sound_store_and_leaves_nothing_there);

async fn reading(deployment: Deployment, node: &ScriptedNode) -> anyhow::Result<World> {
    let watch = immediate_watch("alert", "bell", "Ring", "block_number > 0");
    world(deployment, &(chain("local", node, "") + &bell("bell", "local", "") + &watch)).await
}

/// The one thing that `doctor` finds, which has these parts.
async fn finds(world: &World, parts: &[&str]) -> anyhow::Result<()> {
    let said = say(Some(&world.config), &["doctor"]).await?;
    let wrong: Vec<_> = said.out.lines().filter(|line| line.starts_with("FAIL")).collect();
    anyhow::ensure!(matches!(said.status, Some(1 | 2)) && wrong.len() == 1, "{said:?}");
    anyhow::ensure!(parts.iter().all(|part| wrong[0].contains(part)), "{parts:?}: {said:?}");
    anyhow::ensure!(said.err.contains("the store is needed for everything else"), "{said:?}");
    Ok(())
}

/// `doctor` writes to the store, and finds nothing wrong there.
async fn is_sound(world: &World) -> anyhow::Result<()> {
    let said = say(Some(&world.config), &["doctor"]).await?.well()?;
    anyhow::ensure!(said.out.contains("a row is written, read back and removed"), "{said:?}");
    Ok(())
}

/// The world with another URL of its store.
fn with_store(world: &World, url: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&world.config)?;
    let line = text.lines().find(|line| line.starts_with("url = ")).context("store.url comes first")?;
    Ok(std::fs::write(&world.config, text.replacen(line, &format!("url = \"{url}\""), 1))?)
}

async fn doctor_writes_to_a_sound_store_and_leaves_nothing_there(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    let world = reading(deployment, &node).await?;
    is_sound(&world).await?;
    let store = world.store().await?;
    let left = tamper(&store, "DELETE FROM lease WHERE name LIKE 'doctor:%'").await?;
    assert_eq!(left, 0, "the trial's row is gone");
    let files: Vec<_> = std::fs::read_dir(world.deployment.folder.path())?
        .map(|file| anyhow::Ok(file?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_, _>>()?;
    assert!(!files.iter().any(|file| file.contains("doctor")), "{files:?}");
    Ok(())
}

fn on_disk(disk: &SmallDisk) -> anyhow::Result<Deployment> {
    let file = disk.path().join("chainbell.db");
    Ok(Deployment { store: format!("sqlite://{}", file.display()), ..Deployment::embedded()? })
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_a_full_disk_and_a_read_only_one_under_sqlite() -> anyhow::Result<()> {
    let Some(disk) = SmallDisk::mount(16)? else { return Ok(()) };
    let node = ScriptedNode::start().await?;
    let world = reading(on_disk(&disk)?, &node).await?;
    is_sound(&world).await?;
    let folder = disk.path().display().to_string();
    // As beside a running process, whose log has pages to write over; and as before one.
    let store = world.store().await?;
    disk.fill()?;
    finds(&world, &["is full: make room there", &folder]).await?;
    store.close().await;
    finds(&world, &["is full: make room there", &folder]).await?;
    disk.free()?;
    is_sound(&world).await?;
    disk.read_only(true)?;
    finds(&world, &["read-only", "writable", &folder]).await?;
    disk.read_only(false)?;
    is_sound(&world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_a_file_of_sqlite_that_is_read_only() -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    let world = reading(Deployment::embedded()?, &node).await?;
    is_sound(&world).await?;
    with_store(&world, &format!("{}?mode=ro", world.deployment.store))?;
    finds(&world, &["is read-only", "writable"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_a_folder_that_may_not_be_written() -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    let world = reading(Deployment::embedded()?, &node).await?;
    let folder = world.deployment.folder.path().join("locked");
    std::fs::create_dir(&folder)?;
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o500))?;
    with_store(&world, &format!("sqlite://{}/chainbell.db", folder.display()))?;
    if may_write(&folder) {
        println!("skipped: this user may write everywhere");
        return Ok(());
    }
    finds(&world, &["cannot be opened", "allowed to write", &folder.display().to_string()]).await
}

fn may_write(folder: &Path) -> bool {
    std::fs::write(folder.join("tried"), "").is_ok()
}

/// The disk that is full is a trigger's word here: the test cannot fill the server's.
#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_a_postgres_that_takes_no_writes() -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    let world = reading(Deployment::servers().await?, &node).await?;
    is_sound(&world).await?;
    let store = world.store().await?;
    let full = "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'kein Platz' USING ERRCODE = '53100'; END $$;
        CREATE TRIGGER no_room BEFORE INSERT ON lease FOR EACH ROW EXECUTE FUNCTION no_room()";
    tamper(&store, full).await?;
    finds(&world, &["the disk under the server", "is full: make room there"]).await?;
    tamper(&store, "DROP TRIGGER no_room ON lease").await?;
    is_sound(&world).await?;
    let (_, database) = world.deployment.store.rsplit_once('/').context("a database")?;
    let read_only = format!("ALTER DATABASE {database} SET default_transaction_read_only = on");
    tamper(&store, &read_only).await?;
    finds(&world, &["is read-only", "store.url must name the primary"]).await?;
    tamper(&store, &read_only.replace("SET", "RESET").replace(" = on", "")).await?;
    is_sound(&world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_a_role_that_lacks_rights_or_connections() -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    let world = reading(Deployment::servers().await?, &node).await?;
    is_sound(&world).await?;
    let store = world.store().await?;
    let (_, place) = world.deployment.store.rsplit_once('@').context("a host")?;
    let role = format!("role_{}", uuid::Uuid::new_v4().simple());
    tamper(&store, &format!("CREATE ROLE {role} LOGIN PASSWORD 'secret'")).await?;
    with_store(&world, &format!("postgres://{role}:secret@{place}"))?;
    finds(&world, &["the role lacks a right", "owner"]).await?;
    let granted = format!(
        "GRANT ALL ON SCHEMA public TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};
         GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}; REVOKE UPDATE, DELETE ON hit, delivery FROM {role}"
    );
    tamper(&store, &granted).await?;
    finds(&world, &[&role, "may not read and write delivery, hit", "GRANT ALL ON ALL TABLES"]).await?;
    tamper(&store, &format!("GRANT ALL ON hit, delivery TO {role}")).await?;
    is_sound(&world).await?;
    tamper(&store, &format!("ALTER ROLE {role} CONNECTION LIMIT 1")).await?;
    let holds = Store::open_with(&format!("postgres://{role}:secret@{place}"), Some(1)).await?;
    holds.ping().await?;
    finds(&world, &["CONNECTION LIMIT", "store.connections"]).await?;
    holds.close().await;
    tamper(&store, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_a_database_in_another_encoding_and_a_pooler_that_shares_sessions() -> anyhow::Result<()>
{
    let node = ScriptedNode::start().await?;
    let world = reading(Deployment::servers().await?, &node).await?;
    let name = format!("latin_{}", uuid::Uuid::new_v4().simple());
    let server = server("CHAINBELL_TEST_POSTGRES")?;
    let latin = store::testing::create_latin1_database(&server, &name).await?;
    with_store(&world, &latin)?;
    let named = finds(&world, &["LATIN1", "CREATE DATABASE", "UTF8"]).await;
    store::drop_database(&server, &name).await?;
    named?;
    let pooler = Pooler::start(&world.deployment.store, "transaction").await?;
    with_store(&world, &pooler.url)?;
    finds(&world, &["pgbouncer", "pool_mode = session"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_under_a_run_costs_nothing_once_there_is_room_again() -> anyhow::Result<()> {
    let Some(disk) = SmallDisk::mount(24)? else { return Ok(()) };
    let node = ScriptedNode::start().await?;
    node.mine(vec![ring(1)]);
    let world = reading(on_disk(&disk)?, &node).await?;
    let port = listen(&world).await?;
    let running = world.start(&[])?;
    let store = world.store().await?;
    world.reached(&store, 11).await?;
    disk.fill()?;
    // SQLite writes over its log while there is room in it: blocks come until there is none.
    let mut transactions = 2_u64;
    let full = eventually("it says that the disk is full", CAP * 2, || {
        let rings = (0..200).map(|more| ring(transactions + more)).collect();
        transactions += 200;
        node.mine(rings);
        async {
            let (status, ready) = get(port, "/readyz").await?;
            let said = ready["faults"].to_string();
            Ok(if status == 503 && said.contains("is full: make room there") { Ok(()) } else { Err(said) })
        }
    });
    full.await.with_context(|| world.logged())?;
    finds(&world, &["is full: make room there", &disk.path().display().to_string()]).await?;
    node.mine(vec![ring(transactions)]);
    disk.free()?;
    let head = node.chain(|chain| chain.head().block.number);
    world.quiet(&store, head).await?;
    let well = eventually("every room is well", CAP, || async {
        let (status, ready) = get(port, "/readyz").await?;
        Ok(if status == 200 { Ok(()) } else { Err(ready) })
    });
    well.await.with_context(|| world.logged())?;
    assert_eq!(held(&store, &node, crate::scripted::BELL).await?, told(&node, crate::scripted::BELL));
    let alerts = told_blocks(&world, &store, &node, "alert").await?;
    let rings = told(&node, crate::scripted::BELL).len();
    println!("{rings} events through a full disk, {} of them told", alerts.len());
    assert_eq!(alerts.len(), rings - 1, "each once, but for what was the past at the start");
    assert!(running.terminate().await?.success(), "{}", world.logged());
    Ok(())
}
