//! One compiled filter for all watches that say the same about the same event.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use crate::{
    filter::{Filter, FilterError},
    schema::EventSchema,
};

#[derive(Debug, Default)]
pub(super) struct Interner {
    /// Filters by schema and source. A filter's positions depend on the names too, hence the whole schema.
    by_schema: HashMap<Arc<EventSchema>, HashMap<Arc<str>, Weak<Filter>>>,
}

impl Interner {
    /// The filter of `source` for `schema`, compiled at most once while anybody holds it.
    pub(super) fn compile(
        &mut self,
        source: &str,
        schema: &Arc<EventSchema>,
    ) -> Result<Arc<Filter>, FilterError> {
        let of_schema = self.by_schema.entry(Arc::clone(schema)).or_default();
        if let Some(known) = of_schema.get(source).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let filter = Arc::new(Filter::compile_held(source, schema)?);
        of_schema.insert(filter.shared_source(), Arc::downgrade(&filter));
        Ok(filter)
    }

    /// Gives a filter back; the last one to do so forgets it.
    pub(super) fn release(&mut self, filter: Arc<Filter>) {
        if Arc::strong_count(&filter) > 1 {
            return;
        }
        for of_schema in self.by_schema.values_mut() {
            let same = |known: &Weak<Filter>| std::ptr::eq(known.as_ptr(), Arc::as_ptr(&filter));
            if of_schema.get(filter.source()).is_some_and(same) {
                of_schema.remove(filter.source());
            }
        }
    }
}
