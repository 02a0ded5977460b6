//! Owns the shapes that nodes give headers, logs and receipts, with every field optional: a node that leaves one null
//! must cost one answer, not the connection. What is complete becomes the domain's type; what is not says what lacks.

use alloy_primitives::{Address, B256, Bloom, Bytes};
use domain::{AnnouncedLog, BlockRef, Header, RawLog};
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

/// An unsigned integer of at most 63 bits, which is what the store holds and leaves room to count on, as 0x-hex; as a
/// plain number too, because some nodes write one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quantity(pub(crate) u64);

const MOST: u64 = i64::MAX.cast_unsigned();

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Quantity;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an integer of at most 63 bits as 0x-hex")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Quantity, E> {
                if value > MOST {
                    return Err(E::invalid_value(de::Unexpected::Unsigned(value), &self));
                }
                Ok(Quantity(value))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                let value = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
                    Some(hex) if !hex.starts_with('+') => u64::from_str_radix(hex, 16).ok(),
                    _ => None,
                };
                value
                    .filter(|value| *value <= MOST)
                    .map(Quantity)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A quantity that nothing depends on: what cannot be read is absent.
fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    // Borrowed, because every log of a long answer has one.
    let raw = Option::<&RawValue>::deserialize(deserializer)?;
    Ok(raw.and_then(|raw| serde_json::from_str::<Quantity>(raw.get()).ok()).map(|quantity| quantity.0))
}

pub(crate) fn lenient_bloom<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bloom>, D::Error> {
    let raw = Option::<Box<RawValue>>::deserialize(deserializer)?;
    Ok(raw.and_then(|raw| serde_json::from_str(raw.get()).ok()))
}

/// Bytes as 0x-hex. A list is no bytes, least of all an empty one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hex(pub(crate) Bytes);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Hex;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes as 0x-hex")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Hex, E> {
                text.parse().map(Hex).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// A block's header.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireHeader {
    number: Option<Quantity>,
    hash: Option<B256>,
    parent_hash: Option<B256>,
    timestamp: Option<Quantity>,
    #[serde(default, deserialize_with = "lenient_bloom")]
    logs_bloom: Option<Bloom>,
}

impl WireHeader {
    pub(crate) fn into_header(self) -> Result<Header, String> {
        let number = self.number.ok_or("a header without number")?.0;
        let lacks = |what| move || format!("header {number} without {what}");
        Ok(Header {
            block: BlockRef::new(number, self.hash.ok_or_else(lacks("hash"))?),
            parent: self.parent_hash.ok_or_else(lacks("parentHash"))?,
            timestamp: self.timestamp.ok_or_else(lacks("timestamp"))?.0,
            bloom: self.logs_bloom,
        })
    }
}

/// An announced log. A block has hundreds, which come in front of the answer that tells what is in them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireAnnouncedLog {
    block_number: Option<Quantity>,
    block_hash: Option<B256>,
    log_index: Option<Quantity>,
    removed: Option<bool>,
}

impl WireAnnouncedLog {
    /// Where it is; `None` where it is in no block yet.
    pub(crate) fn into_log(self) -> Result<Option<AnnouncedLog>, String> {
        let (Some(Quantity(number)), Some(hash)) = (self.block_number, self.block_hash) else {
            return Ok(None);
        };
        let Some(Quantity(log_index)) = self.log_index else {
            return Err(format!("a log of block {number} without logIndex"));
        };
        let removed = self.removed.unwrap_or(false);
        Ok(Some(AnnouncedLog { block: BlockRef::new(number, hash), log_index, removed }))
    }
}

/// A log.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireLog {
    address: Option<Address>,
    topics: Option<Vec<B256>>,
    data: Option<Hex>,
    block_number: Option<Quantity>,
    block_hash: Option<B256>,
    #[serde(default, deserialize_with = "lenient")]
    block_timestamp: Option<u64>,
    transaction_hash: Option<B256>,
    transaction_index: Option<Quantity>,
    log_index: Option<Quantity>,
    removed: Option<bool>,
}

impl WireLog {
    pub(crate) fn into_log(self) -> Result<RawLog, String> {
        let number = self.block_number.ok_or("a log without blockNumber")?.0;
        let lacks = |what| move || format!("a log of block {number} without {what}");
        let topics = self.topics.ok_or_else(lacks("topics"))?;
        if topics.len() > 4 {
            return Err(format!("a log of block {number} with {} topics", topics.len()));
        }
        Ok(RawLog {
            address: self.address.ok_or_else(lacks("address"))?,
            topics,
            data: self.data.ok_or_else(lacks("data"))?.0,
            block: BlockRef::new(number, self.block_hash.ok_or_else(lacks("blockHash"))?),
            block_timestamp: self.block_timestamp,
            tx_hash: self.transaction_hash.ok_or_else(lacks("transactionHash"))?,
            tx_index: self.transaction_index.ok_or_else(lacks("transactionIndex"))?.0,
            log_index: self.log_index.ok_or_else(lacks("logIndex"))?.0,
            removed: self.removed.unwrap_or(false),
        })
    }
}

/// The part of a receipt that holds the logs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireReceipt {
    pub(crate) block_hash: Option<B256>,
    pub(crate) block_number: Option<Quantity>,
    pub(crate) transaction_hash: Option<B256>,
    pub(crate) logs: Option<Vec<WireLog>>,
}

