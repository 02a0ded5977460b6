//! Keeps the rooms running: a panic is caught, counted and the room started again with a pause. Owns tasks and their
//! shutdown; must not know what a room does.

use std::{fmt, sync::Arc, time::Duration};

use domain::Clock;
use pipeline::{Health, Pulse, Room, room};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Makes a room anew, as often as it is needed.
pub type MakeRoom = Arc<dyn Fn() -> Box<dyn Room> + Send + Sync>;

/// The tasks of a process, in the order of their start.
pub struct Supervisor {
    clock: Arc<dyn Clock>,
    health: Health,
    tasks: Vec<Task>,
}

struct Task {
    name: String,
    stop: CancellationToken,
    handle: JoinHandle<()>,
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.tasks.iter().map(|task| &task.name)).finish()
    }
}

impl Supervisor {
    /// A supervisor of nothing yet.
    pub fn new(clock: Arc<dyn Clock>, health: Health) -> Self {
        Self { clock, health, tasks: Vec::new() }
    }

    /// Starts a room.
    pub fn room(&mut self, name: &str, make: MakeRoom) {
        let (clock, pulse, stop) =
            (Arc::clone(&self.clock), self.health.pulse(name), CancellationToken::new());
        let task = tokio::spawn(keep_running(make, clock, pulse, stop.clone()));
        self.tasks.push(Task { name: name.to_owned(), stop, handle: task });
    }

    /// Starts something that is no room and ends at `stop`.
    pub fn task<F>(&mut self, name: &str, start: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let handle = tokio::spawn(start(stop.clone()));
        self.tasks.push(Task { name: name.to_owned(), stop, handle });
    }

    /// Stops everything in the reverse order of its start, all within `grace`. What does not end in time is cut off;
    /// nothing is lost with it, since its work was leased or not yet committed. Says whether all ended in time.
    pub async fn shut_down(mut self, grace: Duration) -> bool {
        let mut in_time = true;
        let clock = Arc::clone(&self.clock);
        let began = clock.now();
        while let Some(mut task) = self.tasks.pop() {
            task.stop.cancel();
            let spent: Duration = clock.now().duration_since(began).try_into().unwrap_or_default();
            if timeout(grace.saturating_sub(spent), &mut task.handle).await.is_err() {
                tracing::warn!(room = task.name, "did not end within the grace time and was cut off");
                task.handle.abort();
                in_time = false;
            }
        }
        in_time
    }
}

async fn keep_running(make: MakeRoom, clock: Arc<dyn Clock>, pulse: Pulse, stop: CancellationToken) {
    let mut pause = PAUSE_MIN;
    while !stop.is_cancelled() {
        let began = clock.now();
        let (made, time, beat, end) = (Arc::clone(&make), Arc::clone(&clock), pulse.clone(), stop.clone());
        let run = tokio::spawn(async move {
            let mut one = made();
            room::run(one.as_mut(), &beat, &time, &end).await;
        });
        let Err(error) = run.await else { return };
        metrics::counter!("chainbell_room_panics_total", "room" => pulse.name().to_owned()).increment(1);
        let why = panic_text(error);
        tracing::error!(room = pulse.name(), "the room panicked and is started again: {why}");
        pulse.fault(&format!("it panicked and is started again: {why}"));
        let lasted: Duration = clock.now().duration_since(began).try_into().unwrap_or_default();
        pause = if lasted > PAUSE_MAX { PAUSE_MIN } else { pause };
        tokio::select! { () = stop.cancelled() => {} () = clock.sleep(pause) => {} }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn panic_text(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned()),
        Err(error) => error.to_string(),
    }
}
