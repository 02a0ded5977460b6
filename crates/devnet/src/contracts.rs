//! Owns the sample contracts: their compiled code, embedded from `tests/contracts/artifacts`, and a builder
//! of calls for each function. Building a call sends nothing: [`Devnet::send`], [`Devnet::submit`] and
//! [`Reorg::send`](crate::Reorg::send) do.

use alloy_dyn_abi::DynSolValue;
use alloy_primitives::{Address, B256, Bytes, I256, U256, keccak256};
use serde::Deserialize;
use serde_json::Value;

use crate::error::Error;
use crate::node::Devnet;
use crate::wire::Call;

/// What [`Devnet::token`] mints for the first account: a billion, with six decimals.
const SUPPLY: u64 = 1_000_000_000_000_000;

/// The gas of one transfer inside a call that makes many: a new holder's balance costs 22,100 to write.
const TRANSFER_GAS: u64 = 40_000;

/// The gas of a call besides its transfers.
const CALL_GAS: u64 = 100_000;

/// A compiled sample contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Artifact {
    /// `Token.sol`: an ERC-20.
    Token,
    /// `Collectible.sol`: an ERC-721.
    Collectible,
    /// `Exchange.sol`: events that are no transfers.
    Exchange,
    /// `Odd.sol`: a token that indexes nothing and calls itself what it was told to.
    OddToken,
    /// `Odd.sol`: a token whose name and symbol are `bytes32`.
    Bytes32Token,
    /// `Odd.sol`: a token without name, symbol and decimals.
    SilentToken,
}

#[derive(Deserialize)]
struct Compiled {
    abi: Value,
    bytecode: Bytes,
}

macro_rules! artifact {
    ($name:literal) => {
        include_str!(concat!("../../../tests/contracts/artifacts/", $name, ".json"))
    };
}

impl Artifact {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Token,
        Self::Collectible,
        Self::Exchange,
        Self::OddToken,
        Self::Bytes32Token,
        Self::SilentToken,
    ];

    /// Its JSON ABI, to be written into a file or handed to a decoder.
    pub fn abi_json(self) -> String {
        self.compiled().abi.to_string()
    }

    /// The code that deploys it, without the constructor's arguments.
    pub fn bytecode(self) -> Bytes {
        self.compiled().bytecode
    }

    fn compiled(self) -> Compiled {
        let text = match self {
            Self::Token => artifact!("Token"),
            Self::Collectible => artifact!("Collectible"),
            Self::Exchange => artifact!("Exchange"),
            Self::OddToken => artifact!("OddToken"),
            Self::Bytes32Token => artifact!("Bytes32Token"),
            Self::SilentToken => artifact!("SilentToken"),
        };
        serde_json::from_str(text)
            .expect("scripts/contracts wrote the embedded artifact, and a test reads it")
    }
}

impl Devnet {
    /// Deploys [`Token`]; the first account holds a billion of it.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn token(&self) -> Result<Token, Error> {
        let address = self.deploy(Artifact::Token, vec![U256::from(SUPPLY).into()]).await?;
        Ok(Token { address })
    }

    /// Deploys [`Collectible`].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn collectible(&self) -> Result<Collectible, Error> {
        Ok(Collectible { address: self.deploy(Artifact::Collectible, Vec::new()).await? })
    }

    /// Deploys [`Exchange`].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn exchange(&self) -> Result<Exchange, Error> {
        Ok(Exchange { address: self.deploy(Artifact::Exchange, Vec::new()).await? })
    }

    /// Deploys a token that indexes nothing and has this name and symbol, however hostile.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn odd_token(&self, name: &str, symbol: &str, decimals: u8) -> Result<SimpleToken, Error> {
        let arguments = vec![text(name), text(symbol), DynSolValue::Uint(U256::from(decimals), 8)];
        Ok(SimpleToken { address: self.deploy(Artifact::OddToken, arguments).await? })
    }

    /// Deploys a token whose name and symbol are `bytes32`.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn bytes32_token(&self) -> Result<SimpleToken, Error> {
        Ok(SimpleToken { address: self.deploy(Artifact::Bytes32Token, Vec::new()).await? })
    }

    /// Deploys a token without name, symbol and decimals.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn silent_token(&self) -> Result<SimpleToken, Error> {
        Ok(SimpleToken { address: self.deploy(Artifact::SilentToken, Vec::new()).await? })
    }

    async fn deploy(&self, artifact: Artifact, arguments: Vec<DynSolValue>) -> Result<Address, Error> {
        let mut code = artifact.bytecode().to_vec();
        code.extend(DynSolValue::Tuple(arguments).abi_encode_params());
        let receipt = self.send(Call::deploy(self.account(0), code)).await?;
        receipt.contract_address.ok_or_else(|| Error::Unexpected {
            method: "eth_getTransactionReceipt".to_owned(),
            why: "a deployment without a contract address".to_owned(),
        })
    }
}

/// A deployed "Bell Dollar" (BELL): an ERC-20 with six decimals and an open mint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Where it lies.
    pub address: Address,
}

impl Token {
    /// One transfer.
    pub fn transfer(&self, from: Address, to: Address, value: U256) -> Call {
        call(from, self.address, "transfer(address,uint256)", vec![to.into(), value.into()])
    }

    /// Lets `spender` take up to `value` from `owner`.
    pub fn approve(&self, owner: Address, spender: Address, value: U256) -> Call {
        call(owner, self.address, "approve(address,uint256)", vec![spender.into(), value.into()])
    }

    /// A transfer by someone who was allowed it.
    pub fn transfer_from(&self, spender: Address, from: Address, to: Address, value: U256) -> Call {
        let arguments = vec![from.into(), to.into(), value.into()];
        call(spender, self.address, "transferFrom(address,address,uint256)", arguments)
    }

