//! Token transfers, read off an event by its shape alone. Owns what counts as a transfer of which standard (ERC-20,
//! ERC-721, ERC-1155); must not know what a token is called or who watches it.

use alloy_primitives::{Address, U256};

use crate::{Content, Event, EventSchema, ParamType, Value};

/// Whose event it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standard {
    /// `Transfer(address,address,uint256)`, an amount (EIP-20).
    Erc20,
    /// `Transfer(address,address,uint256)`, a token's id (EIP-721).
    Erc721,
    /// `TransferSingle` and `TransferBatch` (EIP-1155): an amount of each of several ids.
    Erc1155,
}

/// One movement of one kind of token, read by position: names differ from ABI to ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transfer {
    /// The token's contract.
    pub token: Address,
    /// Whose it was; the zero address where it was made.
    pub from: Address,
    /// Whose it is; the zero address where it was destroyed.
    pub to: Address,
    /// Which of the contract's tokens; `None` for ERC-20.
    pub id: Option<U256>,
    /// How much, in the smallest unit; 1 for ERC-721.
    pub amount: U256,
}

impl Standard {
    /// The word in facts and listings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Erc20 => "erc20",
            Self::Erc721 => "erc721",
            Self::Erc1155 => "erc1155",
        }
    }

    /// The standard whose transfer an event of this schema is; `None` for any other event.
    pub fn of_schema(schema: &EventSchema) -> Option<Self> {
        if schema.anonymous {
            return None;
        }
        let types: Vec<_> = schema.params.iter().map(|param| &param.ty).collect();
        let ids = |ty: &ParamType| matches!(ty, ParamType::Array(inner) if **inner == ParamType::Uint(256));
        match (schema.name.as_str(), &types[..]) {
            ("Transfer", [ParamType::Address, ParamType::Address, ParamType::Uint(256)]) => {
                transfer(&schema.params)
            }
            (
                "TransferSingle",
                [
                    ParamType::Address,
                    ParamType::Address,
                    ParamType::Address,
                    ParamType::Uint(256),
                    ParamType::Uint(256),
                ],
            ) => Some(Self::Erc1155),
            ("TransferBatch", [ParamType::Address, ParamType::Address, ParamType::Address, one, two])
                if ids(one) && ids(two) =>
            {
                Some(Self::Erc1155)
            }
            _ => None,
        }
    }

    /// The standard whose transfer this event is.
    pub fn of(event: &Event) -> Option<Self> {
        match &event.content {
            Content::Decoded { schema, .. } => Self::of_schema(schema),
            Content::Undecoded { .. } => None,
        }
    }
}

// ERC-20 and ERC-721 share the signature and differ in whether the last parameter is a topic. Tokens older than the
// standards index none; where such a one is an NFT, only the parameter's name tells.
fn transfer(params: &[crate::EventParam]) -> Option<Standard> {
    let [from, to, value] = params else { return None };
    let names_an_id = value.name.trim_matches('_').eq_ignore_ascii_case("tokenId");
    match (from.indexed && to.indexed, value.indexed) {
        (true, true) => Some(Standard::Erc721),
        (_, false) if names_an_id => Some(Standard::Erc721),
        (_, false) => Some(Standard::Erc20),
        (false, true) => None,
    }
}

/// The transfers that an event tells of: one, or of a batch one for each id; none where it is no transfer. A batch whose
/// lists differ in length tells of as many as both have.
pub fn transfers(event: &Event) -> Vec<Transfer> {
    let Content::Decoded { schema, params } = &event.content else { return Vec::new() };
    let (token, address) = (event.address, |position| match params.at(position) {
        Some(Value::Address(address)) => Some(*address),
        _ => None,
    });
    let number = |position| match params.at(position) {
        Some(Value::Uint(number)) => Some(*number),
        _ => None,
    };
    let one = match Standard::of_schema(schema) {
        None => None,
        Some(Standard::Erc20) => ends(address(0), address(1))
            .zip(number(2))
            .map(|((from, to), amount)| vec![Transfer { token, from, to, id: None, amount }]),
        Some(Standard::Erc721) => ends(address(0), address(1))
            .zip(number(2))
            .map(|((from, to), id)| vec![Transfer { token, from, to, id: Some(id), amount: U256::ONE }]),
        Some(Standard::Erc1155) => ends(address(1), address(2)).map(|(from, to)| {
            let pairs = match (params.at(3), params.at(4)) {
                (Some(Value::Uint(id)), Some(Value::Uint(amount))) => vec![(*id, *amount)],
                (Some(Value::Array(ids)), Some(Value::Array(amounts))) => pairs(ids, amounts),
                _ => Vec::new(),
            };
            pairs.into_iter().map(|(id, amount)| Transfer { token, from, to, id: Some(id), amount }).collect()
        }),
    };
    one.unwrap_or_default()
}

fn ends(from: Option<Address>, to: Option<Address>) -> Option<(Address, Address)> {
    from.zip(to)
}

fn pairs(ids: &[Value], amounts: &[Value]) -> Vec<(U256, U256)> {
    let both = ids.iter().zip(amounts);
    both.filter_map(|pair| match pair {
        (Value::Uint(id), Value::Uint(amount)) => Some((*id, *amount)),
        _ => None,
    })
    .collect()
}

/// An integer's digits with the point moved `decimals` places to the left, without zeros at the end: an amount in the
/// token's own unit.
pub fn in_units(digits: &str, decimals: u8) -> String {
    let decimals = usize::from(decimals);
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let padded = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, fraction) = padded.split_at(padded.len() - decimals);
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}
