//! Events of no kind in particular that never were.

use alloy_primitives::Address;
use domain::{Content, ContractName, ParamType, Value};
use store::StoredEvent;

use super::events::{decoded, event, schema, uint};

pub(super) fn new(contract: &ContractName, variant: u8) -> Vec<StoredEvent> {
    let count = if variant < 6 { 1 } else { variant };
    (0..count)
        .map(|index| {
            let name = if variant % 4 == 3 { format!("Sample{index}") } else { "Sample".to_owned() };
            let schema =
                schema(&name, [("by", ParamType::Address, true), ("size", ParamType::Uint(256), false)]);
            let content = if variant % 4 == 1 && index == 0 {
                Content::Undecoded { topics: Vec::new(), data: [].into(), reason: "a sample".to_owned() }
            } else {
                decoded(&schema, [Value::Address(Address::with_last_byte(index)), uint(index)])
            };
            event(contract, content, Address::with_last_byte(index % (1 + variant % 3)), u64::from(index))
        })
        .collect()
}
