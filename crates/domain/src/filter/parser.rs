//! Tokens into a tree. Owns the grammar and its limits; must not know types.
//!
//! ```text
//! or    = and { "or" and }            and  = unary { "and" unary }
//! unary = "not" unary | comparison    comparison = value [ op value | ["not"] "in" list ]
//! value = literal | path | "len" "(" path ")" | "(" or ")"
//! path  = name { "." name | "[" number "]" }
//! ```

use std::ops::Range;

use alloy_primitives::U256;

use super::{
    MAX_DEPTH, MAX_LIST_VALUES, MAX_SOURCE_BYTES, MAX_TOTAL_BYTES,
    error::FilterError,
    lexer::{self, Spanned, Token, shorten},
    program::Op,
};

#[derive(Debug, Clone)]
pub(super) struct Expr<'s> {
    pub(super) kind: ExprKind<'s>,
    pub(super) span: Range<usize>,
}

#[derive(Debug, Clone)]
pub(super) enum ExprKind<'s> {
    Any(Vec<Expr<'s>>),
    All(Vec<Expr<'s>>),
    Not(Box<Expr<'s>>),
    Compare(Box<Expr<'s>>, Op, Box<Expr<'s>>),
    In { value: Box<Expr<'s>>, list: Vec<Expr<'s>>, negated: bool },
    Literal(Literal<'s>),
    Path(Path<'s>),
    Length(Path<'s>),
}

#[derive(Debug, Clone)]
pub(super) enum Literal<'s> {
    Integer {
        negative: bool,
        size: U256,
    },
    /// Digits after `0x`: an address, bytes or an integer, by what it is compared with.
    Hex(&'s str),
    Text(String),
    Bool(bool),
}

#[derive(Debug, Clone)]
pub(super) struct Path<'s> {
    pub(super) root: &'s str,
    pub(super) root_span: Range<usize>,
    pub(super) steps: Vec<PathStep<'s>>,
    pub(super) span: Range<usize>,
}

#[derive(Debug, Clone)]
pub(super) enum PathStep<'s> {
    Member(&'s str, Range<usize>),
    Element(U256, Range<usize>),
}

impl PathStep<'_> {
    pub(super) fn span(&self) -> Range<usize> {
        match self {
            Self::Member(_, span) | Self::Element(_, span) => span.clone(),
        }
    }
}

pub(super) fn parse(source: &str) -> Result<Expr<'_>, FilterError> {
    if source.len() > MAX_TOTAL_BYTES {
        return Err(too_long(source));
    }
    let mut parser = Parser { source, tokens: lexer::tokens(source)?, at: 0, depth: 0, in_lists: 0 };
    if parser.peek() == &Token::End {
        return Err(parser.error("the expression is empty; leave 'where' out to match every event"));
    }
    let expression = parser.any()?;
    match parser.peek() {
        Token::End if source.len() - parser.in_lists > MAX_SOURCE_BYTES => Err(too_long(source)),
        Token::End => Ok(expression),
        _ => Err(parser.unexpected_after_value()),
    }
}

fn too_long(source: &str) -> FilterError {
    let message = format!(
        "the expression is too long; at most {MAX_SOURCE_BYTES} bytes, lists not counted, and \
         {MAX_TOTAL_BYTES} in all"
    );
    FilterError::new(source, 0..1, message)
}

struct Parser<'s> {
    source: &'s str,
    tokens: Vec<Spanned<'s>>,
    at: usize,
    depth: usize,
    in_lists: usize,
}

impl<'s> Parser<'s> {
    fn peek(&self) -> &Token<'s> {
        &self.tokens[self.at].token
    }

    fn span(&self) -> Range<usize> {
        self.tokens[self.at].span.clone()
    }

    /// The end of the token before this one.
    fn end(&self) -> usize {
        self.tokens[self.at.saturating_sub(1)].span.end
    }

    // The last token is `End`, which is never passed.
    fn advance(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    fn take(&mut self, wanted: &Token<'_>) -> bool {
        let found = self.peek() == wanted;
        if found {
            self.advance();
        }
        found
    }

    fn error(&self, message: impl Into<String>) -> FilterError {
        FilterError::new(self.source, self.span(), message)
    }

    fn shown(&self) -> String {
        match self.peek() {
            Token::End => "the end".to_owned(),
            _ => format!("'{}'", shorten(&self.source[self.span()])),
        }
    }

    fn nested<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, FilterError>,
    ) -> Result<T, FilterError> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(format!("parentheses and 'not' nest deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn any(&mut self) -> Result<Expr<'s>, FilterError> {
        self.joined("or", Self::all, ExprKind::Any)
    }

    fn all(&mut self) -> Result<Expr<'s>, FilterError> {
        self.joined("and", Self::unary, ExprKind::All)
    }

    fn joined(
        &mut self,
        word: &'static str,
        part: impl Fn(&mut Self) -> Result<Expr<'s>, FilterError>,
        join: impl Fn(Vec<Expr<'s>>) -> ExprKind<'s>,
    ) -> Result<Expr<'s>, FilterError> {
        let start = self.span().start;
        let first = part(self)?;
        let mut parts = vec![first];
        while self.take(&Token::Name(word)) {
            parts.push(part(self)?);
        }
        match parts.pop() {
            Some(only) if parts.is_empty() => Ok(only),
            last => {
                parts.extend(last);
                Ok(Expr { kind: join(parts), span: start..self.end() })
            }
        }
    }

    fn unary(&mut self) -> Result<Expr<'s>, FilterError> {
        let start = self.span().start;
        if !self.take(&Token::Name("not")) {
            return self.comparison();
        }
        let inner = self.nested(Self::unary)?;
        Ok(Expr { kind: ExprKind::Not(Box::new(inner)), span: start..self.end() })
    }

    fn comparison(&mut self) -> Result<Expr<'s>, FilterError> {
        let start = self.span().start;
        let left = self.value()?;
        let kind = if let &Token::Op(op) = self.peek() {
            self.advance();
            let right = self.value()?;
            if let Token::Op(_) = self.peek() {
                let message = "comparisons do not chain; write 'a < b and b < c'";
                return Err(self.error(message));
            }
            ExprKind::Compare(Box::new(left), op, Box::new(right))
        } else if self.take(&Token::Name("in")) {
            ExprKind::In { value: Box::new(left), list: self.list()?, negated: false }
        } else if self.peek() == &Token::Name("not") {
            self.advance();
            if !self.take(&Token::Name("in")) {
                return Err(self.error("'in' must follow 'not' here; to join two conditions write 'and not'"));
            }
            ExprKind::In { value: Box::new(left), list: self.list()?, negated: true }
        } else {
            return Ok(left);
        };
        Ok(Expr { kind, span: start..self.end() })
    }

    fn list(&mut self) -> Result<Vec<Expr<'s>>, FilterError> {
        let start = self.span().start;
        if !self.take(&Token::Mark('[')) {
            return Err(self.error(format!("a list in brackets must follow 'in', not {}", self.shown())));
        }
        let mut values = Vec::new();
        while self.peek() != &Token::Mark(']') {
            if values.len() == MAX_LIST_VALUES {
                return Err(self.error(format!("the list is too long; at most {MAX_LIST_VALUES} values")));
            }
            values.push(self.value()?);
            if !self.take(&Token::Mark(',')) && self.peek() != &Token::Mark(']') {
                return Err(
                    self.error(format!("',' or ']' must follow a value of a list, not {}", self.shown()))
                );
            }
        }
        self.advance();
        if values.is_empty() {
            let span = start..self.end();
            return Err(FilterError::new(
                self.source,
                span,
                "the list is empty, so nothing is in it; name a value",
            ));
        }
        self.in_lists += self.end() - start;
        Ok(values)
    }

    fn value(&mut self) -> Result<Expr<'s>, FilterError> {
        let span = self.span();
        let literal = match self.peek().clone() {
            Token::Mark('(') => return self.parenthesized(),
            Token::Name("len") if self.tokens[self.at + 1].token == Token::Mark('(') => return self.length(),
            Token::Name("true") => Literal::Bool(true),
            Token::Name("false") => Literal::Bool(false),
            Token::Name(word @ ("and" | "or" | "in" | "not")) => {
                return Err(self.error(format!("a value must stand here, not '{word}'")));
            }
            Token::Name(root) => return self.path(root),
            Token::Number(size) => Literal::Integer { negative: false, size },
            Token::Hex(digits) => Literal::Hex(digits),
            Token::Text(text) => Literal::Text(text),
            Token::Mark('-') => return self.negative(),
            Token::Mark('[') => return Err(self.error("a list can only stand behind 'in'")),
            Token::Op(_) | Token::Mark(_) | Token::End => {
                return Err(self.error(format!("a value must stand here, not {}", self.shown())));
            }
        };
        self.advance();
        Ok(Expr { kind: ExprKind::Literal(literal), span })
    }

    fn parenthesized(&mut self) -> Result<Expr<'s>, FilterError> {
        let open = self.span();
        let inner = self.nested(|parser| {
            parser.advance();
            parser.any()
        })?;
        if self.take(&Token::Mark(')')) {
            return Ok(Expr { kind: inner.kind, span: open.start..self.end() });
        }
        Err(match self.peek() {
            Token::End => FilterError::new(self.source, open, "this '(' is not closed; end it with ')'"),
            _ => self.unexpected_after_value(),
        })
    }

    fn negative(&mut self) -> Result<Expr<'s>, FilterError> {
        let start = self.span().start;
        self.advance();
        let &Token::Number(size) = self.peek() else {
            return Err(self.error("a number must follow '-'; there is no arithmetic"));
        };
        self.advance();
        let negative = !size.is_zero();
        Ok(Expr { kind: ExprKind::Literal(Literal::Integer { negative, size }), span: start..self.end() })
    }

    fn length(&mut self) -> Result<Expr<'s>, FilterError> {
        let start = self.span().start;
        self.advance();
        self.advance();
        let Token::Name(root) = self.peek().clone() else {
            return Err(self.error(format!("'len' takes a parameter's name, not {}", self.shown())));
        };
        let ExprKind::Path(path) = self.path(root)?.kind else {
            return Err(self.error("'len' takes a parameter's name"));
        };
        if !self.take(&Token::Mark(')')) {
            return Err(self.error(format!("')' must close 'len(', not {}", self.shown())));
        }
        Ok(Expr { kind: ExprKind::Length(path), span: start..self.end() })
    }

    fn path(&mut self, root: &'s str) -> Result<Expr<'s>, FilterError> {
        let root_span = self.span();
        self.advance();
        let mut steps = Vec::new();
        loop {
            if steps.len() > MAX_DEPTH {
                return Err(self.error(format!("the path is longer than {MAX_DEPTH} steps")));
            }
            if self.take(&Token::Mark('.')) {
                steps.push(self.member()?);
            } else if self.take(&Token::Mark('[')) {
                steps.push(self.element()?);
            } else {
                break;
            }
        }
        let span = root_span.start..self.end();
        let path = Path { root, root_span, steps, span: span.clone() };
        Ok(Expr { kind: ExprKind::Path(path), span })
    }

    fn member(&mut self) -> Result<PathStep<'s>, FilterError> {
        let span = self.span();
        match self.peek().clone() {
            Token::Name(name) => {
                self.advance();
                Ok(PathStep::Member(name, span))
            }
            Token::Number(_) => Err(self.error(format!(
                "a member without a name is written '${}'",
                &self.source[span].split('.').next().unwrap_or("0")
            ))),
            _ => Err(self.error(format!("a member's name must follow '.', not {}", self.shown()))),
        }
    }

    fn element(&mut self) -> Result<PathStep<'s>, FilterError> {
        let start = self.span().start;
        let &Token::Number(position) = self.peek() else {
            return Err(self.error("a position such as 0 must stand between '[' and ']'"));
        };
        self.advance();
        if !self.take(&Token::Mark(']')) {
            return Err(self.error(format!("']' must follow the position, not {}", self.shown())));
        }
        Ok(PathStep::Element(position, start..self.end() - 1))
    }

    fn unexpected_after_value(&self) -> FilterError {
        let shown = self.shown();
        self.error(match self.peek() {
            Token::Mark(')') => "this ')' closes nothing; remove it or open it with '('".to_owned(),
            Token::Mark('-') => "there is no arithmetic; write the result of the calculation".to_owned(),
            Token::Name(word) if ["and", "or", "not", "in"].contains(&word.to_lowercase().as_str()) => {
                format!("write {shown} in small letters")
            }
            _ => format!("'and', 'or', a comparison or the end must stand here, not {shown}"),
        })
    }
}
