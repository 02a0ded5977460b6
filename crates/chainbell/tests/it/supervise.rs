//! A room that panics is started again, and a shutdown is in order and in time.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use chainbell::supervise::Supervisor;
use domain::Clock;
use pipeline::{Health, Progress, Room, RoomError};
use tokio::sync::Notify;

/// Time as it passes.
#[derive(Debug)]
struct WallClock;

#[async_trait::async_trait]
impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "a clock for these tests")]
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    #[expect(clippy::disallowed_methods, reason = "a clock for these tests")]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

#[derive(Debug)]
struct Panics {
    starts: Arc<AtomicU32>,
    well: Arc<Notify>,
}

#[async_trait::async_trait]
impl Room for Panics {
    async fn step(&mut self) -> Result<Progress, RoomError> {
        assert!(self.starts.load(Ordering::SeqCst) > 1, "the first of them falls over");
        self.well.notify_one();
        Ok(Progress::Idle)
    }

    async fn rest(&mut self) {
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn a_room_that_panics_is_reported_and_started_again() -> anyhow::Result<()> {
    let (starts, well, health) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()), Health::new());
    let mut supervisor = Supervisor::new(Arc::new(WallClock), health.clone());
    let (counted, done) = (Arc::clone(&starts), Arc::clone(&well));
    supervisor.room(
        "panics",
        Arc::new(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            Box::new(Panics { starts: Arc::clone(&counted), well: Arc::clone(&done) })
        }),
    );
    tokio::time::timeout(Duration::from_secs(20), well.notified()).await?;
    assert_eq!(starts.load(Ordering::SeqCst), 2);
    assert!(supervisor.shut_down(Duration::from_secs(5)).await, "it ends in time");
    assert!(health.faults().is_empty(), "{:?}", health.faults());
    Ok(())
}

fn recorder(supervisor: &mut Supervisor, name: &'static str, ended: &Arc<Mutex<Vec<&'static str>>>) {
    let ended = Arc::clone(ended);
    supervisor.task(name, |stop| async move {
        stop.cancelled().await;
        ended.lock().expect("nobody panics with it").push(name);
    });
}

#[tokio::test]
async fn a_shutdown_goes_in_the_reverse_order_of_the_start() {
    let ended = Arc::default();
    let mut supervisor = Supervisor::new(Arc::new(WallClock), Health::new());
    for name in ["first", "second", "third"] {
        recorder(&mut supervisor, name, &ended);
    }
    assert!(supervisor.shut_down(Duration::from_secs(5)).await);
    assert_eq!(*ended.lock().expect("nobody panics with it"), ["third", "second", "first"]);
}

#[tokio::test]
async fn what_hangs_is_cut_off_after_the_grace_time() {
    let mut supervisor = Supervisor::new(Arc::new(WallClock), Health::new());
    supervisor.task("hangs", |_| std::future::pending());
    assert!(!supervisor.shut_down(Duration::from_millis(100)).await);
}
