//! The index against brute force, over random watches, edits and events.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::Address;
use domain::{
    Catalog, Content, Event, EventSchema, ParamType, Value, Watch, WatchId, filter::Filter,
    matching::WatchIndex,
};
use proptest::prelude::*;

use crate::{
    events::{address, event, schema, uint},
    matching::{contract, watch},
};

fn layouts() -> Vec<EventSchema> {
    let param = |name, indexed| (name, ParamType::Address, indexed);
    vec![
        schema("T", &[param("from", true), param("to", true), ("value", ParamType::Uint(256), false)]),
        schema("T", &[param("from", true), param("to", true), ("value", ParamType::Uint(256), true)]),
        schema("T", &[param("from", true), ("value", ParamType::Uint(8), false)]),
        schema("T", &[param("a", true), param("b", true), ("value", ParamType::Uint(256), false)]),
    ]
}

fn catalog() -> Arc<Catalog> {
    let layout = |picks: &[usize]| picks.iter().map(|pick| layouts()[*pick].clone()).collect();
    Arc::new(Catalog::new(vec![
        contract("one", &[address(1), address(1)], layout(&[0])),
        contract("two", &[address(1), address(2)], layout(&[0, 1, 2])),
        contract("any", &[], layout(&[0, 2])),
        contract("renamed", &[address(2)], layout(&[3])),
    ]))
}

fn filter() -> impl Strategy<Value = Option<String>> {
    let known = (0..3_u8).prop_map(address);
    let clause = prop_oneof![
        known.clone().prop_map(|a| format!("from == {a}")),
        known.clone().prop_map(|a| format!("to == {a}")),
        known.clone().prop_map(|a| format!("from != {a}")),
        known.clone().prop_map(|a| format!("$0 == {a}")),
        known.clone().prop_map(|a| format!("$1 == {a}")),
        known.clone().prop_map(|a| format!("address == {a}")),
        (known.clone(), known).prop_map(|(a, b)| format!("$0 in [{a}, {b}]")),
        (0..3_u8).prop_map(|n| format!("value == {n}")),
        (0..3_u8).prop_map(|n| format!("value > {n}")),
        Just("from == to".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
    ];
    let joined = (clause.clone(), prop::sample::select(vec!["and", "or"]), clause.clone(), any::<bool>())
        .prop_map(|(a, word, b, not)| format!("{}({a} {word} {b})", if not { "not " } else { "" }));
    prop::option::of(prop_oneof![clause, joined])
}

#[derive(Debug, Clone)]
enum Edit {
    Put(Box<Watch>),
    Remove(WatchId),
}

fn edit() -> impl Strategy<Value = Edit> {
    let id = (0..12_u8).prop_map(|n| format!("w{n}"));
    let contracts = prop::sample::select(vec!["one", "two", "any", "renamed"]);
    let events = prop::sample::select(vec![
        "T",
        "T(address,address,uint256)",
        "T(address,uint8)",
        "T(address indexed from, address indexed to, uint256 indexed value)",
    ]);
    let put = (id.clone(), contracts, events, filter(), prop::bool::weighted(0.1)).prop_map(
        |(id, contract, event, filter, paused)| {
            Edit::Put(Box::new(Watch { paused, ..watch(&id, contract, event, filter.as_deref()) }))
        },
    );
    prop_oneof![5 => put, 1 => id.prop_map(|id| Edit::Remove(id.parse().unwrap()))]
}

fn any_event() -> impl Strategy<Value = Event> {
    let layout = prop::sample::select(layouts());
    (layout, 0..4_u8, 0..3_u8, 0..3_u8, 0..4_u64).prop_map(|(schema, emitter, from, to, value)| {
        let mut values = vec![Value::Address(address(from)), Value::Address(address(to)), uint(value)];
        if schema.params.len() == 2 {
            values.remove(1);
        }
        event(&Arc::new(schema), address(emitter), values)
    })
}

/// What the page says a watch means, with no index.
fn concerns(catalog: &Catalog, watch: &Watch, event: &Event) -> bool {
    let Content::Decoded { schema, .. } = &event.content else { return false };
    let contract = catalog.get(&watch.contract).unwrap();
    let covers = |address: Address| contract.addresses.is_empty() || contract.addresses.contains(&address);
    let declared =
        contract.events.iter().find(|known| known.is_named(&watch.event) && known.same_layout(schema));
    let takes = |known: &Arc<EventSchema>| {
        watch.filter.as_ref().is_none_or(|filter| Filter::compile(filter, known).unwrap().matches(event))
    };
    !watch.paused && covers(event.address) && declared.is_some_and(takes)
}

proptest! {
    #[test]
    fn the_index_finds_what_brute_force_finds(
        edits in prop::collection::vec(edit(), 0..40), built in 0..40_usize, events in prop::collection::vec(any_event(), 1..12),
    ) {
        let catalog = catalog();
        let (first, later) = edits.split_at(built.min(edits.len()));
        let mut kept: BTreeMap<WatchId, Watch> = BTreeMap::new();
        let initial: Vec<Watch> = first
            .iter()
            .filter_map(|edit| match edit { Edit::Put(watch) => Some((**watch).clone()), Edit::Remove(_) => None })
            .collect();
        let (mut index, problems) = WatchIndex::build(&catalog, initial.clone());
        // A watch that makes no sense takes the earlier one of its id out, here as there.
        for watch in initial {
            kept.remove(&watch.id);
            if domain::matching::validate(&catalog, &watch).is_ok() {
                kept.insert(watch.id.clone(), watch);
            }
        }
        prop_assert!(problems.iter().all(|(_, problem)| !problem.to_string().is_empty()));
        for edit in later {
            match edit {
                Edit::Remove(id) => {
                    let active = kept.remove(id).is_some_and(|watch| !watch.paused);
                    prop_assert_eq!(index.remove(id), active);
                }
                Edit::Put(watch) => {
                    kept.remove(&watch.id);
                    if index.insert((**watch).clone()).is_ok() {
                        kept.insert(watch.id.clone(), (**watch).clone());
                    }
                }
            }
        }
        prop_assert_eq!(index.len(), kept.values().filter(|watch| !watch.paused).count());
        for event in &events {
            let mut found: Vec<_> = index.matches(event).iter().map(|watch| watch.id.clone()).collect();
            found.sort();
            let expected: Vec<_> =
                kept.values().filter(|watch| concerns(&catalog, watch, event)).map(|watch| watch.id.clone()).collect();
            prop_assert_eq!(&found, &expected);
            prop_assert!(index.candidates(event) >= found.len());
        }
    }
}
