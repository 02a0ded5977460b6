//! Owns the arithmetic that proves receipts: a header's own hash from its fields, and the receipts root from the
//! receipts. Pure, and by Ethereum's rules (yellow paper, section 4.3; EIP-2718, EIP-658); a chain that hashes otherwise
//! is not accused, it is only not proved.

use alloy_primitives::{Address, B64, B256, Bloom, Bytes, U256, keccak256};
use alloy_rlp::{BufMut, Encodable, Header as RlpHeader};
use alloy_trie::root::ordered_trie_root_encoded;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire;

/// The types of receipts that are their type's byte and the four fields of a legacy receipt: 0 (legacy, without the
/// byte), 1 (EIP-2930), 2 (EIP-1559), 3 (EIP-4844), 4 (EIP-7702).
const TYPE_MAX: u64 = 4;

/// All that a header's hash is made of.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SealedHeader {
    parent_hash: B256,
    sha3_uncles: B256,
    miner: Address,
    state_root: B256,
    transactions_root: B256,
    receipts_root: B256,
    logs_bloom: Bloom,
    difficulty: U256,
    number: U256,
    gas_limit: U256,
    gas_used: U256,
    timestamp: U256,
    extra_data: Bytes,
    mix_hash: B256,
    nonce: B64,
    // Each hard fork added to the end.
    base_fee_per_gas: Option<U256>,
    withdrawals_root: Option<B256>,
    blob_gas_used: Option<U256>,
    excess_blob_gas: Option<U256>,
    parent_beacon_block_root: Option<B256>,
    requests_hash: Option<B256>,
    block_access_list_hash: Option<B256>,
    slot_number: Option<U256>,
}

impl SealedHeader {
    fn hash(&self) -> B256 {
        let mut fields = Vec::with_capacity(1_024);
        let out: &mut dyn BufMut = &mut fields;
        for hash in [&self.parent_hash, &self.sha3_uncles] {
            hash.encode(out);
        }
        self.miner.encode(out);
        for hash in [&self.state_root, &self.transactions_root, &self.receipts_root] {
            hash.encode(out);
        }
        self.logs_bloom.encode(out);
        for number in [&self.difficulty, &self.number, &self.gas_limit, &self.gas_used, &self.timestamp] {
            number.encode(out);
        }
        self.extra_data.encode(out);
        self.mix_hash.encode(out);
        self.nonce.encode(out);
        encode_some(self.base_fee_per_gas.as_ref(), out);
        encode_some(self.withdrawals_root.as_ref(), out);
        encode_some(self.blob_gas_used.as_ref(), out);
        encode_some(self.excess_blob_gas.as_ref(), out);
        encode_some(self.parent_beacon_block_root.as_ref(), out);
        encode_some(self.requests_hash.as_ref(), out);
        encode_some(self.block_access_list_hash.as_ref(), out);
        encode_some(self.slot_number.as_ref(), out);
        keccak256(list(&fields))
    }
}

fn encode_some(value: Option<&impl Encodable>, out: &mut dyn BufMut) {
    if let Some(value) = value {
        value.encode(out);
    }
}

fn list(fields: &[u8]) -> Vec<u8> {
    let header = RlpHeader { list: true, payload_length: fields.len() };
    let mut out = Vec::with_capacity(fields.len() + header.length());
    header.encode(&mut out);
    out.extend_from_slice(fields);
    out
}

/// What a receipt's hash is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SealedReceipt {
    /// EIP-2718 type.
    pub(crate) kind: u64,
    pub(crate) outcome: Outcome,
    pub(crate) cumulative_gas_used: U256,
    /// The bloom as the node gave it.
    pub(crate) bloom: Option<Bloom>,
    pub(crate) logs: Vec<SealedLog>,
}

/// What a log adds to a receipt's hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SealedLog {
    pub(crate) address: Address,
    pub(crate) topics: Vec<B256>,
    pub(crate) data: Bytes,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Since Byzantium (EIP-658).
    Status(bool),
    /// Before it: the state after the transaction.
    StateRoot(B256),
}

impl SealedReceipt {
    fn bloom(&self) -> Bloom {
        let mut bloom = Bloom::ZERO;
        self.logs.iter().for_each(|log| bloom.accrue_raw_log(log.address, &log.topics));
        bloom
    }