/// Reads a result; the error is one sentence about the answer.
pub(crate) fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, String> {
    serde_json::from_str(raw.get()).map_err(|error| format!("an answer of another shape: {error}"))
}

/// Reads an answer of logs, each made complete as it is read, so that no second list of them is held. Only an empty list
/// says that there are none: `null` says nothing.
pub(crate) fn read_logs(raw: &RawValue) -> Result<Vec<RawLog>, String> {
    struct Logs(Result<Vec<RawLog>, String>);

    impl<'de> Deserialize<'de> for Logs {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> de::Visitor<'de> for Visitor {
                type Value = Logs;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("a list of logs")
                }

                fn visit_unit<E: de::Error>(self) -> Result<Logs, E> {
                    Ok(Logs(Err("it answers null where a list of logs is due".to_owned())))
                }

                fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Logs, A::Error> {
                    let mut logs = Ok(Vec::new());
                    while let Some(log) = seq.next_element::<WireLog>()? {
                        match (log.into_log(), &mut logs) {
                            (Ok(log), Ok(logs)) => logs.push(log),
                            (Err(why), Ok(_)) => logs = Err(why),
                            (_, Err(_)) => {}
                        }
                    }
                    Ok(Logs(logs))
                }
            }
            deserializer.deserialize_any(Visitor)
        }
    }
    read::<Logs>(raw)?.0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn log() -> Json {
        json!({
            "address": Address::repeat_byte(1), "topics": [B256::repeat_byte(2)], "data": "0x",
            "blockNumber": "0x10", "blockHash": B256::repeat_byte(3), "blockTimestamp": "0x5",
            "transactionHash": B256::repeat_byte(4), "transactionIndex": "0x0", "logIndex": "0x7", "removed": false,
        })
    }

    fn read_log(json: &Json) -> Result<RawLog, String> {
        serde_json::from_str::<WireLog>(&json.to_string()).map_err(|error| error.to_string())?.into_log()
    }

    #[test]
    fn a_complete_log_is_read() {
        let log = read_log(&log()).unwrap();
        assert_eq!(
            (log.block.number, log.log_index, log.block_timestamp, log.removed),
            (16, 7, Some(5), false)
        );
    }

    #[test]
    fn a_number_that_leaves_no_room_to_count_on_is_refused() {
        for (number, fits) in
            [("0x7fffffffffffffff", true), ("0x8000000000000000", false), ("0xffffffffffffffff", false)]
        {
            let mut high = log();
            high["blockNumber"] = json!(number);
            assert_eq!(read_log(&high).is_ok(), fits, "{number}");
        }
        let mut plain = log();
        plain["blockNumber"] = json!(u64::MAX);
        assert!(read_log(&plain).unwrap_err().contains("63 bits"));
    }

    #[test]
    fn each_null_field_of_a_log_is_named() {
        for field in [
            "address",
            "topics",
            "data",
            "blockNumber",
            "blockHash",
            "transactionHash",
            "transactionIndex",
            "logIndex",
        ] {
            let mut null = log();
            null[field] = Json::Null;
            assert!(read_log(&null).unwrap_err().contains(field), "{field}");
            let mut missing = log();
            missing.as_object_mut().unwrap().remove(field);
            assert!(read_log(&missing).unwrap_err().contains(field), "{field}");
        }
    }

    #[test]
    fn what_nothing_depends_on_may_be_nonsense() {
        let mut odd = log();
        odd["blockTimestamp"] = json!("yesterday");
        odd["removed"] = Json::Null;
        let log = read_log(&odd).unwrap();
        assert_eq!((log.block_timestamp, log.removed), (None, false));

        let header = json!({
            "number": "0x1", "hash": B256::ZERO, "parentHash": B256::ZERO, "timestamp": 5, "logsBloom": "0x",
        });
        let header = serde_json::from_str::<WireHeader>(&header.to_string()).unwrap().into_header().unwrap();
        assert_eq!((header.timestamp, header.bloom), (5, None));
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_refused() {
        for text in
            ["\"0x10000000000000000\"", "\"0x-1\"", "\"0x+1\"", "\"-1\"", "-1", "1.5", "\"\"", "\"0x\""]
        {
            assert!(serde_json::from_str::<Quantity>(text).is_err(), "{text}");
        }
        assert_eq!(serde_json::from_str::<Quantity>("\"0x007\"").unwrap(), Quantity(7));
    }

    #[test]
    fn only_an_empty_list_says_that_there_are_no_logs() {
        let read = |text: &str| read_logs(&RawValue::from_string(text.to_owned()).unwrap());
        assert_eq!(read("[]"), Ok(Vec::new()));
        assert!(read("null").unwrap_err().contains("null where a list"));
        for other in ["{}", "[null]", "[[]]", "[{}]", "false", "0", "\"\"", "\"0x\"", r#"{"logs":[]}"#] {
            assert!(read(other).is_err(), "{other}");
        }
    }

    #[test]
    fn data_that_is_no_text_is_refused() {
        for data in [json!([]), json!([1, 2]), json!({}), json!(""), json!("0x0"), json!(0)] {
            let mut odd = log();
            odd["data"] = data.clone();
            assert_eq!(read_log(&odd).is_ok(), data == json!(""), "{data}");
        }
    }

    #[test]
    fn a_log_with_five_topics_is_refused() {
        let mut odd = log();
        odd["topics"] = json!(vec![B256::ZERO; 5]);
        assert!(read_log(&odd).unwrap_err().contains("5 topics"));
    }
}
