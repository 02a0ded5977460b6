//! Whatever another implementation encodes, the decoder reads back; whatever else comes, it survives.

use std::sync::Arc;

use abi::{Layouts, parse_signature};
use alloy_dyn_abi::DynSolValue;
use alloy_primitives::{B256, I256, U256};
use domain::{EventParam, EventSchema, Field, Fields, ParamType, Value};
use proptest::prelude::*;

use crate::logs::{log, params};

fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z]{1,3}".prop_map(|name| format!("p_{name}"))]
}

fn word_type() -> impl Strategy<Value = ParamType> {
    prop_oneof![
        (1..=32_u16).prop_map(|bytes| ParamType::Uint(8 * bytes)),
        (1..=32_u16).prop_map(|bytes| ParamType::Int(8 * bytes)),
        Just(ParamType::Address),
        Just(ParamType::Bool),
        (1..=32_u8).prop_map(ParamType::FixedBytes),
        Just(ParamType::Function),
    ]
}

fn any_type() -> impl Strategy<Value = ParamType> {
    let leaf = prop_oneof![4 => word_type(), 1 => Just(ParamType::Bytes), 1 => Just(ParamType::String)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let field = (name(), inner.clone()).prop_map(|(name, ty)| Field { name, ty });
        prop_oneof![
            inner.clone().prop_map(|ty| ParamType::Array(Box::new(ty))),
            (inner, 1..4_usize).prop_map(|(ty, length)| ParamType::FixedArray(Box::new(ty), length)),
            prop::collection::vec(field, 1..4).prop_map(ParamType::Tuple),
        ]
    })
}

/// A value of the type, in the other implementation's terms.
fn value_of(ty: &ParamType) -> BoxedStrategy<DynSolValue> {
    match ty {
        ParamType::Uint(bits) => {
            let bits = usize::from(*bits);
            any::<[u8; 32]>()
                .prop_map(move |bytes| DynSolValue::Uint(U256::from_be_bytes(bytes) >> (256 - bits), bits))
                .boxed()
        }
        ParamType::Int(bits) => {
            let bits = usize::from(*bits);
            any::<[u8; 32]>()
                .prop_map(move |bytes| DynSolValue::Int(I256::from_be_bytes(bytes).asr(256 - bits), bits))
                .boxed()
        }
        ParamType::Address => any::<[u8; 20]>().prop_map(|bytes| DynSolValue::Address(bytes.into())).boxed(),
        ParamType::Bool => any::<bool>().prop_map(DynSolValue::Bool).boxed(),
        ParamType::FixedBytes(length) => {
            let length = usize::from(*length);
            any::<[u8; 32]>()
                .prop_map(move |mut bytes| {
                    bytes[length..].fill(0);
                    DynSolValue::FixedBytes(bytes.into(), length)
                })
                .boxed()
        }
        ParamType::Function => {
            any::<[u8; 24]>().prop_map(|bytes| DynSolValue::Function(bytes.into())).boxed()
        }
        ParamType::Opaque(name) => panic!("{name} has no values"),
        ParamType::Bytes => prop::collection::vec(any::<u8>(), 0..70).prop_map(DynSolValue::Bytes).boxed(),
        ParamType::String => any::<String>().prop_map(DynSolValue::String).boxed(),
        ParamType::Array(inner) => {
            prop::collection::vec(value_of(inner), 0..4).prop_map(DynSolValue::Array).boxed()
        }
        ParamType::FixedArray(inner, length) => {
            prop::collection::vec(value_of(inner), *length).prop_map(DynSolValue::FixedArray).boxed()
        }
        ParamType::Tuple(fields) => {
            let members: Vec<_> = fields.iter().map(|field| value_of(&field.ty)).collect();
            members.prop_map(DynSolValue::Tuple).boxed()
        }
    }
}

/// The same value in our terms.
fn expected(ty: &ParamType, value: &DynSolValue) -> Value {
    match (ty, value) {
        (_, DynSolValue::Uint(value, _)) => Value::Uint(*value),
        (_, DynSolValue::Int(value, _)) => Value::Int(*value),
        (_, DynSolValue::Address(value)) => Value::Address(*value),
        (_, DynSolValue::Bool(value)) => Value::Bool(*value),
        (_, DynSolValue::FixedBytes(word, length)) => Value::Bytes(word[..*length].to_vec().into()),
        (_, DynSolValue::Function(value)) => Value::Bytes(value.to_vec().into()),
        (_, DynSolValue::Bytes(value)) => Value::Bytes(value.clone().into()),
        (_, DynSolValue::String(value)) => Value::String(value.clone()),
        (
            ParamType::Array(inner) | ParamType::FixedArray(inner, _),
            DynSolValue::Array(values) | DynSolValue::FixedArray(values),
        ) => Value::Array(values.iter().map(|value| expected(inner, value)).collect()),
        (ParamType::Tuple(fields), DynSolValue::Tuple(values)) => Value::Tuple(Fields::named(
            fields.iter().zip(values).map(|(field, value)| (field.name.as_str(), expected(&field.ty, value))),
        )),
        _ => panic!("{value:?} is no {ty}"),
    }
}

