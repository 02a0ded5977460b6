//! `[[contract]]`: names, addresses, ABIs and events, checked against each other.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use abi::{AbiFile, clash, parse_signature, raw_note, select};
use alloy_primitives::Address;
use domain::{
    Catalog, ChainId, ChainName, Contract, ContractName, EventSchema, FactoryRule, ParamType, StartBlock,
    parse_address, suggest, supply,
};

use super::{
    ConfigError, Raw,
    raw::{ContractTable, FactoryTable, NumberOrWord, OneOrMany},
};

/// The ABIs that every chainbell knows, by the path that a configuration names them with.
const BUILT_IN: [(&str, &str); 7] = [
    ("abi/erc20.json", include_str!("../../../../abi/erc20.json")),
    ("abi/erc721.json", include_str!("../../../../abi/erc721.json")),
    ("abi/erc1155.json", include_str!("../../../../abi/erc1155.json")),
    ("abi/weth.json", include_str!("../../../../abi/weth.json")),
    ("abi/uniswap_v2_pair.json", include_str!("../../../../abi/uniswap_v2_pair.json")),
    ("abi/uniswap_v3_factory.json", include_str!("../../../../abi/uniswap_v3_factory.json")),
    ("abi/uniswap_v3_pool.json", include_str!("../../../../abi/uniswap_v3_pool.json")),
];

/// What the contracts' tables say.
pub(super) struct Read {
    pub(super) catalog: Catalog,
    /// What is to be said of their ABIs.
    pub(super) notes: Vec<String>,
    /// Events that may make or destroy tokens and are not read.
    pub(super) unread: HashMap<ContractName, Vec<String>>,
}

/// What one contract's ABI has.
struct Events {
    read: Vec<Arc<EventSchema>>,
    notes: Vec<String>,
    unread: Vec<String>,
}

pub(super) fn catalog(
    raw: &Raw,
    chains: &BTreeMap<ChainName, ChainId>,
    folder: &Path,
) -> Result<Read, ConfigError> {
    let mut contracts: Vec<Contract> = Vec::with_capacity(raw.contract.len());
    let (mut notes, mut unread) = (Vec::new(), HashMap::new());
    for table in &raw.contract {
        let events = events(table, folder)?;
        let contract = contract(table, chains, events.read)?;
        notes.extend(events.notes.into_iter().map(|note| format!("contract '{}': {note}", contract.name)));
        unread.insert(contract.name.clone(), events.unread);
        if contracts.iter().any(|known| known.name == contract.name) {
            let key = format!("contract '{}'", contract.name);
            return Err(ConfigError::key(&key, "two contracts have this name: rename one".to_owned()));
        }
        contracts.push(contract);
    }
    for contract in &contracts {
        check_factory(contract, &contracts)
            .map_err(|detail| ConfigError::key(&format!("contract '{}': factory", contract.name), detail))?;
    }
    check_layouts(&contracts)?;
    Ok(Read { catalog: Catalog::new(contracts), notes, unread })
}

// What several contracts that take any address, or the children of factories, read differently shows itself log by log.
fn check_layouts(contracts: &[Contract]) -> Result<(), ConfigError> {
    const MEND: &str = "so that no log says which of them it is: name in events, by its whole declaration, the one that \
                        the contract emits";
    for (at, contract) in contracts.iter().enumerate() {
        let key = format!("contract '{}': events", contract.name);
        if let Some([one, two]) = clash(&contract.events.iter().collect::<Vec<_>>()) {
            let (one, two) = (one.declaration(), two.declaration());
            let detail = format!("logs of '{one}' and of '{two}' have one shape, {MEND}");
            return Err(ConfigError::key(&key, detail));
        }
        for other in &contracts[..at] {
            let shared = contract.addresses.iter().find(|address| other.addresses.contains(address));
            let Some(address) = shared.filter(|_| contract.chain == other.chain) else { continue };
            let both: Vec<_> = other.events.iter().chain(&contract.events).collect();
            if let Some([one, two]) = clash(&both) {
                let (one, two, name) = (one.declaration(), two.declaration(), &other.name);
                let detail = format!(
                    "contract '{name}' has the address {address} too, and logs of '{one}' and of '{two}' have one shape, \
                     {MEND}"
                );
                return Err(ConfigError::key(&key, detail));
            }
        }
    }
    Ok(())
}

// The factory must be there, on the same chain, with an event that has an address of that name.
fn check_factory(child: &Contract, contracts: &[Contract]) -> Result<(), String> {
    let Some(rule) = &child.factory else { return Ok(()) };
    let factory = contracts.iter().find(|contract| contract.name == rule.contract).ok_or_else(|| {
        let known: Vec<_> = contracts.iter().map(|contract| contract.name.as_str()).collect();
        let mend = suggest::mend(rule.contract.as_str(), &known, "the contracts are");
        format!("there is no contract '{}'; {mend}", rule.contract)
    })?;
    if factory.factory.is_some() {
        return Err(format!("'{}' has a factory itself: name a contract with an address", rule.contract));
    }
    if factory.chain != child.chain {
        return Err(format!("'{}' is on another chain: a factory's children are on its own", rule.contract));
    }
    let events: Vec<_> = factory.events.iter().filter(|event| event.name == rule.event).collect();
    if events.is_empty() {
        let known: Vec<_> = factory.events.iter().map(|event| event.name.as_str()).collect();
        let mend = suggest::mend(&rule.event, &known, "its events are");
        return Err(format!("'{}' has no event '{}'; {mend}", rule.contract, rule.event));
    }
    for event in events {
        if let Some(ty) = event.opaque() {
            return Err(format!("'{}' has a parameter of type '{ty}', which is not decoded", rule.event));
        }
        let keys = event.keys();
        let of = keys.iter().zip(&event.params).find(|(key, _)| **key == rule.parameter);
        match of {
            Some((_, param)) if param.ty == ParamType::Address => {}
            Some(_) => return Err(format!("'{}' of '{}' is no address", rule.parameter, rule.event)),
            None => {
                let known: Vec<_> = keys.iter().map(String::as_str).collect();
                let mend = suggest::mend(&rule.parameter, &known, "its parameters are");
                return Err(format!("'{}' has no parameter '{}'; {mend}", rule.event, rule.parameter));
            }
        }
    }
    Ok(())
}

