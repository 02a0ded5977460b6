//! Names into positions: parameters, members, elements, built-ins, and the mend for a name that is none of them.

use std::{borrow::Cow, ops::Range};

use crate::{
    schema::{EventSchema, Field, ParamType},
    suggest::mend,
};

use super::{
    error::FilterError,
    literal::article,
    parser::{Path, PathStep},
    program::{Place, Root, Step},
};

static ADDRESS: ParamType = ParamType::Address;
static HASH: ParamType = ParamType::FixedBytes(32);
static BLOCK_NUMBER: ParamType = ParamType::Uint(64);
static LENGTH: ParamType = ParamType::Uint(256);

/// The names that every event has.
const BUILT_INS: [(&str, Root, &ParamType); 3] = [
    ("address", Root::Address, &ADDRESS),
    ("tx_hash", Root::TxHash, &HASH),
    ("block_number", Root::BlockNumber, &BLOCK_NUMBER),
];

/// A path whose place and type are known.
#[derive(Debug)]
pub(super) struct Resolved<'s> {
    pub(super) place: Place,
    pub(super) ty: &'s ParamType,
    /// Whether only the hash of the value is there.
    pub(super) hashed: bool,
    /// As it was written.
    pub(super) name: &'s str,
}

/// The names of one event.
#[derive(Debug)]
pub(super) struct Scope<'s> {
    source: &'s str,
    schema: &'s EventSchema,
}

impl<'s> Scope<'s> {
    pub(super) fn new(source: &'s str, schema: &'s EventSchema) -> Self {
        Self { source, schema }
    }

    fn error(&self, span: Range<usize>, message: impl Into<String>) -> FilterError {
        FilterError::new(self.source, span, message)
    }

    pub(super) fn resolve(&self, path: &Path<'s>) -> Result<Resolved<'s>, FilterError> {
        let (root, mut ty, mut hashed) = self.root(path)?;
        let mut steps = Vec::with_capacity(path.steps.len());
        let mut end = path.root_span.end;
        for step in &path.steps {
            let above = &self.source[path.span.start..end];
            let found = if hashed { self.hash_step(above, ty, step)? } else { self.step(above, ty, step)? };
            steps.push(found.0);
            ty = found.1;
            hashed = false;
            end = step.span().end + usize::from(matches!(step, PathStep::Element(..)));
        }
        let place = Place { root, steps: steps.into(), span: path.span.clone().into() };
        Ok(Resolved { place, ty, hashed, name: &self.source[path.span.clone()] })
    }

    pub(super) fn resolve_length(
        &self,
        path: &Path<'s>,
        span: Range<usize>,
    ) -> Result<Resolved<'s>, FilterError> {
        let inner = self.resolve(path)?;
        if inner.hashed {
            let message = format!(
                "'{}' is indexed, so only its hash is on chain and its length is unknown",
                inner.name
            );
            return Err(self.error(path.span.clone(), message));
        }
        let lengthy = matches!(
            inner.ty,
            ParamType::Array(_) | ParamType::FixedArray(..) | ParamType::Bytes | ParamType::String
        );
        if !lengthy {
            let message = format!("'{}' is {} and has no length", inner.name, article(inner.ty));
            return Err(self.error(path.span.clone(), message));
        }
        let mut steps = inner.place.steps.into_vec();
        steps.push(Step::Length);
        let place = Place { root: inner.place.root, steps: steps.into(), span: span.clone().into() };
        Ok(Resolved { place, ty: &LENGTH, hashed: false, name: &self.source[span] })
    }

    fn root(&self, path: &Path<'s>) -> Result<(Root, &'s ParamType, bool), FilterError> {
        let names = || self.schema.params.iter().map(|param| param.name.as_str());
        let position = match pick(path.root, names()) {
            Pick::One(position) => position,
            Pick::None => {
                let built_in = BUILT_INS.iter().find(|(name, ..)| *name == path.root);
                let Some((_, root, ty)) = built_in else {
                    let what = format!("event '{}'", self.schema.name);
                    let known: Vec<_> =
                        usable(names()).chain(BUILT_INS.map(|(name, ..)| name.into())).collect();
                    return Err(
                        self.error(path.root_span.clone(), unknown("parameter", path.root, &what, &known))
                    );
                };
                return Ok((*root, ty, false));
            }
            Pick::Many(positions) => {
                return Err(self.error(path.root_span.clone(), ambiguous(path.root, &positions)));
            }
        };
        let param = &self.schema.params[position];
        Ok((Root::Param(narrow(position)), &param.ty, param.indexed && param.ty.is_dynamic_or_composite()))
    }

