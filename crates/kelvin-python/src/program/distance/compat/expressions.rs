//! Expressions as the nodes of Python's `ast`, and a node while its fields are filled in.

use std::fmt::Debug;

use ruff_python_ast::{
    Comprehension, ConversionFlag, Expr, ExprFString, ExprNumberLiteral, FStringPart, InterpolatedElement,
    InterpolatedStringElement, Keyword, Number, Parameter, ParameterWithDefault, Parameters,
};

use super::json::Json;
use crate::value::value_of;

/// A node that is not finished. The methods that give `None` do so where the original raises an exception.
pub(super) struct Draft<'a> {
    pub(super) source: &'a str,
    kind: &'static str,
    fields: Vec<(&'static str, Json)>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(source: &'a str, kind: &'static str) -> Draft<'a> {
        Draft { source, kind, fields: Vec::new() }
    }

    pub(super) fn named(mut self, kind: &'static str) -> Draft<'a> {
        self.kind = kind;
        self
    }

    pub(super) fn finish(mut self) -> Option<Json> {
        self.text("node_type", self.kind);
        Json::object(self.fields)
    }

    pub(super) fn field(&mut self, field: &'static str, value: Json) {
        self.fields.push((field, value));
    }

    pub(super) fn text(&mut self, field: &'static str, text: &str) {
        self.field(field, Json::string(text));
    }

    pub(super) fn optional_text(&mut self, field: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(field, text);
        }
    }

    pub(super) fn number(&mut self, field: &'static str, number: u32) {
        self.field(field, Json::number(number.to_string()));
    }

    pub(super) fn list(&mut self, field: &'static str, items: Vec<Json>) -> Option<()> {
        self.field(field, Json::list(items)?);
        Some(())
    }

    pub(super) fn child(&mut self, field: &'static str, expr: &Expr) -> Option<()> {
        self.field(field, expression(self.source, expr)?);
        Some(())
    }

    pub(super) fn optional(&mut self, field: &'static str, expr: Option<&Expr>) -> Option<()> {
        match expr {
            Some(expr) => self.child(field, expr),
            None => Some(()),
        }
    }

    pub(super) fn children<'e>(
        &mut self,
        field: &'static str,
        exprs: impl IntoIterator<Item = &'e Expr>,
    ) -> Option<()> {
        let items = exprs.into_iter().map(|expr| expression(self.source, expr)).collect::<Option<_>>()?;
        self.list(field, items)
    }

    /// Operators are nodes without fields, under the names that the parser's own enums have.
    pub(super) fn operator(&mut self, field: &'static str, op: &impl Debug) -> Option<()> {
        self.field(field, operator(op)?);
        Some(())
    }

    pub(super) fn keywords(&mut self, keywords: &[Keyword]) -> Option<()> {
        let keyword = |keyword: &Keyword| {
            let mut node = Draft::new(self.source, "keyword");
            node.optional_text("arg", keyword.arg.as_deref());
            node.child("value", &keyword.value)?;
            node.finish()
        };
        let items = keywords.iter().map(keyword).collect::<Option<_>>()?;
        self.list("keywords", items)
    }

    /// The field `args` of a function; a `lambda` without any has an empty one.
    pub(super) fn parameters(&mut self, parameters: Option<&Parameters>) -> Option<()> {
        let none = Parameters::default();
        let it = parameters.unwrap_or(&none);
        let plain = |it: &[ParameterWithDefault]| {
            it.iter().map(|it| argument(self.source, &it.parameter)).collect::<Option<_>>()
        };
        let mut node = Draft::new(self.source, "arguments");
        node.list("posonlyargs", plain(&it.posonlyargs)?)?;
        node.list("args", plain(&it.args)?)?;
        node.list("kwonlyargs", plain(&it.kwonlyargs)?)?;
        for (field, rest) in [("vararg", &it.vararg), ("kwarg", &it.kwarg)] {
            if let Some(rest) = rest {
                node.field(field, argument(self.source, rest)?);
            }
        }
        let of_positional = it.posonlyargs.iter().chain(&it.args).filter_map(|it| it.default.as_deref());
        node.children("defaults", of_positional)?;
        node.children("kw_defaults", it.kwonlyargs.iter().filter_map(|it| it.default.as_deref()))?;
        self.field("args", node.finish()?);
        Some(())
    }

    fn generators(&mut self, generators: &[Comprehension]) -> Option<()> {
        let generator = |it: &Comprehension| {
            let mut node = Draft::new(self.source, "comprehension");
            node.child("target", &it.target)?;
            node.child("iter", &it.iter)?;
            node.children("ifs", &it.ifs)?;
            node.number("is_async", u32::from(it.is_async));
            node.finish()
        };
        let items = generators.iter().map(generator).collect::<Option<_>>()?;
        self.list("generators", items)
    }
}

