//! Counts the statements that run inside a span, and the rows that they return or change, as the database driver reports
//! them. Other tests of the process run beside it and are not counted.

use std::{
    fmt,
    sync::{
        Arc, Once,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing::{
    Event, Metadata, Span, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
};

/// Where the driver reports each statement.
const REPORTS: &str = "sqlx::query";

/// A reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Metered {
    pub(crate) statements: u64,
    /// Returned or changed.
    pub(crate) rows: u64,
}

#[derive(Debug, Default)]
struct Counts {
    statements: AtomicU64,
    rows: AtomicU64,
}

/// Counts what runs in its span.
#[derive(Debug)]
pub(crate) struct Meter {
    span: Span,
    counts: Arc<Counts>,
}

impl Meter {
    pub(crate) fn new() -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            tracing::subscriber::set_global_default(Registry::default().with(Reports)).unwrap();
        });
        let (span, counts) = (tracing::info_span!("metered"), Arc::<Counts>::default());
        span.with_subscriber(|(id, dispatch)| {
            let registry = dispatch.downcast_ref::<Registry>().unwrap();
            registry.span(id).unwrap().extensions_mut().insert(Arc::clone(&counts));
        });
        Self { span, counts }
    }

    /// What is done in it is counted.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    pub(crate) fn read(&self) -> Metered {
        Metered {
            statements: self.counts.statements.load(Ordering::Relaxed),
            rows: self.counts.rows.load(Ordering::Relaxed),
        }
    }
}

struct Reports;

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Reports {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_span() || metadata.target() == REPORTS
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut rows = Rows(0);
        event.record(&mut rows);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(counts) = span.extensions().get::<Arc<Counts>>() {
                counts.statements.fetch_add(1, Ordering::Relaxed);
                counts.rows.fetch_add(rows.0, Ordering::Relaxed);
            }
        }
    }
}

struct Rows(u64);

impl Visit for Rows {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if matches!(field.name(), "rows_returned" | "rows_affected") {
            self.0 += value;
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
