//! A tree against an event's schema: names become positions, types must fit. Everything that can go wrong with a
//! filter goes wrong here, with its place in the text.

use crate::schema::{EventSchema, ParamType};

use super::{
    error::FilterError,
    literal::{self, article},
    names::{Resolved, Scope},
    parser::{Expr, ExprKind, Literal},
    program::{Clause, Node, Op, Operand, Test},
};

pub(super) fn check(
    source: &str,
    expression: &Expr<'_>,
    schema: &EventSchema,
    held: bool,
) -> Result<Node, FilterError> {
    let checker = Checker { source, scope: Scope::new(source, schema), held };
    checker.condition(expression)
}

struct Checker<'s> {
    source: &'s str,
    scope: Scope<'s>,
    held: bool,
}

/// One side of a comparison.
enum Side<'e, 's> {
    Place(Resolved<'s>),
    Literal(&'e Literal<'s>),
}

impl<'s> Checker<'s> {
    fn error(&self, expression: &Expr<'_>, message: impl Into<String>) -> FilterError {
        FilterError::new(self.source, expression.span.clone(), message)
    }

    fn condition(&self, expression: &Expr<'s>) -> Result<Node, FilterError> {
        match &expression.kind {
            ExprKind::Any(parts) => {
                Ok(Node::Any(parts.iter().map(|part| self.condition(part)).collect::<Result<_, _>>()?))
            }
            ExprKind::All(parts) => {
                let clause = |part: &Expr<'s>| {
                    Ok(Clause { node: self.condition(part)?, span: part.span.clone().into() })
                };
                Ok(Node::All(parts.iter().map(clause).collect::<Result<_, _>>()?))
            }
            ExprKind::Not(inner) => Ok(Node::Not(Box::new(self.condition(inner)?))),
            ExprKind::Compare(left, op, right) => self.comparison(expression, left, *op, right),
            ExprKind::In { value, list, negated } => self.membership(value, list, *negated),
            ExprKind::Literal(Literal::Bool(verdict)) => Ok(Node::Constant(*verdict)),
            ExprKind::Literal(_) => {
                Err(self.error(expression, "this is a value and no condition; compare a parameter with it"))
            }
            ExprKind::Path(_) | ExprKind::Length(_) => self.flag(expression),
        }
    }

    /// A bare parameter, which must be a bool.
    fn flag(&self, expression: &Expr<'s>) -> Result<Node, FilterError> {
        let resolved = self.place(expression)?;
        if *resolved.ty != ParamType::Bool {
            let message = format!(
                "'{}' is {} and no condition; compare it with a value",
                resolved.name,
                article(resolved.ty)
            );
            return Err(self.error(expression, message));
        }
        let operand = Operand::Value(crate::value::Value::Bool(true));
        Ok(test(resolved, Op::Eq, operand))
    }

    fn place(&self, expression: &Expr<'s>) -> Result<Resolved<'s>, FilterError> {
        match &expression.kind {
            ExprKind::Path(path) => self.scope.resolve(path),
            ExprKind::Length(path) => self.scope.resolve_length(path, expression.span.clone()),
            _ => Err(self.error(expression, "a parameter's name must stand here")),
        }
    }

    fn side<'e>(&self, expression: &'e Expr<'s>) -> Result<Side<'e, 's>, FilterError> {
        match &expression.kind {
            ExprKind::Literal(literal) => Ok(Side::Literal(literal)),
            ExprKind::Path(_) | ExprKind::Length(_) => self.place(expression).map(Side::Place),
            _ => {
                let message = "a condition cannot be compared; join conditions with 'and', 'or' and 'not'";
                Err(self.error(expression, message))
            }
        }
    }

    fn comparison(
        &self,
        whole: &Expr<'s>,
        left: &Expr<'s>,
        op: Op,
        right: &Expr<'s>,
    ) -> Result<Node, FilterError> {
        match (self.side(left)?, self.side(right)?) {
            (Side::Place(place), Side::Literal(value)) => self.with_literal(whole, place, op, value, right),
            (Side::Literal(value), Side::Place(place)) => {
                self.with_literal(whole, place, op.mirrored(), value, left)
            }
            (Side::Place(one), Side::Place(two)) => self.places(whole, one, op, two),
            (Side::Literal(_), Side::Literal(_)) => {
                Err(self.error(whole, "two literals are compared; one side must be a parameter"))
            }
        }
    }

    fn with_literal(
        &self,
        whole: &Expr<'s>,
        place: Resolved<'s>,
        op: Op,
        value: &Literal<'s>,
        at: &Expr<'s>,
    ) -> Result<Node, FilterError> {
        self.check_order(whole, &place, op)?;
        let value = literal::typed(&place, value, self.held).map_err(|message| self.error(at, message))?;
        Ok(test(place, op, Operand::Value(value)))
    }

    fn check_order(&self, whole: &Expr<'s>, place: &Resolved<'s>, op: Op) -> Result<(), FilterError> {
        let name = &place.name;
        if !op.orders() {
            return Ok(());
        }
        if place.hashed {
            let message = format!(
                "'{name}' is indexed, so only its hash is on chain and '{}' says nothing about it; use '==' or '!='",
                op.as_str()
            );
            return Err(self.error(whole, message));
        }
        if !matches!(place.ty, ParamType::Uint(_) | ParamType::Int(_)) {
            let message = format!(
                "'{}' compares integers only, and '{name}' is {}; use '==' or '!='",
                op.as_str(),
                article(place.ty)
            );
            return Err(self.error(whole, message));
        }
        Ok(())
    }

    fn places(
        &self,
        whole: &Expr<'s>,
        one: Resolved<'s>,
        op: Op,
        two: Resolved<'s>,
    ) -> Result<Node, FilterError> {
        self.check_order(whole, &one, op)?;
        self.check_order(whole, &two, op)?;
        let integer = |place: &Resolved<'_>| matches!(place.ty, ParamType::Uint(_) | ParamType::Int(_));
        let composite = !one.hashed && literal::is_composite(one.ty);
        let same = one.hashed == two.hashed && one.ty.to_string() == two.ty.to_string() && !composite;
        let comparable = same || (integer(&one) && integer(&two));
        if !comparable {
            let kind = |place: &Resolved<'_>| {
                let hash = if place.hashed { "the hash of " } else { "" };
                format!("'{}' is {hash}{}", place.name, article(place.ty))
            };
            let mend = if composite { "compare their members" } else { "compare parameters of one type" };
            return Err(self.error(whole, format!("{} and {}; {mend}", kind(&one), kind(&two))));
        }
        Ok(test(one, op, Operand::Place(two.place)))
    }

    fn membership(&self, value: &Expr<'s>, list: &[Expr<'s>], negated: bool) -> Result<Node, FilterError> {
        let place = match self.side(value)? {
            Side::Place(place) => place,
            Side::Literal(_) => {
                return Err(self.error(value, "a parameter must stand before 'in', not a literal"));
            }
        };
        let mut values = std::collections::HashSet::with_capacity(list.len());
        for item in list {
            let ExprKind::Literal(literal) = &item.kind else {
                let message = "a list holds literals only; compare two parameters with '=='";
                return Err(self.error(item, message));
            };
            let value = literal::typed(&place, literal, self.held);
            values.insert(value.map_err(|message| self.error(item, message))?);
        }
        let op = if negated { Op::Ne } else { Op::Eq };
        Ok(test(place, op, Operand::Set(values)))
    }
}

fn test(resolved: Resolved<'_>, op: Op, operand: Operand) -> Node {
    Node::Test(Box::new(Test { place: resolved.place, op, operand }))
}
