//! The page: a template with the embedded style, charting library, script and data. A run's text enters it as JSON in
//! which nothing can end an element.

use serde_json::Value;

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const STYLES: &str = concat!(include_str!("../../vendor/uplot/uPlot.min.css"), include_str!("page/page.css"));
const LIBRARY: &str = include_str!("../../vendor/uplot/uPlot.iife.min.js");
const LICENCE: &str = include_str!("../../vendor/uplot/LICENSE");
const SCRIPT: &str = concat!(
    include_str!("page/core.js"),
    include_str!("page/charts.js"),
    include_str!("page/sections.js"),
    include_str!("page/tables.js"),
    include_str!("page/gallery.js"),
    include_str!("page/main.js"),
);

/// The page with its title and data.
pub(super) fn page(title: &str, data: &Value) -> String {
    let (title, data) = (escaped(title), embedded(data));
    let part = |name: &str| match name {
        "title" => title.as_str(),
        "styles" => STYLES,
        "licence" => LICENCE,
        "library" => LIBRARY,
        "script" => SCRIPT,
        "data" => data.as_str(),
        _ => unreachable!("the template names its parts"),
    };
    // One pass: what is put in may hold a template's marks.
    let mut page = String::new();
    let mut rest = TEMPLATE;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").expect("the template's marks are closed");
        page.extend([before, part(name)]);
        rest = after;
    }
    page + rest
}

/// JSON in which no character is markup: those that could be stand as escapes, which JSON reads as the same text.
fn embedded(data: &Value) -> String {
    data.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// The beginning of a page without script or data, up to its title; it ends with `</main></body></html>`.
pub(crate) fn head(title: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title><style>{STYLE}</style></head>\
         <body><main>\n<h1>{title}</h1>\n"
    )
}

/// Text as it stands between tags.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        let hostile = "</script><script>alert(1)</script><!-- {{library}} & \u{2028} \\u003c";
        let page = page("a<b>{{data}}", &json!({ "response": hostile }));
        assert!(page.contains("<title>a&lt;b&gt;{{data}}</title>"));
        let data = page.split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
        assert_eq!(serde_json::from_str::<Value>(data).unwrap()["response"], hostile);
        assert_eq!(page.matches("</script>").count(), 3, "data, library, script");
        assert_eq!(page.matches("<script").count(), 3);
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        let page = page("x", &json!({}));
        for call in ["src=", "href=\"http", "@import", "url(", "fetch(", "XMLHttpRequest", "innerHTML"] {
            assert!(!page.replace(LIBRARY, "").contains(call), "{call}");
        }
        assert!(!LICENCE.contains("--"), "it stands in a comment");
        assert!(page.contains("default-src 'none'"));
    }
}