type Sample = (EventSchema, Vec<DynSolValue>);

/// An event with a value for each of its parameters.
fn sample() -> impl Strategy<Value = Sample> {
    let param =
        (name(), any_type(), any::<bool>()).prop_map(|(name, ty, indexed)| EventParam { name, ty, indexed });
    (prop::collection::vec(param, 0..6), any::<bool>()).prop_flat_map(|(mut params, anonymous)| {
        let mut topics = if anonymous { 4 } else { 3 };
        for param in &mut params {
            param.indexed &= topics > 0;
            topics -= i32::from(param.indexed);
        }
        let values: Vec<_> = params.iter().map(|param| value_of(&param.ty)).collect();
        (Just(EventSchema { name: "Sample".into(), params, anonymous }), values)
    })
}

/// The log that a contract would emit, and the parameters that are to be read of it.
fn emitted((schema, values): &Sample) -> (Vec<B256>, Vec<u8>, Vec<Value>) {
    let mut topics: Vec<B256> = if schema.anonymous { vec![] } else { vec![schema.topic0()] };
    let (mut data, mut read) = (Vec::new(), Vec::new());
    for (param, value) in schema.params.iter().zip(values) {
        if !param.indexed {
            data.push(value.clone());
            read.push(expected(&param.ty, value));
        } else if param.ty.is_dynamic_or_composite() {
            let hash = B256::repeat_byte(0xaa);
            topics.push(hash);
            read.push(Value::Hash(hash));
        } else {
            topics.push(B256::from_slice(&value.abi_encode()));
            read.push(expected(&param.ty, value));
        }
    }
    (topics, DynSolValue::Tuple(data).abi_encode_params(), read)
}

fn values(fields: &Fields) -> Vec<Value> {
    fields.0.iter().map(|(_, value)| value.clone()).collect()
}

proptest! {
    #[test]
    fn what_another_implementation_encodes_is_read_back(sample in sample()) {
        let (topics, data, read) = emitted(&sample);
        let schema = Arc::new(sample.0);
        let content = Layouts::new([&schema]).decode(&log(&topics, &data));
        prop_assert_eq!(values(params(&content)), read);
    }

    #[test]
    fn parameters_survive_their_json_form(sample in sample()) {
        let (topics, data, _) = emitted(&sample);
        let schema = Arc::new(sample.0);
        let content = Layouts::new([&schema]).decode(&log(&topics, &data));
        let json = params(&content).to_json();
        prop_assert_eq!(&schema.params_from_json(&json).unwrap(), params(&content));
    }

    #[test]
    fn a_declaration_reads_back_as_the_same_event(sample in sample()) {
        prop_assert_eq!(parse_signature(&sample.0.declaration()).unwrap(), sample.0);
    }

    #[test]
    fn no_signature_makes_the_parser_panic(text in "(event )?[A-Za-z]{0,3}[\\(\\)\\[\\], a-z0-9é]{0,40}") {
        let _ = parse_signature(&text);
    }

    #[test]
    fn no_log_makes_the_decoder_panic(
        sample in sample(),
        words in prop::collection::vec(prop_oneof![0..300_u64, Just(u64::MAX)], 0..20),
        cut in 0..32_usize,
    ) {
        let (topics, _, _) = emitted(&sample);
        let mut data: Vec<u8> = words.iter().flat_map(|word| U256::from(*word).to_be_bytes::<32>()).collect();
        data.truncate(data.len().saturating_sub(cut));
        let schema = Arc::new(sample.0);
        let _ = Layouts::new([&schema]).decode(&log(&topics, &data));
    }

    #[test]
    fn a_flipped_byte_never_makes_the_decoder_panic(
        sample in sample(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let (topics, mut data, _) = emitted(&sample);
        if !data.is_empty() {
            let at = at.index(data.len());
            data[at] = byte;
        }
        let schema = Arc::new(sample.0);
        let _ = Layouts::new([&schema]).decode(&log(&topics, &data));
    }
}
