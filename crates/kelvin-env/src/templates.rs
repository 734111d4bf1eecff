//! The templates of prompts: text that is taken as it stands, where a name without a value is a mistake of ours.

use minijinja::{AutoEscape, Environment, UndefinedBehavior, syntax::SyntaxConfig};

/// An environment with these templates, by name and source.
///
/// # Panics
/// If a source does not parse.
pub(crate) fn environment(sources: &'static [(&'static str, &'static str)]) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()
            .expect("the standard delimiters"),
    );
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    for (name, source) in sources {
        environment.add_template(name, source).expect("tests parse every template");
    }
    environment
}