    /// The only step into an indexed dynamic value.
    fn hash_step(
        &self,
        above: &str,
        ty: &ParamType,
        step: &PathStep<'s>,
    ) -> Result<(Step, &'s ParamType), FilterError> {
        if matches!(step, PathStep::Member("hash", _)) {
            return Ok((Step::Hash, &HASH));
        }
        let message = format!(
            "'{above}' is an indexed {ty}, so only its hash is on chain; compare '{above}.hash' with 0x and 64 hex digits"
        );
        Err(self.error(step.span(), message))
    }

    fn step(
        &self,
        above: &str,
        ty: &'s ParamType,
        step: &PathStep<'s>,
    ) -> Result<(Step, &'s ParamType), FilterError> {
        match (ty, step) {
            (ParamType::Tuple(fields), PathStep::Member(name, span)) => {
                self.member(above, fields, name, span)
            }
            (ParamType::FixedArray(_, length), PathStep::Element(at, span))
                if *at >= alloy_primitives::U256::from(*length) =>
            {
                let message = format!(
                    "'{above}' is {}, whose elements are 0 to {}",
                    article(ty),
                    length.saturating_sub(1)
                );
                Err(self.error(span.clone(), message))
            }
            (ParamType::Array(inner) | ParamType::FixedArray(inner, _), PathStep::Element(at, span)) => {
                let at = u32::try_from(*at).map_err(|_| self.error(span.clone(), "no array is that long"))?;
                Ok((Step::Element(at), inner))
            }
            (ParamType::Array(_) | ParamType::FixedArray(..), PathStep::Member(_, span)) => {
                let message =
                    format!("'{above}' is {}; choose an element first, as in '{above}[0]'", article(ty));
                Err(self.error(span.clone(), message))
            }
            (ParamType::Tuple(_), PathStep::Element(_, span)) => {
                let message =
                    format!("'{above}' is a struct; choose a member by its name or as '{above}.$0'");
                Err(self.error(span.clone(), message))
            }
            (_, step) => {
                Err(self.error(step.span(), format!("'{above}' is {} and has no parts", article(ty))))
            }
        }
    }

    fn member(
        &self,
        above: &str,
        fields: &'s [Field],
        name: &str,
        span: &Range<usize>,
    ) -> Result<(Step, &'s ParamType), FilterError> {
        let names = || fields.iter().map(|field| field.name.as_str());
        match pick(name, names()) {
            Pick::One(position) => Ok((Step::Member(narrow(position)), &fields[position].ty)),
            Pick::None => {
                let known: Vec<_> = usable(names()).collect();
                let message = unknown("member", name, &format!("'{above}'"), &known);
                Err(self.error(span.clone(), message))
            }
            Pick::Many(positions) => Err(self.error(span.clone(), ambiguous(name, &positions))),
        }
    }
}

enum Pick {
    None,
    One(usize),
    Many(Vec<usize>),
}

/// Finds a name, or the position that `$3` means.
fn pick<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> Pick {
    let names: Vec<_> = names.collect();
    let positions: Vec<_> = (0..names.len()).filter(|position| names[*position] == wanted).collect();
    match positions[..] {
        [one] => Pick::One(one),
        [] => match wanted.strip_prefix('$').and_then(|digits| digits.parse().ok()) {
            Some(position) if position < names.len() => Pick::One(position),
            _ => Pick::None,
        },
        _ => Pick::Many(positions),
    }
}

/// How each of the names can be written: by position where it is missing or repeated.
fn usable<'n>(names: impl Iterator<Item = &'n str>) -> impl Iterator<Item = Cow<'n, str>> {
    let names: Vec<_> = names.collect();
    (0..names.len()).map(move |position| {
        let name = names[position];
        let unusable = name.is_empty() || names.iter().filter(|other| **other == name).count() > 1;
        if unusable { format!("${position}").into() } else { name.into() }
    })
}

fn unknown(what: &str, given: &str, of: &str, known: &[Cow<'_, str>]) -> String {
    format!("{of} has no {what} '{given}'; {}", mend(given, known, "it has"))
}

fn ambiguous(name: &str, positions: &[usize]) -> String {
    let positions: Vec<_> = positions.iter().map(|position| format!("${position}")).collect();
    let positions = positions.join(" or ");
    format!("the name '{name}' stands for several parameters; write {positions}")
}

fn narrow(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
