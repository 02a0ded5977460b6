//! A watch against the catalog: its contract, its event or events, and its filter for each.

use std::sync::Arc;

use crate::{
    Catalog, Contract, Watch,
    filter::{Filter, FilterError},
    grouping,
    schema::EventSchema,
};

use super::{FitsNotAll, WatchProblem};

/// A schema with the watch's filter for it.
type Compiled = (Arc<EventSchema>, Option<Arc<Filter>>);

/// Checks a watch: contract, event, filter, and what its digests are grouped by.
///
/// # Errors
/// [`WatchProblem`], in one sentence with the mend.
pub fn validate(catalog: &Catalog, watch: &Watch) -> Result<(), WatchProblem> {
    let (_, schemas) = events(catalog, watch)?;
    compile(watch, &schemas, |source, schema| Filter::compile(source, schema).map(Arc::new)).map(drop)
}

/// The watch's contract and the events that it names: by name, by signature, or by full declaration where two
/// events differ in what is indexed only.
pub(super) fn events<'c>(
    catalog: &'c Catalog,
    watch: &Watch,
) -> Result<(&'c Contract, Vec<Arc<EventSchema>>), WatchProblem> {
    let contract = catalog.get(&watch.contract).ok_or_else(|| WatchProblem::UnknownContract {
        contract: watch.contract.clone(),
        known: catalog.contracts().iter().map(|contract| contract.name.to_string()).collect(),
    })?;
    let mut schemas: Vec<_> =
        contract.events.iter().filter(|schema| schema.is_named(&watch.event)).cloned().collect();
    // Beside a decoded overload, one that is not decoded is no reason to refuse the name.
    if schemas.iter().any(|schema| schema.opaque().is_none()) {
        schemas.retain(|schema| schema.opaque().is_none());
    }
    if schemas.is_empty() {
        let known = contract.events.iter().map(|schema| choice(contract, schema));
        let mut known: Vec<_> = known.collect();
        known.dedup();
        return Err(WatchProblem::UnknownEvent {
            contract: contract.name.clone(),
            event: watch.event.clone(),
            known,
        });
    }
    if let Some((schema, ty)) = schemas.iter().find_map(|schema| schema.opaque().map(|ty| (schema, ty))) {
        return Err(WatchProblem::Opaque {
            contract: contract.name.clone(),
            event: schema.signature(),
            ty: ty.to_owned(),
        });
    }
    Ok((contract, schemas))
}

/// The watch's filter for each of its events, all of which have what it groups by.
pub(super) fn compile(
    watch: &Watch,
    schemas: &[Arc<EventSchema>],
    mut compile: impl FnMut(&str, &Arc<EventSchema>) -> Result<Arc<Filter>, FilterError>,
) -> Result<Vec<Compiled>, WatchProblem> {
    for schema in schemas {
        grouping::check(&watch.telling.group_by, schema).map_err(WatchProblem::Group)?;
    }
    let Some(source) = &watch.filter else {
        return Ok(schemas.iter().map(|schema| (Arc::clone(schema), None)).collect());
    };
    let mut compiled = Vec::with_capacity(schemas.len());
    let mut failed = None;
    for schema in schemas {
        match compile(source, schema) {
            Ok(filter) => compiled.push((Arc::clone(schema), Some(filter))),
            Err(error) => failed = failed.or(Some((schema, error))),
        }
    }
    match failed {
        None => Ok(compiled),
        Some((_, error)) if compiled.is_empty() => Err(WatchProblem::Filter { error }),
        Some((schema, error)) => Err(WatchProblem::FilterFitsNotAll(Box::new(FitsNotAll {
            contract: watch.contract.clone(),
            event: watch.event.clone(),
            signature: schema.signature(),
            error,
            choices: compiled.iter().map(|(fitting, _)| distinct(schemas, fitting)).collect(),
        }))),
    }
}

/// The shortest text that names `schema` alone: its name, or its signature where the name is overloaded.
fn choice(contract: &Contract, schema: &EventSchema) -> String {
    let overloaded = contract.events.iter().filter(|other| other.name == schema.name).count() > 1;
    if overloaded { schema.signature() } else { schema.name.clone() }
}

fn distinct(schemas: &[Arc<EventSchema>], schema: &EventSchema) -> String {
    let signature = schema.signature();
    let repeated = schemas.iter().filter(|other| other.signature() == signature).count() > 1;
    if repeated { schema.declaration() } else { signature }
}