    fn encode(&self, bloom: &Bloom) -> Vec<u8> {
        let mut logs = Vec::new();
        for log in &self.logs {
            let mut fields = Vec::new();
            log.address.encode(&mut fields);
            log.topics.encode(&mut fields);
            log.data.encode(&mut fields);
            logs.extend(list(&fields));
        }
        let mut fields = Vec::with_capacity(logs.len() + 320);
        match self.outcome {
            Outcome::Status(succeeded) => succeeded.encode(&mut fields),
            Outcome::StateRoot(root) => root.encode(&mut fields),
        }
        self.cumulative_gas_used.encode(&mut fields);
        bloom.encode(&mut fields);
        fields.extend(list(&logs));
        let receipt = list(&fields);
        match u8::try_from(self.kind) {
            Ok(0) | Err(_) => receipt,
            Ok(kind) => [&[kind], receipt.as_slice()].concat(),
        }
    }
}

/// What the receipts of a block prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They are the block's, all of them.
    Proved,
    /// Nothing, for this reason.
    Unproved(String),
    /// They are not the block's: one is missing, added or changed.
    Refuted(String),
}

/// Judges the receipts of the block `hash` by its header as the node gave it.
pub(crate) fn judge(header: &RawValue, hash: B256, receipts: &[SealedReceipt]) -> Verdict {
    if let Some(receipt) = receipts.iter().find(|receipt| receipt.kind > TYPE_MAX) {
        return Verdict::Unproved(format!("a receipt of type 0x{:x} cannot be hashed here", receipt.kind));
    }
    let header = match wire::read::<SealedHeader>(header) {
        Ok(header) => header,
        Err(why) => return Verdict::Unproved(format!("the header lacks what its hash is made of: {why}")),
    };
    if header.hash() != hash {
        let why = "the header does not hash to the block's hash: this chain hashes more than is known here";
        return Verdict::Unproved(why.to_owned());
    }
    if hash_to(header.receipts_root, receipts) {
        return Verdict::Proved;
    }
    match receipts.split_last() {
        // Some chains show the logs of their bridge as a receipt that is in no root.
        Some((_, rest)) if hash_to(header.receipts_root, rest) => {
            Verdict::Unproved("the last receipt is not part of the receipts root".to_owned())
        }
        _ => Verdict::Refuted(format!(
            "its receipts of block {hash} do not hash to the header's receipts root: at least one is missing or changed"
        )),
    }
}

/// Whether the receipts hash to the root, with the blooms of their logs or, where a chain makes them in another way, with
/// those that the node gave: the root binds the logs as well with either.
fn hash_to(root: B256, receipts: &[SealedReceipt]) -> bool {
    let own = |receipt: &SealedReceipt| receipt.encode(&receipt.bloom());
    let given = |receipt: &SealedReceipt| receipt.encode(&receipt.bloom.unwrap_or_default());
    let encoded: Vec<_> = receipts.iter().map(own).collect();
    if ordered_trie_root_encoded(&encoded) == root {
        return true;
    }
    let all_given = receipts.iter().all(|receipt| receipt.bloom.is_some());
    let encoded: Vec<_> = receipts.iter().map(given).collect();
    all_given && ordered_trie_root_encoded(&encoded) == root
}

#[cfg(test)]
mod tests {
    use alloy_trie::EMPTY_ROOT_HASH;
    use serde_json::{Value as Json, json, value::to_raw_value};

    use super::*;

    fn receipt(kind: u64, gas: u64) -> SealedReceipt {
        let log = SealedLog {
            address: Address::repeat_byte(1),
            topics: vec![B256::repeat_byte(2)],
            data: Bytes::from_static(b"data"),
        };
        SealedReceipt {
            kind,
            outcome: Outcome::Status(true),
            cumulative_gas_used: U256::from(gas),
            bloom: None,
            logs: vec![log],
        }
    }

    fn header(receipts_root: B256) -> Json {
        let zero = B256::ZERO;
        json!({
            "parentHash": zero, "sha3Uncles": zero, "miner": Address::ZERO, "stateRoot": zero, "transactionsRoot": zero,
            "receiptsRoot": receipts_root, "logsBloom": Bloom::ZERO, "difficulty": "0x0", "number": "0x5",
            "gasLimit": "0x1", "gasUsed": "0x0", "timestamp": "0x1", "extraData": "0x", "mixHash": zero,
            "nonce": B64::ZERO, "baseFeePerGas": "0x7",
        })
    }