    /// Makes `value` out of nothing.
    pub fn mint(&self, from: Address, to: Address, value: U256) -> Call {
        call(from, self.address, "mint(address,uint256)", vec![to.into(), value.into()])
    }

    /// One transfer for each recipient, all in one transaction.
    pub fn burst(&self, from: Address, payments: &[(Address, U256)]) -> Call {
        let to = payments.iter().map(|(to, _)| (*to).into()).collect();
        let amounts = payments.iter().map(|(_, amount)| (*amount).into()).collect();
        let arguments = vec![DynSolValue::Array(to), DynSolValue::Array(amounts)];
        call(from, self.address, "burst(address[],uint256[])", arguments)
            .with_gas(CALL_GAS + TRANSFER_GAS * payments.len() as u64)
    }

    /// The same transfer `times` times, all in one transaction.
    pub fn transfer_many(&self, from: Address, to: Address, amount: U256, times: u64) -> Call {
        let arguments = vec![to.into(), amount.into(), U256::from(times).into()];
        call(from, self.address, "transferMany(address,uint256,uint256)", arguments)
            .with_gas(CALL_GAS + TRANSFER_GAS * times)
    }
}

/// A deployed token of the odd kinds, which can do nothing but mint and transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimpleToken {
    /// Where it lies.
    pub address: Address,
}

impl SimpleToken {
    /// Makes `value` out of nothing.
    pub fn mint(&self, from: Address, to: Address, value: U256) -> Call {
        Token { address: self.address }.mint(from, to, value)
    }

    /// One transfer.
    pub fn transfer(&self, from: Address, to: Address, value: U256) -> Call {
        Token { address: self.address }.transfer(from, to, value)
    }
}

/// A deployed ERC-721 whose postcards anyone may mint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collectible {
    /// Where it lies.
    pub address: Address,
}

impl Collectible {
    /// Makes the postcard `id`, once.
    pub fn mint(&self, from: Address, to: Address, id: U256) -> Call {
        call(from, self.address, "mint(address,uint256)", vec![to.into(), id.into()])
    }

    /// The owner gives the postcard `id` away.
    pub fn transfer(&self, owner: Address, to: Address, id: U256) -> Call {
        let arguments = vec![owner.into(), to.into(), id.into()];
        call(owner, self.address, "transferFrom(address,address,uint256)", arguments)
    }

    /// Lets `approved` take the postcard `id`.
    pub fn approve(&self, owner: Address, approved: Address, id: U256) -> Call {
        call(owner, self.address, "approve(address,uint256)", vec![approved.into(), id.into()])
    }
}

/// A deployed contract whose events are no transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// Where it lies.
    pub address: Address,
}

/// The tuple in the exchange's `OrderPlaced`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What is ordered.
    pub token: Address,
    /// How much of it, in its smallest unit.
    pub amount: U256,
    /// Until when, in seconds since 1970 UTC.
    pub deadline: u64,
    /// The way that it takes.
    pub legs: Vec<Leg>,
}

/// A tuple in an array in the tuple of `OrderPlaced`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// Where this part is done.
    pub venue: Address,
    /// How much more or less is there afterwards.
    pub delta: i128,
    /// What the venue is told.
    pub route: Bytes,
}

impl Exchange {
    /// Emits `OrderPlaced`, whose parameter is a tuple with an array of tuples inside. Ids count from 1.
    pub fn place_order(&self, maker: Address, order: &Order) -> Call {
        let legs = order.legs.iter().map(|leg| {
            DynSolValue::Tuple(vec![
                leg.venue.into(),
                DynSolValue::Int(I256::try_from(leg.delta).unwrap_or_default(), 128),
                DynSolValue::Bytes(leg.route.to_vec()),
            ])
        });
        let order = DynSolValue::Tuple(vec![
            order.token.into(),
            order.amount.into(),
            DynSolValue::Uint(U256::from(order.deadline), 64),
            DynSolValue::Array(legs.collect()),
        ]);
        call(
            maker,
            self.address,
            "placeOrder((address,uint256,uint64,(address,int128,bytes)[]))",
            vec![order],
        )
    }

    /// Emits one of the two events called `OrderCancelled`: without a reason, the one that has none.
    pub fn cancel_order(&self, from: Address, id: U256, reason: &str) -> Call {
        call(from, self.address, "cancelOrder(uint256,string)", vec![id.into(), text(reason)])
    }

    /// Emits `PriceSet`.
    pub fn set_price(&self, from: Address, market: B256, price: U256) -> Call {
        let arguments = vec![DynSolValue::FixedBytes(market, 32), price.into()];
        call(from, self.address, "setPrice(bytes32,uint256)", arguments)
    }

    /// Emits `Note`, of whose topic only the hash is on chain.
    pub fn note(&self, from: Address, topic: &str, words: &str) -> Call {
        call(from, self.address, "note(string,string)", vec![text(topic), text(words)])
    }

    /// Emits the anonymous `Heartbeat`.
    pub fn heartbeat(&self, from: Address) -> Call {
        call(from, self.address, "heartbeat()", Vec::new())
    }
}

fn text(value: &str) -> DynSolValue {
    DynSolValue::String(value.to_owned())
}

/// A function's selector is the beginning of its signature's hash; its arguments are encoded as one tuple.
fn call(from: Address, to: Address, signature: &str, arguments: Vec<DynSolValue>) -> Call {
    let mut data = keccak256(signature)[..4].to_vec();
    data.extend(DynSolValue::Tuple(arguments).abi_encode_params());
    Call::new(from, to, data)
}
