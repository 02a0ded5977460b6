//! What is asked of a node for the contracts of a catalog.

use domain::{Catalog, Contract, EventSchema, LogFilter, ParamType};

use crate::{
    events::{MAINNET, address, schema, transfer},
    matching::contract,
};

fn anonymous() -> EventSchema {
    EventSchema { anonymous: true, ..schema("Note", &[("sig", ParamType::FixedBytes(4), true)]) }
}

fn filters(contracts: Vec<Contract>) -> Vec<LogFilter> {
    let catalog = Catalog::new(contracts);
    Catalog::filters(catalog.of_chain(MAINNET))
}

#[test]
fn named_contracts_share_a_filter_and_address_less_ones_another() {
    let found = filters(vec![
        contract("a", &[address(2)], vec![transfer()]),
        contract("b", &[address(1)], vec![transfer()]),
        contract("any", &[], vec![transfer()]),
    ]);
    let topics0 = vec![transfer().topic0()];
    assert_eq!(
        found,
        [
            LogFilter { addresses: vec![address(1), address(2)], topics0: topics0.clone() },
            LogFilter { addresses: vec![], topics0 },
        ]
    );
}

#[test]
fn an_anonymous_event_asks_for_every_log_of_its_address() {
    let found = filters(vec![contract("vat", &[address(1)], vec![anonymous(), transfer()])]);
    assert_eq!(found, [LogFilter { addresses: vec![address(1)], topics0: vec![] }]);
}

#[test]
fn an_address_less_contract_is_asked_for_its_signed_events_only() {
    let found = filters(vec![contract("any", &[], vec![anonymous(), transfer()])]);
    assert_eq!(found, [LogFilter { addresses: vec![], topics0: vec![transfer().topic0()] }]);
    assert_eq!(filters(vec![contract("any", &[], vec![anonymous()])]), []);
}