fn operator(op: &impl Debug) -> Option<Json> {
    Json::object(vec![("node_type", Json::string(&format!("{op:?}")))])
}

fn argument(source: &str, parameter: &Parameter) -> Option<Json> {
    let mut node = Draft::new(source, "arg");
    node.text("arg", &parameter.name);
    node.optional("annotation", parameter.annotation.as_deref())?;
    node.finish()
}

/// Trees are as deep as hostile text makes them, so that the functions on the way down keep few variables each.
fn expression(source: &str, expr: &Expr) -> Option<Json> {
    let mut node = Draft::new(source, "");
    let kind = match expr {
        _ if expr.is_literal_expr() => constant(&mut node, expr)?,
        Expr::FString(string) => {
            node.list("values", joined(source, string)?)?;
            "JoinedStr"
        }
        Expr::BoolOp(_) | Expr::BinOp(_) | Expr::UnaryOp(_) | Expr::Compare(_) | Expr::If(_) => {
            operation(&mut node, expr)?
        }
        Expr::ListComp(_) | Expr::SetComp(_) | Expr::DictComp(_) | Expr::Generator(_) => {
            comprehension(&mut node, expr)?
        }
        Expr::Dict(_) | Expr::Set(_) | Expr::List(_) | Expr::Tuple(_) | Expr::Slice(_) => {
            collection(&mut node, expr)?
        }
        _ => reference(&mut node, expr)?,
    };
    node.named(kind).finish()
}

