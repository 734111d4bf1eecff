//! What the source says of its settings: fields of structs and values of enums with their doc comments, for the pages that
//! are generated from them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use syn::{Attribute, Expr, Fields, Item, ItemEnum, ItemStruct, Lit, Meta, PathArguments, Type};

/// All structs and enums of the crates, by the file that they stand in.
pub(crate) struct Sources {
    structs: Vec<(PathBuf, ItemStruct)>,
    enums: Vec<(PathBuf, Values)>,
}

struct Values {
    name: String,
    values: Vec<String>,
}

/// What is said of a field.
pub(crate) struct Field {
    /// Its doc comment on one line.
    doc: String,
    /// Its type, as the source writes it.
    pub(crate) of: String,
    /// The values that it may have, where these are words.
    values: Vec<String>,
}

impl Field {
    /// The doc comment, and the words it may be.
    pub(crate) fn says(&self) -> String {
        let values: Vec<String> = self.values.iter().map(|it| format!("`{it}`")).collect();
        let values =
            if values.is_empty() { String::new() } else { format!(" One of {}.", values.join(", ")) };
        format!("{}{values}", self.doc).replace('|', "\\|")
    }
}

impl Sources {
    /// Reads the sources of this repository.
    pub(crate) fn read() -> Sources {
        let mut sources = Sources { structs: Vec::new(), enums: Vec::new() };
        sources.read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        sources
    }

    fn read_folder(&mut self, folder: &Path) {
        let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                self.read_folder(&path);
            } else if path.extension().is_some_and(|it| it == "rs") && path.iter().any(|it| it == "src") {
                let file = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
                for item in file.items {
                    match item {
                        Item::Struct(it) => self.structs.push((path.clone(), it)),
                        Item::Enum(it) => self.enums.push((path.clone(), words(&it))),
                        Item::Macro(it) if it.mac.path.is_ident("names") => {
                            self.enums.extend(named(it.mac.tokens).map(|it| (path.clone(), it)));
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// The field that a key of the struct `of` is.
    pub(crate) fn field(&self, of: &str, key: &str) -> Field {
        self.find(of, key).unwrap_or_else(|| panic!("{of} has no field {key} with a doc comment"))
    }

    fn find(&self, of: &str, key: &str) -> Option<Field> {
        let (path, structure) = self.structs.iter().find(|(path, it)| is(path, &it.ident.to_string(), of))?;
        let Fields::Named(fields) = &structure.fields else { return None };
        fields.named.iter().find_map(|field| {
            let name = field.ident.as_ref()?.to_string();
            let mut of = written(&field.ty);
            // A name of a struct's own file wins over one elsewhere.
            let is_beside = self.structs.iter().any(|it| it.0 == *path && it.1.ident == of)
                || self.enums.iter().any(|it| it.0 == *path && it.1.name == of);
            if !of.contains("::") && is_beside {
                of = format!("{}::{of}", path.file_stem()?.to_str()?);
            }
            if has_serde(&field.attrs, "flatten") {
                return self.find(&of, key);
            }
            let doc = doc(&field.attrs);
            (name == key && !doc.is_empty()).then(|| {
                let values = self.enums.iter().find(|(path, it)| is(path, &it.name, &of));
                Field {
                    doc,
                    values: values.map(|it| it.1.values.clone()).unwrap_or_default(),
                    of: of.clone(),
                }
            })
        })
    }
}

/// Whether what is called `name` in a file is what `of` names: the last part of a path, whose part before it is a file or
/// a folder.
fn is(path: &Path, name: &str, of: &str) -> bool {
    let mut parts = of.rsplit("::");
    let at = |part: &str| {
        path.file_stem().is_some_and(|it| it == part) || path.iter().any(|folder| folder == part)
    };
    parts.next() == Some(name) && parts.next().is_none_or(at)
}

/// A type without what is around it: of `Option<Vec<a::B>>` that is `a::B`.
fn written(of: &Type) -> String {
    let Type::Path(of) = of else { return String::new() };
    let last = of.path.segments.last().expect("a path has a name");
    if let PathArguments::AngleBracketed(inner) = &last.arguments
        && let Some(syn::GenericArgument::Type(inner)) = inner.args.first()
    {
        return written(inner);
    }
    of.path.segments.iter().map(|it| it.ident.to_string()).collect::<Vec<_>>().join("::")
}

fn words(of: &ItemEnum) -> Values {
    // What is written as something else has its words elsewhere.
    if of.attrs.iter().any(|it| serde_text(it, "into").is_some()) {
        return Values { name: of.ident.to_string(), values: Vec::new() };
    }
    let rule = of.attrs.iter().find_map(|it| serde_text(it, "rename_all")).unwrap_or_default();
    let word = |name: String| match rule.as_str() {
        "lowercase" => name.to_lowercase(),
        "snake_case" => {
            let mut word = String::new();
            for letter in name.chars() {
                if letter.is_uppercase() && !word.is_empty() {
                    word.push('_');
                }
                word.extend(letter.to_lowercase());
            }
            word
        }
        _ => name,
    };
    let is_plain = |it: &&syn::Variant| matches!(it.fields, Fields::Unit);
    let name = |it: &syn::Variant| {
        it.attrs.iter().find_map(|it| serde_text(it, "rename")).unwrap_or_else(|| word(it.ident.to_string()))
    };
    Values { name: of.ident.to_string(), values: of.variants.iter().filter(is_plain).map(name).collect() }
}

/// The words of `names! { /// doc Name { /// doc Variant = "word", } }`.
fn named(tokens: TokenStream) -> Option<Values> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let [.., TokenTree::Ident(name), TokenTree::Group(group)] = tokens.as_slice() else { return None };
    let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
    let word = |it: &[TokenTree]| match it {
        [TokenTree::Ident(_), TokenTree::Punct(equals), TokenTree::Literal(word)]
            if equals.as_char() == '=' =>
        {
            Some(word.to_string().trim_matches('"').to_owned())
        }
        _ => None,
    };
    Some(Values { name: name.to_string(), values: tokens.windows(3).filter_map(word).collect() })
}

fn doc(attributes: &[Attribute]) -> String {
    let line = |it: &Attribute| match &it.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(text) => match &text.lit {
                Lit::Str(text) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    let lines: Vec<String> = attributes.iter().filter_map(line).collect();
    lines.join(" ").replace("[`", "`").replace("`]", "`")
}

fn has_serde(attributes: &[Attribute], word: &str) -> bool {
    let mut found = false;
    for it in attributes.iter().filter(|it| it.path().is_ident("serde")) {
        let visited = it.parse_nested_meta(|meta| {
            found |= meta.path.is_ident(word);
            if let Ok(value) = meta.value() {
                value.parse::<Expr>()?;
            }
            Ok(())
        });
        visited.expect("serde takes it");
    }
    found
}

fn serde_text(attribute: &Attribute, word: &str) -> Option<String> {
    let mut found = None;
    if attribute.path().is_ident("serde") {
        let visited = attribute.parse_nested_meta(|meta| {
            if let Ok(value) = meta.value() {
                let value: Expr = value.parse()?;
                if let (true, Expr::Lit(text)) = (meta.path.is_ident(word), value)
                    && let Lit::Str(text) = text.lit
                {
                    found = Some(text.value());
                }
            }
            Ok(())
        });
        visited.expect("serde takes it");
    }
    found
}