    fn judged(header: &Json, receipts: &[SealedReceipt]) -> Verdict {
        let raw = to_raw_value(header).unwrap();
        let hash = wire::read::<SealedHeader>(&raw).map(|header| header.hash()).unwrap_or_default();
        judge(&raw, hash, receipts)
    }

    fn root(receipts: &[SealedReceipt]) -> B256 {
        let encoded: Vec<_> = receipts.iter().map(|receipt| receipt.encode(&receipt.bloom())).collect();
        ordered_trie_root_encoded(&encoded)
    }

    #[test]
    fn the_header_of_block_1_of_ethereum_hashes_to_its_hash() {
        // As `eth_getBlockByNumber("0x1")` gives it.
        let header = json!({
            "number": "0x1", "difficulty": "0x3ff800000", "extraData": "0x476574682f76312e302e302f6c696e75782f676f312e342e32",
            "gasLimit": "0x1388", "gasUsed": "0x0", "logsBloom": Bloom::ZERO,
            "miner": "0x05a56e2d52c817161883f50c441c3228cfe54d9f",
            "mixHash": "0x969b900de27b6ac6a67742365dd65f55a0526c41fd18e1b16f1a1215c2e66f59",
            "nonce": "0x539bd4979fef1ec4",
            "parentHash": "0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
            "receiptsRoot": EMPTY_ROOT_HASH, "transactionsRoot": EMPTY_ROOT_HASH,
            "sha3Uncles": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
            "stateRoot": "0xd67e4d450343046425ae4271474353857ab860dbc0a1dde64b41b5cd3a532bf3",
            "timestamp": "0x55ba4224", "totalDifficulty": "0x7ff800000", "size": "0x219", "uncles": [],
        });
        let hash = "0x88e96d4537bea4d9c05d12549907b32561d3bf31f45aae734cdc119f13406cb6".parse().unwrap();
        assert_eq!(judge(&to_raw_value(&header).unwrap(), hash, &[]), Verdict::Proved);
    }

    #[test]
    fn all_receipts_prove_and_any_other_set_refutes() {
        let receipts = [receipt(0, 1), receipt(2, 2), receipt(4, 3)];
        let header = header(root(&receipts));
        assert_eq!(judged(&header, &receipts), Verdict::Proved);
        assert!(matches!(judged(&header, &receipts[..2]), Verdict::Refuted(_)));
        assert!(matches!(judged(&header, &receipts[1..]), Verdict::Refuted(_)));
        let mut changed = receipts;
        changed[1].logs.clear();
        assert!(matches!(judged(&header, &changed), Verdict::Refuted(_)));
    }

    #[test]
    fn the_state_root_of_old_receipts_is_hashed() {
        let mut old = receipt(0, 1);
        old.outcome = Outcome::StateRoot(B256::repeat_byte(9));
        let header = header(root(std::slice::from_ref(&old)));
        assert_eq!(judged(&header, std::slice::from_ref(&old)), Verdict::Proved);
        assert!(matches!(judged(&header, &[receipt(0, 1)]), Verdict::Refuted(_)));
    }

    #[test]
    fn a_chain_that_hashes_otherwise_is_not_accused() {
        let receipts = [receipt(0, 1), receipt(2, 2)];
        let sealed = header(root(&receipts));
        let unproved = |verdict: Verdict, part: &str| {
            assert!(matches!(&verdict, Verdict::Unproved(why) if why.contains(part)), "{verdict:?}");
        };
        unproved(judge(&to_raw_value(&sealed).unwrap(), B256::ZERO, &receipts), "does not hash");
        unproved(judged(&sealed, &[receipts[0].clone(), receipt(0x7e, 2)]), "type 0x7e");
        let mut bare = sealed.clone();
        bare["mixHash"] = Json::Null;
        unproved(judged(&bare, &receipts), "lacks");
        // The receipt of a bridge at the end.
        let [first, second] = receipts;
        unproved(judged(&sealed, &[first, second, receipt(0, 0)]), "not part of");
    }

    #[test]
    fn blooms_that_a_chain_makes_in_its_own_way_are_hashed_as_given() {
        let mut odd = receipt(2, 1);
        odd.bloom = Some(Bloom::ZERO);
        let root = ordered_trie_root_encoded(&[odd.encode(&Bloom::ZERO)]);
        assert_eq!(judged(&header(root), &[odd]), Verdict::Proved);
    }
}