fn operation(node: &mut Draft<'_>, expr: &Expr) -> Option<&'static str> {
    let kind = match expr {
        Expr::BoolOp(it) => {
            node.operator("op", &it.op)?;
            node.children("values", &it.values)?;
            "BoolOp"
        }
        Expr::BinOp(it) => {
            node.child("left", &it.left)?;
            node.operator("op", &it.op)?;
            node.child("right", &it.right)?;
            "BinOp"
        }
        Expr::UnaryOp(it) => {
            node.operator("op", &it.op)?;
            node.child("operand", &it.operand)?;
            "UnaryOp"
        }
        Expr::Compare(it) => {
            node.child("left", &it.left)?;
            node.list("ops", it.ops.iter().map(operator).collect::<Option<_>>()?)?;
            node.children("comparators", &it.comparators)?;
            "Compare"
        }
        Expr::If(it) => {
            node.child("test", &it.test)?;
            node.child("body", &it.body)?;
            node.child("orelse", &it.orelse)?;
            "IfExp"
        }
        _ => unreachable!("the caller sends no others"),
    };
    Some(kind)
}

fn comprehension(node: &mut Draft<'_>, expr: &Expr) -> Option<&'static str> {
    let (kind, elt, generators) = match expr {
        Expr::ListComp(it) => ("ListComp", &it.elt, &it.generators),
        Expr::SetComp(it) => ("SetComp", &it.elt, &it.generators),
        Expr::Generator(it) => ("GeneratorExp", &it.elt, &it.generators),
        Expr::DictComp(it) => {
            node.optional("key", it.key.as_deref())?;
            node.child("value", &it.value)?;
            node.generators(&it.generators)?;
            return Some("DictComp");
        }
        _ => unreachable!("the caller sends no others"),
    };
    node.child("elt", elt)?;
    node.generators(generators)?;
    Some(kind)
}

fn collection(node: &mut Draft<'_>, expr: &Expr) -> Option<&'static str> {
    let kind = match expr {
        Expr::Dict(it) => {
            // `**a` has no key in the list of keys.
            node.children("keys", it.items.iter().filter_map(|item| item.key.as_ref()))?;
            node.children("values", it.items.iter().map(|item| &item.value))?;
            "Dict"
        }
        Expr::Set(it) => {
            node.children("elts", &it.elts)?;
            "Set"
        }
        Expr::List(it) => {
            node.children("elts", &it.elts)?;
            "List"
        }
        Expr::Tuple(it) => {
            node.children("elts", &it.elts)?;
            "Tuple"
        }
        Expr::Slice(it) => {
            node.optional("lower", it.lower.as_deref())?;
            node.optional("upper", it.upper.as_deref())?;
            node.optional("step", it.step.as_deref())?;
            "Slice"
        }
        _ => unreachable!("the caller sends no others"),
    };
    Some(kind)
}

fn reference(node: &mut Draft<'_>, expr: &Expr) -> Option<&'static str> {
    let (kind, value) = match expr {
        Expr::Name(it) => {
            node.text("id", &it.id);
            return Some("Name");
        }
        Expr::Lambda(it) => {
            node.parameters(it.parameters.as_deref())?;
            node.child("body", &it.body)?;
            return Some("Lambda");
        }
        Expr::Call(it) => {
            node.child("func", &it.func)?;
            node.children("args", &it.arguments.args)?;
            node.keywords(&it.arguments.keywords)?;
            return Some("Call");
        }
        Expr::Yield(it) => {
            node.optional("value", it.value.as_deref())?;
            return Some("Yield");
        }
        Expr::Attribute(it) => {
            node.text("attr", &it.attr);
            ("Attribute", &it.value)
        }
        Expr::Subscript(it) => {
            node.child("slice", &it.slice)?;
            ("Subscript", &it.value)
        }
        Expr::Named(it) => {
            node.child("target", &it.target)?;
            ("NamedExpr", &it.value)
        }
        Expr::Starred(it) => ("Starred", &it.value),
        Expr::Await(it) => ("Await", &it.value),
        Expr::YieldFrom(it) => ("YieldFrom", &it.value),
        _ => unreachable!("the caller sends no others, and Python 3.11 has none"),
    };
    node.child("value", value)?;
    Some(kind)
}

/// JSON has neither bytes nor complex numbers nor `...`.
fn constant(node: &mut Draft<'_>, expr: &Expr) -> Option<&'static str> {
    match expr {
        Expr::NoneLiteral(_) => {}
        Expr::BooleanLiteral(it) => node.field("value", Json::bool(it.value)),
        Expr::StringLiteral(it) => node.text("value", it.value.to_str()),
        Expr::NumberLiteral(it) => node.field("value", number(node.source, expr, it)?),
        Expr::BytesLiteral(_) | Expr::EllipsisLiteral(_) => return None,
        _ => unreachable!("the caller sends literals only"),
    }
    Some("Constant")
}

fn number(source: &str, expr: &Expr, literal: &ExprNumberLiteral) -> Option<Json> {
    match literal.value {
        Number::Float(float) if float.is_infinite() => Some(Json::number("Infinity".to_owned())),
        Number::Int(_) | Number::Float(_) => Some(Json::number(value_of(source, expr).ok()?.canonical())),
        Number::Complex { .. } => None,
    }
}

/// The parts of a string with at least one `f`: Python merges the text between two expressions into one constant,
/// whichever literals it comes from.
fn joined(source: &str, string: &ExprFString) -> Option<Vec<Json>> {
    let mut parts = Parts::new(source);
    for part in &string.value {
        match part {
            FStringPart::Literal(literal) => parts.text.push_str(&literal.value),
            FStringPart::FString(string) => parts.extend(&string.elements)?,
        }
    }
    parts.finish()
}

struct Parts<'a> {
    source: &'a str,
    values: Vec<Json>,
    /// Text since the last expression.
    text: String,
}

impl<'a> Parts<'a> {
    fn new(source: &'a str) -> Parts<'a> {
        Parts { source, values: Vec::new(), text: String::new() }
    }

    fn extend(&mut self, elements: &[InterpolatedStringElement]) -> Option<()> {
        for element in elements {
            match element {
                InterpolatedStringElement::Literal(literal) => self.text.push_str(&literal.value),
                InterpolatedStringElement::Interpolation(element) => {
                    if let Some(shown) = &element.debug_text {
                        self.text.push_str(shown.as_str());
                    }
                    self.end_text()?;
                    self.values.push(formatted_value(self.source, element)?);
                }
            }
        }
        Some(())
    }

    fn end_text(&mut self) -> Option<()> {
        if !self.text.is_empty() {
            let mut node = Draft::new(self.source, "Constant");
            node.text("value", &std::mem::take(&mut self.text));
            self.values.push(node.finish()?);
        }
        Some(())
    }

    fn finish(mut self) -> Option<Vec<Json>> {
        self.end_text()?;
        Some(self.values)
    }
}

fn formatted_value(source: &str, element: &InterpolatedElement) -> Option<Json> {
    let mut node = Draft::new(source, "FormattedValue");
    node.child("value", &element.expression)?;
    let conversion = match element.conversion {
        // `{x=}` shows the `repr` where nothing else is asked for.
        ConversionFlag::None if element.debug_text.is_some() && element.format_spec.is_none() => {
            ConversionFlag::Repr
        }
        conversion => conversion,
    };
    node.field("conversion", Json::number((conversion as i8).to_string()));
    if let Some(spec) = &element.format_spec {
        let mut parts = Parts::new(source);
        parts.extend(&spec.elements)?;
        let mut joined = Draft::new(source, "JoinedStr");
        joined.list("values", parts.finish()?)?;
        node.field("format_spec", joined.finish()?);
    }
    node.finish()
}