fn factory_rule(table: &FactoryTable) -> Result<FactoryRule, ConfigError> {
    let contract = table
        .contract
        .parse()
        .map_err(|e: domain::ids::BadName| ConfigError::key("factory.contract", e.to_string()))?;
    Ok(FactoryRule { contract, event: table.event.clone(), parameter: table.parameter.clone() })
}

fn contract(
    table: &ContractTable,
    chains: &BTreeMap<ChainName, ChainId>,
    events: Vec<Arc<EventSchema>>,
) -> Result<Contract, ConfigError> {
    let at =
        |key: &str, detail: String| ConfigError::key(&format!("contract '{}': {key}", table.name), detail);
    let name: ContractName = table
        .name
        .parse()
        .map_err(|e: domain::ids::BadName| ConfigError::key("contract.name", e.to_string()))?;
    let chain = chains.iter().find(|(chain, _)| chain.as_str() == table.chain).map(|(_, id)| *id);
    let chain = chain.ok_or_else(|| {
        let known: Vec<_> = chains.keys().map(ChainName::as_str).collect();
        let mend = suggest::mend(&table.chain, &known, "the chains are");
        at("chain", format!("there is no chain '{}'; {mend}", table.chain))
    })?;
    let addresses = addresses(table).map_err(|detail| at("address", detail))?;
    let factory = table.factory.as_ref().map(factory_rule).transpose()?;
    if factory.is_some() && !addresses.is_empty() {
        let detail =
            "a contract has its addresses from here or from its factory: leave one of the two out".to_owned();
        return Err(at("factory", detail));
    }
    if addresses.is_empty() && events.iter().any(|event| event.anonymous) {
        let detail = "an anonymous event has no topic to be found by: name the contract's address".to_owned();
        return Err(at("events", detail));
    }
    let start = match &table.start_block {
        None => StartBlock::Latest,
        Some(NumberOrWord::Number(number)) => StartBlock::Number(*number),
        Some(NumberOrWord::Word(word)) if word == "latest" => StartBlock::Latest,
        Some(NumberOrWord::Word(word)) => {
            return Err(at("start_block", format!("'{word}' is neither a block number nor \"latest\"")));
        }
    };
    Ok(Contract { name, chain, addresses, factory, events, start })
}

fn addresses(table: &ContractTable) -> Result<Vec<Address>, String> {
    let written = match &table.address {
        None => return Ok(Vec::new()),
        Some(OneOrMany::One(one)) => std::slice::from_ref(one),
        Some(OneOrMany::Many(many)) if many.is_empty() => {
            return Err(
                "the list is empty: name an address, or leave the key out for any contract".to_owned()
            );
        }
        Some(OneOrMany::Many(many)) => many,
    };
    written.iter().map(|text| parse_address(text).map_err(|bad| bad.to_string())).collect()
}

fn events(table: &ContractTable, folder: &Path) -> Result<Events, ConfigError> {
    let at =
        |key: &str, detail: String| ConfigError::key(&format!("contract '{}': {key}", table.name), detail);
    let (mut notes, mut unread) = (Vec::new(), Vec::new());
    let events = match (&table.abi, &table.events) {
        (Some(path), wanted) => {
            let file = load(path, folder).map_err(|detail| at("abi", detail))?;
            match wanted {
                Some(wanted) => {
                    let wanted =
                        select(&file.events, wanted).map_err(|error| at("events", error.to_string()))?;
                    notes.extend(wanted.iter().filter_map(raw_note));
                    let changes = |event: &&EventSchema| {
                        supply::Change::of_schema(event).is_some() || supply::may_change(event)
                    };
                    let left = file.events.iter().filter(|event| !wanted.contains(event)).filter(changes);
                    unread.extend(left.map(EventSchema::signature));
                    wanted
                }
                None => {
                    notes.extend(file.notes());
                    file.events
                }
            }
        }
        (None, Some(declarations)) => declarations
            .iter()
            .map(|text| parse_signature(text).map_err(|error| at("events", error.to_string())))
            .collect::<Result<_, _>>()?,
        (None, None) => {
            let detail =
                "it is missing: name an ABI file, or list events as \"event Name(type name, …)\"".to_owned();
            return Err(at("abi", detail));
        }
    };
    if events.is_empty() {
        return Err(at("events", "no event is left to watch: name at least one".to_owned()));
    }
    Ok(Events { read: events.into_iter().map(Arc::new).collect(), notes, unread })
}

// A file beside the configuration comes first, so that it can replace a built-in one of the same name.
fn load(path: &str, folder: &Path) -> Result<AbiFile, String> {
    let beside = folder.join(path);
    let built_in = BUILT_IN.iter().find(|(name, _)| *name == path);
    match built_in {
        Some((name, text)) if !beside.exists() => {
            AbiFile::parse(name, text).map_err(|error| error.to_string())
        }
        _ => AbiFile::load(&beside).map_err(|error| error.to_string()),
    }
}
